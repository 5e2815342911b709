"""What is remembered of a column while its rows stream by: small summaries of chunks, which merge exactly.

A chunk's summary is made in any thread; summaries are merged in the order of the chunks, so that the same rows give
the same profile however many threads there are.
"""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mlconsole.evidence.data import Histogram, ValueCount
from mlconsole.text import clean_line, shorten

DISTINCT_LIMIT = 10_000
LONGEST_VALUE = 256
EXAMPLES, MOST_EXAMPLES = 20, 500
GRID_CELLS = 4096
BINS = 20
TOP = 20
QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)

Numbers = np.ndarray[Any, np.dtype[Any]]


def as_numbers(column: Any) -> Numbers:
    """The values of an Arrow array without gaps, not copied. pyarrow's own `to_numpy` would import pandas: 0.3 s."""
    return np.from_dlpack(column) if len(column) else np.zeros(0, column.type.to_pandas_dtype())


def as_arrow(values: Numbers) -> Any:
    """An Arrow array of numbers, not copied. pyarrow's own `array` and `scalar` would import pandas."""
    kind = pa.from_numpy_dtype(values.dtype)
    return pa.Array.from_buffers(kind, len(values), [None, pa.py_buffer(np.ascontiguousarray(values))])


class Tally:
    """How often each value of a column of numbers occurs, until there are more than `DISTINCT_LIMIT` of them."""

    def __init__(self, values: Numbers, counts: Numbers) -> None:
        self.values, self.counts = values, counts

    @classmethod
    def of(cls, values: Numbers) -> Tally | None:
        """Count values; None if there are too many different ones."""
        if len(values) == 0:
            return cls(values, np.zeros(0, np.int64))
        if values.dtype.kind == "i":
            low, high = int(values.min()), int(values.max())
            if high - low < 4 * DISTINCT_LIMIT:
                counts = np.bincount((values - low).astype(np.int64, copy=False))
                present = np.flatnonzero(counts)
                return cls(present + low, counts[present]) if len(present) <= DISTINCT_LIMIT else None
        if len(np.unique(values[: 2 * DISTINCT_LIMIT])) > DISTINCT_LIMIT:
            return None
        counted = pc.value_counts(as_arrow(values))
        if len(counted) > DISTINCT_LIMIT:
            return None
        # Adding 0 makes -0.0 and 0.0 one value, as they are for everybody else.
        found, where = np.unique(as_numbers(counted.field("values")) + 0, return_inverse=True)
        return cls(found, np.bincount(where, weights=as_numbers(counted.field("counts"))).astype(np.int64))

    def merged(self, other: Tally) -> Tally | None:
        """Both together; None if there are too many different values."""
        if np.array_equal(self.values, other.values):
            return Tally(self.values, self.counts + other.counts)
        values, where = np.unique(np.concatenate((self.values, other.values)), return_inverse=True)
        if len(values) > DISTINCT_LIMIT:
            return None
        counts = np.zeros(len(values), np.int64)
        np.add.at(counts, where, np.concatenate((self.counts, other.counts)))
        return Tally(values, counts)

    def quantiles(self) -> tuple[float, ...]:
        """The exact quantiles, between neighbours by straight lines as numpy does."""
        ends = np.cumsum(self.counts)
        places = (ends[-1] - 1) * np.asarray(QUANTILES)
        low = self.values[np.searchsorted(ends, np.floor(places), side="right")].astype(float)
        high = self.values[np.searchsorted(ends, np.ceil(places), side="right")].astype(float)
        part = places - np.floor(places)
        with np.errstate(over="ignore", invalid="ignore"):
            span = high - low
            # neighbours may be further apart than the largest number
            found = np.where(np.isfinite(span), low + span * part, low * (1 - part) + high * part)
        return tuple(float(value) for value in found)

    def top(self) -> tuple[ValueCount, ...]:
        """The most frequent values, the smaller first where two are as frequent."""
        order = np.argsort(-self.counts, kind="stable")[:TOP]
        return tuple(ValueCount(value=str(self.values[i].item()), count=int(self.counts[i])) for i in order)


