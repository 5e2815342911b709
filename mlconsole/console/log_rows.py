"""How a line of any length is cut into the rows of a screen, without looking at more of it than is seen.

A line of signs that are one cell wide each, which nearly all are, is cut by arithmetic. Of others, it is remembered
where each row begins.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Sequence
from typing import NamedTuple

from rich.cells import cell_len, get_character_cell_size

KEPT = 256
"""So many lines with wide signs are remembered."""
SPAN = 256
"""Cells between two places of a line that are remembered while it is not wrapped."""


class Piece(NamedTuple):
    """A stretch of a line: its characters, from `start` to before `stop`, and the cell at which it begins."""

    start: int
    stop: int
    cell: int


class Rows:
    """Cuts lines; remembers what was laborious."""

    def __init__(self) -> None:
        self._cuts: dict[tuple[str, int], tuple[array[int], array[int]]] = {}
        self._even: dict[str, bool] = {}

    def count(self, text: str, width: int) -> int:
        """How many rows of `width` cells a line takes; an empty one takes one."""
        if self._is_even(text):
            return max(-(-len(text) // width), 1)
        return len(self._cut(text, width)[0])

    def row(self, text: str, width: int, number: int) -> Piece:
        """A row of a line, from 0."""
        if self._is_even(text):
            start = number * width
            return Piece(start, min(start + width, len(text)), start)
        starts, cells = self._cut(text, width)
        stop = starts[number + 1] if number + 1 < len(starts) else len(text)
        return Piece(starts[number], stop, cells[number])

    def row_of(self, text: str, width: int, place: int) -> int:
        """The row in which a character is."""
        return place // width if self._is_even(text) else bisect_right(self._cut(text, width)[0], place) - 1

    def window(self, text: str, left: int, width: int) -> Piece:
        """What is to be seen of a line that is not wrapped, from the cell `left` on; it may begin before that."""
        if self._is_even(text):
            return Piece(min(left, len(text)), min(left + width, len(text)), min(left, len(text)))
        starts, cells = self._cut(text, SPAN)
        place = bisect_right(cells, left) - 1
        # no character takes less than no cell: those that take none go along with the one before
        stop = place + 2 + width // SPAN
        return Piece(starts[place], starts[stop] if stop < len(starts) else len(text), cells[place])

    def cells(self, text: str) -> int:
        """How wide a line is."""
        if self._is_even(text):
            return len(text)
        starts, cells = self._cut(text, SPAN)
        return cells[-1] + cell_len(text[starts[-1] :])

    def _is_even(self, text: str) -> bool:
        """Whether each sign is just one cell wide."""
        if text.isascii():
            return True
        found = self._even.get(text)
        if found is None:
            if len(self._even) >= KEPT:
                self._even.clear()
            found = self._even[text] = all(get_character_cell_size(sign) == 1 for sign in set(text))
        return found

    def _cut(self, text: str, width: int) -> tuple[array[int], array[int]]:
        """Where rows begin: by characters and by cells."""
        key = (text, width)
        found = self._cuts.get(key)
        if found is None:
            if len(self._cuts) >= KEPT:
                self._cuts.clear()
            found = self._cuts[key] = _cut(text, width)
        return found


def _cut(text: str, width: int) -> tuple[array[int], array[int]]:
    starts, cells = array("L", [0]), array("L", [0])
    sizes = {sign: get_character_cell_size(sign) for sign in set(text)}
    filled = before = 0
    for place, sign in enumerate(text):
        size = sizes[sign]
        if filled + size > width and filled:
            before += filled
            starts.append(place)
            cells.append(before)
            filled = 0
        filled += size
    return starts, cells


def clipped(spans: Sequence[tuple[int, int]], piece: Piece) -> list[tuple[int, int]]:
    """The parts of spans that are within a piece, counted from its start."""
    return [
        (max(start, piece.start) - piece.start, min(stop, piece.stop) - piece.start)
        for start, stop in spans
        if start < piece.stop and stop > piece.start
    ]
