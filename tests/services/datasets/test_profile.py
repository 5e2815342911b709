"""The profiler against pandas on random tables, and on every kind of file that is no table."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import math
import tempfile
import threading
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from mlconsole.errors import Cancelled, Exit
from mlconsole.evidence.data import ColumnProfile, DataProfile
from mlconsole.services.datasets import DataChanged, DataUnfit, csv_file, identify, passes, profile, summaries


def profiled(folder: Path, content: str | bytes, name: str = "data.csv", **options: Any) -> DataProfile:
    (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)
    return profile(folder, identify(folder, name, folder / "cache.json"), **options)


def column(folder: Path, *values: str) -> ColumnProfile:
    return profiled(folder, "a,b\n" + "".join(f"{value},0\n" for value in values)).columns[0]


integers = st.one_of(st.none(), st.integers(-(2**40), 2**40))
numbers = st.one_of(st.none(), st.floats(allow_nan=False, allow_infinity=False, min_value=-1e100, max_value=1e100))
words = st.one_of(st.none(), st.text("abcdefgäß \"',;\n[]", min_size=1, max_size=6))
flags = st.one_of(st.none(), st.booleans())


@st.composite
def tables(draw: st.DrawFn) -> pd.DataFrame:
    rows = draw(st.integers(1, 40))
    columns = {}
    for index in range(draw(st.integers(1, 5))):
        values = draw(st.sampled_from([integers, numbers, words, flags]))
        columns[f"c{index}"] = pd.Series(draw(st.lists(values, min_size=rows, max_size=rows)), dtype="object")
    return pd.DataFrame({**columns, "last": range(rows)})


@settings(max_examples=150, suppress_health_check=list(HealthCheck))
@given(table=tables(), chunk=st.sampled_from([16, 64, 1 << 20]))
@example(table=pd.DataFrame({"a": pd.Series(['x"', "1\n2", "3"], dtype="object"), "last": [1, 2, 3]}), chunk=16)
@example(table=pd.DataFrame({'b 5"': pd.Series(["x", 'y"'], dtype="object"), "last": [1, 2]}), chunk=4)
@example(table=pd.DataFrame({"a": pd.Series([0.0, -0.0], dtype="object"), "last": [1, 2]}), chunk=1 << 20)
def test_agrees_with_pandas(table: pd.DataFrame, chunk: int) -> None:
    text = table.to_csv(index=False)
    expected = pd.read_csv(io.StringIO(text))
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(csv_file, "CHUNK", chunk)
        found = profiled(Path(folder), text)
    assert found.rows == len(expected)
    assert [entry.name for entry in found.columns] == list(expected.columns)
    for entry in found.columns:
        agree(entry, expected[entry.name])
    assert msgspec.json.decode(msgspec.json.encode(found), type=DataProfile) == found


def agree(entry: ColumnProfile, values: pd.Series) -> None:
    assert (entry.rows, entry.missing) == (len(values), int(values.isna().sum()))
    assert (entry.distinct, entry.distinct_exact) == (values.nunique(), True)
    present = values.dropna()
    if not len(present):
        assert entry.kind == "empty"
    elif present.map(lambda value: isinstance(value, bool)).all() or values.dtype == bool:
        assert entry.kind == "boolean"
    elif pd.api.types.is_numeric_dtype(values):
        assert entry.kind in ("integer", "number")
        whole = present.astype(float)
        assert (entry.minimum, entry.maximum) == (whole.min(), whole.max())
        assert entry.mean == pytest.approx(whole.mean(), rel=1e-9, abs=1e-9 * whole.abs().max())
        assert entry.deviation == pytest.approx(
            whole.std() if len(whole) > 1 else 0, rel=1e-6, abs=1e-6 * whole.abs().max()
        )
        exact = np.quantile(whole, summaries.QUANTILES)
        assert entry.quantiles == pytest.approx(tuple(exact), rel=1e-9, abs=1e-9 * whole.abs().max())
        assert entry.histogram is not None
        edges = entry.histogram.edges
        assert sum(entry.histogram.counts) == len(whole)
        assert len(edges) == len(entry.histogram.counts) + 1
        assert list(edges) == sorted(edges)
        assert edges[0] <= whole.min() and edges[-1] >= whole.max()
    else:
        assert entry.kind in ("text", "category")


@settings(max_examples=60)
@given(
    values=st.lists(st.floats(allow_nan=False, allow_infinity=False, width=64), min_size=1, max_size=200),
    cut=st.integers(0, 200),
)
def test_histograms_merge_without_losing_a_row(values: list[float], cut: int) -> None:
    parts = [np.array(part) for part in (values[:cut], values[cut:]) if part]
    grids = [summaries.Grid.of(part, part.min(), part.max(), whole=False) for part in parts]
    whole = grids[0] if len(grids) == 1 else grids[0].merged(grids[1])
    low, high = min(values), max(values)
    bins = whole.histogram(low, high)
    assert sum(bins.counts) == len(values)
    assert len(bins.counts) <= summaries.BINS
    inside = np.array(values)
    for start, end, count in zip(bins.edges[:-1], bins.edges[1:-1], bins.counts[:-1], strict=False):
        assert count == int(((inside >= start) & (inside < end)).sum())


def test_a_profile_does_not_depend_on_the_number_of_threads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(3)
    rows = 30_000
    text = pd.DataFrame({"x": rng.normal(size=rows), "k": rng.integers(0, 9, rows)}).to_csv(index=False)
    monkeypatch.setattr(csv_file, "CHUNK", 50_000)
    monkeypatch.setattr(passes, "SAMPLE_ROWS", 2_000)
    found = []
    for threads in (1, 4):
        monkeypatch.setattr(passes, "THREADS", threads)
        found.append(profiled(tmp_path, text))
    assert found[0] == found[1]
    x = found[0].columns[0]
    assert (x.distinct_exact, x.distinct >= 10_000) == (False, True)
    assert x.quantiles[3] == pytest.approx(0, abs=0.1)
    assert x.histogram is not None and sum(x.histogram.counts) == rows


@pytest.mark.parametrize(
    ("early", "late", "kind"),
    [
        ("1", "0.5", "number"),
        ("1", "x", "category"),
        ("0.5", "x", "category"),
        ("", "7", "integer"),
        ("", "x", "category"),
        ("true", "7", "category"),
        ("2024-01-01", "2024-01-01 12:30:00", "date"),
        ("2024-01-01", "soon", "category"),
        ("1", "99999999999999999999", "number"),
    ],
)
def test_a_type_that_only_shows_late_in_the_file_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, early: str, late: str, kind: str
) -> None:
    monkeypatch.setattr(csv_file, "CHUNK", 4096)
    monkeypatch.setattr(csv_file, "HEAD", 4096)
    found = column(tmp_path, *[early] * 20_000, late)
    assert (found.kind, found.rows, found.missing) == (kind, 20_001, 0 if early else 20_000)
    assert found.distinct == (2 if early else 1)


def test_dates_too_far_apart_for_one_unit_are_text_and_other_columns_stay(tmp_path: Path) -> None:
    text = "when,a,b\n2024-01-01,1,2024-01-01\n9999-12-31,2,2024-01-02\n2024-01-01 10:00:00.123456789,3,2024-01-03\n"
    found = profiled(tmp_path, text)
    assert [(entry.kind, entry.type) for entry in found.columns] == [
        ("category", "string"),
        ("integer", "int64"),
        ("date", "date32[day]"),
    ]


def test_knows_kinds(tmp_path: Path) -> None:
    rows = [
        f"{row}.5,{row},{row % 2 == 1},{'ab'[row % 2]},2024-01-{row + 1:02d},name {row},,2024-01-01T00:00:{row:02d}Z"
        for row in range(30)
    ]
    text = "\n".join(["n,i,b,c,d,t,e,when", *rows])
    found = {entry.name: entry for entry in profiled(tmp_path, text).columns}
    kinds = {name: entry.kind for name, entry in found.items()}
    assert kinds == {
        "n": "number",
        "i": "integer",
        "b": "boolean",
        "c": "category",
        "d": "date",
        "t": "text",
        "e": "empty",
        "when": "date",
    }
    assert (found["d"].earliest, found["d"].latest) == ("2024-01-01", "2024-01-30")
    assert found["when"].latest == "2024-01-01T00:00:29Z"
    assert [(entry.value, entry.count) for entry in found["b"].top] == [("False", 15), ("True", 15)]


@pytest.mark.parametrize("missing", ["", "NA", "null", "nan", "NaN", "NULL", "None", '""'])
def test_knows_what_is_missing(tmp_path: Path, missing: str) -> None:
    found = column(tmp_path, "1", missing, "3")
    assert (found.kind, found.missing, found.mean) == ("integer", 1, 2.0)


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_finds_the_delimiter(tmp_path: Path, delimiter: str) -> None:
    text = "\n".join(
        delimiter.join(row) for row in (("a", "b"), ("1,5" if delimiter != "," else "1.5", "x"), ("2", "y"))
    )
    assert [entry.name for entry in profiled(tmp_path, text).columns] == ["a", "b"]


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("last", [True, False])
def test_takes_any_line_end(tmp_path: Path, ending: str, last: bool) -> None:
    found = profiled(tmp_path, ending.join(["a,b", "1,x", "2,y"]) + (ending if last else ""))
    assert (found.rows, found.columns[0].maximum) == (2, 2.0)


def test_takes_a_byte_order_mark_and_blank_lines(tmp_path: Path) -> None:
    found = profiled(tmp_path, b"\xef\xbb\xbf\n" + "größe,b\n1,2\n\n3,4\n\n".encode())
    assert [entry.name for entry in found.columns] == ["größe", "b"]
    assert found.rows == 2


@pytest.mark.parametrize("chunk", [8, 32, 1 << 20])
def test_quoted_fields_may_hold_delimiters_and_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunk: int
) -> None:
    monkeypatch.setattr(csv_file, "CHUNK", chunk)
    text = 'a,"b, or\nso"\n1,"two\nlines, and a ""quote"""\n2,5" pipe\n3,"x\n\n"\n4,6" pipe\n5,7" pipe\n'
    found = profiled(tmp_path, text)
    assert [entry.name for entry in found.columns] == ["a", "b, or so"]
    assert (found.rows, found.columns[0].maximum, found.columns[1].distinct) == (5, 5.0, 5)


