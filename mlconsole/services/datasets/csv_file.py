"""One CSV file, compressed or not: its delimiter and header, and its rows in chunks that any thread can parse."""

from __future__ import annotations

import codecs
import csv
import io
import itertools
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv

from mlconsole.evidence.data import Dialect
from mlconsole.services.datasets import faults
from mlconsole.services.datasets.faults import DataUnfit
from mlconsole.services.datasets.text_stream import TextStream
from mlconsole.text import clean_line

CHUNK = 4 * 1024 * 1024
HEAD = 1024 * 1024
LONGEST_ROW = 64 * 1024 * 1024
_BLOCK = 1024 * 1024
_NEWLINE = ord("\n")
DELIMITERS = (",", ";", "\t", "|")
ODD_DELIMITERS = ("~", "^", "\x01", "\x1f")
"""Others that nobody writes into text. A space or colon may be text as well: the settings have to name them."""

# What pandas reads as missing: training will see the same holes.
MISSING = (
    *("", "NA", "N/A", "n/a", "<NA>", "#N/A", "#NA", "#N/A N/A", "NULL", "null", "None"),
    *("NaN", "nan", "-NaN", "-nan", "1.#IND", "-1.#IND", "1.#QNAN", "-1.#QNAN"),
)
_NO_TABLES = {
    (b"<!doctype", b"<html"): "a web page",
    (b"<?xml",): "XML",
    (b'{"', b"{ ", b"{\n", b"[{", b"[\n"): "JSON",
}
PLAIN = Dialect()
TRUE, FALSE = ("true", "True", "TRUE"), ("false", "False", "FALSE")


csv.field_size_limit(16 * LONGEST_ROW)


class StartAgain(Exception):
    """What was assumed of a file by its beginning turned out wrong: its chunks have to be read anew."""


class NeedsWiderTypes(StartAgain):
    """A value does not fit the type that its column was taken for; `column` is that column, where it is known."""

    def __init__(self, column: str = "") -> None:
        super().__init__(column)
        self.column = column


