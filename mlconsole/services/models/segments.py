"""The parts of the rows that models are also compared on: a model may be better on the whole and worse where it hurts.

A column with few values has a segment for each; one with many numbers is cut at its quartiles, and of many texts the
most frequent have a segment each.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import msgspec

from mlconsole.text import clean_line, number, shorten

MOST_VALUES = 20
MISSING = "(missing)"
OTHER = "(other)"


class Segment(msgspec.Struct, frozen=True):
    """Some of the rows: a name such as `weathersit = clear`, and a mask (n,) of booleans over all rows."""

    name: str
    mask: Any

    @property
    def rows(self) -> int:
        """How many rows it has."""
        return int(self.mask.sum())


def segments_of(frame: Any, columns: Sequence[str]) -> tuple[Segment, ...]:
    """The segments of a data frame by its columns, those of each column in order of value.

    Every row is in just one segment of each column.
    """
    return tuple(segment for name in dict.fromkeys(columns) for segment in _of_column(name, frame[name]))


def _of_column(name: str, column: Any) -> Iterator[Segment]:
    shown, column = shorten(clean_line(name), 40), _comparable(column)
    if column.nunique() > MOST_VALUES and column.dtype.kind in "iuf":
        yield from _quartiles(shown, column)
    else:
        counts = column.value_counts()
        kept = sorted(counts.index[:MOST_VALUES].tolist(), key=lambda value: (str(type(value)), value))
        for value in kept:
            yield Segment(f"{shown} = {_word(value)}", (column == value).fillna(False).to_numpy(dtype=bool))
        if len(counts) > MOST_VALUES:
            rest = ~column.isin(kept) & column.notna()
            yield Segment(f"{shown} = {OTHER}", rest.to_numpy(dtype=bool))
    if column.isna().any():
        yield Segment(f"{shown} = {MISSING}", column.isna().to_numpy(dtype=bool))


def _comparable(column: Any) -> Any:
    """The column, with lists and the like as texts: a column of Parquet may hold anything."""
    try:
        column.nunique()
    except TypeError:
        return column.map(str, na_action="ignore")
    return column


def _quartiles(name: str, column: Any) -> Iterator[Segment]:
    """The quarters of the finite numbers; infinite ones are with the lowest or the highest."""
    import numpy as np

    values = column.to_numpy(dtype=np.float64, na_value=np.nan)
    with np.errstate(over="ignore", invalid="ignore"):
        edges = np.unique(np.quantile(values[np.isfinite(values)], [0, 0.25, 0.5, 0.75, 1])).tolist()
    bounds = [-np.inf, *edges[1:-1], np.inf]
    for (low, high), (above, most) in zip(pairwise(edges), pairwise(bounds), strict=True):
        mask = (values > above if above > -np.inf else ~np.isnan(values)) & (values <= most)
        yield Segment(f"{name} {number(low)} … {number(high)}", mask)


def _word(value: object) -> str:
    return number(value) if isinstance(value, float) else shorten(clean_line(str(value)), 40)
