"""Drift that can be believed: a column drifts only where effect and significance agree.

A measure of distance alone flags small samples for their noise, a p-value alone flags large ones for nothing. Here a
column has to be far enough from its reference for anyone to care, and so far that chance does not get there, at 1 %
over all tests of all columns together (Benjamini and Hochberg, 1995). With no drift at all, at most one data set in a
hundred is flagged; `benchmarks/false_alarms.py` counts them.

| what | effect | warns from | is far from |
|---|---|---|---|
| numbers: the distribution | population stability index over the reference's deciles and a bin of nulls | 0.1 | 0.25 |
| numbers: a shift | deviations of a normal distribution that give the same ranks (√2·Φ⁻¹ of P(new > old)) | 0.2 | 0.5 |
| categories | Cramér's V over the 19 most frequent and "other" | 0.1 | 0.25 |
| true and false; missing values | difference of the proportions | 0.05 | 0.15 |
| values that the reference never had | their share, beyond what its own rare values let expect | 0.01 | 0.1 |
| dates | the newest is older than the reference's newest | | |

The index is at least χ²(bins - 1, 0.99)·(1/n + 1/m), too: that much is noise. The shift is there because a normal
distribution that moves by δ deviations has an index of δ²: a quarter of a deviation is 0.06, and no index finds it.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Literal, NamedTuple

import numpy as np
from scipy import special

from mlconsole.evidence.base import GateLevel
from mlconsole.evidence.data import ColumnDrift, ColumnReference, DataReference, DriftReport, DriftTest
from mlconsole.services.datasets import measures, unseen
from mlconsole.services.datasets.distributions import Column, Counts, Distributions, counts_in
from mlconsole.services.datasets.summaries import Numbers
from mlconsole.text import number, shorten

ENOUGH = 200
"""Rows that each side needs: below, the answer is that nobody can tell."""
RATE = 0.01
"""How often chance may flag a data set in which nothing drifts."""
MOST_CATEGORIES = 19
UNTOLD = "others"
"""Stands for all values together that the reference never had, where whoever counted did not keep them apart."""
EXPECTED = 5
"""Rows that a category has to let expect on either side to be counted on its own: Pearson's test needs them."""

_LIMITS: dict[DriftTest, tuple[float, float]] = {
    "distribution": (0.1, 0.25),
    "shift": (0.2, 0.5),
    "categories": (0.1, 0.25),
    "proportion": (0.05, 0.15),
    "missing values": (0.05, 0.15),
    "unseen values": (0.01, 0.1),
    "dates": (1, math.inf),
    "kind": (1, math.inf),
}


class _Tested(NamedTuple):
    """A test before its p-value is corrected; `say` makes the sentence of a column that drifts."""

    column: str
    test: DriftTest
    effect: float
    p_value: float | None
    sentence: str
    least: float = 0
    """What the effect has to reach besides the test's own threshold."""


def compare(
    reference: DataReference,
    found: Distributions,
    *,
    label: str,
    part: Literal["all rows", "new rows", "live traffic"] = "all rows",
    rate: float = RATE,
) -> DriftReport:
    """Compare data with a reference.

    Args:
        reference: what is kept of the earlier data.
        found: what a pass found of the data that there is now.
        label: whose data the reference is, such as `ml-model@v3`.
        part: which rows `found` is of.
        rate: how often chance may flag it; whoever looks again and again has to share `RATE` out.
    """
    enough = min(reference.rows, found.rows) >= ENOUGH
    tested: list[_Tested] = []
    left_out = []
    for before in reference.columns:
        now = found.columns.get(before.name)
        if now is None:
            continue
        if before.kind in ("identifier", "text", "empty"):
            left_out.append(before.name)
        if enough:
            tested += _missing_values(before, now)
            tested += _TESTS[before.kind](before, now) if before.kind in _TESTS else ()
    return DriftReport(
        reference=label,
        part=part,
        rows_before=reference.rows,
        rows=found.rows,
        enough=enough,
        tests=_corrected(tested, rate),
        left_out=tuple(left_out),
    )