def test_a_quotation_mark_in_a_column_name_hides_no_row(tmp_path: Path) -> None:
    found = profiled(tmp_path, 'a,b 5"\n1,2\n3,4\n5,6"\n')
    assert [entry.name for entry in found.columns] == ["a", 'b 5"']
    assert (found.rows, found.columns[0].minimum) == (3, 1.0)


@pytest.mark.parametrize(
    ("ending", "pack"),
    [
        (".csv.gz", gzip.compress),
        (".csv.bz2", bz2.compress),
        (".csv.xz", lzma.compress),
        (".csv.zst", lambda data: pa.compress(data, "zstd", asbytes=True)),
    ],
)
def test_reads_compressed_files(tmp_path: Path, ending: str, pack: Any) -> None:
    name = f"data{ending}"
    content = pack(b"a,b\n" + b"1,2\n" * 1000)
    assert profiled(tmp_path, content, name).rows == 1000
    with pytest.raises(DataUnfit, match="cut off or damaged"):
        profiled(tmp_path, content[: len(content) // 2], name)
    with pytest.raises(DataUnfit, match="not compressed"):
        profiled(tmp_path, b"a,b\n1,2\n", name)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "is empty"),
        (b"\n\n", "is empty"),
        (b"a,b\n", "has a header, but no rows"),
        (b"a,b", "has a header, but no rows"),
        (b"a,b\n1,2\n1,2,3\n4,5\n", "line 3: 3 fields where the header has 2: `1,2,3`"),
        (b"a,b,c\n1,2,3\n4\n", "line 3: 1 field where the header has 3"),
        (b'a,b\n"x\ny",2\n1,2,3\n', "line 4: 3 fields"),
        (b'a,b\n1,2\n3,"x\n4,5\n6,7\n', "line 3: a quotation mark opens"),
        (b"a,a\n1,2\n", "two columns are called a"),
        (b"a,\n1,2\n", "column 2 has no name"),
        (b",a\n0,2\n", "column 1 has no name"),
        (b"a,b\nx,caf\xe9\n", "line 2: the text is not UTF-8"),
        (b"a,caf\xe9\nx,y\n", "line 1: the text is not UTF-8"),
        (b"a,b\n1,2\n3,\x004\n", "line 3: there is a NUL byte"),
        (b"PK\x03\x04rest", "not a text table"),
    ],
)
def test_what_is_no_table_is_refused_with_its_line(tmp_path: Path, content: bytes, sentence: str) -> None:
    with pytest.raises(DataUnfit, match=sentence) as caught:
        profiled(tmp_path, content)
    assert caught.value.exit_code == Exit.REFUSED
    assert "data.csv" in caught.value.sentence


