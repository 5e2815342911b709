"""Has training seen the rows that models are compared on? Then the comparison says nothing."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlconsole.errors import Cancelled, Problem
from mlconsole.evidence.data import DataIdentity

if TYPE_CHECKING:
    from mlconsole.services.datasets.tables import Parse, Tables

LARGEST_DATA = 2_000_000_000
"""Bytes of training data beyond which nobody looks: it would take longer than what it is for."""


def seen_rows(root: Path, rows: DataIdentity, data: DataIdentity, cancelled: threading.Event) -> int | None:
    """Count the rows that training data of the same columns holds too, with the same text in each of them.

    Args:
        root: the project's folder.
        rows: the files with the rows that models are compared on.
        data: the training data's.
        cancelled: ends the work.

    Returns:
        How many of them; None where it can't be told: files that can't be read or are Parquet on one side only, other
        columns, too much data.

    Raises:
        Cancelled: it was cancelled.
    """
    from mlconsole.services.datasets.plain import is_parquet
    from mlconsole.services.datasets.tables import Tables

    # numbers are not written in Parquet, so that their texts are those of this program and not the other file's
    if data.size > LARGEST_DATA or len({is_parquet(Path(file.path)) for file in (*rows.files, *data.files)}) > 1:
        return None
    try:
        ours, theirs = (Tables(root, identity, lambda done: None, cancelled) for identity in (rows, data))
        if set(ours.columns) != set(theirs.columns):
            return None
        return _in_both(ours, theirs)
    except Cancelled as problem:
        raise Cancelled("The comparison was cancelled.") from problem
    except (Problem, OSError):
        return None


def _in_both(ours: Tables, theirs: Tables) -> int:
    import numpy as np

    from mlconsole.services.datasets.csv_file import StartAgain

    while True:
        try:
            mine = np.concatenate([np.zeros(0, np.uint64), *_hashes(ours)])
            found = np.zeros(len(mine), bool)
            for hashes in _hashes(theirs):
                found |= np.isin(mine, hashes)
            return int(found.sum())
        except StartAgain:
            continue


def _hashes(tables: Tables) -> Iterator[Any]:
    """A hash of each row, whatever order the columns are in; chunk by chunk."""
    import pyarrow as pa

    from mlconsole.services.datasets.keys import hashes_of
    from mlconsole.services.datasets.passes import in_order

    columns = sorted(tables.columns)

    def task(parse: Parse) -> Callable[[], Any]:
        return lambda: hashes_of(parse(), columns)

    return in_order(task(parse) for parse in tables.chunks(dict.fromkeys(columns, pa.string())))
