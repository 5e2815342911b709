"""How sure the difference between two models is: a paired bootstrap over rows.

Rows are drawn with replacement, the same ones for both models, and the metric's difference is taken in each draw; its
outer quantiles bound the difference (Efron, Tibshirani: An Introduction to the Bootstrap, 1993, ch. 13). That takes
rows for independent; where neighbours go together, the bounds are those of `dependence`, which are wider.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from mlconsole.errors import Cancelled
from mlconsole.services.models.dependence import by_leaving_out, half_width_of_parts, half_width_of_sums, run_starts
from mlconsole.services.models.metrics import Metric, by_scikit_learn

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mlconsole.services.models.metrics import Floats

RESAMPLES = 2_000
SEED = 20_240_229
MOST_GROUPS = 10_000
_MOST_WORK = 200_000_000
_FEWEST_RESAMPLES = 200
_CHUNK_CELLS = 2_000_000
_OF_ERRORS: dict[str, Callable[[Floats], Any]] = {"median_absolute_error": np.median, "max_error": np.max}
"""What scikit-learn makes of absolute errors: asked directly, since it checks each of thousands of resamples anew."""


class Difference(msgspec.Struct, frozen=True):
    """The metric of both models, candidate minus champion, and the bounds of that.

    `widened` is how many times wider they are than if the rows were independent.
    """

    candidate: float
    champion: float
    difference: float
    low: float
    high: float
    widened: float = 1.0


class _Resampled(msgspec.Struct, frozen=True):
    """The difference of the metric in each draw of rows (r,); half the width of bounds by how rows go together."""

    drawn: Floats
    half_width: Callable[[float], float]


def paired(
    metric: Metric, actual: Any, candidate: Any, champion: Any, cancelled: threading.Event, confidence: float = 0.95
) -> Difference:
    """Compare two models' predictions of the same rows.

    Args:
        metric: as `find_metric` gives it.
        actual: what happened, (n,). Rows that may resemble each other are next to each other: those of a day, say.
        candidate: what the candidate predicted, (n,), or how likely it called each class, (n, c).
        champion: what the champion predicted, of the same shape.
        cancelled: ends it when set.
        confidence: how sure the bounds are, 0.95 for one comparison; more where it is one of several.

    Returns:
        The values over all rows, and bounds of their difference, with a fixed seed: the same rows give the same
        bounds. They are not a number where the metric is not defined on these rows.

    Raises:
        Cancelled: it was cancelled.
    """
    if metric.of_classes:
        metric, actual, candidate, champion = _by_places(metric, actual, candidate, champion)
    if metric.columns and metric.value:
        ours, theirs = metric.columns(actual, candidate), metric.columns(actual, champion)
        count = np.float64(len(actual))
        values = float(metric.value(ours.sum(axis=0), count)), float(metric.value(theirs.sum(axis=0), count))
        found = _by_sums(metric, ours, theirs, cancelled)
    elif metric.weighed:
        weighed = metric.weighed(actual, candidate), metric.weighed(actual, champion)
        values = _of_both(weighed, np.ones(len(actual)))
        found = _by_weights(lambda weights: _apart(_of_both(weighed, weights)), len(actual), cancelled)
    else:
        of_rows = _by_rows_of(metric, actual, candidate, champion)
        values = of_rows(slice(None))
        found = _by_rows(lambda rows: _apart(of_rows(rows)), len(actual), cancelled)
    return _bounded(values, found, confidence)


def value_of(metric: Metric, actual: Any, predicted: Any) -> float:
    """The metric of one model, of arrays as `paired` takes them; not a number where it is not defined."""
    if metric.of_classes:
        metric, actual, predicted = _by_places(metric, actual, predicted)
    if metric.columns and metric.value:
        return float(metric.value(metric.columns(actual, predicted).sum(axis=0), np.float64(len(actual))))
    if metric.weighed:
        return metric.weighed(actual, predicted)(np.ones(len(actual)))
    return by_scikit_learn(metric.name)(actual, predicted)


def _by_places(metric: Metric, *values: Any) -> tuple[Any, ...]:
    """The metric for these classes, and the values as the places of their classes among those of all, each (n,)."""
    classes, places = np.unique(np.concatenate(values), return_inverse=True)
    found = classes.tolist()
    if metric.ordered(found) != found:
        places = len(found) - 1 - places
    return metric.on_classes(found), *np.split(places.reshape(-1), len(values))


def _bounded(values: tuple[float, float], found: _Resampled, confidence: float) -> Difference:
    """The wider of the bounds that take rows for independent, and of those that don't."""
    defined = found.drawn[np.isfinite(found.drawn)]
    tail = (1 - confidence) / 2
    enough = len(defined) > len(found.drawn) / 2
    low, high = (float(bound) for bound in np.quantile(defined, [tail, 1 - tail])) if enough else (np.nan, np.nan)
    difference, independent = values[0] - values[1], high - low
    half = found.half_width(confidence)
    low, high = min(low, difference - half), max(high, difference + half)
    return Difference(*values, difference, low, high, (high - low) / independent if independent > 0 else 1.0)


