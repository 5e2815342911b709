"""Values that the reference never had: how many of them its own rare values let expect."""

from __future__ import annotations

import math
from collections import Counter

from scipy import special


def excess(old: Counter[str], unseen_rows: int, rows: int) -> tuple[float, float]:
    """By how much the share of unseen values is beyond what is to be expected, and its p-value.

    A sample of n rows in which f₁ values occur once leaves values out that make up about f₁/n of all rows (Good,
    1953), with variance (f₁(1 - f₁/n) + 2f₂)/n² (Esty, 1983). Where nearly no value is rare that variance is too
    small; then (1 - excess)ⁿ, the chance that n rows all missed so large a part, is the larger p-value.

    Args:
        old: the rows of each value of the reference.
        unseen_rows: rows of the new data with values that are not in `old`.
        rows: all rows of the new data that have a value.
    """
    n = old.total()
    once, twice = (sum(1 for count in old.values() if count == times) for times in (1, 2))
    share, expected = unseen_rows / rows, once / n
    beyond = share - expected
    if beyond <= 0:
        return max(beyond, 0.0), 1.0
    variance = (once * (1 - expected) + 2 * twice + 1) / n**2 + share * (1 - share) / rows
    by_spread = float(special.ndtr(-beyond / math.sqrt(variance)))
    by_absence = (1 - beyond) ** n
    return beyond, max(by_spread, by_absence)
