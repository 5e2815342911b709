"""Rows that training has seen are counted, word for word."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from mlconsole.errors import Cancelled
from mlconsole.services.models.unseen import seen_rows

GOING_ON = threading.Event()


def a_table(path: Path, rows: list[str], header: str = "a,b") -> Path:
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


def test_rows_that_are_in_the_training_data_are_counted(tmp_path: Path) -> None:
    rows = a_table(tmp_path / "holdout.csv", ["1,2", "3,4", "3,4", "5,6"])
    first = a_table(tmp_path / "first.csv", ["3,4", "9,9"])
    second = a_table(tmp_path / "second.csv", ["1,2"])
    assert seen_rows(rows, [first], GOING_ON) == 2
    assert seen_rows(rows, [first, second], GOING_ON) == 3


def test_line_ends_do_not_hide_a_row(tmp_path: Path) -> None:
    rows = a_table(tmp_path / "holdout.csv", ["1,2"])
    data = tmp_path / "data.csv"
    data.write_bytes(b"a,b\r\n1,2\r\n")
    assert seen_rows(rows, [data], GOING_ON) == 1


@pytest.mark.parametrize(("name", "header"), [("data.csv", "b,a"), ("data.parquet", "a,b"), ("data.csv.gz", "a,b")])
def test_what_can_not_be_told_is_not_told(tmp_path: Path, name: str, header: str) -> None:
    rows = a_table(tmp_path / "holdout.csv", ["1,2"])
    assert seen_rows(rows, [a_table(tmp_path / name, ["1,2"], header)], GOING_ON) is None
    assert seen_rows(rows, [tmp_path / "gone.csv"], GOING_ON) is None


def test_it_can_be_cancelled(tmp_path: Path) -> None:
    cancelled = threading.Event()
    cancelled.set()
    rows = a_table(tmp_path / "holdout.csv", ["1,2"])
    with pytest.raises(Cancelled):
        seen_rows(rows, [a_table(tmp_path / "data.csv", ["1,2"])], cancelled)