def _by_sums(metric: Metric, ours: Floats, theirs: Floats, cancelled: threading.Event) -> _Resampled:
    """Resample the difference of a metric that is made of sums over rows.

    Many rows are first put into groups at random, and groups are drawn: the spread of a sum is the same, at a cost
    that no longer grows with the rows.
    """
    assert metric.value is not None
    influences = _influences(metric.value, ours, theirs)
    random = np.random.default_rng(SEED)
    rows = len(ours)
    groups = min(rows, MOST_GROUPS)
    sizes = np.ones(rows)
    if groups < rows:
        order = random.permutation(rows)
        starts = np.linspace(0, rows, groups, endpoint=False).astype(np.intp)
        ours, theirs = np.add.reduceat(ours[order], starts), np.add.reduceat(theirs[order], starts)
        sizes = np.diff(starts, append=rows).astype(np.float64)
    found = []
    chunk = max(_CHUNK_CELLS // groups, 1)
    for start in range(0, RESAMPLES, chunk):
        _stop_if(cancelled)
        drawn = random.integers(0, groups, size=(min(chunk, RESAMPLES - start), groups))
        count = sizes[drawn].sum(axis=1)
        sums = [
            np.stack([table[:, column][drawn].sum(axis=1) for column in range(table.shape[1])], axis=1)
            for table in (ours, theirs)
        ]
        found.append(metric.value(sums[0], count) - metric.value(sums[1], count))
    return _Resampled(np.concatenate(found), partial(half_width_of_sums, influences))


def _influences(value: Callable[[Floats, Any], Floats], ours: Floats, theirs: Floats) -> Floats:
    starts, rows = run_starts(len(ours)), len(ours)
    left = rows - np.diff(starts, append=rows).astype(np.float64)
    totals = [table.sum(axis=0) for table in (ours, theirs)]
    rests = [total - np.add.reduceat(table, starts) for total, table in zip(totals, (ours, theirs), strict=True)]
    with np.errstate(divide="ignore", invalid="ignore"):
        without = value(rests[0], left) - value(rests[1], left)
    count = np.float64(rows)
    return by_leaving_out(float(value(totals[0], count) - value(totals[1], count)), without)


def _by_rows_of(metric: Metric, actual: Any, candidate: Any, champion: Any) -> Callable[[Any], tuple[float, float]]:
    """A function that gives the metric of both models on some rows."""
    if (of_errors := _OF_ERRORS.get(metric.name)) is not None:
        ours, theirs = np.abs(candidate - actual), np.abs(champion - actual)
        return lambda rows: (float(of_errors(ours[rows])), float(of_errors(theirs[rows])))
    value = by_scikit_learn(metric.name)
    return lambda rows: (value(actual[rows], candidate[rows]), value(actual[rows], champion[rows]))


def _apart(values: tuple[float, float]) -> float:
    return values[0] - values[1]


def _by_rows(difference: Callable[[Any], float], rows: int, cancelled: threading.Event) -> _Resampled:
    """Resample the difference of any other metric, which is asked for by the rows to take it of."""
    drawn = np.array([difference(chosen) for chosen in _draws(rows, cancelled)])
    return _Resampled(drawn, partial(half_width_of_parts, difference, rows))


def _of_both(weighed: Sequence[Callable[[Floats], float]], weights: Floats) -> tuple[float, float]:
    return weighed[0](weights), weighed[1](weights)


def _by_weights(difference: Callable[[Floats], float], rows: int, cancelled: threading.Event) -> _Resampled:
    """Resample the difference of a metric by how often each row is drawn."""
    drawn = np.array(
        [difference(np.bincount(chosen, minlength=rows).astype(np.float64)) for chosen in _draws(rows, cancelled)]
    )

    def of_slice(part: slice) -> float:
        weights = np.zeros(rows)
        weights[part] = 1
        return difference(weights)

    return _Resampled(drawn, partial(half_width_of_parts, of_slice, rows))


def _draws(rows: int, cancelled: threading.Event) -> Iterator[NDArray[np.int64]]:
    """Rows drawn with replacement, 2,000 times; fewer where there are so many rows that fewer tell as much."""
    random = np.random.default_rng(SEED)
    for _ in range(min(RESAMPLES, max(_MOST_WORK // max(rows, 1), _FEWEST_RESAMPLES))):
        _stop_if(cancelled)
        yield random.integers(0, rows, size=rows)


def _stop_if(cancelled: threading.Event) -> None:
    if cancelled.is_set():
        raise Cancelled("The comparison was cancelled.")
