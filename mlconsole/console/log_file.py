"""A log file of any length: where its lines begin is found in blocks, and only the lines that are wanted are read.

For each block of the file, the number of line ends before it is kept: a million lines are counted in a tenth of a
second and take some kilobytes of memory.
"""

from __future__ import annotations

import os
import threading
from array import array
from bisect import bisect_left
from collections.abc import Callable
from pathlib import Path

from mlconsole.console.log_lines import Line
from mlconsole.text import clean_line

LONGEST_LINE = 256 * 1024
"""Of a longer line, so many bytes are shown, and it is said that there is more."""
BLOCK = 64 * 1024
MOST_AT_ONCE = 4 * 1024 * 1024
"""So many bytes are read in one piece; of longer stretches, each line's beginning."""
BLOCKS_A_STEP = 512
"""After so many blocks, what was found is told."""


class FileLines:
    """The lines of a file that may grow. One thread calls `index`; all may read."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.fresh = 0
        """How often the file was found to be another one."""
        self._before: array[int] = array("Q")
        self._whole = 0
        self._size = 0
        self._inode = 0
        self._open_end = False
        self._lock = threading.Lock()

    @property
    def first(self) -> int:
        """A file's lines are all there."""
        return 0

    @property
    def end(self) -> int:
        """How many lines were found so far; a last one without an end is one."""
        with self._lock:
            return self._whole + self._open_end

    @property
    def is_open(self) -> bool:
        """Whether the last line has no end yet."""
        return self._open_end

    @property
    def indexed(self) -> int:
        """How many bytes were looked at so far."""
        return self._size

    def index(self, told: Callable[[], None], stopped: threading.Event) -> None:
        """Look at what the file has more, and tell now and then; a file that is shorter or another one begins anew."""
        try:
            with self.path.open("rb") as file:
                found = os.fstat(file.fileno())
                if found.st_ino != self._inode or found.st_size < self._size:
                    self._begin(found.st_ino)
                    told()
                if found.st_size > self._size:
                    self._go_on(file.fileno(), found.st_size, told, stopped)
        except FileNotFoundError:
            if self._inode:
                self._begin(0)
                told()

    def _begin(self, inode: int) -> None:
        with self._lock:
            self.fresh += self._inode != 0
            self._before, self._whole, self._size, self._inode, self._open_end = array("Q"), 0, 0, inode, False

    def _go_on(self, descriptor: int, size: int, told: Callable[[], None], stopped: threading.Event) -> None:
        blocks = 0
        while self._size < size and not stopped.is_set():
            # up to the block's end: what a growing file adds later goes on within its last block
            data = os.pread(descriptor, BLOCK - self._size % BLOCK, self._size)
            if not data:
                break
            with self._lock:
                if self._size % BLOCK == 0:
                    self._before.append(self._whole)
                self._whole += data.count(b"\n")
                self._size += len(data)
                self._open_end = not data.endswith(b"\n")
            blocks += 1
            if blocks % BLOCKS_A_STEP == 0:
                told()
        told()

    def read(self, start: int, stop: int) -> list[Line]:
        """The lines from `start` to before `stop`, each up to `LONGEST_LINE`; fewer where they are long."""
        with self._lock:
            whole, size = self._whole, self._size
        stop = min(stop, whole + 1)
        if start >= stop:
            return []
        try:
            with self.path.open("rb") as file:
                descriptor = file.fileno()
                begin, end = self._offset(descriptor, start), self._offset(descriptor, stop)
                if begin >= end:
                    return []
                if end - begin <= MOST_AT_ONCE:
                    return _lines(os.pread(descriptor, end - begin, begin), stop - start)
                return self._long_ones(descriptor, range(start, stop), size)
        except OSError:
            return []

    def _long_ones(self, descriptor: int, numbers: range, size: int) -> list[Line]:
        found: list[Line] = []
        signs = 0
        for number in numbers:
            found.append(self._beginning(descriptor, number, size))
            signs += len(found[-1].text)
            if signs > MOST_AT_ONCE:
                break
        return found

    def _beginning(self, descriptor: int, number: int, size: int) -> Line:
        begin = self._offset(descriptor, number)
        data = os.pread(descriptor, min(LONGEST_LINE + 1, size - begin), begin)
        return Line(_text(data.partition(b"\n")[0].decode("utf-8", "replace")))

    def _offset(self, descriptor: int, number: int) -> int:
        """Where a line begins."""
        if number == 0:
            return 0
        with self._lock:
            if number > self._whole:
                return self._size
            block = bisect_left(self._before, number) - 1
            skip = number - self._before[block]
        data = os.pread(descriptor, BLOCK, block * BLOCK)
        rest = data.split(b"\n", skip)[-1]
        return block * BLOCK + len(data) - len(rest)


def _lines(data: bytes, most: int) -> list[Line]:
    text = data.decode("utf-8", "replace")
    parts = text.removesuffix("\n").split("\n")[:most]
    if text.isascii() and text.replace("\n", "").isprintable():
        return [Line(part if len(part) <= LONGEST_LINE else _text(part)) for part in parts]
    return [Line(_text(part)) for part in parts]


def _text(part: str) -> str:
    return clean_line(part[:LONGEST_LINE]) + (" … and more" if len(part) > LONGEST_LINE else "")
