"""The distribution of each column: kept in small as a reference, and counted in the bins of an earlier one.

Both come from the summaries of the one pass that makes the profile. Where a column has more different values than are
tallied, the counts are those of the pass's random sample of up to 100,000 rows: its noise is part of every test.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

from mlconsole.evidence.data import (
    ColumnKind,
    ColumnProfile,
    ColumnReference,
    DataReference,
    ReferenceKind,
    ValueCount,
)
from mlconsole.services.datasets.finish import ALWAYS_CATEGORY, MOST_CATEGORIES, column_profile
from mlconsole.services.datasets.summaries import Numbers, NumberSummary, Summary, TextSummary, summarize
from mlconsole.text import clean_line, shorten

DECILES = np.arange(1, 10) / 10
SPARSE = 10
"""A whole number that never repeats is an identifier where its range is less than so many times its rows."""
LONGEST_LABEL = 80


class Counts(NamedTuple):
    """How the rows of a column fall into a reference: as its bins do, or a count for each value."""

    bins: Numbers
    values: Counter[str] | None
    median: float | None


class Column(NamedTuple):
    """A column's profile, and the summary that it was made from; or its counts, where others counted already."""

    profile: ColumnProfile
    summary: Summary | Counts


class Distributions(NamedTuple):
    """What a pass found of all columns, by their names as they are shown."""

    rows: int
    columns: Mapping[str, Column]


def of_table(table: Any) -> Distributions:
    """The distributions of an Arrow table that is in memory whole."""
    found = {}
    for field in table.schema:
        column = table.column(field.name).combine_chunks()
        summary = summarize(column, np.arange(len(column)), tallied=True)
        profile = column_profile(field.name, field.type, summary)
        found[profile.name] = Column(profile, summary)
    return Distributions(table.num_rows, found)


def reference_of(found: Distributions, identifiers: Iterable[str] = ()) -> DataReference:
    """Make the record that later data is compared with.

    Args:
        found: what a pass found.
        identifiers: columns that identify a row; others are recognised.
    """
    known = frozenset(identifiers)
    columns = [_reference(column, column.profile.name in known) for column in found.columns.values()]
    return DataReference(rows=found.rows, columns=tuple(columns))


def reference_kind(column: Column, *, is_identifier: bool = False) -> ReferenceKind:
    """How a column is compared.

    Numbers of at most 20 different values are categories (or true and false, where they are 0 and 1): a weekday or a
    rating has no deciles. Whole numbers that never repeat and follow each other closely are identifiers.
    """
    profile, summary = column
    if is_identifier:
        return "identifier"
    if isinstance(summary, NumberSummary) and profile.kind in ("integer", "number"):
        return _number_kind(profile, summary)
    kinds: dict[ColumnKind, ReferenceKind] = {"boolean": "boolean", "date": "date", "empty": "empty"}
    if profile.kind == "category" and profile.distinct <= MOST_CATEGORIES:
        return "category"
    return kinds.get(profile.kind, "text")


def _number_kind(profile: ColumnProfile, summary: NumberSummary) -> ReferenceKind:
    if not summary.count:
        return "empty"
    if profile.distinct_exact and profile.distinct <= ALWAYS_CATEGORY and profile.distinct < summary.count:
        values = set(summary.tally.values.tolist()) if summary.tally is not None else set()
        return "boolean" if values == {0, 1} else "category"
    span = summary.maximum - summary.minimum + 1
    if summary.whole and span < SPARSE * summary.count and _never_repeats(summary):
        return "identifier"
    return "number"


def _never_repeats(summary: NumberSummary) -> bool:
    if summary.tally is not None:
        return len(summary.tally.values) == summary.count
    values = _sample(summary)
    return len(np.unique(values)) == len(values)


