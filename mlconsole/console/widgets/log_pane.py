"""A log that grows: follows its end until a person scrolls up, and goes on following from there.

Of a log in memory or in a file of any length, only the lines on the screen are looked at, and of a long line only what
is seen of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from rich.segment import Segment
from textual.content import Content
from textual.geometry import Size
from textual.message import Message
from textual.selection import Selection
from textual.strip import Strip

from mlconsole.console.log_lines import GAP, Buffer, Line, LogLines, picked
from mlconsole.console.log_pages import Pages
from mlconsole.console.log_paint import Drawn, LogPainter, Look
from mlconsole.console.paint import FAINT, line
from mlconsole.console.sieve import Sieve
from mlconsole.console.widgets.rows import Rows
from mlconsole.console.widgets.selectable import signs_within

MOST_LINES = 20_000
MOST_COPIED, MOST_COPIED_SIGNS = 10_000, 1_000_000
"""So many selected lines, and about so many signs, are copied: a terminal takes no more, and a file is the place."""


class LogPane(Rows):
    """Lines of a log, cleaned already.

    Args:
        empty: what is said while there are none.
        lines: the log; where none is given, `append` makes one.
    """

    DEFAULT_CSS = """
    LogPane { overflow-x: auto; scrollbar-size-horizontal: 0; }
    """

    class Changed(Message):
        """What the line above tells of the log is another thing now."""

    def __init__(self, *, empty: str = "", id: str | None = None, lines: LogLines | None = None) -> None:
        super().__init__(id=id)
        self._empty = empty
        self._buffer = Buffer(MOST_LINES)
        self._pages = Pages(lines or self._buffer)
        self._painter = LogPainter()
        self._partial = ""
        self._widest = 0
        self._following = True
        self._stands = False
        """It would follow if nothing were selected."""
        self.copied_all = True
        """Whether all that was selected was copied the last time."""
        self.sieve: Sieve | None = None
        """What is shown of it; None: all."""
        self._mark: int | None = None
        """The number of a line that is underlined."""
        self._skipped = 0

    # what there is

    @property
    def lines(self) -> LogLines:
        """The log."""
        return self._pages.lines

    @lines.setter
    def lines(self, lines: LogLines) -> None:
        self.deselect()
        self._pages = Pages(lines)

    @property
    def look(self) -> Look:
        """How lines are shown."""
        return self._painter.look

    @property
    def plain(self) -> str:
        """The text as it is."""
        return "\n".join(entry.text for entry in self.lines.read(self.lines.first, self.lines.end))

    @property
    def is_following(self) -> bool:
        """Whether the end is on the screen, and stays there."""
        return self._following

    @property
    def numbers(self) -> Sequence[int]:
        """The number of the line at each place."""
        if self.sieve is None:
            return range(self.lines.first, self.lines.end)
        return self.sieve.shown[self._skipped :]

    def __len__(self) -> int:
        found = len(self.sieve.shown) - self._skipped if self.sieve else self.lines.end - self.lines.first
        return found + bool(self._partial and self.sieve is None)

    def clear(self) -> None:
        """Forget all lines that were appended."""
        self._buffer.clear()
        self._partial, self._following = "", True
        self.start_anew()

    def start_anew(self) -> None:
        """The log is another one."""
        self.deselect()
        self._pages.clear()
        self._widest = self._skipped = self.top_row = 0
        self.grown()

    def say_when_empty(self, words: str) -> None:
        """Change what is said while there are no lines."""
        if words != self._empty:
            self._empty = words
            self.lay_anew()

    def append(self, lines: Sequence[str], partial: str = "") -> None:
        """Add lines at the end; `partial` is a last line that still grows."""
        self._buffer.add(map(Line, lines))
        self._partial = partial
        self._widest = max(self._widest, len(partial), *map(len, lines[-2000:]), 0)
        self.grown()

    def grown(self) -> None:
        """The log has more lines, or fewer at its beginning."""
        self._pages.grown()
        if self.sieve is not None:
            self.sieve.wake()
        over = self._drop_gone()
        self._fit()
        if over and not self._following:
            self.scroll_to(y=max(self.scroll_offset.y - over, 0), animate=False)
        self._pin()
        self.call_after_refresh(self._pin)
        self.lay_anew()
        self.post_message(self.Changed())

    def _drop_gone(self) -> int:
        """Forget what the log has dropped at its beginning; how many places that are."""
        first = self.lines.first
        if self.sieve is None:
            over, self._skipped = max(first - self._skipped, 0), first
            return over
        before, shown = self._skipped, self.sieve.shown
        while self._skipped < len(shown) and (shown[self._skipped] < first or (shown[self._skipped] == GAP and first)):
            self._skipped += 1
        return self._skipped - before

    def _number(self, place: int) -> int | None:
        """The number of the line at a place; None behind the last one."""
        if self.sieve is None:
            number = self.lines.first + place
            return number if number < self.lines.end else None
        place += self._skipped
        return self.sieve.shown[place] if place < len(self.sieve.shown) else None

    def _entry(self, place: int) -> Line | Content | None:
        """What is at a place: a line, or words of ours."""
        number = self._number(place)
        if number == GAP:
            return line(("· · ·", FAINT))
        if number is not None:
            return self._pages.line(number) or Line("")
        if self._partial and self.sieve is None and place == len(self) - 1:
            return Line(self._partial)
        if place or len(self):
            return None
        words = "No line matches the filter." if self.sieve is not None else self._empty
        return line((words, FAINT)) if words else None

    # where one is

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """Scrolling up stops following; coming to the end goes on with it."""
        super().watch_scroll_y(old_value, new_value)
        before = self._following
        if new_value < old_value:
            self._following = self._stands = False
        if new_value >= self.max_scroll_y:
            self._following = self.is_at_end
        if before != self._following:
            self.post_message(self.Changed())

    def on_resize(self) -> None:
        """The end stays on the screen."""
        self._fit()
        self._pin()

    def follow(self, following: bool) -> None:
        """Go to the end and stay there, or stay where one is."""
        self._following, self._stands = following, False
        self._pin()
        self.post_message(self.Changed())

    def _pin(self) -> None:
        if self._following:
            self.go_to(*self.last_top)
            self._following = True

    def scrolled(self) -> None:
        """Going up stops following, coming to the end goes on with it."""
        self._following, self._stands = self.is_at_end, False
        self.lay_anew()
        self.post_message(self.Changed())

    def action_scroll_end(self) -> None:
        """To the last line, and its last row."""
        self.follow(True)

    def _fit(self) -> None:
        height, total = self.size.height, len(self)
        if self.look.wrap:
            self.virtual_size = Size(self.size.width, self.last_top[0] + height)
        else:
            self.virtual_size = Size(self._widest + self._painter.lead_width(), total)

    # how it looks

    def restyle(self, look: Look) -> None:
        """Show lines in another way."""
        self._painter.look, self.top_row = look, 0
        self._fit()
        self._pin()
        self.call_after_refresh(self._pin)
        self.lay_anew()
        self.post_message(self.Changed())

    def toggle_wrap(self) -> None:
        """Wrap long lines, or let them go on to the right."""
        self.scroll_to(x=0, animate=False)
        self.restyle(replace(self.look, wrap=not self.look.wrap))

    def toggle_stamps(self) -> None:
        """Show when lines were written, or not."""
        self.deselect()
        self.restyle(replace(self.look, stamps=not self.look.stamps))

    @property
    def wraps(self) -> bool:
        """Whether long lines take several rows."""
        return self.look.wrap

    @property
    def places(self) -> int:
        """How many lines are shown."""
        return len(self)

    def rows_at(self, place: int) -> int:
        """How many rows the line at a place takes."""
        entry = self._entry(place)
        if not isinstance(entry, Line):
            return 0 if entry is None else 1
        return self._painter.count(entry, self._wrap_width()) if self.look.wrap else 1

    def _wrap_width(self) -> int:
        return max(self.scrollable_content_region.width or self.size.width, 1)

    def render_line(self, y: int) -> Strip:
        """One line of the screen."""
        if self.look.wrap:
            rows = self.lay()
            return self._row_strip(*rows[y]) if y < len(rows) else self._blank(len(self) + y - len(rows))
        place, left = self.scroll_offset.y + y, self.scroll_offset.x
        entry = self._entry(place)
        if entry is None:
            return self._blank(place)
        if not isinstance(entry, Line):
            return self._strip(Drawn(entry), place, 0)
        if len(entry.text) > self._widest:
            self._widest = self._painter.rows.cells(entry.text)
            self.call_after_refresh(self._fit)
        return self._strip(self._painter.window(entry, left, self.size.width), place, left)

    def _row_strip(self, place: int, row: int) -> Strip:
        entry = self._entry(place)
        if not isinstance(entry, Line):
            return self._blank(place) if entry is None else self._strip(Drawn(entry), place, 0)
        return self._strip(self._painter.row(entry, self._wrap_width(), row), place, 0)

    def _blank(self, place: int) -> Strip:
        return self.selectable(Strip.blank(self.size.width, self.visual_style.rich_style), self._before + place)

    def _strip(self, drawn: Drawn, place: int, left: int) -> Strip:
        width, base, content = self.size.width, self.visual_style, drawn.content
        if self._mark is not None and self._number(place) == self._mark:
            content = content.stylize("underline")
        parts = content.render(base, end="", parse_style=self.app.stylesheet.parse_style)
        strip = Strip([Segment(text, style.rich_style) for text, style in parts])
        cut = max(left - drawn.cell, 0)
        first = drawn.first + signs_within(content.plain, cut)
        return self.selectable(
            strip.crop_extend(cut, cut + width, base.rich_style), self._before + place, first, drawn.lead
        )

    # what the mouse selects

    @property
    def _before(self) -> int:
        """So many lines were before the first place: with them, a line's number stays the same as lines go."""
        return self.lines.first if self.sieve is None else self._skipped

    @property
    def seen(self) -> tuple[int, int]:
        """The first and the last line on the screen."""
        if self.look.wrap and (rows := self.lay()):
            return self._before + rows[0][0], self._before + rows[-1][0]
        top = self._before + self.scroll_offset.y
        return top, top + max(self.size.height - 1, 0)

    def text_at(self, number: int) -> str | None:
        """A line's text, with time and pod where they are shown."""
        entry = self._entry(number - self._before) if number >= self._before else None
        return self._painter.plain(entry) if isinstance(entry, Line) else None

    def get_selection(self, selection: Selection) -> tuple[str, str] | None:
        """The selected lines, and what they end with; of very many only the first, and `copied_all` says so."""
        start, end = self.bounds(selection)
        begin, stop = max(start.y, self._before), min(end.y + 1, self._before + len(self))
        parts, signs = [], 0
        self.copied_all = stop - begin <= MOST_COPIED
        for number, entry in self._picked(begin, min(stop, begin + MOST_COPIED)):
            span = self.span(number, selection)
            parts.append(self._painter.plain(entry)[slice(*span) if span else slice(0)].rstrip())
            signs += len(parts[-1])
            if signs > MOST_COPIED_SIGNS:
                self.copied_all = False
                break
        return "\n".join(parts), "\n"

    def _picked(self, begin: int, stop: int) -> Iterator[tuple[int, Line]]:
        """Lines with their numbers here."""
        numbers = range(begin, min(stop, self.lines.end)) if self.sieve is None else self.sieve.shown[begin:stop]
        for place, entry in picked(self.lines, numbers):
            yield begin + place, entry
        if self._partial and self.sieve is None and begin <= self.lines.end < stop:
            yield self.lines.end, Line(self._partial)

    def selection_updated(self, selection: Selection | None) -> None:
        """What is selected stays where it is: a log that follows stands until it is let go."""
        super().selection_updated(selection)
        if selection is not None and self._following:
            self.follow(False)
            self._stands = True
        elif selection is None and self._stands:
            self.follow(True)
        self.post_message(self.Changed())
