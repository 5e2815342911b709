"""Data that one should not train on: a sentence that says why, whatever it is."""

from __future__ import annotations

import time
from pathlib import Path
from unittest.mock import patch

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlconsole.evidence.data import Violation
from mlconsole.services.datasets import DataChanged, DataUnfit, check, csv_file, identify, learn, profile, tables
from mlconsole.services.datasets.counting import count_violations
from mlconsole.services.datasets.csv_file import row_end


def found_wrong(folder: Path, content: str) -> tuple[Violation, ...]:
    (folder / "x.csv").write_text(content)
    found = profile(folder, identify(folder, "x.csv", folder / "cache"))
    return check(found, learn(found))


@pytest.mark.parametrize("value", ["1e999", "-1e999", "9" * 400, "inf"])
def test_numbers_beyond_float64(tmp_path: Path, value: str) -> None:
    (violation,) = found_wrong(tmp_path, f"a,b\n1,x\n2,x\n{value},x\n{value},y\n")
    assert (violation.rule, violation.level, violation.count) == ("infinite", "warn", 2)
    assert violation.sentence == "a has 2 values beyond 1.8e308: infinite, for most models."


@pytest.mark.parametrize(
    "formats",
    [
        ("2024-01-02", "02.01.2024", "01/02/2024"),
        ("2024-01-02T10:00:00Z", "2024-01-02T10:00:00"),
        ("2 Jan 2024", "January 2, 2024", "2024/01/02 10:00 PM"),
    ],
)
@pytest.mark.parametrize("times", [3, 4000])
def test_dates_in_several_formats(tmp_path: Path, formats: tuple[str, ...], times: int) -> None:
    (violation,) = found_wrong(tmp_path, "a;b\n" + "".join(f"{text};1\n" for text in formats) * times)
    words = f"a holds dates in {len(formats)} formats, so that it is read as text: "
    assert (violation.rule, violation.level) == ("dates", "warn")
    assert violation.sentence.startswith(words)
    assert set(violation.examples) == set(formats)


@pytest.mark.parametrize("texts", [("01/02/2024", "03/04/2024"), ("2024-01-02", "x", "y"), ("3.14.15", "red")])
def test_texts_of_one_format_or_none_are_texts(tmp_path: Path, texts: tuple[str, ...]) -> None:
    assert found_wrong(tmp_path, "a,b\n" + "".join(f"{text},1\n" for text in texts) * 3) == ()


@pytest.mark.parametrize(
    "texts",
    [
        ("1,234", "12,001.50", "7"),
        ("3,5", "4,25", "17"),
        ("1.234,50", "2.000", "12.345.678,9"),
        ("1\u202f234", "12 345,5", "3"),
        ("$12", "$ 1,300.00", "$7"),
        ("12 %", "7%", "0,5 %"),
    ],
)
@pytest.mark.parametrize("times", [3, 4000])
def test_numbers_as_people_write_them(tmp_path: Path, texts: tuple[str, ...], times: int) -> None:
    (violation,) = found_wrong(tmp_path, "a;b\n" + "".join(f"{text};1\n" for text in texts) * times)
    assert (violation.rule, violation.level) == ("numbers", "warn")
    assert violation.sentence.startswith("a holds numbers that are written in such a way that it is read as text: ")
    assert violation.examples[0] in texts


@pytest.mark.parametrize(
    "texts", [("192.168.1.1", "10.0.0.12"), ("V27", "12,5"), ("10:30", "11:45"), ("1.2.3", "2.0.1"), ("a,b", "c")]
)
def test_texts_that_only_look_like_numbers_are_texts(tmp_path: Path, texts: tuple[str, ...]) -> None:
    assert found_wrong(tmp_path, "a;b\n" + "".join(f"{text};1\n" for text in texts) * 30) == ()


@pytest.mark.parametrize("rows", [60, 30_000])
def test_what_alone_keeps_a_column_from_being_numbers(tmp_path: Path, rows: int) -> None:
    lines = [f"{n * 0.5},1\n" for n in range(rows)]
    lines[-3] = "n.a.?,1\n"
    (tmp_path / "x.csv").write_text("a,b\n" + "".join(lines))
    found = profile(tmp_path, identify(tmp_path, "x.csv", tmp_path / "cache"))
    schema = learn(found)
    (violation,) = count_violations(tmp_path, found, schema, check(found, schema))
    assert violation.sentence == "a is read as text for 1 row without a number: n.a.?."
    assert (violation.level, violation.examples) == ("warn", (f"row {rows - 2:,}: n.a.?",))


def test_texts_of_digits_are_meant_so_in_parquet(tmp_path: Path) -> None:
    pq.write_table(pa.table({"a": [f"{n:05}" for n in range(3000)], "b": [1] * 3000}), tmp_path / "x.parquet")
    found = profile(tmp_path, identify(tmp_path, "x.parquet", tmp_path / "cache"))
    schema = learn(found)
    assert count_violations(tmp_path, found, schema, check(found, schema)) == ()