def _corrected(tested: Sequence[_Tested], rate: float) -> tuple[ColumnDrift, ...]:
    """Correct the p-values for their number, and say which tests found drift."""
    of_chance = [test.p_value for test in tested if test.p_value is not None]
    corrected = iter(measures.benjamini_hochberg(np.array(of_chance, np.float64)).tolist())
    return tuple(_judged(test, None if test.p_value is None else next(corrected), rate) for test in tested)


def _judged(test: _Tested, p_value: float | None, rate: float) -> ColumnDrift:
    warns, fails = (max(limit, test.least) for limit in _LIMITS[test.test])
    significant = p_value is None or p_value <= rate
    level: GateLevel = "pass"
    if significant and test.effect >= warns:
        level = "fail" if test.effect >= fails else "warn"
    return ColumnDrift(
        column=test.column,
        test=test.test,
        effect=test.effect,
        threshold=warns,
        p_value=p_value,
        level=level,
        sentence=test.sentence,
    )


def _numbers(before: ColumnReference, now: Column) -> Iterator[_Tested]:
    counts = counts_in(before, now)
    if counts is None:
        yield from _other_kind(before, now)
        return
    old, new = np.asarray(before.counts), counts.bins
    if min(old[:-1].sum(), new[:-1].sum()) < ENOUGH:
        return
    index, degrees = measures.stability_index(old, new)
    noise = 1 / int(old.sum()) + 1 / int(new.sum())
    yield _Tested(
        column=before.name,
        test="distribution",
        effect=index,
        p_value=float(special.chdtrc(degrees, index / noise)) if degrees else 1.0,
        sentence=f"{before.name} is distributed otherwise (PSI {index:.2f}): {_bin_words(before, old, new)}.",
        least=float(special.chdtri(degrees, RATE)) * noise if degrees else 0.0,
    )
    deviations, p_value = measures.shift(old[:-1], new[:-1])
    yield _Tested(
        column=before.name,
        test="shift",
        effect=abs(deviations),
        p_value=p_value,
        sentence=f"{before.name} is {'higher' if deviations > 0 else 'lower'} by {abs(deviations):.2f} deviations"
        f"{_median_words(before, counts)}.",
    )


def _bin_words(before: ColumnReference, old: Numbers, new: Numbers) -> str:
    """Where the difference is largest, in parts of the rows."""
    p, q = old / old.sum(), new / new.sum()
    most = int(np.argmax(np.abs(p - q)))
    if most == len(before.edges) + 1:
        where = "have no value"
    elif most == 0:
        where = f"are at most {number(before.edges[0])}"
    elif most == len(before.edges):
        where = f"are above {number(before.edges[-1])}"
    elif math.nextafter(before.edges[most - 1], math.inf) == before.edges[most]:
        where = f"are {number(before.edges[most])}"
    else:
        where = f"are from {number(before.edges[most - 1])} to {number(before.edges[most])}"
    return f"{q[most]:.1%} of the rows {where}, {p[most]:.1%} before"


def _median_words(before: ColumnReference, counts: Counts) -> str:
    if before.median is None or counts.median is None:
        return ""
    return f": its median is {number(counts.median)}, {number(before.median)} before"


def _categories(before: ColumnReference, now: Column) -> Iterator[_Tested]:
    counts = counts_in(before, now)
    if counts is None or counts.values is None:
        yield from _other_kind(before, now)
        return
    old = Counter({entry.value: entry.count for entry in before.categories})
    if min(old.total(), counts.values.total()) < ENOUGH:
        return
    yield _category_test(before.name, old, counts.values)
    yield _unseen_values(before.name, old, counts.values)


