"""Has training seen the rows that models are compared on? Then the comparison says nothing."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterable
from pathlib import Path

from mlconsole.errors import Cancelled

LARGEST_DATA = 2_000_000_000
"""Bytes of training data beyond which nobody looks: it would take longer than what it is for."""

_EVERY = 100_000


def seen_rows(rows: Path, data: Iterable[Path], cancelled: threading.Event) -> int | None:
    """Count the lines of a CSV file that training data of the same header holds too, word for word.

    Returns:
        How many of them; None where it can't be told: other files than plain CSV, another header, too much data.

    Raises:
        Cancelled: it was cancelled.
    """
    files = list(data)
    try:
        if not all(_is_plain(path) for path in (rows, *files)) or sum(map(_size, files)) > LARGEST_DATA:
            return None
        with rows.open("rb") as file:
            header = file.readline().strip()
            mine = [_key(line) for line in file if line.strip()]
        wanted, found = set(mine), set()
        compared = False
        for path in files:
            with path.open("rb") as file:
                if file.readline().strip() != header:
                    continue
                compared = True
                for index, line in enumerate(file):
                    if index % _EVERY == 0 and cancelled.is_set():
                        raise Cancelled("The comparison was cancelled.")
                    if (key := _key(line)) in wanted:
                        found.add(key)
    except OSError:
        return None
    return sum(key in found for key in mine) if compared else None


def _is_plain(path: Path) -> bool:
    return path.suffix.lower() in (".csv", ".tsv", ".txt")


def _size(path: Path) -> int:
    return path.stat().st_size


def _key(line: bytes) -> bytes:
    return hashlib.blake2b(line.strip(), digest_size=12).digest()