@pytest.mark.parametrize(
    ("row", "sentence"),
    [(b"1,2,3\n", "3 fields"), (b"1,\xff\n", "not UTF-8"), (b"1,\x00\n", "NUL"), (b"x\n", "1 field")],
)
def test_the_line_is_right_far_into_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, row: bytes, sentence: str
) -> None:
    monkeypatch.setattr(csv_file, "CHUNK", 4096)
    monkeypatch.setattr(csv_file, "HEAD", 4096)
    content = b"a,b\n" + b"1,word\n" * 20_000 + row + b"1,word\n" * 5_000
    with pytest.raises(DataUnfit, match=f"line 20,002: .*{sentence}"):
        profiled(tmp_path, content)


def test_infinite_numbers_do_not_spoil_the_rest(tmp_path: Path) -> None:
    found = column(tmp_path, "1.5", "inf", "-inf", "2.5")
    assert (found.kind, found.missing, found.minimum, found.maximum, found.mean) == ("number", 0, 1.5, 2.5, 2.0)
    assert json.loads(msgspec.json.encode(found))["mean"] == 2.0


def test_a_constant_column_has_one_bin(tmp_path: Path) -> None:
    found = column(tmp_path, "2.5", "2.5")
    assert found.histogram is not None and found.histogram.counts == (2,)
    assert found.deviation == 0


