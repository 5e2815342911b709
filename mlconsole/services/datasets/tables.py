"""Reading tables as a stream of chunks that several threads can parse: CSV in its dialects, and Parquet.

A chunk is a function that parses it: the reader only cuts the file at row ends, so that the parsing, which is what
takes the time, runs beside the profile's own work in as many threads as there are cores.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa

from mlconsole.errors import Cancelled
from mlconsole.evidence.data import DataIdentity, Dialect
from mlconsole.services.datasets.csv_file import PLAIN, CsvFile
from mlconsole.services.datasets.faults import DataChanged, check_names, different_columns, too_wide
from mlconsole.services.datasets.parquet_file import ParquetFile
from mlconsole.text import clean_line

MOST_COLUMNS = 20_000
"""What is remembered of a column takes 20 KiB, so that this is 400 MiB."""
Types = Mapping[str, Any]
"""Arrow types by column name."""
Parse = Callable[[], Any]
"""Parses one chunk and returns it as an Arrow table."""


class TableFile(Protocol):
    """One file of a data set."""

    name: str
    columns: tuple[str, ...]

    def first_types(self) -> dict[str, Any]:
        """The types of the columns: final for Parquet, judged by the first rows for CSV."""

    def chunks(self, types: Types | None, columns: Sequence[str], tick: Callable[[int], None]) -> Iterator[Parse]:
        """Yield the file's chunks in order; without types, each chunk gets those that fit it."""


class Tables:
    """All files of a data set as one table.

    Args:
        root: the project's folder.
        identity: which files.
        report: gets the number of bytes read so far.
        cancelled: ends the reading.
        starts: the byte from which on the rows of a text file count; 0 is all of it.

    Raises:
        DataUnfit: a file can't be read as a table, or the files have different columns.
    """

    def __init__(
        self,
        root: Path,
        identity: DataIdentity,
        report: Callable[[int], None],
        cancelled: threading.Event | None,
        starts: Mapping[str, int] | None = None,
    ) -> None:
        self._identity, self._report, self._cancelled = identity, report, cancelled
        self.files: list[TableFile] = [_open(root / file.path, file.path, identity.dialect) for file in identity.files]
        first = self.files[0]
        self.columns = first.columns
        if len(self.columns) > MOST_COLUMNS:
            raise too_wide(first.name, len(self.columns), MOST_COLUMNS)
        check_names(first.name, [clean_line(column) for column in self.columns])
        for file in self.files[1:]:
            if set(file.columns) != set(self.columns) or len(file.columns) != len(self.columns):
                check_names(file.name, file.columns)
                raise different_columns(file.name, file.columns, first.name, self.columns)
        for file in self.files:
            if isinstance(file, CsvFile):
                file.begin_at((starts or {}).get(file.name, 0))

    def first_types(self) -> dict[str, Any]:
        """The types by the files' own word: by their schemas for Parquet, by the first rows of each CSV file."""
        return joined([types for _, types in self._first_files], self.columns)

    def mixed(self, column: str) -> tuple[str, ...]:
        """What a column holds in one file and in another, where that differs: `numbers in data/a.parquet`."""
        found: dict[str, str] = {}
        for name, types in self._first_files:
            if words := _kind_words(types[column]):
                found.setdefault(words, f"{words} in {clean_line(name)}")
        return tuple(found.values()) if len(found) > 1 else ()

    @cached_property
    def _first_files(self) -> list[tuple[str, Types]]:
        return [(file.name, file.first_types()) for file in self.files[:64]]

    def chunks(self, types: Types | None, columns: Sequence[str] = ()) -> Iterator[Parse]:
        """Yield the chunks of all files in order, of some columns or of all."""
        done = 0
        for file, recorded in zip(self.files, self._identity.files, strict=True):
            yield from file.chunks(types, columns or self.columns, partial(self._tick, done))
            done += recorded.size
        self._tick(done, 0)

    def _tick(self, before: int, read: int) -> None:
        if self._cancelled is not None and self._cancelled.is_set():
            raise Cancelled()
        if before + read > self._identity.size:
            raise DataChanged("The data grows while it is read.", "Wait until it is written whole, then try again.")
        self._report(before + read)


def _open(path: Path, name: str, dialect: Dialect | None) -> TableFile:
    if path.name.lower().endswith((".parquet", ".pq")):
        return ParquetFile(path, name)
    return CsvFile(path, name, dialect or PLAIN)


def joined(several: Sequence[Types], columns: Sequence[str]) -> dict[str, Any]:
    """The narrowest types that hold the values of all of `several`."""
    result: dict[str, Any] = {}
    for column in columns:
        kind = pa.null()
        for types in several:
            kind = _join(kind, types[column])
        result[column] = kind
    return result


def _join(one: Any, other: Any) -> Any:
    if one.equals(other) or pa.types.is_null(other):
        return one
    if pa.types.is_null(one):
        return other
    if _is_number(one) and _is_number(other):
        whole = pa.types.is_integer(one) and pa.types.is_integer(other)
        return pa.int64() if whole and not (one == pa.uint64() or other == pa.uint64()) else pa.float64()
    if _is_moment(one) and _is_moment(other) and getattr(one, "tz", None) == getattr(other, "tz", None):
        units = {getattr(one, "unit", "s"), getattr(other, "unit", "s")}
        finest = next(unit for unit in ("ns", "us", "ms", "s") if unit in units)
        return pa.timestamp(finest, tz=getattr(one, "tz", None))
    return pa.string()


def _kind_words(kind: Any) -> str:
    """What values of a type are, in a word; empty where there are none."""
    if pa.types.is_null(kind):
        return ""
    if _is_number(kind):
        return "numbers"
    if _is_moment(kind):
        return "dates"
    return "true or false" if pa.types.is_boolean(kind) else "text" if pa.types.is_string(kind) else str(kind)


def _is_number(kind: Any) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))


def _is_moment(kind: Any) -> bool:
    return bool(pa.types.is_date(kind) or pa.types.is_timestamp(kind))
