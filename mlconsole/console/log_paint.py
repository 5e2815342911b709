"""How a line of a log looks: when and whose it is, and what of it was looked for. Only what is seen of it is made."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from textual.content import Content, Span

from mlconsole.console.log_lines import Line
from mlconsole.console.log_rows import Piece, Rows, clipped
from mlconsole.console.paint import FAINT, KEY, line
from mlconsole.console.sieve import Wanted

POD_STYLES = ("$text-primary", "$text-success", "$text-warning", "$text-accent", "$text-secondary", "$text-error")
POD_WIDTH = 12
STAMP_WIDTH = 13
FOUND = "bold reverse"
MOST_MARKS = 10_000
KEPT = 512
"""Of so many lines, what matches is remembered."""
NARROWEST = 8
"""Beside time and pod, so many cells are left for the text at least."""


@dataclass(frozen=True)
class Look:
    """How lines are shown."""

    wrap: bool = False
    stamps: bool = False


class LogPainter:
    """Makes what is seen of lines."""

    def __init__(self) -> None:
        self.look = Look()
        self.wanted: Wanted | None = None
        """The filter."""
        self.searched: re.Pattern[str] | None = None
        self.rows = Rows()
        self._pods: dict[str, str] = {}
        self._spans: dict[tuple[str, re.Pattern[str]], list[tuple[int, int]]] = {}

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

    def row(self, found: Line, width: int, number: int) -> Content:
        """A row of a wrapped line, from 0; what it begins with is said once."""
        piece = self.rows.row(found.text, self.body_width(found, width), number)
        lead = self._lead(found) if number == 0 else [(" " * self.lead_width(found), "")]
        return self._content(found, piece, lead)

    def row_of_match(self, found: Line, width: int) -> int:
        """The row in which what is looked for is first."""
        spans = self._found(found.text, self.searched or (self.wanted.pattern if self.wanted else None))
        return self.rows.row_of(found.text, self.body_width(found, width), spans[0][0]) if spans else 0

    def window(self, found: Line, left: int, width: int) -> tuple[Content, int]:
        """What is seen of a line that is not wrapped, and the cell of the line at which that begins."""
        lead = self.lead_width(found)
        piece = self.rows.window(found.text, max(left - lead, 0), width)
        if left < lead or piece.cell == 0:
            return self._content(found, piece, self._lead(found)), 0
        return self._content(found, piece, []), lead + piece.cell

    def _lead(self, found: Line) -> list[tuple[str, str]]:
        parts = []
        if self.look.stamps:
            moment = f"{datetime.fromtimestamp(found.at):%H:%M:%S.%f}"[:12] if found.at else " " * 12
            parts.append((f"{moment} ", FAINT))
        if found.pod:
            parts += [(f"{found.pod[-POD_WIDTH:]:<{POD_WIDTH}}", self._pod_style(found.pod)), (" │ ", FAINT)]
        return parts

    def _pod_style(self, pod: str) -> str:
        if pod not in self._pods:
            self._pods[pod] = POD_STYLES[len(self._pods) % len(POD_STYLES)]
        return self._pods[pod]

    def _content(self, found: Line, piece: Piece, lead: Sequence[tuple[str, str]]) -> Content:
        text, wanted = found.text[piece.start : piece.stop], self.wanted
        beside = wanted is not None and wanted.context and not wanted.matches(found.text)
        content = line(*lead, (text, FAINT if beside else ""))
        before = sum(len(part) for part, _ in lead)
        marks = [] if wanted is None or wanted.inverse else [(wanted.pattern, KEY)]
        if self.searched is not None:
            marks.append((self.searched, FOUND))
        spans = [
            Span(before + start, before + stop, style)
            for pattern, style in marks
            for start, stop in clipped(self._found(found.text, pattern), piece)
        ]
        return content.add_spans(spans) if spans else content

    def _found(self, text: str, pattern: re.Pattern[str] | None) -> list[tuple[int, int]]:
        if pattern is None:
            return []
        key = (text, pattern)
        spans = self._spans.get(key)
        if spans is None:
            if len(self._spans) >= KEPT:
                self._spans.clear()
            spans = self._spans[key] = []
            for match in pattern.finditer(text):
                if match.end() > match.start():
                    spans.append(match.span())
                if len(spans) >= MOST_MARKS:
                    break
        return spans
