"""Text tables as people write them: any delimiter, quotation mark, encoding and compression."""

from __future__ import annotations

import bz2
import gzip
import lzma
import zipfile
from pathlib import Path

import pyarrow as pa
import pytest

from mlconsole.evidence.data import DataProfile, Dialect
from mlconsole.services.datasets import DataUnfit, appended_from, identify, profile

ROWS = "a,b,word\n" + "".join(f"{number},{number / 2},café {number % 3}\n" for number in range(500))


def profiled(folder: Path, name: str, content: bytes, dialect: Dialect | None = None) -> DataProfile:
    (folder / name).write_bytes(content)
    return profile(folder, identify(folder, name, folder / ".cache", dialect=dialect))


def assert_is_the_table(found: DataProfile) -> None:
    assert [(column.name, column.kind) for column in found.columns] == [
        ("a", "integer"),
        ("b", "number"),
        ("word", "category"),
    ]
    assert found.rows == 500
    assert {entry.value for entry in found.columns[2].top} == {"café 0", "café 1", "café 2"}


@pytest.mark.parametrize("mark", [",", ";", "\t", "|", "~", "^", "\x01"])
def test_the_delimiter_is_found(tmp_path: Path, mark: str) -> None:
    assert_is_the_table(profiled(tmp_path, "table.csv", ROWS.replace(",", mark).encode()))


@pytest.mark.parametrize("mark", [":", "_"])
def test_a_delimiter_that_may_be_text_is_named_in_the_settings(tmp_path: Path, mark: str) -> None:
    content = ROWS.replace(",", mark).encode()
    assert len(profiled(tmp_path, "table.csv", content).columns) == 1
    assert_is_the_table(profiled(tmp_path, "table.csv", content, Dialect(delimiter=mark)))


def test_text_with_an_odd_mark_in_it_stays_whole(tmp_path: Path) -> None:
    found = profiled(tmp_path, "table.csv", b"a~z,b\n" + b"x~y,1\n" * 20)
    assert [column.name for column in found.columns] == ["a~z", "b"]


def test_fields_may_be_enclosed_by_another_mark(tmp_path: Path) -> None:
    content = "a,b\n" + "'1,2','x\ny'\n" * 300
    found = profiled(tmp_path, "table.csv", content.encode(), Dialect(quote="'"))
    assert found.rows == 300
    assert found.columns[0].top[0].value == "1,2"
    with pytest.raises(DataUnfit, match="line 602: a quotation mark opens a field and is never closed"):
        profiled(tmp_path, "table.csv", f"{content}'3,4\n".encode(), Dialect(quote="'"))


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
@pytest.mark.parametrize("ending", ["", ".gz"])
def test_an_encoding_that_a_mark_tells_is_read(tmp_path: Path, encoding: str, ending: str) -> None:
    content = ROWS.encode(encoding)
    assert_is_the_table(profiled(tmp_path, f"table.csv{ending}", gzip.compress(content) if ending else content))


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("ending", ["", ".gz"])
@pytest.mark.parametrize("said", [None, Dialect(encoding="utf-16")])
def test_utf_16_without_a_mark_is_told_by_its_bytes(
    tmp_path: Path, encoding: str, ending: str, said: Dialect | None
) -> None:
    content = ROWS.encode(encoding)
    content = gzip.compress(content) if ending else content
    assert_is_the_table(profiled(tmp_path, f"table.csv{ending}", content, said))
    japanese = "番号,一日の値,地域\n" + "".join(f"{row},{row / 2},東京都一\n" for row in range(300))
    content = japanese.encode(encoding)
    found = profiled(tmp_path, f"ja.csv{ending}", gzip.compress(content) if ending else content, said)
    assert [column.name for column in found.columns] == ["番号", "一日の値", "地域"]
    assert found.columns[2].top[0].value == "東京都一"


@pytest.mark.parametrize("damage", [b"\0", b"\0\0", b"\0" * 600, b"x\0" * 30])
def test_a_damaged_text_is_not_taken_for_utf_16(tmp_path: Path, damage: bytes) -> None:
    content = ROWS.encode()
    with pytest.raises(DataUnfit, match="there is a NUL byte"):
        profiled(tmp_path, "table.csv", content[:1001] + damage + content[1001:])


@pytest.mark.parametrize("encoding", ["latin-1", "cp1252", "mac-roman"])
def test_another_encoding_is_named_in_the_settings(tmp_path: Path, encoding: str) -> None:
    content = ROWS.encode(encoding)
    assert_is_the_table(profiled(tmp_path, "table.csv", content, Dialect(encoding=encoding)))
    with pytest.raises(DataUnfit):
        profiled(tmp_path, "table.csv", content)


def test_what_is_not_so_encoded_is_told(tmp_path: Path) -> None:
    with pytest.raises(DataUnfit, match="is not encoded as utf-16"):
        profiled(tmp_path, "table.csv", ROWS.encode("utf-16") + b"x", None)
    with pytest.raises(DataUnfit, match="no encoding utf-17"):
        profiled(tmp_path, "table.csv", ROWS.encode(), Dialect(encoding="utf-17"))


@pytest.mark.parametrize("ending", ["gz", "bz2", "xz", "zst", "zip"])
def test_each_compression_is_read_and_told_when_it_is_cut_off(tmp_path: Path, ending: str) -> None:
    text = ROWS.encode()
    if ending == "zip":
        with zipfile.ZipFile(tmp_path / "made", "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("inside/table.csv", text)
        content = (tmp_path / "made").read_bytes()
    else:
        by_ending = {"gz": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress}
        content = by_ending[ending](text) if ending in by_ending else bytes(pa.compress(text, "zstd", asbytes=True))
    assert_is_the_table(profiled(tmp_path, f"table.csv.{ending}", content))
    for broken in (content[:-40], content[: len(content) // 2], b"no such thing"):
        with pytest.raises(DataUnfit, match=r"cut off or damaged|not compressed|no whole zip"):
            profiled(tmp_path, f"table.csv.{ending}", broken)


def test_an_archive_of_several_files_is_told(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "made", "w") as archive:
        archive.writestr("a.csv", ROWS)
        archive.writestr("b.csv", ROWS)
    with pytest.raises(DataUnfit, match=r"holds 2 files: a\.csv and b\.csv"):
        profiled(tmp_path, "table.zip", (tmp_path / "made").read_bytes())


def test_rows_appended_to_another_encoding_are_not_looked_for_by_their_bytes(tmp_path: Path) -> None:
    before = profiled(tmp_path, "table.csv", ROWS.encode("utf-16")).identity
    now = profiled(tmp_path, "table.csv", ROWS.encode("utf-16") + "1,2,é\n".encode("utf-16-le")).identity
    assert appended_from(tmp_path, now, before) is None
