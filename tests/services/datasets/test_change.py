"""How the data differs from an earlier version's."""

from __future__ import annotations

import gzip
import subprocess
import sys
from pathlib import Path

import pytest

from mlconsole.evidence.data import DataChange, DataProfile
from mlconsole.services.datasets import appended_from, compare, identify, profile

BEFORE = "a,b\n1,2\n3,4\n"


def profiled(folder: Path, **files: str | bytes) -> DataProfile:
    data = folder / "data"
    data.mkdir(exist_ok=True)
    for path in data.iterdir():
        path.unlink()
    for name, content in files.items():
        path = data / (name.replace("_", ".", 1) if "_" in name else f"{name}.csv")
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    return profile(folder, identify(folder, "data", folder / "cache"))


def change(folder: Path, before: dict[str, str | bytes], after: dict[str, str | bytes]) -> DataChange:
    earlier = profiled(folder, **before)
    current = profiled(folder, **after)
    starts = appended_from(folder, current.identity, earlier.identity)
    return compare(current, earlier, "ml-model@v1", only_added=starts is not None)


def test_rows_that_were_added_at_the_end_are_counted(tmp_path: Path) -> None:
    found = change(tmp_path, {"x": BEFORE}, {"x": BEFORE + "5,6\n7,8\n9,10\n"})
    assert (found.rows_before, found.rows_after, found.rows_added) == (2, 5, 3)
    assert (found.files_changed, found.reference) == (("data/x.csv",), "ml-model@v1")


@pytest.mark.parametrize(
    ("before", "after", "added"),
    [
        (BEFORE, BEFORE, 0),
        (BEFORE, "a,b\n9,2\n3,4\n5,6\n", None),
        (BEFORE, "a,b\n5,6\n1,2\n3,4\n", None),
        (BEFORE, "a,b\n1,2\n", None),
        ("a,b\n1,2", "a,b\n1,23\n4,5\n", None),
        ("a,b\n1,2", "a,b\n1,2\n4,5\n", 1),
    ],
)
def test_added_rows_are_only_told_where_the_rest_stayed(
    tmp_path: Path, before: str, after: str, added: int | None
) -> None:
    assert change(tmp_path, {"x": before}, {"x": after}).rows_added == added


def test_files_and_columns_that_came_and_went(tmp_path: Path) -> None:
    found = change(tmp_path, {"x": BEFORE, "y": BEFORE}, {"x": "a,c\n1,2\n", "z": "a,c\n1,2\n"})
    assert (found.files_added, found.files_removed, found.files_changed) == (
        ("data/z.csv",),
        ("data/y.csv",),
        ("data/x.csv",),
    )
    assert (found.columns_added, found.columns_removed, found.rows_added) == (("c",), ("b",), None)


def test_a_new_file_beside_the_old_ones_only_adds_rows(tmp_path: Path) -> None:
    assert change(tmp_path, {"x": BEFORE}, {"x": BEFORE, "y": BEFORE}).rows_added == 2


def test_compressed_files_have_no_beginnings(tmp_path: Path) -> None:
    before, after = gzip.compress(BEFORE.encode()), gzip.compress((BEFORE + "5,6\n").encode())
    found = change(tmp_path, {"x_csv.gz": before}, {"x_csv.gz": after})
    assert (found.rows_before, found.rows_after, found.rows_added) == (2, 3, None)


def test_importing_the_service_is_cheap() -> None:
    code = "import sys, mlconsole.services.datasets; print({'numpy', 'pyarrow', 'pandas', 'yaml'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=100)
    assert done.stdout.strip() == "set()", done.stderr


def test_profiling_a_table_does_not_import_pandas(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("a,b,c\n1,x,0.5\n,y,\n3,,2.5\n")
    code = (
        "import sys; from pathlib import Path; from mlconsole.services.datasets import identify, profile;"
        "root = Path(sys.argv[1]);"
        "found = profile(root, identify(root, 'x.csv', root / 'c')); print(found.rows, 'pandas' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, timeout=100)
    assert done.stdout.split() == ["3", "False"], done.stderr
