"""Data that one should not train on: a sentence that says why, whatever it is."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mlconsole.evidence.data import Violation
from mlconsole.services.datasets import DataChanged, DataUnfit, check, csv_file, identify, learn, profile, tables


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