def test_huge_numbers_stay_finite(tmp_path: Path) -> None:
    found = column(tmp_path, "1e308", "-1e308", "1.7e308", "5e-324")
    assert (found.minimum, found.maximum) == (-1e308, 1.7e308)
    assert all(value is None or math.isfinite(value) for value in (found.mean, found.deviation))
    assert found.histogram is not None and sum(found.histogram.counts) == 4


def test_names_and_values_lose_their_escapes(tmp_path: Path) -> None:
    found = profiled(tmp_path, "\x1b[31ma,b\n\x1b]0;t\x07x,[bold]\n")
    assert [entry.name for entry in found.columns] == ["a", "b"]
    assert [entry.top[0].value for entry in found.columns] == ["x", "[bold]"]


def test_the_target_has_to_be_there(tmp_path: Path) -> None:
    with pytest.raises(DataUnfit, match="no column biker,") as caught:
        profiled(tmp_path, "hour,bikers\n1,2\n", target="biker")
    assert "Did you mean bikers?" in caught.value.next_step
    assert profiled(tmp_path, "hour,bikers\n1,2\n", target="bikers").target == "bikers"


def test_files_of_a_folder_are_one_table(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "1.csv").write_text("a,b\n1,x\n2,y\n")
    (folder / "2.csv").write_text("b,a\nz,0.5\n")
    found = profile(tmp_path, identify(tmp_path, "data", tmp_path / "cache"))
    assert (found.rows, found.columns[0].kind, found.columns[0].minimum) == (3, "number", 0.5)
    assert found.columns[1].distinct == 3
    (folder / "3.csv").write_text("a,c\n1,2\n")
    with pytest.raises(DataUnfit, match=r"data/3.csv has other columns than data/1.csv: it lacks b and has c besides"):
        profile(tmp_path, identify(tmp_path, "data", tmp_path / "cache"))


