"""How much wider the bounds of a difference are where rows resemble their neighbours.

A bootstrap over rows takes them for independent, and is too sure where they are not: the hours of one day, the visits
of one customer. Here the rows are cut into fifty runs of neighbours, and it is followed how far the difference wanders
along their order: B(t) = t/n · (difference of the first t rows − difference of all). A sum that wanders far is one of
rows that go together. The bound is the difference ± c·√(mean of B²): a long-run variance by Bartlett's kernel that is
not cut off anywhere, so that there is no bandwidth to choose wrongly, with the critical value of its own distribution
in place of the normal one (Kiefer, Vogelsang and Bunzel, Econometrica 2000; for comparing forecasts: Coroneo and
Iacone, Journal of Applied Econometrics 2020; for medians and all else that is no mean: Shao, Journal of the Royal
Statistical Society B 2010). Moving blocks were no match where the models are unsure of a whole season: no block of a
length that leaves enough of them holds one.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mlconsole.services.models.metrics import Floats

RUNS = 50
SMALLEST_PART = 0.1
"""Smaller parts of the rows are left out: what a metric comes to there is more its bias than anything else."""
_DRAWS = 40_000
_SEED = 20_000_501


def run_starts(rows: int) -> NDArray[np.intp]:
    """Where each run of neighbouring rows begins; as many runs as rows, where there are fewer than `RUNS`."""
    return np.linspace(0, rows, min(RUNS, rows), endpoint=False).astype(np.intp)


def half_width_of_sums(influences: Floats, confidence: float) -> float:
    """Half the width of the bounds of a difference that is made of sums, if its rows may depend on their neighbours.

    Args:
        influences: of each run of rows, in their order, (g,): their mean is what the difference is off by. Where one is
            not a number, that run is left out.
        confidence: how sure the bounds are, such as 0.95.

    Returns:
        Half the width in the metric's unit; 0 where too few runs are left to tell.
    """
    known = influences[np.isfinite(influences)]
    if len(known) < 2:
        return 0.0
    centred = known - known.mean()
    return _critical_of_sums(len(known), confidence) * float(_root_mean_square(np.cumsum(centred) / len(known)))


def by_leaving_out(difference: float, without: Floats) -> Floats:
    """The influence of each run by the difference without it, (g,) (Kott, Journal of Official Statistics 2001)."""
    return (len(without) - 1) * (difference - without)


def half_width_of_parts(difference: Callable[[slice], float], rows: int, confidence: float) -> float:
    """Half the width of the bounds of any other difference, by what it is in the first and in the last rows alone.

    A median jumps when rows are left out, so that no influence of a run tells how sure it is; but how it settles as
    rows come in does.

    Args:
        difference: of the rows of a slice; not a number where it is not defined on them.
        rows: how many there are.
        confidence: how sure the bounds are, such as 0.95.
    """
    starts = run_starts(rows)
    if len(starts) < 2:
        return 0.0
    runs, least, whole = len(starts), _smallest(len(starts)), difference(slice(0, rows))
    ends = np.append(starts[1:], rows)
    first = [end / rows * (difference(slice(0, end)) - whole) for end in ends[least:]]
    last = [(rows - start) / rows * (difference(slice(start, rows)) - whole) for start in starts[: runs - least]]
    wandered = np.array([*first, *last])
    known = wandered[np.isfinite(wandered)]
    return _critical_of_parts(runs, confidence) * float(_root_mean_square(known)) if len(known) else 0.0


@lru_cache(maxsize=64)
def wider_by_chance(confidence: float) -> float:
    """How many times wider the bounds of rows that are independent come to be only once in a hundred times.

    What is wider is so because neighbours go together. Half of the time it is 1.2 for 95%, and 2 for one in nine.
    """
    _, wandered = _simulated(RUNS)
    half = _critical_of_sums(RUNS, confidence) * _root_mean_square(wandered)
    independent = NormalDist().inv_cdf((1 + confidence) / 2) / np.sqrt(RUNS)
    return float(np.quantile(half / independent, 0.99))


def _smallest(runs: int) -> int:
    return int(SMALLEST_PART * runs)


def _root_mean_square(values: Floats) -> Floats:
    found: Floats = np.sqrt(np.square(values).mean(axis=-1))
    return found


@lru_cache(maxsize=64)
def _critical_of_sums(runs: int, confidence: float) -> float:
    """How many times √(mean of B²) the mean of independent numbers stays within; 6.8 for 95%."""
    means, wandered = _simulated(runs)
    return float(np.quantile(means / _root_mean_square(wandered), confidence))


@lru_cache(maxsize=64)
def _critical_of_parts(runs: int, confidence: float) -> float:
    """The same where the smallest parts are left out, and those from the end count as well."""
    means, wandered = _simulated(runs)
    least = _smallest(runs)
    # what the last rows make is what the first don't: that of the last row on is 0 less what came before it
    last = -wandered[:, : runs - 1 - least]
    both = np.concatenate((wandered[:, least:], np.zeros((len(means), 1)), last), axis=1)
    return float(np.quantile(means / _root_mean_square(both), confidence))


@lru_cache(maxsize=4)
def _simulated(runs: int) -> tuple[Floats, Floats]:
    """Absolute means of independent numbers (d,), and how they wander along their order, (d, g)."""
    drawn = np.random.default_rng(_SEED).standard_normal((_DRAWS, runs))
    means = drawn.mean(axis=1)
    wandered: Floats = np.cumsum(drawn - means[:, None], axis=1) / runs
    return np.abs(means), wandered
