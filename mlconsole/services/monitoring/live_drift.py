"""Drift of live traffic against the data that the model was trained on, by the rules of `datasets/drift`.

Rows are added up in windows. A feature is compared once its rows are worth enough independent ones (see `runs`), and
again each time that the window has grown by half; the k-th comparison may be wrong in 6/(π²k²) of the cases that one
comparison may be: together, as often.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from statistics import median
from types import MappingProxyType
from typing import cast

import msgspec
import numpy as np

from mlconsole.evidence.data import ColumnProfile, ColumnReference, DataReference, DriftReport
from mlconsole.evidence.monitoring import Counters, DriftWindow, FeatureCounts
from mlconsole.services.datasets import drift
from mlconsole.services.datasets.distributions import Column, Counts, Distributions
from mlconsole.services.monitoring.adding import total
from mlconsole.services.monitoring.runs import design_effects, with_block, worth

GROWTH = 1.5
SOON = 1.1
"""By how much it has to grow where its rows were not worth enough: then they may be before long."""
EMPTY: Mapping[str, float] = MappingProxyType({})


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
    counters = Counters(rows=counters.rows, features=counters.features)
    window = msgspec.structs.replace(window, counters=counters, blocks=with_block(window.blocks, added))
    if counters.rows < max(min(window.next_rows, most), first, drift.ENOUGH):
        return window
    looks, effects = window.looks + 1, design_effects(window.blocks)
    window = msgspec.structs.replace(window, worth=_worth(counters, effects))
    rate = drift.RATE * 6 / (math.pi * looks) ** 2
    report = compare(reference, counters, label=window.version, rate=rate, effects=effects) if effects else None
    if report is not None and report.tests:
        window = msgspec.structs.replace(window, looks=looks, next_rows=counters.rows * GROWTH, report=report)
    elif effects:
        window = msgspec.structs.replace(window, next_rows=counters.rows * SOON)
    if counters.rows >= most:
        # what an earlier window found does not stand where this one could not tell
        kept = window.report if window.looks else None
        return DriftWindow(version=window.version, since=moment, report=kept, worth=window.worth)
    return window


def _worth(counters: Counters, effects: Mapping[str, float]) -> float | None:
    """The independent rows that a window is worth: those of the feature in the middle."""
    return counters.rows / median(effects.values()) if effects else None


def compare(
    reference: DataReference,
    counters: Counters,
    *,
    label: str,
    rate: float = drift.RATE,
    effects: Mapping[str, float] = EMPTY,
) -> DriftReport:
    """Compare what a model was asked with what it was trained on.

    Features that nobody sent are left out, and those whose rows are not worth enough.

    Args:
        reference: of the training data.
        counters: of the rows.
        label: the model's version.
        rate: how often chance may flag it.
        effects: the design effect of each feature; 1 where there is none.
    """
    columns = {}
    for column in reference.columns:
        counts, effect = counters.features.get(column.name), effects.get(column.name, 1.0)
        if counts is not None and counts.total and counters.rows / effect >= drift.ENOUGH:
            found = _column(column, worth(counts, effect), counters.rows / effect)
            if found is not None:
                columns[column.name] = found
    found_all = Distributions(int(counters.rows), columns)
    return drift.compare(reference, found_all, label=label, part="live traffic", rate=rate)


def _column(before: ColumnReference, counts: FeatureCounts, rows: float) -> Column | None:
    """A feature as a column; None where the server counts in other bins than those of the reference."""
    missing = max(rows - counts.total, 0) + counts.missing
    profile = ColumnProfile(
        name=before.name, kind="number", type="", rows=round(rows), missing=round(missing), distinct=0
    )
    if before.kind == "number":
        if counts.bounds != before.edges:
            return None
        return Column(profile, Counts(np.array([*counts.counts, missing]), None, None))
    # parts of a row are counts here: of rows that are worth less than one
    values: Counter[str] = Counter(
        cast("dict[str, int]", {value: count for value, count in counts.values.items() if count})
    )
    if counts.unseen:
        values[drift.UNTOLD] = cast("int", counts.unseen)
    profile = msgspec.structs.replace(profile, kind="boolean" if before.kind == "boolean" else "category")
    return Column(profile, Counts(np.zeros(0), values, None))
