"""Distances between two rows of counts, and how likely chance makes them."""

from __future__ import annotations

import math

import numpy as np
from scipy import special

from mlconsole.services.datasets.summaries import Numbers


def benjamini_hochberg(p_values: Numbers) -> Numbers:
    """p-values such that those up to q have at most a part q of false ones among them."""
    order = np.argsort(p_values)[::-1]
    ranks = np.arange(len(p_values), 0, -1)
    adjusted = np.empty(len(p_values))
    adjusted[order] = np.minimum.accumulate(np.append(1.0, p_values[order] * len(p_values) / ranks))[1:]
    return adjusted


def stability_index(old: Numbers, new: Numbers) -> tuple[float, int]:
    """The population stability index of two rows of counts, and its degrees of freedom.

    Bins that are empty on both sides are left out; half a row is added to each of the others, so that one that is
    empty on one side does not make the index infinite. Without drift, the index over (1/n + 1/m) is χ² distributed.
    """
    some = (old + new) > 0
    bins = int(some.sum())
    p = (old[some] + 0.5) / (old.sum() + 0.5 * bins)
    q = (new[some] + 0.5) / (new.sum() + 0.5 * bins)
    return float(((q - p) * np.log(q / p)).sum()), max(bins - 1, 0)


def shift(old: Numbers, new: Numbers) -> tuple[float, float]:
    """By how many deviations counts in ordered bins moved, and the p-value of Mann and Whitney, with ties.

    P(new > old) + P(equal)/2 is what it is for two normal distributions that are so many deviations apart. It needs
    no mean and no variance, so that heavy tails do no harm.
    """
    n, m = int(old.sum()), int(new.sum())
    p, q = old / n, new / m
    greater = float((q * (np.cumsum(p) - p / 2)).sum())
    ties = ((old + new) / (n + m)) ** 3
    variance = (1 - float(ties.sum())) * (n + m) / (12.0 * n * m)
    if variance <= 0:
        return 0.0, 1.0
    least = 1 / (2 * (n + m))
    deviations = math.sqrt(2) * float(special.ndtri(min(max(greater, least), 1 - least)))
    return deviations, _two_sided((greater - 0.5) / math.sqrt(variance))


def contingency(table: Numbers) -> tuple[float, float]:
    """Cramér's V of two rows of counts, each weighted alike, and Pearson's p-value.

    Weighted by their rows, V would shrink for no reason but that the reference has more rows than the new data.
    """
    degrees = table.shape[1] - 1
    if degrees < 1:
        return 0.0, 1.0
    rows = table.sum(axis=1, keepdims=True)
    expected = rows * table.sum(axis=0) / table.sum()
    chi_squared = float(((table - expected) ** 2 / expected).sum())
    p, q = table / rows
    effect = math.sqrt(float(((p - q) ** 2 / (p + q)).sum()) / 2)
    return effect, float(special.chdtrc(degrees, chi_squared))


def proportions(old_hits: int, old: int, new_hits: int, new: int) -> tuple[float, float]:
    """The difference of two proportions, and the p-value of the pooled z-test."""
    difference = new_hits / new - old_hits / old
    pooled = (old_hits + new_hits) / (old + new)
    variance = pooled * (1 - pooled) * (1 / old + 1 / new)
    return difference, _two_sided(difference / math.sqrt(variance)) if variance else 1.0


def _two_sided(z: float) -> float:
    return 2 * float(special.ndtr(-abs(z)))
