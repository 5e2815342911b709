"""Rows that training has seen are counted, by the texts in their columns."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import pytest

from mlconsole.errors import Cancelled
from mlconsole.evidence.data import DataFile, DataIdentity, Dialect
from mlconsole.services.models.unseen import seen_rows

GOING_ON = threading.Event()


def seen(rows: Path, data: Sequence[Path], dialect: Dialect | None = None) -> int | None:
    return seen_rows(rows.parent, identity([rows], dialect), identity(data, dialect), GOING_ON)


def identity(paths: Sequence[Path], dialect: Dialect | None = None) -> DataIdentity:
    found = [DataFile(path=path.name, size=path.stat().st_size if path.exists() else 1, digest="") for path in paths]
    return DataIdentity(digest="", files=tuple(found), size=sum(file.size for file in found), dialect=dialect)


def a_table(path: Path, rows: list[str], header: str = "a,b") -> Path:
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


def test_rows_that_are_in_the_training_data_are_counted(tmp_path: Path) -> None:
    rows = a_table(tmp_path / "holdout.csv", ["1,2", "3,4", "3,4", "5,6"])
    first = a_table(tmp_path / "first.csv", ["3,4", "9,9"])
    second = a_table(tmp_path / "second.csv", ["1,2"])
    assert seen(rows, [first]) == 2
    assert seen(rows, [first, second]) == 3


def test_line_ends_do_not_hide_a_row(tmp_path: Path) -> None:
    rows = a_table(tmp_path / "holdout.csv", ["1,2"])
    data = tmp_path / "data.csv"
    data.write_bytes(b"a,b\r\n1,2\r\n")
    assert seen(rows, [data]) == 1


def test_neither_order_of_columns_nor_compression_nor_quotation_marks_hide_a_row(tmp_path: Path) -> None:
    rows = a_table(tmp_path / "holdout.csv", ["1,2", "3,4"])
    data = tmp_path / "data.csv.gz"
    data.write_bytes(gzip.compress(b'b,a\n"2","1"\n3,4\n'))
    assert seen(rows, [data]) == 1


def test_rows_are_known_in_the_encoding_that_the_settings_name(tmp_path: Path) -> None:
    rows, data = tmp_path / "holdout.csv", tmp_path / "data.csv"
    rows.write_bytes("a;b\nMünchen;1\nUlm;2\n".encode("latin-1"))
    data.write_bytes('b;a\n1;"München"\n'.encode("latin-1"))
    assert seen(rows, [data], Dialect(encoding="latin-1")) == 1
    assert seen(rows, [data]) is None


def test_rows_of_parquet_are_known_in_parquet(tmp_path: Path) -> None:
    frame = pd.DataFrame({"a": [1.5, 2.5], "b": ["x", None]})
    frame.to_parquet(tmp_path / "holdout.parquet")
    frame[1:].to_parquet(tmp_path / "data.parquet")
    assert seen(tmp_path / "holdout.parquet", [tmp_path / "data.parquet"]) == 1


@pytest.mark.parametrize(("name", "header"), [("data.csv", "b,c"), ("data.parquet", "a,b"), ("data.csv.gz", "a,b")])
def test_what_can_not_be_told_is_not_told(tmp_path: Path, name: str, header: str) -> None:
    rows = a_table(tmp_path / "holdout.csv", ["1,2"])
    assert seen(rows, [a_table(tmp_path / name, ["1,2"], header)]) is None
    assert seen(rows, [tmp_path / "gone.csv"]) is None


def test_it_can_be_cancelled(tmp_path: Path) -> None:
    cancelled = threading.Event()
    cancelled.set()
    rows, data = (identity([a_table(tmp_path / name, ["1,2"])]) for name in ("holdout.csv", "data.csv"))
    with pytest.raises(Cancelled):
        seen_rows(tmp_path, rows, data, cancelled)
