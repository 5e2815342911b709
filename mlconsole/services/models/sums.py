"""Metrics as sums over rows, so that thousands of resamples cost one matrix operation.

For each metric there are two functions: one turns actual and predicted values into columns (n, k), whose sums the other
makes the metric of. For the metrics of classes both values are whole numbers from 0 on, the places of the classes. For
those of probabilities the actual values are such places, and what is predicted is the probability of the second of two
classes (n,), or one for each of more classes (n, c).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Columns = Callable[[Any, Any], Floats]
Value = Callable[[Floats, Any], Floats]
TOP = 2
"""Among how many of the likeliest classes `top_k_accuracy` looks: scikit-learn's default."""


def of_sums() -> dict[str, tuple[Columns, Value]]:
    """The metrics that are made of sums, by their names."""
    absolute = _one(lambda actual, predicted: np.abs(predicted - actual))
    squared = _one(lambda actual, predicted: np.square(predicted - actual))
    logarithmic = _one(lambda actual, predicted: np.square(np.log1p(predicted) - np.log1p(actual)))
    wrong = _one(lambda actual, predicted: actual != predicted)
    return {
        "mean_absolute_error": (absolute, _mean),
        "mean_squared_error": (squared, _mean),
        "root_mean_squared_error": (squared, _root_mean),
        "mean_absolute_percentage_error": (_one(_relative), _mean),
        "mean_squared_log_error": (logarithmic, _mean),
        "root_mean_squared_log_error": (logarithmic, _root_mean),
        "mean_poisson_deviance": (_one(_poisson), _mean),
        "mean_gamma_deviance": (_one(_gamma), _mean),
        "r2_score": (_squares, _explained),
        "explained_variance_score": (_errors_and_squares, _explained_around_mean),
        "accuracy_score": (_one(lambda actual, predicted: actual == predicted), _mean),
        "zero_one_loss": (wrong, _mean),
        "hamming_loss": (wrong, _mean),
        "log_loss": (_one(_surprise), _mean),
        "brier_score_loss": (_one(_brier), _mean),
        "top_k_accuracy_score": (_one(_among_top), _mean),
        "d2_log_loss_score": (_beside_shares(_surprise), _better_than_entropy),
        "d2_brier_score": (_beside_shares(_squared_distance), _better_than_impurity),
    }


def _mean(sums: Floats, rows: Any) -> Floats:
    return np.asarray(sums[..., 0] / rows, dtype=np.float64)


def _root_mean(sums: Floats, rows: Any) -> Floats:
    return np.sqrt(_mean(sums, rows))


def _one(losses: Callable[[Any, Any], Any]) -> Columns:
    return lambda actual, predicted: np.asarray(losses(actual, predicted), dtype=np.float64)[:, None]


def _relative(actual: Any, predicted: Any) -> Any:
    return np.abs(predicted - actual) / np.maximum(np.abs(actual), np.finfo(np.float64).eps)


def _poisson(actual: Any, predicted: Any) -> Any:
    """Defined where nothing negative came, and only what is above 0 was predicted."""
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(actual > 0, actual * np.log(actual / predicted), 0.0)
        return np.where((actual >= 0) & (predicted > 0), 2 * (ratio - actual + predicted), np.nan)


def _gamma(actual: Any, predicted: Any) -> Any:
    """Defined where all is above 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        found = 2 * (np.log(predicted / actual) + actual / predicted - 1)
        return np.where((actual > 0) & (predicted > 0), found, np.nan)


def _squares(actual: Any, predicted: Any) -> Floats:
    """Squared error, value and squared value; values are taken from their mean, so that no digits are lost."""
    centred = actual - actual.mean()
    return np.stack([np.square(predicted - actual), centred, np.square(centred)], axis=1)


def _explained(sums: Floats, rows: Any) -> Floats:
    return _part_left(sums[..., 0], sums[..., 2] - np.square(sums[..., 1]) / rows)


def _errors_and_squares(actual: Any, predicted: Any) -> Floats:
    """What `_squares` gives, and the error as it is."""
    return np.column_stack([_squares(actual, predicted), actual - predicted])


def _explained_around_mean(sums: Floats, rows: Any) -> Floats:
    spread = sums[..., 2] - np.square(sums[..., 1]) / rows
    return _part_left(sums[..., 0] - np.square(sums[..., 3]) / rows, spread)


def _part_left(lost: Floats, whole: Floats) -> Floats:
    """1 - lost / whole, not a number where there was nothing to lose."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.where(whole > 0, 1 - lost / whole, np.nan), dtype=np.float64)


def _of_what_came(actual: Any, probability: Any) -> Any:
    """The probability of the class that came, (n,)."""
    if probability.ndim == 1:
        return np.where(actual == 1, probability, 1 - probability)
    return probability[np.arange(len(actual)), actual.astype(np.intp)]


def _surprise(actual: Any, probability: Any) -> Any:
    """What a probability of the class that came is worth, in nats; the bounds are those of scikit-learn."""
    smallest = np.finfo(np.float64).eps
    return -np.log(np.clip(_of_what_came(actual, probability), smallest, 1 - smallest))


def _squared_distance(actual: Any, probability: Any) -> Any:
    """How far the probabilities of all classes are from what came: Brier's own score, from 0 to 2."""
    if probability.ndim == 1:
        return 2 * np.square(probability - actual)
    came = _of_what_came(actual, probability)
    return np.square(probability).sum(axis=1) - np.square(came) + np.square(1 - came)


