"""What live rows are worth that come in runs: by the blocks of the looks alone."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from mlconsole.evidence.monitoring import Block, Counters, FeatureCounts
from mlconsole.services.monitoring.runs import MOST_BLOCKS, design_effects, with_block, worth

BOUNDS = tuple(np.arange(1, 10) / 10)


def counted(values: Sequence[float], kinds: Sequence[int] = ()) -> Counters:
    """A look at rows of a number between 0 and 1 and, where there are any, of a category."""
    bins = np.bincount(np.searchsorted(BOUNDS, values), minlength=10)
    features = {"temp": FeatureCounts(bounds=BOUNDS, counts=tuple(map(float, bins)))}
    if len(kinds):
        each = np.bincount(kinds, minlength=3)
        features["season"] = FeatureCounts(values={str(kind): float(rows) for kind, rows in enumerate(each)})
    return Counters(requests=len(values), rows=len(values), features=features)


def looked(values: np.ndarray, every: int = 50, kinds: Sequence[int] = ()) -> tuple[Block, ...]:
    blocks: tuple[Block, ...] = ()
    for start in range(0, len(values), every):
        blocks = with_block(blocks, counted(values[start : start + every], kinds[start : start + every]))
    return blocks


def test_blocks_are_few_however_many_looks_there_are_and_hold_every_row() -> None:
    blocks = looked(np.random.default_rng(1).random(10_000), every=10)
    assert len(blocks) <= MOST_BLOCKS
    assert sum(block.looks for block in blocks) == 1000
    assert sum(block.counters.rows for block in blocks) == 10_000
    assert sum(block.counters.features["temp"].total for block in blocks) == 10_000
    assert with_block(blocks, Counters()) == blocks, "a look at nothing is no block"


def test_independent_rows_are_worth_nearly_what_they_are() -> None:
    effects = [design_effects(looked(np.random.default_rng(seed).random(2_000)))["temp"] for seed in range(100)]
    assert 1.5 < float(np.median(effects)) < 2.5, "the upper end of the interval"
    assert max(effects) < 5


@pytest.mark.parametrize("length", [10, 100])
def test_rows_in_runs_are_worth_as_many_as_there_are_runs(length: int) -> None:
    found = []
    for seed in range(40):
        random = np.random.default_rng(seed)
        values = np.repeat(random.random(10_000 // length), length)
        found.append(design_effects(looked(values))["temp"] / length)
    assert 1.2 < float(np.median(found)) < 3
    assert min(found) > 0.9


def test_an_hour_that_resembles_the_next_counts_as_a_run() -> None:
    # a slow swing moves the ranks alone: bins on average tell less of it
    swing = 0.5 + 0.3 * np.sin(np.arange(10_000) / 10_000 * 2 * np.pi * 3)
    noise = np.random.default_rng(3).normal(0, 0.1, 10_000)
    assert design_effects(looked(np.clip(swing + noise, 0, 1)))["temp"] > 100


def test_too_few_blocks_or_one_that_holds_most_rows_tell_nothing() -> None:
    random = np.random.default_rng(5)
    assert design_effects(looked(random.random(500))) == {}
    blocks = looked(random.random(1_000))
    assert design_effects(blocks) != {}
    assert design_effects((*blocks, Block(counters=counted(random.random(5_000))))) == {}


def test_a_feature_that_never_varied_is_worth_what_the_others_are() -> None:
    random = np.random.default_rng(6)
    values = np.repeat(random.random(40), 50)
    stuck = design_effects(looked(values, kinds=[1] * 2_000))
    assert stuck["season"] == stuck["temp"] > 20
    alone = tuple(
        with_block((), Counters(rows=50, features={"season": FeatureCounts(values={"1": 50.0})}))[0] for _ in range(20)
    )
    assert design_effects(alone)["season"] == 50, "each look is worth a row"


def test_bins_that_change_on_the_way_tell_nothing_of_runs() -> None:
    random = np.random.default_rng(8)
    blocks = looked(random.random(1_000), kinds=random.integers(0, 3, 1_000).tolist())
    other = FeatureCounts(bounds=(0.5,), counts=(25.0, 25.0))
    changed = Block(counters=Counters(rows=50, features={**blocks[-1].counters.features, "temp": other}))
    effects = design_effects((*blocks[:-1], changed))
    assert effects["temp"] == effects["season"]


def test_what_rows_are_worth_keeps_their_proportions() -> None:
    counts = FeatureCounts(values={"a": 30.0, "b": 10.0}, unseen=2, missing=4)
    assert worth(counts, 2.0) == FeatureCounts(values={"a": 15.0, "b": 5.0}, unseen=1, missing=2)
    assert worth(counts, 1.0) is counts
