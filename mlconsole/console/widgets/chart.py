"""Curves in braille: two points wide and four high in each cell."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

_DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
"""The bit of each dot by row and column (Unicode block Braille Patterns)."""


def curve(values: Sequence[float], width: int, height: int = 1) -> list[str]:
    """Draw values in their order as `height` lines of at most `width` cells; the least value is at the bottom.

    More values than dots are averaged in groups, fewer are joined by lines; not-a-number is left out.
    """
    points = _resampled([value for value in values if value == value and abs(value) != float("inf")], width * 2)
    if not points or width < 1 or height < 1:
        return [""] * max(height, 0)
    low, high = min(points), max(points)
    span, top = (high - low) or 1.0, height * 4 - 1
    levels = [round((value - low) / span * top) if high > low else 0 for value in points]
    cells = [[0] * ((len(points) + 1) // 2) for _ in range(height)]
    for x, level in enumerate(levels):
        before = levels[x - 1] if x else level
        # a steep step is drawn through, so that the curve does not fall apart
        for y in range(min(level, before + 1), max(level, before - 1) + 1) if before != level else (level,):
            row, dot = divmod(top - y, 4)
            cells[row][x // 2] |= _DOTS[dot][x % 2]
    return ["".join(chr(0x2800 + cell) for cell in row) for row in cells]


def _resampled(values: list[float], most: int) -> list[float]:
    if len(values) < 2 or most < 2:
        return values[:most]
    if len(values) < most:
        return [_between(values, index * (len(values) - 1) / (most - 1)) for index in range(most)]
    edges = [round(index * len(values) / most) for index in range(most + 1)]
    return [sum(values[start:end]) / (end - start) for start, end in pairwise(edges) if end > start]


def _between(values: list[float], place: float) -> float:
    before = min(int(place), len(values) - 2)
    return values[before] + (values[before + 1] - values[before]) * (place - before)
