"""A document in which a person looks for something."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from typing import ClassVar, NamedTuple

from textual.binding import Binding, BindingType
from textual.content import Content, Span

from mlconsole.console.paint import KEY, Below
from mlconsole.console.patterns import GIVEN_UP, GivenUp, Matcher, Pattern
from mlconsole.console.widgets.lines import Document

HERE, ELSEWHERE = "bold reverse", f"bold underline {KEY}"
"""How a match looks in the line that was gone to, and in others."""
LINE_SECONDS, ALL_SECONDS = 0.02, 0.2
"""So long the screen may wait for one line, and for all."""


class Mark(NamedTuple):
    """A match, or its part in one line: from, to before, and the number of the line in which the match begins."""

    start: int
    stop: int
    line: int


class SearchedDocument(Document):
    """Marks what matches an expression, and goes from one line that matches to the next.

    What was wrapped is looked at as it was before: a match may go on below.
    """

    BINDINGS: ClassVar[list[BindingType]] = [Binding("g", "scroll_home", "top", show=False)]

    def __init__(self) -> None:
        super().__init__()
        self._pattern: Pattern | None = None
        self._found: list[int] = []
        self._in_wrapped: dict[int, list[Mark]] = {}
        """What matches in each line of the paragraphs that were wrapped."""
        self._at = 0
        self._given_up = False

    @property
    def words(self) -> str:
        """What came of the search: `/mae/ 2 of 5`."""
        if self._pattern is None:
            return ""
        told = f"{self._at + 1:,} of {len(self._found):,}" if self._found else "is nowhere"
        return f"/{self._pattern.text}/ {GIVEN_UP if self._given_up else told}"

    def search(self, pattern: Pattern | None) -> None:
        """Go to the first line that matches, from the top of what is seen; None: look for nothing any more."""
        self._pattern = pattern
        self._look()
        self._at = bisect_left(self._found, self.scroll_offset.y) % max(len(self._found), 1)
        self._go()

    def search_on(self, step: int) -> None:
        """Go to the next line that matches, or the one before; behind the last comes the first."""
        if self._found:
            self._at = (self._at + step) % len(self._found)
            self._go()

    def line_at(self, index: int) -> Content | None:
        """The line of a number from 0, with its matches."""
        content = super().line_at(index)
        if content is None or self._pattern is None or self._given_up:
            return content
        here = self._found[self._at] if self._found else -1
        matches = self._in_wrapped.get(index)
        if matches is None:
            try:
                matches = [Mark(start, stop, index) for start, stop in self._pattern.spans(content.plain)]
            except GivenUp:
                return content
        return content.add_spans(
            [
                Span(mark.start, mark.stop, HERE if mark.line == here else ELSEWHERE)
                for mark in matches
                if mark.start < mark.stop
            ]
        )

    def _make(self) -> None:
        super()._make()
        self._look()
        self._at = min(self._at, max(len(self._found) - 1, 0))

    def _look(self) -> None:
        self._found, self._in_wrapped, self._given_up = [], {}, False
        if self._pattern is None:
            return
        matches = self._pattern.matcher(LINE_SECONDS, ALL_SECONDS)
        try:
            for first, lines in _paragraphs(self._lines):
                if len(lines) > 1:
                    self._look_in(first, lines, matches)
                elif matches(lines[0].plain):
                    self._found.append(first)
        except GivenUp:
            self._found, self._in_wrapped, self._given_up = [], {}, True

    def _look_in(self, first: int, lines: Sequence[Content], matches: Matcher) -> None:
        """Look at a paragraph in several lines as at the one that it was; mark what matches in each of them."""
        text, begins = joined(lines)
        marks: list[list[Mark]] = [[] for _ in lines]
        if self._pattern is not None and matches(text):
            for start, stop in self._pattern.spans(text, LINE_SECONDS):
                place = bisect_right(begins, start) - 1
                number = first + place
                if not self._found or self._found[-1] < number:
                    self._found.append(number)
                while place < len(lines) and begins[place] <= max(start, stop - 1):
                    # where the line's own text begins is behind its indent
                    off = _indent(lines[place]) - begins[place]
                    least, most = _indent(lines[place]), len(lines[place].plain)
                    marks[place].append(Mark(max(start + off, least), min(stop + off, most), number))
                    place += 1
        self._in_wrapped.update(enumerate(marks, first))

    def _go(self) -> None:
        if self._found:
            first, last = self.seen
            line = self._found[self._at]
            if not first <= line <= last:
                self.scroll_to(y=max(line - self.size.height // 3, 0), animate=False)
            self._go_sideways(line)
        self.refresh()

    def _go_sideways(self, line: int) -> None:
        """Bring the first match of a line that is longer than the screen is wide into sight."""
        content = self.line_at(line)
        mark = next((span for span in content.spans if span.style == HERE), None) if content is not None else None
        if content is None or mark is None:
            return
        start, stop = content[: mark.start].cell_length, content[: mark.end].cell_length
        width = self.scrollable_content_region.width
        if not self.scroll_offset.x <= start <= stop <= self.scroll_offset.x + width:
            self.scroll_to(x=0 if stop <= width else max(start - width // 3, 0), animate=False)


def _paragraphs(lines: Sequence[Content]) -> Iterator[tuple[int, Sequence[Content]]]:
    """Lines that were one before they were wrapped, with the number of the first."""
    first = 0
    for number in range(1, len(lines) + 1):
        if number == len(lines) or not isinstance(lines[number], Below):
            yield first, lines[first:number]
            first = number


def joined(lines: Sequence[Content]) -> tuple[str, list[int]]:
    """A paragraph as it was before it was wrapped, and where in it each line's own text begins."""
    text, begins = "", []
    for content in lines:
        text += content.gap if isinstance(content, Below) else ""
        begins.append(len(text))
        text += content.plain[_indent(content) :]
    return text, begins


def _indent(content: Content) -> int:
    return content.indent if isinstance(content, Below) else 0
