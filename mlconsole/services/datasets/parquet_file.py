"""One Parquet file: its columns, and its row groups in batches."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pa_parquet

from mlconsole.services.datasets import faults
from mlconsole.services.datasets.faults import DataUnfit
from mlconsole.text import clean_line

BATCH_ROWS = 64 * 1024


class ParquetFile:
    """A Parquet file, opened far enough to know its columns.

    Raises:
        DataUnfit: it is not a whole Parquet file.
    """

    def __init__(self, path: Path, name: str) -> None:
        self.name = name
        self._path = path
        with self._open() as file:
            self._schema = file.schema_arrow
        self.columns = tuple(self._schema.names)

    def first_types(self) -> dict[str, Any]:
        """The types of the columns, as the file's schema has them."""
        return {field.name: _plain(field.type) for field in self._schema}

    def chunks(
        self, types: Mapping[str, Any] | None, columns: Sequence[str], tick: Callable[[int], None]
    ) -> Iterator[Callable[[], Any]]:
        """Yield functions that each return some rows as an Arrow table."""
        wanted = pa.schema([(column, (types or self.first_types())[column]) for column in columns])
        size, seen = self._path.stat().st_size, 0
        with self._open() as file:
            total = max(file.metadata.num_rows, 1)
            batches = file.iter_batches(batch_size=BATCH_ROWS, columns=list(columns))
            while (batch := self._next(batches)) is not None:
                seen += batch.num_rows
                tick(size * seen // total)
                yield partial(_cast, batch, wanted, self.name)

    def _next(self, batches: Iterator[Any]) -> Any:
        try:
            return next(batches, None)
        except (pa.ArrowException, OSError) as error:
            raise self._damaged(error) from error

    def _open(self) -> Any:
        try:
            return pa_parquet.ParquetFile(self._path, pre_buffer=False)
        except FileNotFoundError as error:
            raise faults.unreadable(self.name, error) from error
        except PermissionError as error:
            raise faults.unreadable(self.name, error) from error
        except (pa.ArrowException, OSError) as error:
            if self._path.stat().st_size == 0:
                raise DataUnfit(f"{self.name} is empty.", "Write the file again from its source.") from error
            raise self._damaged(error) from error

    def _damaged(self, error: Exception) -> DataUnfit:
        reason = clean_line(str(error).split("\n")[0]).rstrip(".")
        return DataUnfit(f"{self.name} is not a whole Parquet file: {reason}.", "Fetch or write it again.")


def _plain(kind: Any) -> Any:
    """A type as this program counts: what is stored as a dictionary or in another width is what it stands for."""
    if pa.types.is_dictionary(kind):
        return _plain(kind.value_type)
    if pa.types.is_large_string(kind) or str(kind) == "string_view" or pa.types.is_time(kind):
        return pa.string()
    if pa.types.is_decimal(kind):
        return pa.float64()
    return kind


def _cast(batch: Any, wanted: Any, name: str) -> Any:
    table = pa.Table.from_batches([batch]).select(wanted.names)
    if table.schema.equals(wanted):
        return table
    try:
        return table.cast(wanted, safe=False)
    except pa.ArrowException as error:
        reason = clean_line(str(error).split("\n")[0]).rstrip(".")
        raise DataUnfit(f"{name} has a column of another type than the first file: {reason}.", "") from error
