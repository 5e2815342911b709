"""Writes a log, or what a filter shows of it, into a file."""

from __future__ import annotations

import os
import re
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from mlconsole.console.log_lines import Line, LogLines
from mlconsole.console.sieve import GAP
from mlconsole.errors import OutsideFailed

CHUNK = 2_000


def save(folder: Path, name: str, lines: LogLines, numbers: Sequence[int]) -> Path:
    """Write the lines of these numbers into a new file, which is there whole or not at all; its path.

    Raises:
        OutsideFailed: it can't be written.
    """
    words = re.sub(r"[^\w.-]+", "-", name).strip("-") or "log"
    path = folder / f"{words}-{time.strftime('%Y%m%d-%H%M%S')}.log"
    part = ""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=folder, encoding="utf-8", delete=False) as file:
            part = file.name
            for entry in _entries(lines, numbers):
                file.write(f"{entry.pod}  {entry.text}\n" if entry.pod else f"{entry.text}\n")
            file.flush()
            os.fsync(file.fileno())
        Path(part).replace(path)
    except OSError as error:
        if part:
            Path(part).unlink(missing_ok=True)
        raise OutsideFailed(
            f"The log can't be saved to {folder}: {error.strerror}.", "Make room, or the folder."
        ) from error
    return path


def _entries(lines: LogLines, numbers: Sequence[int]) -> Iterator[Line]:
    for place in range(0, len(numbers), CHUNK):
        part = numbers[place : place + CHUNK]
        if isinstance(part, range):
            yield from lines.read(part.start, part.stop)
        else:
            for number in part:
                if number != GAP:
                    yield from lines.read(number, number + 1)
