"""Drift of live traffic against the data that the model was trained on, by the rules of `datasets/drift`.

Rows are added up in windows. A window is compared when it has enough rows, and again each time that it has grown by
half; the k-th comparison may be wrong in 6/(π²k²) of the cases that one comparison may be: together, as often.
"""

from __future__ import annotations

import math
from collections import Counter
from datetime import datetime

import msgspec
import numpy as np

from mlconsole.evidence.data import ColumnProfile, ColumnReference, DataReference, DriftReport
from mlconsole.evidence.monitoring import Counters, DriftWindow, FeatureCounts
from mlconsole.services.datasets import drift
from mlconsole.services.datasets.distributions import Column, Counts, Distributions
from mlconsole.services.monitoring.adding import total

GROWTH = 1.5


def with_rows(
    window: DriftWindow, added: Counters, reference: DataReference, moment: datetime, *, most: int, first: int = 0
) -> DriftWindow:
    """Add rows to a window, and compare it where that is due; a window that is full begins anew.

    Args:
        window: so far.
        added: what a version's pods counted since the look before.
        reference: of the data that the version was trained on.
        moment: now.
        most: rows of a full window.
        first: rows before the first comparison; never less than the rules ask for.
    """
    counters = total([window.counters, added])
    window = msgspec.structs.replace(window, counters=msgspec.structs.replace(counters, latency={}, predictions={}))
    if counters.rows < max(window.next_rows, first, drift.ENOUGH):
        return window
    looks = window.looks + 1
    report = compare(reference, counters, label=window.version, rate=drift.RATE * 6 / (math.pi * looks) ** 2)
    if counters.rows >= most:
        return DriftWindow(version=window.version, since=moment, report=report)
    return msgspec.structs.replace(window, looks=looks, next_rows=counters.rows * GROWTH, report=report)


def compare(reference: DataReference, counters: Counters, *, label: str, rate: float = drift.RATE) -> DriftReport:
    """Compare what a model was asked with what it was trained on. Features that nobody sent are left out."""
    columns = {}
    for column in reference.columns:
        counts = counters.features.get(column.name)
        if counts is not None and counts.total:
            found = _column(column, counts, counters.rows)
            if found is not None:
                columns[column.name] = found
    found_all = Distributions(int(counters.rows), columns)
    return drift.compare(reference, found_all, label=label, part="live traffic", rate=rate)


def _column(before: ColumnReference, counts: FeatureCounts, rows: float) -> Column | None:
    """A feature as a column; None where the server counts in other bins than those of the reference."""
    missing = int(max(rows - counts.total, 0) + counts.missing)
    profile = ColumnProfile(name=before.name, kind="number", type="", rows=int(rows), missing=missing, distinct=0)
    if before.kind == "number":
        if counts.bounds != before.edges:
            return None
        return Column(profile, Counts(np.array([*counts.counts, missing], np.int64), None, None))
    values = Counter({value: int(count) for value, count in counts.values.items() if count})
    if counts.unseen:
        values[drift.UNTOLD] = int(counts.unseen)
    profile = msgspec.structs.replace(profile, kind="boolean" if before.kind == "boolean" else "category")
    return Column(profile, Counts(np.zeros(0), values, None))
