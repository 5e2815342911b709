"""Rows known by a key: which were added, removed or changed since other data, without that data.

Of each row a hash of its key and one of all its values are kept in a file of this machine: 16 bytes a row, so that
there is a limit. The values are compared as they are written, so that one odd value changes no other row.
"""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mlconsole.evidence.data import DataIdentity, KeyChange
from mlconsole.services.datasets.csv_file import StartAgain
from mlconsole.services.datasets.faults import check_target
from mlconsole.services.datasets.passes import in_order
from mlconsole.services.datasets.summaries import Numbers
from mlconsole.services.datasets.tables import Parse, Tables
from mlconsole.text import clean_line, short_digest

MOST_ROWS = 2_000_000
KEPT = 5


class Rows(NamedTuple):
    """Sorted hashes of the keys, each once, a hash of the row or rows of each, and how many rows repeat a key."""

    keys: Numbers
    values: Numbers
    repeated: int


def read_rows(
    root: Path, identity: DataIdentity, key: Sequence[str], *, cancelled: threading.Event | None = None
) -> Rows:
    """Read the keys and values of all rows.

    Raises:
        DataUnfit: the data has no such column.
        Cancelled.
    """
    tables = Tables(root, identity, lambda done: None, cancelled)
    shown = {clean_line(column): column for column in tables.columns}
    for column in key:
        check_target(column, list(shown), setting="key")
    real = [shown[column] for column in key]
    # Whatever the order of the columns is, the same row has the same hash.
    others = sorted(set(tables.columns) - set(real))
    types = dict.fromkeys(tables.columns, pa.string())

    def task(parse: Parse) -> Callable[[], tuple[Numbers, Numbers]]:
        def run() -> tuple[Numbers, Numbers]:
            table = parse()
            return hashes_of(table, real), hashes_of(table, others)

        return run

    while True:
        try:
            chunks = list(in_order(task(parse) for parse in tables.chunks(types)))
            break
        except StartAgain:
            continue
    return _joined(*(np.concatenate(part) for part in zip(*chunks, strict=True)))


def repeats(root: Path, identity: DataIdentity, column: str, *, cancelled: threading.Event | None = None) -> int:
    """How many rows have a value that another row before them has, as it is written; missing values are none."""
    tables = Tables(root, identity, lambda done: None, cancelled)
    real = next(name for name in tables.columns if clean_line(name) == column)

    def task(parse: Parse) -> Callable[[], Numbers]:
        return lambda: hashes_of(parse().filter(pc.field(real).is_valid()), [real])

    while True:
        try:
            hashes = np.concatenate(
                list(in_order(task(parse) for parse in tables.chunks({real: pa.string()}, (real,))))
            )
            break
        except StartAgain:
            continue
    return len(hashes) - len(np.unique(hashes))


def hashes_of(table: Any, columns: Sequence[str]) -> Numbers:
    """A hash of each row of a table of texts by some of its columns; a missing value is told from every text."""
    from pandas.util import hash_array

    if not columns:
        return np.zeros(table.num_rows, np.uint64)
    texts = [table.column(column).cast(pa.string()) for column in columns]
    rows = pc.binary_join_element_wise(*texts, "\x1f", null_handling="replace", null_replacement="\x1e")
    return np.asarray(hash_array(rows.to_numpy(zero_copy_only=False), categorize=False), np.uint64)


def _joined(keys: Numbers, values: Numbers) -> Rows:
    order = np.argsort(keys, kind="stable")
    found, starts = np.unique(keys[order], return_index=True)
    together = np.add.reduceat(values[order], starts) if len(starts) else values
    return Rows(found, together, len(keys) - len(found))


def compare(before: Rows, now: Rows, key: Sequence[str]) -> KeyChange:
    """Count the rows that came, went or changed."""
    both, was, is_now = np.intersect1d(before.keys, now.keys, assume_unique=True, return_indices=True)
    changed = int((before.values[was] != now.values[is_now]).sum())
    return KeyChange(
        key=tuple(key),
        added=len(now.keys) - len(both),
        removed=len(before.keys) - len(both),
        changed=changed,
        same=len(both) - changed,
    )


def _path(folder: Path, digest: str, key: Sequence[str]) -> Path:
    import hashlib

    name = hashlib.sha256("\0".join(key).encode()).hexdigest()[:8]
    return folder / f"{short_digest(digest, 32)}-{name}.npy"


def load(folder: Path, digest: str, key: Sequence[str]) -> Rows | None:
    """The rows that were kept of data with this digest; None where they are not here, or not whole."""
    try:
        both = np.load(_path(folder, digest, key), allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    return Rows(both[0], both[1], 0) if both.ndim == 2 and len(both) == 2 and both.dtype == np.uint64 else None


def save(folder: Path, digest: str, key: Sequence[str], rows: Rows) -> None:
    """Keep rows for later, and let go of the oldest. It only saves time, so that a full disk is no fault."""
    path, temporary = _path(folder, digest, key), ""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(dir=folder, prefix=".rows.")
        with os.fdopen(descriptor, "wb") as file:
            np.save(file, np.stack((rows.keys, rows.values)), allow_pickle=False)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
        for old in sorted(folder.glob("*.npy"), key=lambda found: found.stat().st_mtime)[:-KEPT]:
            old.unlink(missing_ok=True)
    except OSError:
        if temporary:
            Path(temporary).unlink(missing_ok=True)
