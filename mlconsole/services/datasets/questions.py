"""A second pass over some columns, for the rows that break a rule."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mlconsole.evidence.data import ColumnKind, DataProfile
from mlconsole.services.datasets.csv_file import StartAgain
from mlconsole.services.datasets.passes import in_order, one_array
from mlconsole.services.datasets.summaries import as_arrow
from mlconsole.services.datasets.tables import Parse, Tables
from mlconsole.text import clean_line, number, shorten

EXAMPLES = 3
MOST_NEW = 20

Hits = list[tuple[int, list[tuple[int, Any]]]]


class Question:
    """Which rows of a column are out of a range, or have a value that is not in a set? Holds the answer, too."""

    def __init__(
        self,
        column: str,
        kind: ColumnKind,
        *,
        low: float | None,
        high: float | None,
        values: frozenset[str | float] | None,
    ) -> None:
        self.column, self.kind, self.low, self.high, self.values = column, kind, low, high, values
        self.clear()

    @property
    def type(self) -> Any:
        """The Arrow type that the column is read with: all numbers alike, for the comparison."""
        if self.kind in ("integer", "number"):
            return pa.float64()
        return pa.bool_() if self.kind == "boolean" else pa.string()

    def clear(self) -> None:
        """Forget the answer."""
        self.rows = 0
        self.new: list[str] = []
        self.examples: list[str] = []

    def ask(self, column: Any) -> tuple[int, list[tuple[int, Any]]]:
        """How many rows of a chunk break the rule, and the first of them: their places and values."""
        outside = self._outside(column)
        places = pc.indices_nonzero(pc.fill_null(outside, False))
        first = places.slice(0, EXAMPLES if self.values is None else MOST_NEW)
        return len(places), list(zip(first.to_pylist(), column.take(first).to_pylist(), strict=True))

    def _outside(self, column: Any) -> Any:
        if self.values is None:
            below = pc.less(column, _scalar(self.low)) if self.low is not None else None
            above = pc.greater(column, _scalar(self.high)) if self.high is not None else None
            found = below if above is None else above if below is None else pc.or_(below, above)
            return pc.and_(found, pc.is_finite(column))
        if self.kind == "boolean":
            fine = [pc.equal(column, truth) for truth in self._truths()]
            known = pc.or_(*fine) if len(fine) == 2 else fine[0] if fine else pc.is_null(column)
            return pc.and_(pc.invert(known), pc.is_valid(column))
        if self.kind in ("integer", "number"):
            numbers = np.array([value for value in self.values if isinstance(value, float)], np.float64)
            return pc.and_(pc.invert(pc.is_in(column, as_arrow(numbers))), pc.is_valid(column))
        encoded = column.dictionary_encode()
        new = [text is not None and clean_line(text) not in self.values for text in encoded.dictionary.to_pylist()]
        return as_arrow(np.array(new, np.uint8)).cast(pa.bool_()).take(encoded.indices)

    def _truths(self) -> list[Any]:
        known = [value == "true" for value in self.values or () if value in ("true", "false")]
        return [as_arrow(np.array([truth], np.uint8)).cast(pa.bool_())[0] for truth in known]

    def take(self, rows: int, hits: list[tuple[int, Any]], before: int) -> None:
        """Add a chunk's answer; `before` rows came before the chunk."""
        self.rows += rows
        for place, value in hits:
            shown = shorten(clean_line(str(value)), 40) if isinstance(value, str | bool) else number(value)
            if len(self.examples) < EXAMPLES:
                self.examples.append(f"row {before + place + 1:,}: {shown}")
            if shown not in self.new and len(self.new) < MOST_NEW:
                self.new.append(shown)


def _scalar(value: float) -> Any:
    return as_arrow(np.array([value], np.float64))[0]


def count_rows(
    root: Path,
    profile: DataProfile,
    questions: Sequence[Question],
    report: Callable[[int], None],
    cancelled: threading.Event | None,
) -> None:
    """Answer questions about columns in one pass over those columns.

    Raises:
        DataUnfit, Cancelled.
    """
    tables = Tables(root, profile.identity, report, cancelled)
    real = {clean_line(column): column for column in tables.columns}
    names = tuple(dict.fromkeys(real[question.column] for question in questions))
    types = {real[question.column]: question.type for question in questions}

    def task(parse: Parse) -> Callable[[], tuple[int, Hits]]:
        def run() -> tuple[int, Hits]:
            table = parse()
            return table.num_rows, [
                question.ask(one_array(table.column(real[question.column]))) for question in questions
            ]

        return run

    while True:
        for question in questions:
            question.clear()
        before = 0
        try:
            for rows, answers in in_order(task(parse) for parse in tables.chunks(types, names)):
                for question, (found, hits) in zip(questions, answers, strict=True):
                    question.take(found, hits, before)
                before += rows
            return
        except StartAgain:
            continue