class CsvFile:
    """A CSV file, opened far enough to know its columns.

    Args:
        path: where it is; the ending says how it is compressed.
        name: what to call it in messages.
        dialect: what the settings say of how it is written.

    Raises:
        DataUnfit: it is empty, no text, or its header can't be read.
    """

    def __init__(self, path: Path, name: str, dialect: Dialect = PLAIN) -> None:
        self.name = name
        self._stream = TextStream(path, name, dialect.encoding)
        self._quote, self._mark = dialect.quote, dialect.quote.encode()
        self._old_mac = self._exact = False
        with self._stream.open() as stream:
            head = self._read(stream, HEAD)
        self._check_head(head)
        self._old_mac = b"\n" not in head and b"\r" in head
        head = head.replace(b"\r", b"\n") if self._old_mac else head
        start = len(codecs.BOM_UTF8) if head.startswith(codecs.BOM_UTF8) else 0
        while head[start : start + 1] in (b"\n", b"\r"):
            start += 1
        rows = head[start:]
        if len(head) == HEAD:
            rows = rows[: row_end(rows, self._mark) or rows.rfind(b"\n") + 1]
        if not rows:
            fields = 1 + max(head.count(mark.encode()) for mark in DELIMITERS)
            sentence = f"{name} has a first line of more than 1 MiB, with {fields:,} fields or more."
            raise DataUnfit(sentence, "Check that it is a table, and which way round it is.")
        self.check_text(head[: start + len(rows)], 0)
        self._delimiter = dialect.delimiter or sniff_delimiter(rows.decode("utf-8"), name, self._quote)
        _, lines, header = next(self.rows_of(rows))
        self.columns = tuple(header)
        self._body = start + _end_of_line(rows, lines)
        self._first_rows = rows[self._body - start :]

    @property
    def is_plain(self) -> bool:
        """Whether any reader takes it as it is: UTF-8 that is not compressed, commas, and usual quotation marks."""
        return self._stream.is_plain and self._delimiter == "," and self._quote == '"' and not self._old_mac

    def first_types(self) -> dict[str, Any]:
        """The types by the first rows; text where nothing narrower fits."""
        try:
            table = CsvChunk(self, self._first_rows, self._body).parse(None, self.columns)
        except (DataUnfit, StartAgain):
            # The pass over all rows will meet the same fault, and tells it with the right line.
            return {column: pa.null() for column in self.columns}
        return {field.name: field.type for field in table.schema}

    def chunks(
        self, types: Mapping[str, Any] | None, columns: Sequence[str], tick: Callable[[int], None]
    ) -> Iterator[Callable[[], Any]]:
        """Yield functions that each parse some whole rows.

        Raises:
            DataUnfit: from here or from one of the functions, with the line.
            StartAgain: from one of the functions.
        """
        done = False
        with self._stream.raw() as raw, self._stream.open(raw) as stream:
            if stream is raw:
                raw.seek(self._body)
            else:
                self._read(stream, self._body)
            rest, offset = b"", self._body
            while not done:
                data = self._read(stream, CHUNK)
                tick(raw.tell())
                done, data = not data, rest + data
                cut = len(data) if done else self._cut(data)
                if not cut and len(data) > LONGEST_ROW:
                    raise self._endless(data, offset)
                if done:
                    self._check_closed(data, offset)
                if cut:
                    yield partial(CsvChunk(self, data[:cut], offset).parse, types, columns)
                rest, offset = data[cut:], offset + cut

    def begin_at(self, offset: int) -> None:
        """Leave out the rows before a byte, at which a row begins. The file must not be compressed."""
        self._body = max(self._body, offset)

    def cut_exactly(self) -> bool:
        """From now on cut between rows by reading every field. False if that is how it was cut already."""
        was, self._exact = self._exact, True
        return not was

    def has_quotes(self, data: bytes) -> bool:
        """Whether some bytes of the file hold a quotation mark."""
        return self._mark in data

    def options(self, types: Mapping[str, Any] | None, columns: Sequence[str]) -> dict[str, Any]:
        """The pyarrow options that read this file as pandas would."""
        return {
            "parse_options": pa_csv.ParseOptions(
                delimiter=self._delimiter, quote_char=self._quote, newlines_in_values=True
            ),
            "convert_options": pa_csv.ConvertOptions(
                column_types=None if types is None else {column: types[column] for column in columns},
                include_columns=list(columns),
                null_values=list(MISSING),
                true_values=list(TRUE),
                false_values=list(FALSE),
                strings_can_be_null=True,
            ),
        }

    def rows_of(self, data: bytes) -> Iterator[tuple[int, int, list[str]]]:
        """Yield the rows of some bytes: how many lines end before and with each, and its fields."""
        before = 0
        try:
            text = io.StringIO(data.decode("utf-8", "replace"), newline="\n")
            reader = csv.reader(text, delimiter=self._delimiter, quotechar=self._quote)
            for row in reader:
                yield before, reader.line_num, row
                before = reader.line_num
        except csv.Error as error:
            if "new-line" in str(error):
                sentence = f"{self.name} has carriage returns within its lines."
                raise DataUnfit(sentence, "Write it with one kind of line ends.") from error
            raise DataUnfit(f"{self.name}: {error}.", "Write the file again from its source.") from error

    def line_at(self, offset: int) -> int:
        """The number of the line, from 1, in which a byte of the (decompressed) file is."""
        lines = 1
        with self._stream.open() as stream:
            while offset > 0 and (block := self._read(stream, min(offset, CHUNK))):
                lines += block.count(b"\n")
                offset -= len(block)
        return lines

    def _check_head(self, head: bytes) -> None:
        if not head.strip(b"\xef\xbb\xbf\r\n \t"):
            raise DataUnfit(f"{self.name} is empty.", "Put the data there, or set `path` under `[data]`.")
        if head.startswith((b"PK\x03\x04", b"PAR1", b"\x1f\x8b", b"BZh", b"\x28\xb5\x2f\xfd")):
            raise DataUnfit(f"{self.name} is not a text table, though its name says so.", "Correct its name.")
        if head.startswith(b"version https://git-lfs.github.com/spec/"):
            raise DataUnfit(f"{self.name} is a pointer of Git LFS: the data itself is not here.", "git lfs pull")
        start = head.lstrip(b"\xef\xbb\xbf\r\n \t")[:20].lower()
        for beginnings, what in _NO_TABLES.items():
            if start.startswith(beginnings):
                raise DataUnfit(f"{self.name} is {what}, and not a table.", "Fetch the data again, or convert it.")

    def check_text(self, data: bytes, offset: int) -> None:
        """Raise with the line where some bytes of the file are not UTF-8, or NUL."""
        position = data.find(b"\0")
        if position >= 0:
            raise faults.nul(self.name, self.line_at(offset) + data.count(b"\n", 0, position))
        try:
            data.decode("utf-8")
        except UnicodeDecodeError as error:
            line = self.line_at(offset) + data.count(b"\n", 0, error.start)
            raise faults.not_utf8(self.name, line) from error

    def _check_closed(self, data: bytes, offset: int) -> None:
        """Raise where the file ends inside of quotation marks; a mark within a field, as in `5" pipe`, is none."""
        if data.count(self._mark) % 2 == 0:
            return
        line = [start for start, _, _ in self.rows_of(data)][-1]
        last = data.split(b"\n", line)[line].decode("utf-8", "replace")
        try:
            text = io.StringIO(last, newline="\n")
            list(csv.reader(text, delimiter=self._delimiter, quotechar=self._quote, strict=True))
        except csv.Error as error:
            if "unexpected end" in str(error):
                raise faults.unclosed(self.name, self.line_at(offset) + line) from error

    def _endless(self, data: bytes, offset: int) -> DataUnfit:
        line = self.line_at(offset)
        if self._mark in data:
            return faults.unclosed(self.name, line)
        return DataUnfit(f"{self.name}, line {line:,}: the line is longer than 64 MiB.", "Check that it is a table.")

    def _cut(self, data: bytes) -> int:
        """Where the last whole row of some bytes ends, 0 if there is no end."""
        if not self._exact:
            return row_end(data, self._mark)
        return _end_of_line(data, [line for line, _, _ in self.rows_of(data)][-1])

    def _read(self, stream: BinaryIO, size: int) -> bytes:
        """Read up to `size` bytes, fewer only at the end."""
        import lzma
        import zipfile
        import zlib

        parts, left = [], size
        try:
            while left > 0 and (part := stream.read(left)):
                parts.append(part)
                left -= len(part)
        except UnicodeError as error:
            encoding = self._stream.encoding
            raise DataUnfit(f"{self.name} is not encoded as {encoding}.", "Set `encoding` under `[data]`.") from error
        except (EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile) as error:
            if "format not supported" in str(error):
                raise DataUnfit(f"{self.name} is not compressed as its ending says.", "Correct its name.") from error
            raise DataUnfit(f"{self.name} is cut off or damaged.", "Fetch or compress it again.") from error
        except OSError as error:
            if error.errno is None and "runcated" in str(error):
                raise DataUnfit(f"{self.name} is cut off or damaged.", "Fetch or compress it again.") from error
            if error.errno is None:
                raise DataUnfit(f"{self.name} is not compressed as its ending says.", "Correct its name.") from error
            raise faults.unreadable(self.name, error) from error
        data = b"".join(parts)
        return data.replace(b"\r", b"\n") if self._old_mac else data


