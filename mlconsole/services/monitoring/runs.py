"""How many independent rows live rows are worth: real traffic comes in runs of like rows.

The looks at what serves cut a window into blocks of time. Where rows are independent of each other, the blocks differ
as samples of one distribution do. Where they come in runs (a client that sends like rows a hundred times, an hour that
resembles the one before), the blocks differ by more: by the design effect δ, and n rows are worth n/δ (Kish, 1965; for
tests of counts Rao and Scott, 1981). Only counters by block are needed for it, and no row.

What is assumed: runs are shorter than a block, which is a twelfth of the window at most. And runs are the traffic's: no
feature's rows are worth more than those of the feature in the middle, so that one which hardly varied so far, and
therefore tells nothing of runs, is not taken for many independent rows that are all alike.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
import numpy as np

from mlconsole.evidence.monitoring import Block, Counters, FeatureCounts
from mlconsole.services.monitoring.adding import total

MOST_BLOCKS = 24
FEWEST_BLOCKS = 12
"""Blocks from which on the variance between them is trusted."""
FEWEST_EVEN = 6.0
"""As so many blocks of equal size at least: one that holds most rows tells nothing of the variance between blocks."""
UPPER = 0.95
"""The effect is the upper end of its interval: with so much certainty rows are worth no less."""


def with_block(blocks: Sequence[Block], added: Counters) -> tuple[Block, ...]:
    """Add what one look counted; where there are too many blocks, two neighbours each become one."""
    if not added.rows:
        return tuple(blocks)
    found = list(blocks)
    span = max((block.looks for block in found), default=1)
    fresh = Block(counters=Counters(rows=added.rows, features=added.features))
    if found and found[-1].looks < span:
        found[-1] = _together(found[-1], fresh)
    else:
        found.append(fresh)
    if len(found) > MOST_BLOCKS:
        found = [_together(*found[start : start + 2]) for start in range(0, len(found), 2)]
    return tuple(found)


def _together(*blocks: Block) -> Block:
    return Block(looks=sum(block.looks for block in blocks), counters=total(block.counters for block in blocks))


def design_effects(blocks: Sequence[Block]) -> Mapping[str, float]:
    """By how much each feature's rows are worth less than independent ones: 1 where they are worth as much.

    Empty where that can't be told yet: there are too few blocks, or one of them holds most rows.
    """
    rows = np.array([block.counters.rows for block in blocks])
    if len(blocks) < FEWEST_BLOCKS or rows.sum() ** 2 < FEWEST_EVEN * (rows**2).sum():
        return {}
    names = dict.fromkeys(name for block in blocks for name in block.counters.features)
    found = {name: _effect(_table(blocks, rows, name)) for name in names}
    known = [effect for effect in found.values() if effect is not None]
    # where nothing at all varied, each look is worth a row
    middle = float(np.median(known)) if known else float(rows.sum()) / sum(block.looks for block in blocks)
    return {name: max(effect or 0.0, middle, 1.0) for name, effect in found.items()}


class _Table(NamedTuple):
    """A feature's counts, a row for each block and a column for each bin or value, and whether the bins are ordered."""

    counts: Any
    is_ordered: bool


def _table(blocks: Sequence[Block], rows: Any, name: str) -> _Table | None:
    """The table of a feature; None where its bins are not the same in all blocks."""
    features = [block.counters.features.get(name, FeatureCounts()) for block in blocks]
    bounds = {feature.bounds for feature in features if feature.counts}
    if len(bounds) > 1:
        return None
    bins = max(len(feature.counts) for feature in features)
    values = list(dict.fromkeys(value for feature in features for value in feature.values))
    table = [
        [
            *(feature.counts or (0.0,) * bins),
            *(feature.values.get(value, 0.0) for value in values),
            feature.unseen,
            feature.missing + max(total_rows - feature.total, 0.0),
        ]
        for feature, total_rows in zip(features, rows, strict=True)
    ]
    return _Table(np.array(table), not values)


def _effect(found: _Table | None) -> float | None:
    """The design effect of a table of counts, on average over its bins or as ranks, whichever is larger."""
    from scipy import special

    if found is None:
        return None
    table = found.counts[:, found.counts.sum(axis=0) > 0]
    bins, whole, degrees = table.shape[1], table.sum(), len(table) - 1
    if bins < 2:
        return None
    p = table.sum(axis=0) / whole
    beyond = table - table.sum(axis=1, keepdims=True) * p
    effect = float(((beyond**2).sum(axis=0) / p).sum()) / (bins - 1)
    if found.is_ordered:
        # what moves slowly moves all ranks together: bins on average tell less of it
        ranks = np.cumsum(p) - p / 2
        effect = max(effect, float(((beyond @ ranks) ** 2).sum() / (p * (ranks - 0.5) ** 2).sum()))
    return float(effect / whole * len(table) / special.chdtri(degrees, UPPER))


def worth(counts: FeatureCounts, effect: float) -> FeatureCounts:
    """The counts of as many independent rows as these are worth."""
    if effect <= 1 or not math.isfinite(effect):
        return counts
    return msgspec.structs.replace(
        counts,
        counts=tuple(count / effect for count in counts.counts),
        values={value: count / effect for value, count in counts.values.items()},
        unseen=counts.unseen / effect,
        missing=counts.missing / effect,
    )
