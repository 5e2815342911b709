"""A second pass over some columns, for the rows that break a rule."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mlconsole.evidence.data import ColumnKind, ColumnProfile, Comparator, DataProfile
from mlconsole.services.datasets.csv_file import StartAgain
from mlconsole.services.datasets.passes import in_order, one_array
from mlconsole.services.datasets.summaries import as_arrow
from mlconsole.services.datasets.tables import Parse, Tables
from mlconsole.text import clean_line, number, shorten

EXAMPLES = 3
MOST_NEW = 20

_NUMBER = r"^\s*[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?\s*$"

_COMPARE: dict[Comparator, Callable[[Any, Any], Any]] = {
    "<": pc.less,
    "<=": pc.less_equal,
    "==": pc.equal,
    "!=": pc.not_equal,
    ">=": pc.greater_equal,
    ">": pc.greater,
}

Hits = list[tuple[int, list[tuple[int, Any]]]]


class Question:
    """Which rows of a column break a rule? Holds the answer, too.

    Args:
        column: the column's name.
        type: the Arrow type that the column is read with.
    """

    def __init__(self, column: str, type: Any) -> None:
        self.type = type
        self.types = {column: type}
        self.clear()

    def clear(self) -> None:
        """Forget the answer."""
        self.rows = 0
        self.new: list[str] = []
        self.examples: list[str] = []

    def breaks(self, *columns: Any) -> Any:
        """For each row of a chunk, whether it breaks the rule; missing values may stay missing."""
        raise NotImplementedError

    def ask(self, *columns: Any) -> tuple[int, list[tuple[int, Any]]]:
        """How many rows of a chunk break the rule, and the first of them: their places and values."""
        places = pc.indices_nonzero(pc.fill_null(self.breaks(*columns), _truth(False)))
        first = places.slice(0, MOST_NEW)
        values = (column.take(first).to_pylist() for column in columns)
        return len(places), list(zip(first.to_pylist(), self.shown(*values), strict=True))

    def shown(self, *values: list[Any]) -> list[Any]:
        """The values of the rows that break the rule, one a row."""
        return values[0]

    def take(self, rows: int, hits: list[tuple[int, Any]], before: int) -> None:
        """Add a chunk's answer; `before` rows came before the chunk."""
        self.rows += rows
        for place, value in hits:
            shown = shorten(clean_line(str(value)), 40) if isinstance(value, str | bool) else number(value)
            if len(self.examples) < EXAMPLES:
                self.examples.append(f"row {before + place + 1:,}: {shown}")
            if shown not in self.new and len(self.new) < MOST_NEW:
                self.new.append(shown)


class OutOfRange(Question):
    """Which numbers are below `low` or above `high`? Infinite ones are in no range and not asked for."""

    def __init__(self, column: str, low: float | None, high: float | None) -> None:
        super().__init__(column, pa.float64())
        self._low, self._high = low, high

    def breaks(self, *columns: Any) -> Any:
        """See `Question.breaks`."""
        (column,) = columns
        below = pc.less(column, _scalar(self._low)) if self._low is not None else None
        above = pc.greater(column, _scalar(self._high)) if self._high is not None else None
        found = below if above is None else above if below is None else pc.or_(below, above)
        return pc.and_(found, pc.is_finite(column))


class NotAmong(Question):
    """Which values are not among those that are known? Numbers are compared as numbers."""

    def __init__(self, column: str, kind: ColumnKind, known: frozenset[str | float]) -> None:
        numeric = kind in ("integer", "number")
        super().__init__(column, pa.float64() if numeric else pa.bool_() if kind == "boolean" else pa.string())
        self._known = known

    def breaks(self, *columns: Any) -> Any:
        """See `Question.breaks`."""
        (column,) = columns
        if pa.types.is_floating(self.type):
            numbers = np.array([value for value in self._known if isinstance(value, float)], np.float64)
            return pc.and_(pc.invert(pc.is_in(column, as_arrow(numbers))), pc.is_valid(column))
        if pa.types.is_boolean(self.type):
            new = [text for text in ("true", "false") if text not in self._known]
            return (
                pc.is_in(column, _truths([text == "true" for text in new])) if new else pc.is_null(pc.is_valid(column))
            )
        encoded = column.dictionary_encode()
        texts = encoded.dictionary.to_pylist()
        return _truths([clean_line(text or "") not in self._known for text in texts]).take(encoded.indices)


class NotANumber(Question):
    """Which texts are in the way of a column's being numbers?"""

    def __init__(self, column: str) -> None:
        super().__init__(column, pa.string())

    def breaks(self, *columns: Any) -> Any:
        """See `Question.breaks`."""
        (column,) = columns
        return pc.invert(pc.match_substring_regex(column, _NUMBER))


class Unrelated(Question):
    """In which rows does a relation between two columns not hold? Moments are compared in UTC."""

    def __init__(self, left: ColumnProfile, comparator: Comparator, right: ColumnProfile) -> None:
        super().__init__(left.name, _type_to_compare(left, right))
        self.types = {left.name: _type_to_compare(left, right), right.name: _type_to_compare(right, left)}
        self._names, self._holds = (left.name, right.name), _COMPARE[comparator]

    def breaks(self, *columns: Any) -> Any:
        """See `Question.breaks`."""
        if pa.types.is_timestamp(columns[0].type) or pa.types.is_date(columns[0].type):
            columns = tuple(column.cast(pa.timestamp("us"), safe=False) for column in columns)
        return pc.invert(self._holds(*columns))

    def shown(self, *values: list[Any]) -> list[Any]:
        """See `Question.shown`."""
        pairs = zip(*values, strict=True)
        return [", ".join(f"{n} {_shown(v)}" for n, v in zip(self._names, pair, strict=True)) for pair in pairs]


def _shown(value: Any) -> str:
    return number(value) if isinstance(value, float) else str(value)


def _type_to_compare(column: ColumnProfile, other: ColumnProfile) -> Any:
    """Both as numbers, or as moments of the type that each was found to have; else as they are written."""
    kinds = {column.kind, other.kind}
    if kinds <= {"integer", "number", "empty"}:
        return pa.float64()
    if kinds <= {"boolean", "empty"}:
        return pa.bool_()
    if kinds <= {"date", "empty"}:
        unit = re.fullmatch(r"timestamp\[(\w+)(?:, tz=(.+))?\]", column.type)
        return pa.timestamp(unit[1], tz=unit[2]) if unit else pa.date32()
    return pa.string()


def _truths(values: Sequence[bool]) -> Any:
    return as_arrow(np.array(values, np.uint8)).cast(pa.bool_())


def _truth(value: bool) -> Any:
    return _truths([value])[0]


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
    types = {real[column]: kind for question in questions for column, kind in question.types.items()}
    names = tuple(types)

    def task(parse: Parse) -> Callable[[], tuple[int, Hits]]:
        def run() -> tuple[int, Hits]:
            table = parse()
            return table.num_rows, [
                question.ask(*(one_array(table.column(real[column])) for column in question.types))
                for question in questions
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
