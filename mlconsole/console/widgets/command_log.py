"""The git, python, pytest and kubectl commands that do what was just done: ready to be copied into a shell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from textual.binding import Binding
from textual.content import Content
from textual.events import Click
from textual.geometry import Size
from textual.strip import Strip

from mlconsole.console.live_words import TITLES, aimed
from mlconsole.console.paint import DIM, FAINT, line, split
from mlconsole.console.story import ToldCommand
from mlconsole.console.view import View
from mlconsole.console.widgets.lines import Lines

MOST_OPEN = 10
"""Lines of the open log, its heading included."""


class CommandLog(Lines):
    """A line high it says the last command; open it lists all, and `y` copies the one of the cursor."""

    DEFAULT_CSS = """
    CommandLog { height: 1; background: $surface; padding: 0 1; scrollbar-size: 0 0; }
    CommandLog.-open { height: auto; max-height: 40%; scrollbar-size: 1 1; }
    CommandLog > .commands--cursor { background: $surface-lighten-2; }
    CommandLog:focus > .commands--cursor { background: $block-cursor-background; color: $block-cursor-foreground; }
    """
    COMPONENT_CLASSES = {"commands--cursor"}
    BINDINGS = [Binding("j,down", "move(1)", show=False), Binding("k,up", "move(-1)", show=False)]

    def __init__(self, view: View) -> None:
        super().__init__()
        self._view = view
        self._commands: tuple[ToldCommand, ...] = ()
        self._cursor = 0
        self.can_focus = False

    @property
    def is_open(self) -> bool:
        """Whether all commands are listed."""
        return self.has_class("-open")

    @property
    def selected(self) -> str:
        """The command that the cursor is on; the last one where the log is a line high."""
        if not self._commands:
            return ""
        return self._commands[self._cursor if self.is_open else -1].command.line

    def toggle(self) -> None:
        """List all commands, or only the last one."""
        self.toggle_class("-open")
        self.can_focus = self.is_open
        self._cursor = max(len(self._commands) - 1, 0)
        self._measure()

    def show(self, view: View) -> None:
        """Show a view; the cursor stays on the end where it was there."""
        self._view = view
        commands = commands_of(view)
        if commands != self._commands:
            at_end = self._cursor >= len(self._commands) - 1
            self._commands = commands
            self._cursor = len(commands) - 1 if at_end else min(self._cursor, len(commands) - 1)
            self._cursor = max(self._cursor, 0)
            self._measure()
        self.refresh()

    def _measure(self) -> None:
        self.virtual_size = Size(self.size.width, len(self._commands) + 1 if self.is_open else 1)
        self.refresh(layout=True)
        if self.is_open:
            self.call_after_refresh(self._show_cursor)

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        """Its heading and a line each, up to a bound."""
        return min(len(self._commands) + 1, MOST_OPEN)

    def line_at(self, index: int) -> Content | None:
        """A command each, from 0; the heading is not one of them."""
        return command_line(self._commands[index]) if index < len(self._commands) else None

    def render_line(self, y: int) -> Strip:
        """One line of the screen: the last command, or the heading that stays over all of them."""
        base, number = self.visual_style, self.scroll_offset.y + y if y else 0
        content = self._content(number)
        if self.is_open and number and number - 1 == self._cursor and content is not None:
            base += self.get_visual_style("commands--cursor")
            content = content.without_spans if self.has_focus else content
        return self.selectable(self.painted(content, base), number)

    def _content(self, number: int) -> Content | None:
        """A line by its number on an open log: 0 is the heading, or, of a closed one, the last command."""
        width = self.scrollable_content_region.width
        if number:
            return self.line_at(number - 1)
        if self.is_open:
            return log_heading(self._view, width)
        return last_command(self._commands, self._view, width)

    def text_at(self, number: int) -> str | None:
        """A line's text, as it is selected."""
        content = self._content(number)
        return None if content is None else content.plain

    def action_move(self, step: int) -> None:
        """To another command."""
        self._cursor = min(max(self._cursor + step, 0), max(len(self._commands) - 1, 0))
        self._show_cursor()
        self.refresh()

    def _show_cursor(self) -> None:
        top, visible = self.scroll_offset.y, max(self.size.height - 1, 1)
        if self._cursor < top:
            self.scroll_to(y=self._cursor, animate=False)
        elif self._cursor >= top + visible:
            self.scroll_to(y=self._cursor - visible + 1, animate=False)

    def on_click(self, event: Click) -> None:
        """A click moves the cursor."""
        index = self.scroll_offset.y + event.y - 1
        if not self.was_dragged and self.is_open and 0 <= index < len(self._commands):
            self.action_move(index - self._cursor)


def commands_of(view: View) -> tuple[ToldCommand, ...]:
    """The commands of the shown release and of the console itself, in the order in which they were done."""
    own: Sequence[ToldCommand] = () if view.past else view.commands
    told = sorted((*view.story.commands, *own), key=lambda told: told.at)
    return tuple(replace(one, command=aimed(one.command, view.project)) for one in told)


def last_command(commands: Sequence[ToldCommand], view: View, width: int) -> Content:
    """The last command, with the key that lists all."""
    key = view.registry["command_log"].key
    hint = line((f"{key} all {len(commands)}" if len(commands) > 1 else "", FAINT))
    if not commands:
        return line(("$ ", FAINT), ("no command yet: what is done here is told as commands", FAINT))
    told = commands[-1]
    return split(line(("$ ", FAINT), (told.command.line, DIM)), hint, width)


def log_heading(view: View, width: int) -> Content:
    """What the list is, and its keys."""
    log, copy = view.registry["command_log"].key, view.registry["copy_command"].key
    left = line(("Commands that do what was done", "bold $text-accent"))
    return split(left, line((f"{copy} copy  {log} Esc close", DIM)), width)


def command_line(told: ToldCommand) -> Content:
    """A command with its time and where it belongs; its note behind it."""
    where = TITLES[told.stage] if told.stage else "console"
    note = f"   # {told.command.note}" if told.command.note else ""
    return line((f"{_clock(told.at)} {where:<8}", DIM), ("$ ", FAINT), told.command.line, (note, FAINT))


def _clock(moment: datetime) -> str:
    return f"{moment.astimezone():%H:%M:%S}"