class Grid:
    """Counts on cells of width 2ᵉ that begin at multiples of it: any two grids merge without a loss of counts."""

    def __init__(self, exponent: int, first: int, counts: Numbers) -> None:
        self.exponent, self.first, self.counts = exponent, first, counts

    @classmethod
    def of(cls, values: Numbers, low: float, high: float, *, whole: bool, counts: Numbers | None = None) -> Grid:
        """Count finite values, each as often as `counts` says; cells of whole numbers are not narrower than 1."""
        finest = math.frexp(math.ulp(max(abs(low), abs(high))))[1] - 1
        exponent = math.frexp(high / 2 - low / 2)[1] + 2 - (GRID_CELLS.bit_length() - 1) if high > low else finest
        exponent = max(exponent, finest, 0 if whole else -1000)
        cells = np.floor(np.ldexp(values.astype(np.float64, copy=False), -exponent))
        first = math.floor(math.ldexp(low, -exponent))
        return cls(exponent, first, np.bincount((cells - first).astype(np.int64), weights=counts).astype(np.int64))

    def coarser(self, exponent: int) -> Grid:
        """The same counts on wider cells."""
        # Cells are numbered below 2⁵⁴, so that a shift by 60 sends them where any longer one does.
        step = 1 << min(exponent - self.exponent, 60)
        if step == 1:
            return self
        first = self.first // step
        filled = np.flatnonzero(self.counts)
        where = (self.first + filled) // step - first
        return Grid(exponent, first, np.bincount(where, weights=self.counts[filled]).astype(np.int64))

    def merged(self, other: Grid) -> Grid:
        """Both together, on cells wide enough for all."""
        exponent = max(self.exponent, other.exponent)
        while True:
            one, two = self.coarser(exponent), other.coarser(exponent)
            first = min(one.first, two.first)
            cells = max(one.first + len(one.counts), two.first + len(two.counts)) - first
            if cells <= GRID_CELLS:
                break
            exponent += 1
        counts = np.zeros(cells, np.int64)
        for grid in (one, two):
            counts[grid.first - first : grid.first - first + len(grid.counts)] += grid.counts
        return Grid(exponent, first, counts)

    def histogram(self, low: float, high: float) -> Histogram:
        """At most `BINS` bins of equal width (the first and last end at the extremes), with exact counts."""
        if low == high:
            return Histogram(edges=(low, high), counts=(int(self.counts.sum()),))
        group = -(-len(self.counts) // BINS)
        starts = range(0, len(self.counts), group)
        counts = [int(self.counts[start : start + group].sum()) for start in starts]
        inner = [math.ldexp(float(self.first + start), self.exponent) for start in starts[1:]]
        if self.exponent >= 0 and high < 2**53:
            # The last bin of whole numbers ends after the largest, as the bin of 3 is from 3 to 4.
            end = math.ldexp(float(self.first + len(self.counts)), self.exponent)
            return Histogram(edges=(low, *inner, end), counts=tuple(counts))
        if inner and inner[-1] >= high:
            inner.pop()
            counts[-2:] = [counts[-2] + counts[-1]]
        return Histogram(edges=(low, *inner, high), counts=tuple(counts))


class NumberSummary:
    """Numbers of one chunk, or of many merged. Infinite values are counted as rows and nowhere else."""

    def __init__(self, column: Any, chosen: Numbers, *, whole: bool, tallied: bool) -> None:
        self.rows = len(column)
        self.whole = whole
        if column.null_count:
            values = as_numbers(column.drop_null())
            some = column.take(as_arrow(chosen)).cast(pa.float64(), safe=False)
            with_gaps = as_numbers(pc.fill_null(some, as_arrow(np.array([math.nan]))[0]))
        else:
            values = as_numbers(column)
            with_gaps = values[chosen].astype(np.float64)
        self.present = len(values)
        if values.dtype.kind == "f":
            finite = np.isfinite(values)
            if not finite.all():
                self.present -= int(np.isnan(values).sum())
                values = values[finite]
        self.sample: list[Numbers] = [with_gaps]
        self.count = len(values)
        self.tally = Tally.of(values) if tallied else None
        self.minimum, self.maximum, self.mean, self.squares = math.inf, -math.inf, 0.0, 0.0
        self.grid: Grid | None = None
        if self.tally is not None and self.count:
            self._measure(self.tally.values, self.tally.counts)
        elif self.count:
            self._measure(values, None)

    def _measure(self, values: Numbers, counts: Numbers | None) -> None:
        """Take the measures of the values; those of few different ones come from how often each occurs."""
        self.minimum, self.maximum = float(values.min()), float(values.max())
        with np.errstate(over="ignore", invalid="ignore"):
            whole = values.sum(dtype=np.float64) if counts is None else (values.astype(np.float64) * counts).sum()
            self.mean = float(whole / self.count)
            distances = values - self.mean
            np.square(distances, out=distances)
            self.squares = float(distances.sum() if counts is None else (distances * counts).sum())
        self.grid = Grid.of(values, self.minimum, self.maximum, whole=self.whole, counts=counts)

    def add(self, other: NumberSummary) -> None:
        """Merge the summary of later rows into this one."""
        self.rows += other.rows
        self.present += other.present
        self.sample += other.sample
        self.tally = self.tally.merged(other.tally) if self.tally and other.tally else None
        if not other.count:
            return
        together = self.count + other.count
        apart = other.mean - self.mean
        self.mean += apart * other.count / together
        self.squares += other.squares + apart * apart * self.count * other.count / together
        self.count = together
        self.minimum, self.maximum = min(self.minimum, other.minimum), max(self.maximum, other.maximum)
        self.grid = self.grid.merged(other.grid) if self.grid and other.grid else other.grid

    @property
    def open(self) -> bool:
        """Are values still counted one by one?"""
        return self.tally is not None


class TextSummary:
    """Texts (or booleans, as texts) of one chunk, or of many merged."""

    def __init__(self, column: Any, *, tallied: bool) -> None:
        self.rows = len(column)
        self.present = self.rows - column.null_count
        self.tally: Counter[str] | None = self._count(column) if tallied else None
        self.examples = [shorten(str(value), LONGEST_VALUE) for value in column.slice(0, EXAMPLES).to_pylist() if value]

    def _count(self, column: Any) -> Counter[str] | None:
        head = column.slice(0, 2 * DISTINCT_LIMIT)
        if len(column) > len(head) and len(head.unique()) > DISTINCT_LIMIT:
            return None
        counted = column.value_counts()
        if len(counted) > DISTINCT_LIMIT + 1:
            return None
        values, counts = counted.field("values"), counted.field("counts")
        if pa.types.is_string(values.type) and (pc.max(pc.binary_length(values)).as_py() or 0) > 4 * LONGEST_VALUE:
            return None
        pairs = zip(values.to_pylist(), counts.to_pylist(), strict=True)
        return Counter({str(value): count for value, count in pairs if value is not None})

    def add(self, other: TextSummary) -> None:
        """Merge the summary of later rows into this one."""
        self.rows += other.rows
        self.present += other.present
        if len(self.examples) < MOST_EXAMPLES:
            self.examples += other.examples
        if self.tally is None or other.tally is None:
            self.tally = None
            return
        self.tally.update(other.tally)
        if len(self.tally) > DISTINCT_LIMIT:
            self.tally = None

    @property
    def open(self) -> bool:
        """Are values still counted one by one?"""
        return self.tally is not None

    def top(self) -> tuple[ValueCount, ...]:
        """The most frequent values, in the order of the alphabet where two are as frequent."""
        ordered = sorted((self.tally or {}).items(), key=lambda pair: (-pair[1], pair[0]))[:TOP]
        return tuple(ValueCount(value=clean_line(value), count=count) for value, count in ordered)


class DateSummary:
    """Dates or moments of one chunk, or of many merged."""

    def __init__(self, column: Any, *, tallied: bool) -> None:
        self.rows = len(column)
        values = column.drop_null()
        self.present = len(values)
        ends = pc.min_max(values)
        self.earliest, self.latest = ends["min"], ends["max"]
        days = values.cast(pa.int32() if pa.types.is_date32(values.type) else pa.int64())
        self.tally = Tally.of(as_numbers(days).astype(np.int64)) if tallied else None

    def add(self, other: DateSummary) -> None:
        """Merge the summary of later rows into this one."""
        self.rows += other.rows
        if other.present:
            ends = (self, other) if self.present else (other,)
            self.earliest = min((end.earliest for end in ends), key=lambda end: end.value)
            self.latest = max((end.latest for end in ends), key=lambda end: end.value)
        self.present += other.present
        self.tally = self.tally.merged(other.tally) if self.tally and other.tally else None

    @property
    def open(self) -> bool:
        """Are values still counted one by one?"""
        return self.tally is not None


class GapSummary:
    """Only how many rows and missing values: of columns without a value, and of types that have no order or count."""

    open = False

    def __init__(self, column: Any) -> None:
        self.rows = len(column)
        self.present = self.rows - column.null_count

    def add(self, other: GapSummary) -> None:
        """Merge the summary of later rows into this one."""
        self.rows += other.rows
        self.present += other.present


Summary = NumberSummary | TextSummary | DateSummary | GapSummary


def summarize(column: Any, chosen: Numbers, *, tallied: bool) -> Summary:
    """Summarize one column of a chunk.

    Args:
        column: an Arrow array.
        chosen: the rows of the chunk that are in the sample.
        tallied: whether to count the values one by one, still.
    """
    kind = column.type
    if pa.types.is_integer(kind):
        if kind == pa.uint64():
            return NumberSummary(column.cast(pa.float64(), safe=False), chosen, whole=True, tallied=tallied)
        return NumberSummary(column.cast(pa.int64()), chosen, whole=True, tallied=tallied)
    if pa.types.is_floating(kind):
        return NumberSummary(column.cast(pa.float64()), chosen, whole=False, tallied=tallied)
    if pa.types.is_string(kind) or pa.types.is_boolean(kind):
        return TextSummary(column, tallied=tallied)
    if pa.types.is_date(kind) or pa.types.is_timestamp(kind):
        return DateSummary(column, tallied=tallied)
    return GapSummary(column)
