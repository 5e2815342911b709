"""Lines of a log by their number, wherever they are: in memory here, in a file in `log_file`."""

from __future__ import annotations

import threading
from collections.abc import Iterable
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

    def read(self, start: int, stop: int) -> list[Line]:
        """The lines from `start` to before `stop`; both have to be within `first` and `end`."""


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