class CsvChunk:
    """Some whole rows of a file, as bytes, and where in the file they begin."""

    def __init__(self, file: CsvFile, data: bytes, offset: int) -> None:
        self._file, self._data, self._offset = file, data, offset

    def parse(self, types: Mapping[str, Any] | None, columns: Sequence[str]) -> Any:
        """Return the rows as an Arrow table with some of the columns, of given types or of those that fit.

        Raises:
            DataUnfit, StartAgain.
        """
        options = self._file.options(types, columns)
        if not self._data.strip(b"\r\n"):
            kinds = [(types or {}).get(column, pa.null()) for column in columns]
            return pa.Table.from_arrays([pa.nulls(0, kind) for kind in kinds], list(columns))
        if b"\0" in self._data:
            self._file.check_text(self._data, self._offset)
        reading = pa_csv.ReadOptions(
            use_threads=False, block_size=len(self._data) + 1, column_names=list(self._file.columns)
        )
        try:
            table = pa_csv.read_csv(pa.BufferReader(self._data), read_options=reading, **options)
            return table if types is not None else table.cast(_plain(table.schema))
        except pa.ArrowInvalid as error:
            self._explain(error)

    def _explain(self, error: Exception) -> NoReturn:
        """Raise what is really wrong with the rows."""
        said = str(error)
        if "UTF8" in said or "UTF-8" in said:
            self._file.check_text(self._data, self._offset)
        if "conversion error" in said:
            place = re.search(r"column #(\d+)", said)
            known = place is not None and int(place[1]) < len(self._file.columns)
            raise NeedsWiderTypes(self._file.columns[int(place[1])] if place and known else "") from error
        if self._file.has_quotes(self._data) and self._file.cut_exactly():
            raise StartAgain from error
        expected = len(self._file.columns)
        for line, _, row in self._file.rows_of(self._data):
            if row and len(row) != expected:
                number = self._file.line_at(self._offset) + line
                raise faults.ragged(self._file.name, number, expected, len(row), self._line(line)) from error
        raise DataUnfit(
            f"{self._file.name} can't be read as a table: {clean_line(said)}.", "Write the file again from its source."
        ) from error

    def _line(self, number: int) -> str:
        return self._data.split(b"\n", number + 1)[number].decode("utf-8", "replace")


