"""Metrics of how well scores bring rows in order: areas under ROC curves, and average precision.

They are no sums over rows, but of pairs of rows. What a resample costs is kept small by bringing the rows in order
once: to draw a row twice is to give it a weight of two, and running sums of weights in that order are all it takes.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Weighed = Callable[[Floats], float]
"""The metric by the weight of each row, (n,); not a number where it is not defined."""


def of_rankings() -> dict[str, Callable[[Any, Any], Weighed]]:
    """Each metric as a function of places of classes (n,), and scores of the second class (n,) or of each (n, c)."""
    return {
        "roc_auc_score": area_under_curve,
        "roc_auc_ovr": lambda actual, scores: _one_against_rest(actual, scores, by_share=False),
        "roc_auc_ovr_weighted": lambda actual, scores: _one_against_rest(actual, scores, by_share=True),
        "roc_auc_ovo": lambda actual, scores: _one_against_one(actual, scores, by_share=False),
        "roc_auc_ovo_weighted": lambda actual, scores: _one_against_one(actual, scores, by_share=True),
        "average_precision_score": average_precision,
    }


def area_under_curve(actual: Any, scores: Any) -> Weighed:
    """The part of the pairs of a row of the second class and one of the first in which the former's score is higher."""
    return _higher(scores, np.flatnonzero(actual == 1), np.flatnonzero(actual == 0))


def _higher(scores: Any, these: Any, those: Any) -> Weighed:
    """How likely the score of one of these rows is above that of one of those; equal ones count half."""
    these, those = (rows[np.argsort(scores[rows], kind="stable")] for rows in (these, those))
    first, last = (np.searchsorted(scores[those], scores[these], side) for side in ("left", "right"))
    tied = bool((first != last).any())
    below = np.zeros(len(those) + 1)

    def value(weights: Floats) -> float:
        of_these = weights[these]
        np.cumsum(weights[those], out=below[1:])
        pairs = of_these.sum() * below[-1]
        if not pairs:
            return float("nan")
        higher = of_these @ below[first]
        return float((higher + of_these @ below[last]) / 2 / pairs if tied else higher / pairs)

    return value


def _one_against_rest(actual: Any, scores: Any, *, by_share: bool) -> Weighed:
    if scores.ndim == 1:
        return area_under_curve(actual, scores)
    classes = [actual == place for place in range(scores.shape[1])]
    areas = [
        _higher(scores[:, place], np.flatnonzero(of_class), np.flatnonzero(~of_class))
        for place, of_class in enumerate(classes)
    ]

    def value(weights: Floats) -> float:
        shares = [weights[of_class].sum() for of_class in classes] if by_share else None
        return float(np.average([area(weights) for area in areas], weights=shares))

    return value


def _one_against_one(actual: Any, scores: Any, *, by_share: bool) -> Weighed:
    """Of each pair of classes alone, by the scores of both (Hand and Till, Machine Learning 45, 2001)."""
    if scores.ndim == 1:
        return area_under_curve(actual, scores)
    rows = [np.flatnonzero(actual == place) for place in range(scores.shape[1])]
    pairs = list(itertools.combinations(range(len(rows)), 2))
    areas = [
        (_higher(scores[:, one], rows[one], rows[other]), _higher(scores[:, other], rows[other], rows[one]))
        for one, other in pairs
    ]

    def value(weights: Floats) -> float:
        sizes = [weights[found].sum() for found in rows] if by_share else []
        shares = [sizes[one] + sizes[other] for one, other in pairs] if by_share else None
        return float(np.average([(one(weights) + other(weights)) / 2 for one, other in areas], weights=shares))

    return value


def average_precision(actual: Any, scores: Any) -> Weighed:
    """The mean precision over what is found as the threshold falls; of several classes the mean over each's own."""
    if scores.ndim == 1:
        return _precision_of(actual == 1, scores)
    each = [_precision_of(actual == place, scores[:, place]) for place in range(scores.shape[1])]
    return lambda weights: float(np.mean([value(weights) for value in each]))


def _precision_of(real: Any, scores: Any) -> Weighed:
    order = np.argsort(-scores, kind="stable")
    real = real[order].astype(np.float64)
    in_order = scores[order]
    # rows of one score are found together
    ends = np.append(np.flatnonzero(in_order[1:] != in_order[:-1]), len(scores) - 1)

    def value(weights: Floats) -> float:
        drawn = weights[order]
        found, right = np.cumsum(drawn)[ends], np.cumsum(drawn * real)[ends]
        if not right[-1]:
            return float("nan")
        return float(np.diff(right, prepend=0.0) @ (right / np.maximum(found, 1)) / right[-1])

    return value