def _brier(actual: Any, probability: Any) -> Any:
    """As scikit-learn defines it: of two classes half of the distance, so that it is from 0 to 1."""
    return _squared_distance(actual, probability) / (2 if probability.ndim == 1 else 1)


def _among_top(actual: Any, score: Any) -> Any:
    """Whether the class that came is among the likeliest; of equal ones the later counts first, as in scikit-learn."""
    likeliest = np.argsort(score, axis=1, kind="stable")[:, -TOP:]
    return (likeliest == actual[:, None]).any(axis=1)


def _beside_shares(losses: Callable[[Any, Any], Any]) -> Columns:
    """A loss, and for each class whether it came."""

    def columns(actual: Any, probability: Any) -> Floats:
        classes = 2 if probability.ndim == 1 else probability.shape[1]
        return np.column_stack([losses(actual, probability), actual[:, None] == np.arange(classes)]).astype(np.float64)

    return columns


def _better_than_entropy(sums: Floats, rows: Any) -> Floats:
    came = sums[..., 1:]
    shares = came / np.asarray(rows)[..., None]
    return _part_left(sums[..., 0], -(came * np.log(np.where(shares > 0, shares, 1))).sum(axis=-1))


def _better_than_impurity(sums: Floats, rows: Any) -> Floats:
    return _part_left(sums[..., 0], rows - np.square(sums[..., 1:]).sum(axis=-1) / rows)


def counts_of(classes: int) -> Columns:
    """Per class whether a row was rightly found, was predicted, and was of it: three columns for each class."""

    def columns(actual: Any, predicted: Any) -> Floats:
        found = [
            column
            for place in range(classes)
            for column in ((actual == place) & (predicted == place), predicted == place, actual == place)
        ]
        return np.stack(found, axis=1).astype(np.float64)

    return columns


def of_counts() -> dict[str, Value]:
    """The metrics that `counts_of` is enough for: of the last of two classes, else the mean over all classes."""
    parts: dict[str, Callable[[Floats, Floats, Floats], tuple[Floats, Floats]]] = {
        "f1": lambda right, found, real: (2 * right, found + real),
        "precision": lambda right, found, real: (right, found),
        "recall": lambda right, found, real: (right, real),
        "jaccard": lambda right, found, real: (right, found + real - right),
    }
    return {
        **{f"{name}_score": _each(part) for name, part in parts.items()},
        **{f"{name}_{way}": _each(part, way) for name, part in parts.items() for way in ("macro", "micro", "weighted")},
        "balanced_accuracy_score": _balanced,
        "matthews_corrcoef": _correlation,
        "cohen_kappa_score": _beyond_chance,
        "positive_likelihood_ratio": _likelihood_ratio(lambda hit, false_alarm: (hit, false_alarm)),
        "negative_likelihood_ratio": _likelihood_ratio(lambda hit, false_alarm: (1 - hit, 1 - false_alarm)),
    }


def _split(sums: Floats) -> tuple[Floats, Floats, Floats]:
    return sums[..., 0::3], sums[..., 1::3], sums[..., 2::3]


def _each(part: Callable[[Floats, Floats, Floats], tuple[Floats, Floats]], average: str = "") -> Value:
    def value(sums: Floats, rows: Any) -> Floats:
        right, found, real = _split(sums)
        above, below = part(right, found, real)
        if average == "micro":
            return np.asarray(above.sum(axis=-1) / np.maximum(below.sum(axis=-1), 1), dtype=np.float64)
        scores = np.where(found + real > 0, above / np.maximum(below, 1), np.nan)
        if average == "weighted":
            return np.asarray(np.nansum(scores * real, axis=-1) / rows, dtype=np.float64)
        if scores.shape[-1] <= 2 and not average:
            return np.asarray(np.nan_to_num(scores[..., -1]), dtype=np.float64)
        return np.asarray(np.nanmean(scores, axis=-1), dtype=np.float64)

    return value


def _balanced(sums: Floats, _rows: Any) -> Floats:
    right, _found, real = _split(sums)
    return np.asarray(np.nanmean(np.where(real > 0, right / np.maximum(real, 1), np.nan), axis=-1), dtype=np.float64)


def _correlation(sums: Floats, rows: Any) -> Floats:
    right, found, real = _split(sums)
    rows = np.asarray(rows, dtype=np.float64)
    agreed = right.sum(axis=-1) * rows - (found * real).sum(axis=-1)
    spread = (rows**2 - (found**2).sum(axis=-1)) * (rows**2 - (real**2).sum(axis=-1))
    return np.asarray(np.where(spread > 0, agreed / np.sqrt(np.maximum(spread, 1)), 0.0), dtype=np.float64)


def _beyond_chance(sums: Floats, rows: Any) -> Floats:
    right, found, real = _split(sums)
    rows = np.asarray(rows, dtype=np.float64)
    by_chance = (found * real).sum(axis=-1) / rows
    return _part_left(rows - right.sum(axis=-1), rows - by_chance)


def _likelihood_ratio(parts: Callable[[Floats, Floats], tuple[Floats, Floats]]) -> Value:
    """A ratio of the rates at which the second of two classes is told where it came, and where the first came."""

    def value(sums: Floats, _rows: Any) -> Floats:
        right, found, real = _split(sums)
        with np.errstate(divide="ignore", invalid="ignore"):
            hit, false_alarm = right[..., 1] / real[..., 1], (found - right)[..., 1] / real[..., 0]
            above, below = parts(hit, false_alarm)
            return np.asarray(np.where(below > 0, above / below, np.nan), dtype=np.float64)

    return value
