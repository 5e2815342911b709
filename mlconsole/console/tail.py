"""Follows a log file as it grows: what is new is read, cleaned and split into lines, and nothing is read twice."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from mlconsole.text import clean_line

FIRST_BYTES = 512 * 1024
"""Of a long log, so much of its end is read at first."""
MOST_BYTES = 1024 * 1024
LONGEST_LINE = 4000


@dataclass(frozen=True)
class Growth:
    """What is new in a log. `fresh`: lines shown before are of another file. `partial`: a last line without an end."""

    lines: tuple[str, ...] = ()
    partial: str = ""
    fresh: bool = False


class FileTail:
    """Reads what was appended to a file since the last time. A file that is not there yet has no lines."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._offset = 0
        self._inode = 0
        self._rest = b""

    def read(self) -> Growth:
        """Return the lines that were added, at most a megabyte of them at a time."""
        try:
            with self.path.open("rb") as file:
                return self._read(file)
        except FileNotFoundError:
            fresh, self._inode, self._offset, self._rest = self._inode != 0, 0, 0, b""
            return Growth(fresh=fresh)

    def _read(self, stream: BinaryIO) -> Growth:
        found = os.fstat(stream.fileno())
        fresh = self._inode != found.st_ino or found.st_size < self._offset
        skip = False
        if fresh:
            self._inode, self._rest = found.st_ino, b""
            self._offset = max(found.st_size - FIRST_BYTES, 0)
            skip = self._offset > 0
        stream.seek(self._offset)
        data = stream.read(MOST_BYTES)
        self._offset += len(data)
        if skip:
            data = data.partition(b"\n")[2]
        *whole, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > MOST_BYTES:
            self._rest = self._rest[-LONGEST_LINE:]
        return Growth(tuple(_text(raw) for raw in whole), _text(self._rest) if self._rest else "", fresh)


def _text(raw: bytes) -> str:
    return clean_line(raw[-LONGEST_LINE:].decode("utf-8", "replace"))
