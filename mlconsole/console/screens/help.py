"""All keys, from the registry of actions, and why some do not apply now."""

from __future__ import annotations

from collections.abc import Sequence

from textual.content import Content

from mlconsole.console.actions import MOVES, READING
from mlconsole.console.actions.registry import MAIN_SCOPES
from mlconsole.console.paint import DIM, FAINT, KEY, WARN, blank, heading, line, wrapped
from mlconsole.console.screens.detail import DetailScreen
from mlconsole.console.view import View

LABEL = 10
WORDS = 14


class HelpScreen(DetailScreen):
    """A page of keys: the key that opened it closes it."""

    def action_help(self) -> None:
        """Back to where one was."""
        self.action_close()


def help_screen(view: View, scope: str) -> HelpScreen:
    """The help for a view, in a scope."""
    return HelpScreen("Keys", lambda width: help_lines(view, scope, width))


def help_lines(view: View, scope: str, width: int) -> list[Content]:
    """Each action with its help sentence; below one that does not apply, its reason."""
    lines = _moves(MOVES if scope in MAIN_SCOPES else READING, width)
    group = ""
    for action in view.registry.of(scope):
        if action.group != group:
            group = action.group
            lines += [*([blank()] if lines else []), heading(group)]
        reason = action.why_not(view)
        key_style, text_style = (KEY, "") if reason is None else (FAINT, DIM)
        row = line(
            (f"{action.label:<{LABEL}}", key_style), (f"{action.words:<{WORDS}}", text_style), (action.help, text_style)
        )
        lines += wrapped(row, width, indent=LABEL + WORDS)
        if reason is not None:
            why = line(" " * (LABEL + WORDS), ("not now: ", WARN), (reason, DIM))
            lines += wrapped(why, width, indent=LABEL + WORDS + 2)
    return lines


def _moves(keys: Sequence[tuple[str, str]], width: int) -> list[Content]:
    lines = [heading("Moving")]
    for label, words in keys:
        lines += wrapped(line((f"{label:<{LABEL}}", KEY), words), width, indent=LABEL)
    return lines