def parquet(path: Path, **columns: Any) -> bytes:
    pq.write_table(pa.table(columns), path, row_group_size=1000)
    return path.read_bytes()


def test_parquet_gives_the_same_profile_as_csv(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    rows = 5000
    table = pd.DataFrame(
        {"x": rng.normal(size=rows).round(6), "k": rng.integers(0, 5, rows), "s": rng.choice(["a", "b"], rows)}
    )
    table.loc[:10, "s"] = None
    table.to_parquet(tmp_path / "data.parquet", index=False, row_group_size=700)
    from_parquet = profile(tmp_path, identify(tmp_path, "data.parquet", tmp_path / "cache"))
    from_csv = profiled(tmp_path, table.to_csv(index=False))
    for one, other in zip(from_parquet.columns, from_csv.columns, strict=True):
        assert (one.kind, one.missing, one.distinct, one.top) == (other.kind, other.missing, other.distinct, other.top)
        assert one.quantiles == other.quantiles
        assert one.mean == (pytest.approx(other.mean) if other.mean is not None else None)


def test_parquet_of_odd_types(tmp_path: Path) -> None:
    content = parquet(
        tmp_path / "x.parquet",
        category=pa.array(["a", "b", None] * 5).dictionary_encode(),
        nested=pa.array([[1], None, [2, 3]] * 5),
        big=pa.array([2**64 - 1, 0, None] * 5, pa.uint64()),
        money=pa.array([1, 2, None] * 5, pa.decimal128(10, 2)),
        raw=pa.array([b"\xff", b"a", None] * 5),
        day=pa.array([1, 2, None] * 5, pa.date64()).cast(pa.date64()),
        half=pa.array(np.array([1, 2, np.nan] * 5, np.float16)),
        time=pa.array([1, 2, None] * 5, pa.time32("s")),
        length=pa.array([1, 2, None] * 5, pa.duration("s")),
        large=pa.array(["a", "b", None] * 5, pa.large_string()),
    )
    found = {entry.name: entry for entry in profiled(tmp_path, content, "x.parquet").columns}
    assert {entry.missing for entry in found.values()} == {5}
    kinds = [found[name].kind for name in ("category", "big", "money", "day", "half", "large")]
    assert kinds == ["category", "integer", "number", "date", "number", "category"]
    assert found["nested"].kind == "text" and not found["nested"].distinct_exact


@pytest.mark.parametrize("part", [0, 3, 100, -10])
def test_a_parquet_file_that_is_cut_off_is_refused(tmp_path: Path, part: int) -> None:
    whole = parquet(tmp_path / "whole.parquet", a=list(range(5000)))
    with pytest.raises(DataUnfit, match=r"cut.parquet is (empty|not a whole Parquet file)"):
        profiled(tmp_path, whole[:part], "cut.parquet")


def test_a_parquet_file_with_damaged_pages_is_refused(tmp_path: Path) -> None:
    whole = bytearray(parquet(tmp_path / "whole.parquet", a=list(range(5000)), b=["x"] * 5000))
    whole[4:2000] = b"\xff" * 1996
    with pytest.raises(DataUnfit, match="not a whole Parquet file"):
        profiled(tmp_path, bytes(whole), "damaged.parquet")


def test_tells_its_progress_and_can_be_cancelled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_file, "CHUNK", 10_000)
    content = "a,b\n" + "1,2\n" * 50_000
    steps: list[int] = []
    found = profiled(tmp_path, content, report=steps.append)
    assert steps == sorted(steps) and len(steps) > 10
    assert steps[-1] == found.identity.size
    cancelled = threading.Event()
    with pytest.raises(Cancelled):
        profiled(tmp_path, content, report=lambda done: cancelled.set(), cancelled=cancelled)


