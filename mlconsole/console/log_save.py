"""Writes a log, or what a filter shows of it, into a file."""

from __future__ import annotations

import itertools
import os
import re
import tempfile
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from mlconsole.console.log_lines import CHUNK, Line, LogLines, picked, read_all
from mlconsole.errors import OutsideFailed


def save(folder: Path, name: str, lines: LogLines, numbers: Sequence[int], *, stamps: bool = False) -> Path:
    """Write the lines of these numbers into a new file, which is there whole or not at all; its path.

    Args:
        folder: where; it is made.
        name: what the log is called.
        lines: the log.
        numbers: which lines; a range, or numbers with GAPs.
        stamps: begin each line with the moment at which it was written, where that is known.

    Raises:
        OutsideFailed: it can't be written.
    """
    words = re.sub(r"[^\w.-]+", "-", name).strip("-") or "log"
    name, part = f"{words}-{time.strftime('%Y%m%d-%H%M%S')}", ""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=folder, encoding="utf-8", delete=False) as file:
            part = file.name
            for entry in _entries(lines, numbers):
                moment = (
                    f"{datetime.fromtimestamp(entry.at, UTC):%Y-%m-%dT%H:%M:%S.%fZ} " if stamps and entry.at else ""
                )
                file.write(f"{moment}{entry.pod}{'  ' if entry.pod else ''}{entry.text}\n")
            file.flush()
            os.fsync(file.fileno())
        path = _free(folder, name)
        Path(part).replace(path)
    except OSError as error:
        if part:
            Path(part).unlink(missing_ok=True)
        raise OutsideFailed(
            f"The log can't be saved to {folder}: {error.strerror}.", "Make room, or the folder."
        ) from error
    return path


def _free(folder: Path, name: str) -> Path:
    """A path that nothing has yet: of two logs that are saved in one second, none replaces the other."""
    names = (f"{name}{f'-{number}' if number > 1 else ''}.log" for number in itertools.count(1))
    return next(path for path in map(folder.joinpath, names) if not path.exists())


def _entries(lines: LogLines, numbers: Sequence[int]) -> Iterator[Line]:
    if isinstance(numbers, range):
        yield from read_all(lines, max(numbers.start, lines.first), numbers.stop)
        return
    for place in range(0, len(numbers), CHUNK):
        yield from (entry for _, entry in picked(lines, numbers[place : place + CHUNK]))
