"""Lines that come from elsewhere, kept in temporary files: a million of them take no memory, and none is lost.

The files have no name and are gone with the process, whatever becomes of it. Of more than `MOST_BYTES`, the oldest
lines go.
"""

from __future__ import annotations

import os
import tempfile
import threading
from array import array
from collections.abc import Iterable
from typing import IO

from mlconsole.console.log_lines import Line

MOST_BYTES = 256 * 1024 * 1024
PARTS = 4
STRIDE = 64
"""Of so many lines, the place of the first is kept."""


class _Part:
    """Some of the lines, in a file of their own."""

    def __init__(self, first: int) -> None:
        self.first = self.end = first
        self.size = 0
        self.places: array[int] = array("Q")
        self.file: IO[bytes] = tempfile.TemporaryFile(prefix="mlconsole-log-")  # noqa: SIM115 - as long as its lines

    def read(self, start: int, stop: int, end: int, size: int) -> bytes:
        """The bytes from a little before `start` on, which begin with a line whose number is a multiple of STRIDE."""
        places = self.places
        begin = places[(start - self.first) // STRIDE]
        last = (stop - 1 - self.first) // STRIDE + 1
        until = min(places[last], size) if stop < end and last < len(places) else size
        return os.pread(self.file.fileno(), until - begin, begin)


class Spool:
    """Lines that only grow. One thread at a time adds; any may read."""

    def __init__(self, most: int = MOST_BYTES) -> None:
        self._most = most // PARTS
        self._pods: list[str] = []
        self._numbers: dict[str, int] = {}
        self._parts = [_Part(0)]
        self._lock = threading.Lock()

    @property
    def first(self) -> int:
        """How many lines went because there were too many."""
        return self._parts[0].first

    @property
    def end(self) -> int:
        """How many lines there have been."""
        return self._parts[-1].end

    @property
    def is_open(self) -> bool:
        """Lines come whole."""
        return False

    def add(self, lines: Iterable[Line]) -> None:
        """Add cleaned lines at the end."""
        with self._lock:
            part, data = self._parts[-1], bytearray()
            for text, pod, at in lines:
                if (part.end - part.first) % STRIDE == 0:
                    part.places.append(part.size + len(data))
                data += f"{at:.6f}\t{self._number(pod)}\t{text}\n".encode("utf-8", "replace")
                part.end += 1
                if part.size + len(data) > self._most:
                    self._write(part, data)
                    part, data = self._begin(), bytearray()
            self._write(part, data)

    def _number(self, pod: str) -> int:
        found = self._numbers.get(pod)
        if found is None:
            found = self._numbers[pod] = len(self._pods)
            self._pods.append(pod)
        return found

    def _write(self, part: _Part, data: bytearray) -> None:
        view = memoryview(data)
        while view:
            written = os.pwrite(part.file.fileno(), view, part.size)
            part.size += written
            view = view[written:]

    def _begin(self) -> _Part:
        part = _Part(self._parts[-1].end)
        self._parts.append(part)
        if len(self._parts) > PARTS:
            # whoever reads it now keeps it open
            self._parts.pop(0)
        return part

    def read(self, start: int, stop: int) -> list[Line]:
        """The lines from `start` to before `stop`, as far as they are there."""
        with self._lock:
            wanted = [
                (part, max(start, part.first), min(stop, part.end), part.end, part.size)
                for part in self._parts
                if part.first < stop and start < part.end
            ]
        found: list[Line] = []
        for part, begin, until, end, size in wanted:
            data = part.read(begin, until, end, size)
            skip = (begin - part.first) % STRIDE
            texts = data.decode("utf-8", "replace").split("\n")
            found += map(self._line, texts[skip : skip + until - begin])
        return found

    def _line(self, text: str) -> Line:
        at, pod, rest = text.split("\t", 2)
        return Line(rest, self._pods[int(pod)], float(at))
