"""How much wider the bounds of a difference are where rows resemble their neighbours.

A bootstrap over rows takes them for independent, and is too sure where they are not: the hours of one day, the visits
of one customer. Here the rows are cut into fifty runs of neighbours, and what each run adds to the difference is summed
along their order. Sums that wander far are those of rows that go together. The bound is the difference ± c·√(2·ΣS²/G³):
a long-run variance by Bartlett's kernel that is not cut off anywhere, so that there is no bandwidth to choose wrongly,
with the critical value of its own distribution in place of the normal one (Kiefer, Vogelsang and Bunzel, Econometrica
2000; for comparing forecasts: Coroneo and Iacone, Journal of Applied Econometrics 2020). Moving blocks were no match
where the models are unsure of a whole season: no block of a length that leaves enough of them holds one.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mlconsole.services.models.metrics import Floats

RUNS = 50
_DRAWS = 40_000
_SEED = 20_000_501


def run_starts(rows: int) -> NDArray[np.intp]:
    """Where each run of neighbouring rows begins; as many runs as rows, where there are fewer than `RUNS`."""
    return np.linspace(0, rows, min(RUNS, rows), endpoint=False).astype(np.intp)


def half_width(influences: Floats, confidence: float) -> float:
    """Half the width of the bounds of a difference, if its rows may depend on each other along their order.

    Args:
        influences: of each run of rows, in their order, (g,): their mean is what the difference is off by. Where one is
            not a number, that run is left out.
        confidence: how sure the bounds are, such as 0.95.

    Returns:
        Half the width in the metric's unit; 0 where too few runs are left to tell.
    """
    known = influences[np.isfinite(influences)]
    return _critical(len(known), confidence) * float(_spread(known)) if len(known) > 1 else 0.0


def by_leaving_out(difference: float, without: Floats) -> Floats:
    """The influence of each run by the difference without it, (g,) (Kott, Journal of Official Statistics 2001)."""
    return (len(without) - 1) * (difference - without)


def by_drawing(drawn: Floats, times: NDArray[np.int64]) -> Floats:
    """The influence of each run by how the difference goes with the rows that were drawn of it.

    This holds for medians too, which jump when rows are left out (the infinitesimal jackknife of a bootstrap: Efron,
    Journal of the American Statistical Association 2014).

    Args:
        drawn: the difference in each draw, (r,).
        times: how many rows of each run were drawn, (r, g).
    """
    kept = np.isfinite(drawn)
    if kept.sum() < 2:
        return np.full(times.shape[1], np.nan)
    deviations = drawn[kept] - drawn[kept].mean()
    counts = times[kept] - times[kept].mean(axis=0)
    influences: Floats = times.shape[1] * (deviations @ counts) / (len(deviations) - 1)
    return influences


def _spread(influences: Floats) -> Floats:
    """The standard error of the mean of each series (…, g)."""
    centred = influences - influences.mean(axis=-1, keepdims=True)
    runs = influences.shape[-1]
    sums = np.cumsum(centred, axis=-1)
    spread: Floats = np.sqrt(2 * np.square(sums).sum(axis=-1) / runs**3)
    return spread


@lru_cache(maxsize=64)
def _critical(runs: int, confidence: float) -> float:
    """How many standard errors the mean of independent numbers stays within; 4.8 for 95%, where a normal one has 2."""
    return float(np.quantile(_ratios(runs), confidence))


@lru_cache(maxsize=4)
def _ratios(runs: int) -> Floats:
    drawn = np.random.default_rng(_SEED).standard_normal((_DRAWS, runs))
    ratios: Floats = np.abs(drawn.mean(axis=-1)) / _spread(drawn)
    return ratios
