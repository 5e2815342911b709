"""A log that grows: follows its end until a person scrolls up, and goes on following from there.

Of a log in memory or in a file of any length, only the lines on the screen are looked at; what goes through all of
them, a filter or a search, does so in a thread.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from textual.content import Content
from textual.geometry import Size
from textual.message import Message
from textual.strip import Strip

from mlconsole.console.log_lines import Buffer, Line, LogLines
from mlconsole.console.paint import FAINT, KEY, line
from mlconsole.console.sieve import GAP, Sieve, Wanted, find
from mlconsole.console.widgets.lines import Lines

MOST_LINES = 20_000
POD_STYLES = ("$text-primary", "$text-success", "$text-warning", "$text-accent", "$text-secondary", "$text-error")
POD_WIDTH = 12
PAGE = 128
"""So many lines are read at once, and kept while they are near the screen."""
FOUND = "bold reverse"


@dataclass(frozen=True)
class Look:
    """How lines are shown."""

    wrap: bool = False
    stamps: bool = False


class LogView(Lines):
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
        """A search came to a place, or to none."""

        def __init__(self, turn: int, place: int | None) -> None:
            super().__init__()
            self.turn = turn
            self.place = place

    class Changed(Message):
        """What the line above tells of the log is another thing now."""

    def __init__(self, *, empty: str = "", id: str | None = None, lines: LogLines | None = None) -> None:
        super().__init__(id=id)
        self._empty = empty
        self._buffer = Buffer(MOST_LINES)
        self.lines: LogLines = lines or self._buffer
        self._partial = ""
        self._widest = 0
        self._following = True
        self.look = Look()
        self.sieve: Sieve | None = None
        self.searched: re.Pattern[str] | None = None
        self.searching = ""
        """What a search says of itself: that it is under way, or that nothing was found."""
        self._mark: int | None = None
        self._turn, self._search_stop = 0, threading.Event()
        self._pages: dict[int, list[Line]] = {}
        self._skipped = 0
        self._laid: tuple[object, list[Content]] | None = None
        self._pods: dict[str, str] = {}

    # what there is

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
        return self.sieve.shown[self._skipped :] if self._skipped else self.sieve.shown

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
        self._widest = self._skipped = 0
        if self.sieve is not None:
            self.filter(self.sieve.wanted)
        self.grown()

    def say_when_empty(self, words: str) -> None:
        """Change what is said while there are no lines."""
        if words != self._empty:
            self._empty = words
            self._again()

    def append(self, lines: Sequence[str], partial: str = "") -> None:
        """Add lines at the end; `partial` is a last line that still grows."""
        self._buffer.add(map(Line, lines))
        self._partial = partial
        self._widest = max(self._widest, len(partial), *map(len, lines[-2000:]), 0)
        self.grown()

    def grown(self) -> None:
        """The log has more lines, or fewer at its beginning."""
        if self.sieve is not None:
            self.sieve.wake()
        over = self._drop_gone()
        self._fit()
        if over and not self._following:
            self.scroll_to(y=max(self.scroll_offset.y - over, 0), animate=False)
        self._pin()
        self.call_after_refresh(self._pin)
        self._again()
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

    # where one is

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """Scrolling up stops following; coming to the end goes on with it."""
        super().watch_scroll_y(old_value, new_value)
        before = self._following
        if new_value < old_value:
            self._following = False
        if new_value >= self.max_scroll_y:
            self._following = True
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
            self.scroll_to(y=self.max_scroll_y, animate=False)
            self._following = True

    def _fit(self) -> None:
        height, total = self.size.height, len(self)
        if self.look.wrap:
            self.virtual_size = Size(self.size.width, total + max(height - self._last_screen(), 0))
        else:
            self.virtual_size = Size(self._widest + self._lead(), total)

    def _last_screen(self) -> int:
        """How many of the last lines fit on the screen when they are wrapped."""
        rows = lines = 0
        total, height = len(self), max(self.size.height, 1)
        while lines < total:
            rows += len(self._wrapped(total - 1 - lines))
            if rows > height and lines:
                break
            lines += 1
            if rows >= height:
                break
        return max(lines, 1)

    # how it looks

    def restyle(self, look: Look) -> None:
        """Show lines in another way."""
        self.look = look
        self._fit()
        self._pin()
        self.call_after_refresh(self._pin)
        self._again()
        self.post_message(self.Changed())

    def toggle_wrap(self) -> None:
        """Wrap long lines, or let them go on to the right."""
        self.scroll_to(x=0, animate=False)
        self.restyle(replace(self.look, wrap=not self.look.wrap))

    def toggle_stamps(self) -> None:
        """Show when lines were written, or not."""
        self.restyle(replace(self.look, stamps=not self.look.stamps))

    def _again(self) -> None:
        self._laid = None
        self.refresh()

    def _lead(self) -> int:
        return (13 if self.look.stamps else 0) + (POD_WIDTH + 3 if self._pods else 0)

    def _line(self, number: int) -> Line | None:
        """A line by its number; those around it are read with it."""
        if self.lines is self._buffer or not isinstance(self.numbers, range):
            return next(iter(self.lines.read(number, number + 1)), None)
        page = number // PAGE
        found = self._pages.get(page)
        if found is None or len(found) < min(PAGE, self.lines.end - page * PAGE):
            if len(self._pages) > 32:
                self._pages.clear()
            first = max(page * PAGE, self.lines.first)
            if first > page * PAGE:
                return next(iter(self.lines.read(number, number + 1)), None)
            found = self._pages[page] = self.lines.read(first, min((page + 1) * PAGE, self.lines.end))
        place = number - page * PAGE
        return found[place] if place < len(found) else None

    def line_at(self, index: int) -> Content | None:
        """The line at a place from 0."""
        numbers = self.numbers
        if index < len(numbers):
            number = numbers[index]
            if number == GAP:
                return line(("· · ·", FAINT))
            found = self._line(number)
            return self._content(found, number) if found is not None else line("")
        if index == len(numbers) and self._partial and self.sieve is None:
            return line(self._partial)
        if index == 0 and not len(self) and self.sieve is not None:
            return line(("No line matches the filter.", FAINT))
        if index == 0 and not len(self) and self._empty:
            return line((self._empty, FAINT))
        return None

    def _content(self, found: Line, number: int) -> Content:
        if len(found.text) > self._widest:
            self._widest = len(found.text)
            self.call_after_refresh(self._fit)
        parts: list[tuple[str, str]] = []
        if self.look.stamps:
            moment = f"{datetime.fromtimestamp(found.at):%H:%M:%S.%f}"[:12] if found.at else " " * 12
            parts.append((f"{moment} ", FAINT))
        if found.pod:
            tag = found.pod[-POD_WIDTH:]
            parts += [(f"{tag:<{POD_WIDTH}}", self._pod_style(found.pod)), (" │ ", FAINT)]
        sieve = self.sieve
        matched = sieve is None or not sieve.wanted.context or sieve.wanted.matches(found.text)
        content = line(*parts, (found.text, "" if matched else FAINT))
        lead = sum(len(text) for text, _ in parts)
        if sieve is not None and not sieve.wanted.inverse:
            content = _marked(content, found.text, lead, sieve.wanted.pattern, KEY)
        if self.searched is not None:
            content = _marked(content, found.text, lead, self.searched, FOUND)
        return content if number != self._mark else content.stylize("underline")

    def _pod_style(self, pod: str) -> str:
        if pod not in self._pods:
            self._pods[pod] = POD_STYLES[len(self._pods) % len(POD_STYLES)]
            self.call_after_refresh(self._fit)
        return self._pods[pod]

    def _wrapped(self, index: int) -> list[Content]:
        content = self.line_at(index)
        if content is None:
            return []
        width = max(self.scrollable_content_region.width or self.size.width, 1)
        if content.cell_length <= width:
            return [content]
        return [*content.wrap(width)] or [content]

    def render_line(self, y: int) -> Strip:
        """One line of the screen."""
        if not self.look.wrap:
            return super().render_line(y)
        top, height = self.scroll_offset.y, self.size.height
        key = (top, self.size, len(self))
        if self._laid is None or self._laid[0] != key:
            rows: list[Content] = []
            index = top
            while len(rows) < height and (more := self._wrapped(index)):
                rows += more
                index += 1
            if top >= self.max_scroll_y:
                rows = rows[-height:] if len(rows) > height and index >= len(self) else rows
            self._laid = (key, rows)
        rows = self._laid[1]
        return self.painted(rows[y] if y < len(rows) else None, self.visual_style)

    # filter and search

    def filter(self, wanted: Wanted | None) -> None:
        """Show only some lines; all where None."""
        if self.sieve is not None:
            self.sieve.stop()
        self._skipped, self._mark = (0, None) if wanted else (self.lines.first, None)
        self.sieve = None
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
        self._again()
        self.post_message(self.Changed())

    def on_log_view_sieved(self, message: Sieved) -> None:
        """Show what the filter found so far."""
        message.stop()
        if message.sieve is self.sieve:
            self._drop_gone()
            self._fit()
            self._pin()
            self._again()
            self.post_message(self.Changed())

    def search(self, pattern: re.Pattern[str] | None) -> None:
        """Mark what matches, and go to the nearest place above the end of the screen."""
        self.searched, self._mark, self.searching = pattern, None, ""
        self._again()
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
        if isinstance(numbers, range):
            return number - numbers.start if number in numbers else None
        return next((place for place, found in enumerate(numbers) if found == number), None)

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
                post(self.Found(turn, place))

        threading.Thread(target=work, name="console-search", daemon=True).start()
        self.post_message(self.Changed())

    def on_log_view_found(self, message: Found) -> None:
        """Go to what was found."""
        message.stop()
        if message.turn != self._turn:
            return
        self.searching = "" if message.place is not None else "not found"
        if message.place is not None and message.place < len(self.numbers):
            self._mark = self.numbers[message.place]
            top, height = self.scroll_offset.y, self.size.height
            if not top <= message.place < top + height:
                self.scroll_to(y=max(message.place - height // 2, 0), animate=False, immediate=True)
            self._following = self.scroll_offset.y >= self.max_scroll_y
        self._again()
        self.post_message(self.Changed())

    def on_unmount(self) -> None:
        """Leave no thread behind."""
        self._search_stop.set()
        if self.sieve is not None:
            self.sieve.stop()


def _marked(content: Content, text: str, lead: int, pattern: re.Pattern[str], style: str) -> Content:
    for number, match in enumerate(pattern.finditer(text)):
        if number > 100:
            break
        if match.end() > match.start():
            content = content.stylize(style, lead + match.start(), lead + match.end())
    return content
