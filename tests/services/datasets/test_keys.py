"""Rows known by their key: added, removed, changed."""

from __future__ import annotations

from pathlib import Path

import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest

from mlconsole.services.datasets import DataUnfit, identify, keys

BEFORE = "id,day,x\n1,Mo,1.0\n2,Tu,2.0\n3,We,\n4,Th,4.0\n"


def rows(folder: Path, content: str, *key: str) -> keys.Rows:
    (folder / "x.csv").write_text(content)
    return keys.read_rows(folder, identify(folder, "x.csv", folder / "cache"), key or ("id",))


@pytest.mark.parametrize(
    ("after", "counts"),
    [
        (BEFORE, (0, 0, 0, 4)),
        ("id,day,x\n4,Th,4.0\n3,We,NA\n2,Tu,2.0\n1,Mo,1.0\n", (0, 0, 0, 4)),
        ("x,id,day\n1.0,1,Mo\n2.0,2,Tu\n,3,We\n4.0,4,Th\n", (0, 0, 0, 4)),
        ("id,day,x\n1,Mo,1.0\n2,Tu,2.5\n3,We,3.0\n5,Fr,5.0\n6,Sa,six\n", (2, 1, 2, 1)),
    ],
)
def test_rows_that_came_went_and_changed(tmp_path: Path, after: str, counts: tuple[int, int, int, int]) -> None:
    found = keys.compare(rows(tmp_path, BEFORE), rows(tmp_path, after), ("id",))
    assert (found.added, found.removed, found.changed, found.same) == counts


def test_a_key_of_several_columns(tmp_path: Path) -> None:
    before = rows(tmp_path, "a,b,x\n1,12,0\n11,2,0\n", "a", "b")
    assert len(before.keys) == 2
    assert keys.compare(before, rows(tmp_path, "a,b,x\n11,2,0\n1,12,9\n", "a", "b"), ("a", "b")).changed == 1


def test_a_key_that_repeats_is_counted(tmp_path: Path) -> None:
    found = rows(tmp_path, "id,x\n1,1\n1,2\n1,3\n2,1\n")
    assert (len(found.keys), found.repeated) == (2, 2)
    again = rows(tmp_path, "id,x\n1,3\n1,2\n2,1\n1,1\n")
    assert keys.compare(found, again, ("id",)).same == 2


def test_parquet_and_csv_have_the_same_whole_numbers(tmp_path: Path) -> None:
    before = rows(tmp_path, "id,x\n1,5\n2,6\n")
    pq.write_table(pa_csv.read_csv(tmp_path / "x.csv"), tmp_path / "x.parquet")
    now = keys.read_rows(tmp_path, identify(tmp_path, "x.parquet", tmp_path / "cache"), ("id",))
    assert keys.compare(before, now, ("id",)).same == 2


def test_a_key_that_is_no_column_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(DataUnfit, match="The data has no column idd, which is the key") as raised:
        rows(tmp_path, BEFORE, "idd")
    assert "Did you mean id?" in raised.value.next_step


def test_rows_are_kept_and_the_oldest_let_go(tmp_path: Path) -> None:
    found = rows(tmp_path, BEFORE)
    for number in range(keys.KEPT + 3):
        keys.save(tmp_path / "rows", f"sha256:{number}", ("id",), found)
    assert len(list((tmp_path / "rows").iterdir())) == keys.KEPT
    kept = keys.load(tmp_path / "rows", f"sha256:{keys.KEPT + 2}", ("id",))
    assert kept is not None
    assert keys.compare(kept, found, ("id",)).same == 4
    assert keys.load(tmp_path / "rows", f"sha256:{keys.KEPT + 2}", ("day",)) is None


@pytest.mark.parametrize("rubbish", [b"", b"\x93NUMPY", b"no array", b"\x80\x04\x95"])
def test_rows_that_are_not_whole_are_not_taken(tmp_path: Path, rubbish: bytes) -> None:
    keys.save(tmp_path, "sha256:0", ("id",), rows(tmp_path, BEFORE))
    next(tmp_path.glob("*.npy")).write_bytes(rubbish)
    assert keys.load(tmp_path, "sha256:0", ("id",)) is None
