"""Lines of a log by their number, wherever they are: in memory here, in a file in `log_file`."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple, Protocol

MOST_LINES = 50_000


class Line(NamedTuple):
    """A cleaned line. `pod` tells whose it is among several, `at` when it was written (seconds since 1970)."""

    text: str
    pod: str = ""
    at: float = 0.0


class LogLines(Protocol):
    """Lines with numbers that never change. Safe to read from any thread."""

    @property
    def first(self) -> int:
        """The number of the first line that is still there."""

    @property
    def end(self) -> int:
        """The number after the last line."""

    @property
    def is_open(self) -> bool:
        """Whether the last line may still go on."""

    def read(self, start: int, stop: int) -> list[Line]:
        """The lines from `start` to before `stop`, as far as they are within `first` and `end`.

        Of long lines it may be fewer: the rest are read from there on.
        """


CHUNK = 2_000
GAP = 2**63
"""Among numbers of lines, stands between two stretches that do not follow upon each other."""
NEAR = 8
"""Lines that are wanted are read together where no more than about so many times as many are between them."""


def read_all(lines: LogLines, start: int, stop: int) -> Iterator[Line]:
    """Read all lines from `start` to before `stop`, one after another however long they are."""
    while start < stop and (found := lines.read(start, stop)):
        yield from found
        start += len(found)


def picked(lines: LogLines, numbers: Sequence[int]) -> Iterator[tuple[int, Line]]:
    """Read the lines of these numbers, which rise but for GAPs; of each its place among the numbers, too.

    Lines that are gone are left out.
    """
    place, total = 0, len(numbers)
    while place < total:
        start = stop = numbers[place]
        end = place
        while end < total and end - place < CHUNK and start <= numbers[end] < start + (end - place + 1) * NEAR:
            stop, end = numbers[end] + 1, end + 1
        if start != GAP:
            start = max(start, lines.first)
            at = place
            for number, entry in enumerate(read_all(lines, start, min(stop, lines.end)), start):
                while at < end and numbers[at] < number:
                    at += 1
                if at < end and numbers[at] == number:
                    yield at, entry
        place = end


class Buffer:
    """Lines in memory, of which the latest are kept.

    Args:
        most: how many.
    """

    def __init__(self, most: int = MOST_LINES) -> None:
        self._most = most
        self._lines: list[Line] = []
        self._first = 0
        self._lock = threading.Lock()

    @property
    def first(self) -> int:
        """How many lines were dropped."""
        return self._first

    @property
    def end(self) -> int:
        """How many lines there have been."""
        with self._lock:
            return self._first + len(self._lines)

    @property
    def is_open(self) -> bool:
        """Lines come whole."""
        return False

    def read(self, start: int, stop: int) -> list[Line]:
        """The lines from `start` to before `stop`, as far as they are there."""
        with self._lock:
            return self._lines[max(start - self._first, 0) : max(stop - self._first, 0)]

    def add(self, lines: Iterable[Line]) -> None:
        """Add lines at the end; the oldest go where there are too many."""
        with self._lock:
            self._lines += lines
            over = len(self._lines) - self._most
            if over > self._most // 10:
                # not at each line: what is deleted at a list's beginning moves all the rest
                del self._lines[:over]
                self._first += over

    def clear(self) -> None:
        """Forget all lines."""
        with self._lock:
            self._first, self._lines = 0, []
