"""A document in which a person looks for something."""

from __future__ import annotations

from bisect import bisect_left

from textual.content import Content, Span

from mlconsole.console.paint import KEY
from mlconsole.console.patterns import GIVEN_UP, GivenUp, Pattern
from mlconsole.console.widgets.lines import Document

HERE, ELSEWHERE = "bold reverse", f"bold underline {KEY}"
"""How a match looks in the line that was gone to, and in others."""
LINE_SECONDS, ALL_SECONDS = 0.02, 0.2
"""So long the screen may wait for one line, and for all."""


class SearchedDocument(Document):
    """Marks what matches an expression, and goes from one line that matches to the next."""

    def __init__(self) -> None:
        super().__init__()
        self._pattern: Pattern | None = None
        self._found: list[int] = []
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
        style = HERE if self._found and index == self._found[self._at] else ELSEWHERE
        try:
            spans = [Span(start, stop, style) for start, stop in self._pattern.spans(content.plain) if start < stop]
        except GivenUp:
            return content
        return content.add_spans(spans)

    def _make(self) -> None:
        super()._make()
        self._look()
        self._at = min(self._at, max(len(self._found) - 1, 0))

    def _look(self) -> None:
        self._found, self._given_up = [], False
        if self._pattern is None:
            return
        matches = self._pattern.matcher(LINE_SECONDS, ALL_SECONDS)
        try:
            self._found = [number for number, content in enumerate(self._lines) if matches(content.plain)]
        except GivenUp:
            self._given_up = True

    def _go(self) -> None:
        if self._found:
            first, last = self.seen
            line = self._found[self._at]
            if not first <= line <= last:
                self.scroll_to(y=max(line - self.size.height // 3, 0), animate=False)
        self.refresh()