def test_a_file_that_changed_since_it_was_identified_is_not_profiled(tmp_path: Path) -> None:
    path = tmp_path / "data.csv"
    path.write_text("a,b\n1,2\n")
    identity = identify(tmp_path, "data.csv", tmp_path / "cache")
    path.write_text("a,b\n1,2\n3,4\n")
    with pytest.raises(DataChanged, match="changed"):
        profile(tmp_path, identity)


def test_a_file_that_changes_while_it_is_profiled_is_noticed(tmp_path: Path) -> None:
    content = "a,b\n" + "1,2\n" * 100

    def write_again(done: int) -> None:
        (tmp_path / "data.csv").write_text(content.replace("1", "3"))

    with pytest.raises(DataChanged, match="changed while it was read"):
        profiled(tmp_path, content, report=write_again)


def test_a_file_that_is_cut_off_while_it_is_profiled_is_not_called_unfit(tmp_path: Path) -> None:
    def cut_off(done: int) -> None:
        (tmp_path / "data.csv").write_text("a,b\n1,2\n3")

    with pytest.raises(DataChanged, match="changed"):
        profiled(tmp_path, "a,b\n" + "1,2\n" * 100_000 + "3,4,5\n" * 2_000_000, report=cut_off)


def test_wide_tables_are_fine(tmp_path: Path) -> None:
    names = [f"c{index}" for index in range(2000)]
    found = profiled(tmp_path, ",".join(names) + "\n" + ",".join("1" * 2000) + "\n")
    assert len(found.columns) == 2000


pieces = st.sampled_from(
    (
        *(b"a", b"b,", b",", b";", b"\t", b"1", b"0.5", b"\n", b"\r", b"\r\n", b'"', b'""', b" ", b"'", b"\\", b"\0"),
        *(b"NA", b"true", b"2024-01-01", b"12:30", b"1e999", b"99999999999999999999"),
        *(b"\xff", b"\xc3\xa4", b"\xef\xbb\xbf", b"\x1b[31m"),
    )
)


@settings(max_examples=400, suppress_health_check=list(HealthCheck))
@given(body=st.lists(pieces, max_size=40).map(b"".join), chunk=st.sampled_from([4, 16, 1 << 20]))
def test_whatever_is_in_a_file_ends_in_a_profile_or_a_sentence(body: bytes, chunk: int) -> None:
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(csv_file, "CHUNK", chunk)
        try:
            found = profiled(Path(folder), b"x,y\n1,2\n" + body)
        except DataUnfit as error:
            assert error.sentence.startswith("data.csv")
            return
    assert found.rows >= 1
    assert all(entry.rows == found.rows and 0 <= entry.missing <= entry.rows for entry in found.columns)
    assert msgspec.json.decode(msgspec.json.encode(found), type=DataProfile) == found


@settings(max_examples=200, suppress_health_check=list(HealthCheck))
@given(body=st.lists(pieces, max_size=20).map(b"".join))
def test_whatever_the_header_is_ends_in_a_profile_or_a_sentence(body: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        try:
            found = profiled(Path(folder), body + b"\n1,2\n")
        except DataUnfit as error:
            assert error.sentence.startswith("data.csv")
            return
    assert found.columns


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("times", [1, 6000])
def test_numbers_as_far_apart_as_there_are_warn_nobody(tmp_path: Path, times: int) -> None:
    rows = [sign * (1.7e308 - row * 1e300) for row in range(times) for sign in (-1, 1)]
    (tmp_path / "x.csv").write_text("a\n" + "".join(f"{row!r}\n" for row in rows))
    (column,) = profile(tmp_path, identify(tmp_path, "x.csv", tmp_path / "cache")).columns
    assert (column.minimum, column.maximum) == (-1.7e308, 1.7e308)
    if times == 1:
        assert column.quantiles[3] == 0.0
