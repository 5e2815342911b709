"""What DVC says of the data, beside what is there."""

from __future__ import annotations

import hashlib
import json
import os
import time
from pathlib import Path

import pytest

from mlconsole.services.datasets import DataMissing, dvc, files, find
from mlconsole.services.datasets.dvc import pointers

CONTENT = b"a,b\n1,2\n"
MD5 = hashlib.md5(CONTENT).hexdigest()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "data").mkdir()
    (tmp_path / "data/x.csv").write_bytes(CONTENT)
    return tmp_path


def point(path: Path, md5: str = MD5, out: str = "x.csv", **more: object) -> None:
    entry = {"md5": md5, "hash": "md5", "path": out, **more}
    path.write_text(json.dumps({"outs": [{key: value for key, value in entry.items() if value is not None}]}))


def test_a_pointer_that_tells_the_truth(root: Path) -> None:
    point(root / "data/x.csv.dvc", size=len(CONTENT))
    (found,) = pointers(root, root / "data/x.csv", root / "cache")
    assert (found.file, found.path, found.digest, found.matches) == ("data/x.csv.dvc", "data/x.csv", f"md5:{MD5}", True)
    assert found.sentence == "data/x.csv is what data/x.csv.dvc says."


@pytest.mark.parametrize("more", [{}, {"size": 9}, {"size": len(CONTENT)}])
def test_a_pointer_to_other_content(root: Path, more: dict[str, int]) -> None:
    point(root / "data/x.csv.dvc", md5="0" * 32, **more)
    (found,) = pointers(root, root / "data/x.csv", root / "cache")
    assert found.matches is False
    assert found.sentence == "data/x.csv is not what data/x.csv.dvc says (md5 000000000000…)."


def test_a_stage_that_writes_the_data(root: Path) -> None:
    outs = [{"path": "data/x.csv", "hash": "md5", "md5": MD5, "size": len(CONTENT)}, {"path": "y", "md5": "1" * 32}]
    (root / "dvc.lock").write_text(json.dumps({"schema": "2.0", "stages": {"prepare": {"cmd": "c", "outs": outs}}}))
    (found,) = pointers(root, root / "data/x.csv", root / "cache")
    assert (found.file, found.matches) == ("dvc.lock", True)


def folder_md5(folder: Path) -> str:
    listed = [
        {"md5": hashlib.md5(path.read_bytes()).hexdigest(), "relpath": path.relative_to(folder).as_posix()}
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    ]
    return hashlib.md5(json.dumps(listed, sort_keys=True).encode()).hexdigest() + ".dir"


@pytest.mark.parametrize("asked", ["data", "data/x.csv"])
def test_a_folder_that_is_tracked_as_a_whole(root: Path, asked: str) -> None:
    (root / "data/more").mkdir()
    (root / "data/more/y.csv").write_bytes(b"c\n3\n")
    point(root / "data.dvc", md5=folder_md5(root / "data"), out="data")
    assert [found.matches for found in pointers(root, root / asked, root / "cache")] == [True]
    (root / "data/more/y.csv").write_bytes(b"c\n4\n")
    assert [found.matches for found in pointers(root, root / asked, root / "cache")] == [False]


def test_older_pointers_did_not_count_line_ends(root: Path) -> None:
    point(root / "data/x.csv.dvc", hash=None)
    assert pointers(root, root / "data/x.csv", root / "cache")[0].matches is True
    (root / "data/x.csv").write_bytes(CONTENT.replace(b"\n", b"\r\n"))
    assert pointers(root, root / "data/x.csv", root / "cache")[0].matches is None


def test_data_that_was_not_pulled_is_asked_for(root: Path) -> None:
    (root / "data/x.csv").unlink()
    point(root / "data/x.csv.dvc")
    with pytest.raises(DataMissing, match="is tracked by DVC, and not here") as raised:
        find(root, "data/x.csv")
    assert raised.value.next_step == "Fetch it: dvc pull data/x.csv"


@pytest.mark.parametrize("rubbish", ["", "[]", "outs: 3", "outs: [3]", "outs: [{md5: 4, path: x.csv}]", ": :", "\0"])
def test_a_pointer_that_is_none_says_nothing(root: Path, rubbish: str) -> None:
    (root / "data/x.csv.dvc").write_text(rubbish)
    (root / "dvc.lock").write_text(f"stages: {rubbish}")
    assert pointers(root, root / "data/x.csv", root / "cache") == ()


def test_the_data_is_not_read_again_for_it(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settled = time.time() - 10
    os.utime(root / "data/x.csv", (settled, settled))
    monkeypatch.setattr(files, "SETTLED_NS", -(10**12))
    point(root / "data/x.csv.dvc")
    assert pointers(root, root / "data/x.csv", root / "cache")[0].matches is True
    monkeypatch.setattr(files, "_digest", None)
    assert pointers(root, root / "data/x.csv", root / "cache")[0].matches is True


def test_nothing_is_read_where_there_is_no_pointer(root: Path) -> None:
    assert dvc.pointer_files(root, root / "data/x.csv") == ()
    assert pointers(root, root / "data/x.csv", root / "cache") == ()
