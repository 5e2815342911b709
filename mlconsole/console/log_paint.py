"""How a line of a log looks: when and whose it is, and what of it was looked for. Only what is seen of it is made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from textual.content import Content, Span

from mlconsole.console.log_lines import Line
from mlconsole.console.log_rows import Piece, Rows, clipped
from mlconsole.console.paint import FAINT, KEY, line
from mlconsole.console.patterns import GivenUp, Pattern
from mlconsole.console.sieve import Wanted

POD_STYLES = ("$text-primary", "$text-success", "$text-warning", "$text-accent", "$text-secondary", "$text-error")
POD_WIDTH = 12
STAMP_WIDTH = 13
FOUND = "bold reverse"
MOST_MARKS = 10_000
KEPT = 512
"""Of so many lines, what matches is remembered."""
RULE = " │ "
NARROWEST = 8
"""Beside time and pod, so many cells are left for the text at least."""


@dataclass(frozen=True)
class Look:
    """How lines are shown."""

    wrap: bool = False
    stamps: bool = False


class Drawn(NamedTuple):
    """What is seen of a line: the cell of the line at which it begins, so many signs of the line are before it, and so
    many cells in front of it are none of the line's."""

    content: Content
    cell: int = 0
    first: int = 0
    lead: int = 0


class LogPainter:
    """Makes what is seen of lines."""

    def __init__(self) -> None:
        self.look = Look()
        self.wanted: Wanted | None = None
        """The filter."""
        self.searched: Pattern | None = None
        self.rows = Rows()
        self._pods: dict[str, str] = {}
        self._spans: dict[tuple[str, Pattern], list[tuple[int, int]]] = {}
        self._slow: Pattern | None = None
        """It took too long to be marked."""

    def lead_width(self, found: Line | None = None) -> int:
        """Cells before a line's text; before any line's, where none is given."""
        tagged = found.pod if found is not None else self._pods
        return (STAMP_WIDTH if self.look.stamps else 0) + (POD_WIDTH + 3 if tagged else 0)

    def body_width(self, found: Line, width: int) -> int:
        """Cells for a line's text where it is wrapped."""
        return max(width - self.lead_width(found), NARROWEST)

    def count(self, found: Line, width: int) -> int:
        """How many rows of `width` cells a line takes."""
        return self.rows.count(found.text, self.body_width(found, width))

    def row(self, found: Line, width: int, number: int) -> Drawn:
        """A row of a wrapped line, from 0; what it begins with is said once."""
        piece = self.rows.row(found.text, self.body_width(found, width), number)
        if number == 0:
            return Drawn(self._content(found, piece, self._lead(found)))
        lead = self.lead_width(found)
        content = self._content(found, piece, [(" " * lead, "")])
        return Drawn(content, first=lead + piece.start, lead=lead)

    def row_of_match(self, found: Line, width: int) -> int:
        """The row in which what is looked for is first."""
        spans = self._found(found.text, self.searched or (self.wanted.pattern if self.wanted else None))
        return self.rows.row_of(found.text, self.body_width(found, width), spans[0][0]) if spans else 0

    def window(self, found: Line, left: int, width: int) -> Drawn:
        """What is seen of a line that is not wrapped."""
        lead = self.lead_width(found)
        piece = self.rows.window(found.text, max(left - lead, 0), width)
        if left < lead or piece.cell == 0:
            return Drawn(self._content(found, piece, self._lead(found)))
        return Drawn(self._content(found, piece, []), lead + piece.cell, lead + piece.start)

    def plain(self, found: Line) -> str:
        """A line as it is copied: with what it begins with, as it is shown now, but no rule behind that."""
        return "".join(" " * len(part) if part == RULE else part for part, _ in self._lead(found)) + found.text

    def _lead(self, found: Line) -> list[tuple[str, str]]:
        parts = []
        if self.look.stamps:
            moment = f"{datetime.fromtimestamp(found.at):%H:%M:%S.%f}"[:12] if found.at else " " * 12
            parts.append((f"{moment} ", FAINT))
        if found.pod:
            parts += [(f"{found.pod[-POD_WIDTH:]:<{POD_WIDTH}}", self._pod_style(found.pod)), (RULE, FAINT)]
        return parts

    def _pod_style(self, pod: str) -> str:
        if pod not in self._pods:
            self._pods[pod] = POD_STYLES[len(self._pods) % len(POD_STYLES)]
        return self._pods[pod]

    def _content(self, found: Line, piece: Piece, lead: Sequence[tuple[str, str]]) -> Content:
        text, wanted = found.text[piece.start : piece.stop], self.wanted
        beside = wanted is not None and wanted.context and not self._is_wanted(wanted, found.text)
        content = line(*lead, (text, FAINT if beside else ""))
        before = sum(len(part) for part, _ in lead)
        marks = [] if wanted is None or wanted.inverse else [(wanted.pattern, KEY)]
        if self.searched is not None:
            marks.append((self.searched, FOUND))
        spans = [
            Span(before + start, before + stop, style)
            for pattern, style in marks
            for start, stop in clipped(self._found(found.text, pattern), piece)
            if start < stop
        ]
        return content.add_spans(spans) if spans else content

    def _is_wanted(self, wanted: Wanted, text: str) -> bool:
        return bool(self._found(text, wanted.pattern)) is not wanted.inverse

    def _found(self, text: str, pattern: Pattern | None) -> list[tuple[int, int]]:
        """Where a pattern matches; one that takes too long is not looked for any more while lines are drawn."""
        if pattern is None or pattern is self._slow:
            return []
        key = (text, pattern)
        spans = self._spans.get(key)
        if spans is None:
            if len(self._spans) >= KEPT:
                self._spans.clear()
            spans = self._spans[key] = []
            try:
                for span in pattern.spans(text):
                    spans.append(span)
                    if len(spans) >= MOST_MARKS:
                        break
            except GivenUp:
                self._slow = pattern
        return spans
