"""A log that grows: follows its end until a person scrolls up, and goes on following from there.

Of a log in memory or in a file of any length, only the lines on the screen are looked at, and of a long line only what
is seen of it; what goes through all of them, a filter or a search, does so in a thread.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace

from rich.segment import Segment
from textual.content import Content
from textual.geometry import Size
from textual.message import Message
from textual.strip import Strip

from mlconsole.console.log_lines import GAP, Buffer, Line, LogLines
from mlconsole.console.log_pages import Pages
from mlconsole.console.log_paint import LogPainter, Look
from mlconsole.console.paint import FAINT, line
from mlconsole.console.sieve import Sieve, Wanted, find
from mlconsole.console.widgets.rows import Rows

MOST_LINES = 20_000


class LogView(Rows):
    """Lines of a log, cleaned already.

    Args:
        empty: what is said while there are none.
        lines: the log; where none is given, `append` makes one.
    """

    DEFAULT_CSS = """
    LogView { overflow-x: auto; scrollbar-size-horizontal: 0; }
    """

    class Sieved(Message):
        """A filter found more."""

        def __init__(self, sieve: Sieve) -> None:
            super().__init__()
            self.sieve = sieve

        def can_replace(self, message: Message) -> bool:
            """A later one says all that an earlier one did."""
            return isinstance(message, LogView.Sieved)

    class Found(Message):
        """A search came to a line, by its number, or to none."""

        def __init__(self, turn: int, number: int | None) -> None:
            super().__init__()
            self.turn = turn
            self.number = number

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
        self.sieve: Sieve | None = None
        self.searching = ""
        """What a search says of itself: that it is under way, or that nothing was found."""
        self._mark: int | None = None
        self._turn, self._search_stop = 0, threading.Event()
        self._skipped = 0

    # what there is

    @property
    def lines(self) -> LogLines:
        """The log."""
        return self._pages.lines

    @lines.setter
    def lines(self, lines: LogLines) -> None:
        self._pages = Pages(lines)

    @property
    def look(self) -> Look:
        """How lines are shown."""
        return self._painter.look

    @property
    def searched(self) -> re.Pattern[str] | None:
        """What was looked for."""
        return self._painter.searched

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
        self._pages.clear()
        self._widest = self._skipped = self.top_row = 0
        if self.sieve is not None:
            self.filter(self.sieve.wanted)
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
            self._following = False
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
        self._following = following
        self._pin()
        self.post_message(self.Changed())

    def _pin(self) -> None:
        if self._following:
            self.go_to(*self.last_top)
            self._following = True

    def scrolled(self) -> None:
        """Going up stops following, coming to the end goes on with it."""
        self._following = self.is_at_end
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
            return self._row_strip(*rows[y]) if y < len(rows) else self._strip(None, 0)
        entry = self._entry(self.scroll_offset.y + y)
        if not isinstance(entry, Line):
            return self._strip(entry, 0)
        left = self.scroll_offset.x
        if len(entry.text) > self._widest:
            self._widest = self._painter.rows.cells(entry.text)
            self.call_after_refresh(self._fit)
        content, start = self._painter.window(entry, left, self.size.width)
        return self._strip(self._marked(content, self.scroll_offset.y + y), left - start)

    def _row_strip(self, place: int, row: int) -> Strip:
        entry = self._entry(place)
        if not isinstance(entry, Line):
            return self._strip(entry, 0)
        return self._strip(self._marked(self._painter.row(entry, self._wrap_width(), row), place), 0)

    def _marked(self, content: Content, place: int) -> Content:
        marked = self._mark is not None and self._number(place) == self._mark
        return content.stylize("underline") if marked else content

    def _strip(self, content: Content | None, left: int) -> Strip:
        width, base = self.size.width, self.visual_style
        if content is None:
            return Strip.blank(width, base.rich_style)
        parts = content.render(base, end="", parse_style=self.app.stylesheet.parse_style)
        strip = Strip([Segment(text, style.rich_style) for text, style in parts])
        return strip.crop_extend(left, left + width, base.rich_style)

    # filter and search

    def filter(self, wanted: Wanted | None) -> None:
        """Show only some lines; all where None."""
        if self.sieve is not None:
            self.sieve.stop()
        self._skipped, self._mark, self.top_row = (0 if wanted else self.lines.first), None, 0
        self.sieve, self._painter.wanted = None, wanted
        if wanted is not None:

            def told() -> None:
                try:
                    self.post_message(self.Sieved(sieve))
                except RuntimeError:
                    # the loop is closed: nobody is there to be told
                    sieve.stop()

            sieve = self.sieve = Sieve(self.lines, wanted, told)
            sieve.start()
        self._following = True
        self._fit()
        self._pin()
        self.lay_anew()
        self.post_message(self.Changed())

    def on_log_view_sieved(self, message: Sieved) -> None:
        """Show what the filter found so far."""
        message.stop()
        if message.sieve is self.sieve:
            self._drop_gone()
            self._fit()
            self._pin()
            self.lay_anew()
            self.post_message(self.Changed())

    def search(self, pattern: re.Pattern[str] | None) -> None:
        """Mark what matches, and go to the nearest place above the end of the screen."""
        self._painter.searched, self._mark, self.searching = pattern, None, ""
        self.lay_anew()
        if pattern is not None:
            self._find(min(self.scroll_offset.y + self.size.height - 1, len(self.numbers) - 1), -1)
        self.post_message(self.Changed())

    def search_on(self, step: int) -> None:
        """Go to the next place that matches the search, or the filter."""
        numbers = self.numbers
        place = self._place(self._mark)
        start = self.scroll_offset.y if place is None else place + step
        self._find(start % len(numbers) if len(numbers) else 0, step)

    def _place(self, number: int | None) -> int | None:
        numbers = self.numbers
        if number is None:
            return None
        try:
            return numbers.index(number)
        except ValueError:
            # it is filtered out, or gone
            return None

    def _find(self, start: int, step: int) -> None:
        pattern = self.searched or (self.sieve.wanted.pattern if self.sieve else None)
        numbers = self.numbers
        if pattern is None or not len(numbers):
            return
        self._search_stop.set()
        stop = self._search_stop = threading.Event()
        self._turn += 1
        turn, lines, self.searching = self._turn, self.lines, "searching …"
        post: Callable[[Message], object] = self.post_message

        def work() -> None:
            place = find(lines, numbers, pattern, start, step, stop)
            if not stop.is_set():
                post(self.Found(turn, None if place is None else numbers[place]))

        threading.Thread(target=work, name="console-search", daemon=True).start()
        self.post_message(self.Changed())

    def on_log_view_found(self, message: Found) -> None:
        """Go to what was found."""
        message.stop()
        if message.turn != self._turn:
            return
        place = self._place(message.number)
        self.searching = "" if place is not None else "not found"
        if place is not None:
            self._mark = message.number
            self._show(place)
            self._following = self.is_at_end
        self.lay_anew()
        self.post_message(self.Changed())

    def _show(self, place: int) -> None:
        """Scroll to a place where it is not on the screen; in a wrapped line, to what was looked for."""
        top, height = self.scroll_offset.y, self.size.height
        if not self.look.wrap:
            if not top <= place < top + height:
                self.go_to(max(place - height // 2, 0))
            return
        entry = self._entry(place)
        row = self._painter.row_of_match(entry, self._wrap_width()) if isinstance(entry, Line) else 0
        if (place, row) not in self.lay():
            self.go_to(place, row)
            self.move_rows(-(height // 2))

    def on_unmount(self) -> None:
        """Leave no thread behind."""
        self._search_stop.set()
        if self.sieve is not None:
            self.sieve.stop()