def test_files_that_hold_different_things_in_one_column(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    pq.write_table(pa.table({"a": [1, 2], "b": [1.5, 2.5], "c": [None, None]}), tmp_path / "data/1.parquet")
    pq.write_table(pa.table({"b": [1, 2], "a": ["x", "y"], "c": ["z", "z"]}), tmp_path / "data/2.parquet")
    (tmp_path / "data/3.csv").write_text("a,b,c\n7,8.5,z\n")
    found = profile(tmp_path, identify(tmp_path, "data", tmp_path / "cache"))
    (violation,) = check(found, learn(found))
    assert violation.level == "warn"
    assert violation.sentence == (
        "a is read as text, for it is not one thing in all files: numbers in data/1.parquet and text in data/2.parquet."
    )


def test_a_first_row_that_is_no_header(tmp_path: Path) -> None:
    (violation,) = found_wrong(tmp_path, "5.1,3.5\n" + "4.9,3.1\n" * 10)
    assert (
        violation.sentence == "The names of all columns are numbers (5.1 and 3.5): perhaps the first row is no header."
    )
    assert found_wrong(tmp_path, "0,1\n" + "4.9,3.1\n" * 10) == ()


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("<!DOCTYPE html>\n<html><body>502</body></html>\n", "is a web page, and not a table"),
        ('{"a": 1}\n{"a": 2}\n', "is JSON, and not a table"),
        ("\ufeff<?xml version='1.0'?>\n<a/>\n", "is XML, and not a table"),
        ("version https://git-lfs.github.com/spec/v1\noid sha256:4d\nsize 1\n", "is a pointer of Git LFS"),
    ],
)
def test_what_only_has_the_name_of_a_table(tmp_path: Path, content: str, sentence: str) -> None:
    with pytest.raises(DataUnfit, match=sentence):
        found_wrong(tmp_path, content)


@given(st.lists(st.sampled_from([b"a", b'"', b"\n", b",", b"xyz"]), max_size=60), st.integers(1, 9))
def test_the_last_whole_row_ends_where_a_reader_of_every_letter_sees_it(parts: list[bytes], block: int) -> None:
    data = b"".join(parts)
    ends = [place + 1 for place in range(len(data)) if data[place : place + 1] == b"\n"]
    outside = [end for end in ends if data.count(b'"', 0, end) % 2 == 0]
    with patch.object(csv_file, "_BLOCK", block):
        assert row_end(data) == max(outside, default=0)


def test_millions_of_lines_within_one_open_mark_take_no_longer_than_other_lines() -> None:
    data = b'a,b\n1,"' + b"y\n" * 4_000_000
    started = time.process_time()
    assert row_end(data) == 4
    assert time.process_time() - started < 2  # by a loop over the lines it was minutes


def test_a_million_columns(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text(",".join(f"c{number}" for number in range(1_000_000)) + "\n")
    with pytest.raises(DataUnfit, match="a first line of more than 1 MiB, with 1"):
        profile(tmp_path, identify(tmp_path, "x.csv", tmp_path / "cache"))


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_too_many_columns(tmp_path: Path, ending: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "MOST_COLUMNS", 10)
    (tmp_path / "x.csv").write_text(",".join(f"c{number}" for number in range(11)) + "\n" + ",".join("1" * 11) + "\n")
    pq.write_table(pa.table({f"c{number}": [1] for number in range(11)}), tmp_path / "x.parquet")
    with pytest.raises(DataUnfit, match="has 11 columns; up to 10 can be profiled"):
        profile(tmp_path, identify(tmp_path, f"x.{ending}", tmp_path / "cache"))


@pytest.mark.parametrize("change", ["grows", "shrinks", "rewritten"])
def test_a_file_that_changes_while_it_is_read(tmp_path: Path, change: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x.csv"
    path.write_text("a,b\n" + "1,2\n" * 1000)
    identity = identify(tmp_path, "x.csv", tmp_path / "cache")
    monkeypatch.setattr(csv_file, "CHUNK", 256)
    whole = path.read_bytes()
    written = {"grows": whole + b"3,4\n" * 500, "shrinks": whole[:2000], "rewritten": whole.replace(b"1,2", b"5,6")}
    calls: list[int] = []

    def meddle(done: int) -> None:
        calls.append(done)
        if len(calls) == 2:
            path.write_bytes(written[change])

    with pytest.raises(DataChanged, match=r"while it (was|is) read|since it was identified"):
        profile(tmp_path, identity, report=meddle)


def test_a_name_with_a_space_at_its_end_is_shown_with_it(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("a,y \n1,2\n")
    with pytest.raises(DataUnfit) as caught:
        profile(tmp_path, identify(tmp_path, "x.csv", tmp_path / "cache"), target="y")
    assert caught.value.next_step == 'Did you mean "y "? Set `target` under `[data]`.'


def test_a_table_without_columns(tmp_path: Path) -> None:
    pq.write_table(pa.table({}), tmp_path / "x.parquet")
    with pytest.raises(DataUnfit, match=r"x\.parquet has no columns"):
        profile(tmp_path, identify(tmp_path, "x.parquet", tmp_path / "cache"), target="y")