def _category_test(name: str, old: Counter[str], new: Counter[str]) -> _Tested:
    """Pearson's test of the frequent categories and "other".

    The most frequent of both sides together are taken: the reference's own would be frequent there by chance, too.
    """
    n, m = old.total(), new.total()
    both = old + new
    del both[UNTOLD]
    together = both.most_common(MOST_CATEGORIES)
    frequent = [value for value, rows in together if rows * min(n, m) >= EXPECTED * (n + m)]
    table = np.array([[side[value] for value in frequent] for side in (old, new)], np.float64)
    rest = np.array([[n], [m]]) - table.sum(axis=1, keepdims=True)
    table = np.hstack((table, rest)) if rest.sum() else table
    effect, p_value = measures.contingency(table)
    p, q = table[0] / n, table[1] / m
    most = int(np.argmax(np.abs(p - q)))
    value = shorten(frequent[most], 30) if most < len(frequent) else "other values"
    words = f"{q[most]:.1%} of the rows are {value}, {p[most]:.1%} before"
    return _Tested(
        column=name,
        test="categories",
        effect=effect,
        p_value=p_value,
        sentence=f"{name} has other proportions (Cramér's V {effect:.2f}): {words}.",
    )


def _unseen_values(name: str, old: Counter[str], new: Counter[str]) -> _Tested:
    never = {value: rows for value, rows in new.items() if value not in old}
    excess, p_value = unseen.excess(old, sum(never.values()), new.total())
    shown = ", ".join(shorten(value, 30) for value in sorted(never, key=lambda value: -never[value])[:3])
    share = sum(never.values()) / new.total()
    return _Tested(
        column=name,
        test="unseen values",
        effect=excess,
        p_value=p_value,
        sentence=f"{name} has values in {share:.1%} of the rows that were never there before: {shown}.",
    )


def _truths(before: ColumnReference, now: Column) -> Iterator[_Tested]:
    counts = counts_in(before, now)
    if counts is None or counts.values is None:
        yield from _other_kind(before, now)
        return
    old, new = _as_truths({entry.value: entry.count for entry in before.categories}), _as_truths(counts.values)
    if min(old.total(), new.total()) < ENOUGH:
        return
    difference, p_value = measures.proportions(old["true"], old.total(), new["true"], new.total())
    share, was = new["true"] / new.total(), old["true"] / old.total()
    yield _Tested(
        column=before.name,
        test="proportion",
        effect=abs(difference),
        p_value=p_value,
        sentence=f"{before.name} is true in {share:.1%} of the rows, {was:.1%} before.",
    )
    if new.keys() - {"true", "false"}:
        yield _unseen_values(before.name, Counter({"true": 0, "false": 0, **old}), new)


def _as_truths(values: dict[str, int]) -> Counter[str]:
    words = {"1": "true", "0": "false"}
    truths: Counter[str] = Counter()
    for value, rows in values.items():
        truths[words.get(value, value.lower())] += rows
    return truths


def _missing_values(before: ColumnReference, now: Column) -> Iterator[_Tested]:
    missing, rows = now.profile.missing, now.profile.rows
    if not (missing or before.missing):
        return
    difference, p_value = measures.proportions(before.missing, before.rows, missing, rows)
    yield _Tested(
        column=before.name,
        test="missing values",
        effect=abs(difference),
        p_value=p_value,
        sentence=f"{before.name} has no value in {missing / rows:.1%} of the rows, {before.missing / before.rows:.1%}"
        " before.",
    )


def _dates(before: ColumnReference, now: Column) -> Iterator[_Tested]:
    profile = now.profile
    if profile.kind == "empty":
        return
    if profile.kind != "date":
        yield from _other_kind(before, now)
        return
    goes = f"goes from {profile.earliest} to {profile.latest}, from {before.earliest} to {before.latest} before"
    older = profile.latest < before.latest
    yield _Tested(
        column=before.name,
        test="dates",
        effect=float(older),
        p_value=None,
        sentence=f"{before.name} is older than it was: it {goes}." if older else f"{before.name} {goes}.",
    )


def _other_kind(before: ColumnReference, now: Column) -> Iterator[_Tested]:
    """The column can't be compared: to say nothing would be to say that nothing drifts."""
    if now.profile.kind != "empty":
        sentence = f"{before.name} was a {before.kind} and is {now.profile.kind} now: it can't be compared."
        yield _Tested(column=before.name, test="kind", effect=1.0, p_value=None, sentence=sentence)


_TESTS: dict[str, Callable[[ColumnReference, Column], Iterator[_Tested]]] = {
    "number": _numbers,
    "category": _categories,
    "boolean": _truths,
    "date": _dates,
}