def _plain(schema: Any) -> Any:
    """A schema as this program counts: times of day and undecodable bytes are text."""
    odd = (pa.types.is_time, pa.types.is_binary, pa.types.is_duration)
    fields = [field.with_type(pa.string()) if any(test(field.type) for test in odd) else field for field in schema]
    return pa.schema(fields)


def row_end(data: bytes, mark: bytes = b'"') -> int:
    """Where the last whole row ends: after a line end with an even number of quotation marks before it."""
    end = data.rfind(b"\n")
    if end < 0 or data.count(mark, 0, end) % 2 == 0:
        return end + 1
    # in blocks from the end: within an open quotation mark there may be millions of lines
    before = data.count(mark, 0, end)
    while end > 0:
        start = max(end - _BLOCK, 0)
        block = np.frombuffer(data, np.uint8, end - start, start)
        marks, lines = np.flatnonzero(block == mark[0]), np.flatnonzero(block == _NEWLINE)
        before -= len(marks)
        whole = lines[(before + np.searchsorted(marks, lines)) % 2 == 0]
        if len(whole):
            return start + int(whole[-1]) + 1
        end = start
    return 0


def _end_of_line(data: bytes, lines: int) -> int:
    """Where so many lines end."""
    end = -1
    for _ in range(lines):
        end = data.find(b"\n", end + 1)
        if end < 0:
            return len(data)
    return end + 1


def sniff_delimiter(text: str, name: str, quote: str = '"') -> str:
    """Find what separates the fields: the delimiter that gives every one of the first rows the same number of them.

    The odd ones are taken only where the usual ones separate nothing.
    """
    best, best_score = ",", (False, 1)
    preferred = "\t" if ".tsv" in name.lower() else ","
    for delimiter in (*sorted(DELIMITERS, key=lambda mark: mark != preferred), *ODD_DELIMITERS):
        try:
            rows = csv.reader(io.StringIO(text, newline="\n"), delimiter=delimiter, quotechar=quote)
            widths = [len(row) for row in itertools.islice(rows, 100) if row]
        except csv.Error:
            continue
        score = (len(set(widths)) == 1, widths[0] if widths else 1)
        if delimiter in ODD_DELIMITERS and (best_score[1] > 1 or not score[0]):
            continue
        if score[1] > 1 and score > best_score:
            best, best_score = delimiter, score
    return best