def _reference(column: Column, is_identifier: bool) -> ColumnReference:
    profile, summary = column
    kind = reference_kind(column, is_identifier=is_identifier)
    edges: Numbers = np.zeros(0)
    bins: Numbers = np.zeros(0, np.int64)
    categories: tuple[ValueCount, ...] = ()
    if kind == "number":
        assert isinstance(summary, NumberSummary)
        values, counts = _weighted(summary)
        edges = _edges(values, counts)
        bins = _in_bins(edges, summary, values, counts)
    elif kind in ("category", "boolean"):
        tally = _tally(summary) or Counter()
        ordered = sorted(tally.items(), key=lambda pair: (-pair[1], pair[0]))
        categories = tuple(ValueCount(value=value, count=rows) for value, rows in ordered)
    return ColumnReference(
        name=profile.name,
        kind=kind,
        rows=profile.rows,
        missing=profile.missing,
        edges=tuple(edges.tolist()),
        counts=tuple(bins.tolist()),
        median=_median(profile) if kind == "number" else None,
        categories=categories,
        earliest=profile.earliest,
        latest=profile.latest,
    )


def counts_in(reference: ColumnReference, column: Column) -> Counts | None:
    """Count a column in the bins of a reference, or by its values; None where it holds something else."""
    profile, summary = column
    if isinstance(summary, Counts):
        return summary
    median = _median(profile)
    if reference.kind == "number":
        if not isinstance(summary, NumberSummary) or not reference.edges:
            return None
        values, counts = _weighted(summary)
        return Counts(_in_bins(np.asarray(reference.edges), summary, values, counts), None, median)
    if reference.kind in ("category", "boolean"):
        tally = _tally(summary)
        return None if tally is None else Counts(np.zeros(0), tally, median)
    return None


def _median(profile: ColumnProfile) -> float | None:
    return profile.quantiles[len(profile.quantiles) // 2] if profile.quantiles else None


def _sample(summary: NumberSummary) -> Numbers:
    values: Numbers = np.concatenate(summary.sample)
    return values[np.isfinite(values)]


def _weighted(summary: NumberSummary) -> tuple[Numbers, Numbers]:
    """The sorted values of a column, and how many rows have each: all rows, or those of the sample."""
    if summary.tally is not None:
        return summary.tally.values, summary.tally.counts
    values = np.sort(_sample(summary))
    return values, np.ones(len(values), np.int64)


def _edges(values: Numbers, counts: Numbers) -> Numbers:
    """The deciles, as the upper bounds of bins. A value that is several deciles at once gets a bin of its own."""
    ends = np.cumsum(counts)
    if not len(ends):
        return np.zeros(0)
    found = values[np.searchsorted(ends, np.ceil(DECILES * ends[-1]))].astype(np.float64)
    edges, times = np.unique(found, return_counts=True)
    with np.errstate(over="ignore"):
        below = np.nextafter(edges[times > 1], -math.inf)
    # nothing lies below the lowest number that there is
    return np.unique(np.concatenate((below[np.isfinite(below)], edges)))


def _in_bins(edges: Numbers, summary: NumberSummary, values: Numbers, counts: Numbers) -> Numbers:
    """Rows in each bin, and behind them those without a value. Infinite values are in none."""
    bins = np.bincount(np.searchsorted(edges, values), weights=counts, minlength=len(edges) + 1)
    missing = summary.rows - summary.present
    if summary.tally is None:
        missing = sum(int(np.isnan(part).sum()) for part in summary.sample)
    return np.append(bins, missing).astype(np.int64)


def _tally(summary: Summary | Counts) -> Counter[str] | None:
    """How many rows have each value, as it is written; None where there are too many, or where it has no values."""
    if isinstance(summary, TextSummary):
        pairs: Iterable[tuple[str, Any]] = (summary.tally or {}).items()
        known = summary.tally is not None
    elif isinstance(summary, NumberSummary):
        values, counts = _weighted(summary)
        pairs = ((f"{value:.15g}", int(rows)) for value, rows in zip(values.tolist(), counts.tolist(), strict=True))
        known = summary.tally is not None or bool(len(values))
    else:
        return None
    if not known:
        return None
    tally: Counter[str] = Counter()
    for value, rows in pairs:
        tally[shorten(clean_line(value), LONGEST_LABEL)] += rows
    return tally
