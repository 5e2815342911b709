"""Data as any reader takes it by itself: Parquet, or UTF-8 text whose fields are separated by commas.

Others than this program read the rows that models are compared on, the project's own Python and its `predict` command
among them. So that they see what the settings say of how the data is written, they are given a plain copy of it.
"""

from __future__ import annotations

import csv
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pa_parquet

from mlconsole.evidence.data import DataFile, DataIdentity, Dialect
from mlconsole.services.datasets import faults
from mlconsole.services.datasets.csv_file import CsvFile, StartAgain
from mlconsole.services.datasets.files import find, relative_name
from mlconsole.services.datasets.passes import find_types, in_order
from mlconsole.services.datasets.tables import Tables


def is_parquet(path: Path) -> bool:
    """Whether a file is read as Parquet, by its name."""
    return path.name.lower().endswith((".parquet", ".pq"))


def unhashed(root: Path, pattern: str, dialect: Dialect | None) -> DataIdentity:
    """Which files a setting means, to read them once: nobody asks for their digests.

    Raises:
        DataMissing: nothing is there.
        DataUnfit: a file has a name that is not valid UTF-8.
    """
    found = []
    for path in find(root, pattern):
        name = relative_name(root, path)
        try:
            found.append(DataFile(path=name, size=path.stat().st_size, digest=""))
        except OSError as error:
            raise faults.unreadable(name, error) from error
    return DataIdentity(digest="", files=tuple(found), size=sum(file.size for file in found), dialect=dialect)


def plain_table(root: Path, identity: DataIdentity, folder: Path, cancelled: threading.Event) -> Path:
    """The data as one file that needs no word about how to read it: itself where it is such a file, else a copy.

    Args:
        root: the project's folder.
        identity: which files, and how they are written.
        folder: where a copy may be written, `rows.csv` or `rows.parquet`.
        cancelled: ends the work.

    Raises:
        DataUnfit: it can't be read as one table.
        Cancelled: it was cancelled.
    """
    tables = Tables(root, identity, lambda done: None, cancelled)
    only = tables.files[0] if len(tables.files) == 1 else None
    path = root / identity.files[0].path
    if only is not None and (not isinstance(only, CsvFile) or only.is_plain):
        return path
    if all(is_parquet(Path(file.path)) for file in identity.files):
        return _as_parquet(tables, folder / "rows.parquet")
    return _as_text(tables, folder / "rows.csv")


def _as_parquet(tables: Tables, path: Path) -> Path:
    types = find_types(tables)
    schema = pa.schema([(column, types[column]) for column in tables.columns])
    with pa_parquet.ParquetWriter(path, schema) as writer:
        for table in in_order(tables.chunks(types)):
            writer.write_table(table)
    return path


def _as_text(tables: Tables, path: Path) -> Path:
    """Every text is written as it stands there; missing values of whatever spelling are empty."""
    while True:
        try:
            with path.open("w", encoding="utf-8", newline="") as file:
                writer = csv.writer(file)
                writer.writerow(tables.columns)
                for table in texts(tables):
                    writer.writerows(zip(*(table.column(name).to_pylist() for name in tables.columns), strict=True))
            return path
        except StartAgain:
            continue


def texts(tables: Tables) -> Iterator[Any]:
    """All rows in order, as Arrow tables of texts.

    Raises:
        StartAgain: read them anew, from the first.
    """
    return in_order(tables.chunks(dict.fromkeys(tables.columns, pa.string())))
