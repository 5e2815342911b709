"""Finding the data's files and saying which data they are."""

from __future__ import annotations

import hashlib
import os
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest

from mlconsole.errors import Cancelled, Exit
from mlconsole.services.datasets import DataChanged, DataMissing, files, find, identify


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in (
        "data/training.csv",
        "data/b.tsv",
        "data/a.parquet",
        "data/more.csv.gz",
        "data/notes.md",
        "data/_SUCCESS",
    ):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(name)
    (tmp_path / "data" / "deep").mkdir()
    (tmp_path / "data" / "deep" / "x.csv").write_text("x")
    (tmp_path / "data" / ".hidden.csv").write_text("x")
    return tmp_path


def names(root: Path, pattern: str) -> list[str]:
    return [path.relative_to(root).as_posix() for path in find(root, pattern)]


def test_finds_a_file_a_folder_or_a_pattern(root: Path) -> None:
    assert names(root, "data/training.csv") == ["data/training.csv"]
    assert names(root, "data/notes.md") == ["data/notes.md"], "a file is taken at its word"
    assert names(root, "data") == ["data/a.parquet", "data/b.tsv", "data/more.csv.gz", "data/training.csv"]
    assert names(root, "data/*.csv") == ["data/training.csv"]
    assert names(root, "data/**/*.csv") == ["data/deep/x.csv", "data/training.csv"]
    assert names(root, str(root / "data" / "b.tsv")) == ["data/b.tsv"]
    assert names(root, str(root / "data" / "*.tsv")) == ["data/b.tsv"]


def test_a_folder_with_tables_in_subfolders_only(root: Path) -> None:
    (root / "parts" / "year=2024").mkdir(parents=True)
    (root / "parts" / "year=2024" / "0.parquet").write_text("x")
    assert names(root, "parts") == ["parts/year=2024/0.parquet"]


def test_a_name_with_brackets_is_no_pattern(root: Path) -> None:
    (root / "data [1].csv").write_text("x")
    assert names(root, "data [1].csv") == ["data [1].csv"]


@pytest.mark.parametrize(
    ("pattern", "sentence", "next_step"),
    [
        ("data/trainin.csv", "There is no data/trainin.csv", "Did you mean data/training.csv?"),
        ("training.csv", "There is no training.csv", "Did you mean data/training.csv?"),
        ("data/*.arrow", "No file matches data/*.arrow", ""),
        ("", "No data is named", "Set `path`"),
        ("empty", "has no CSV or Parquet file", ""),
    ],
)
def test_missing_data_is_named_with_the_nearest_that_is_there(
    root: Path, pattern: str, sentence: str, next_step: str
) -> None:
    (root / "empty").mkdir()
    with pytest.raises(DataMissing) as caught:
        find(root, pattern)
    assert sentence in caught.value.sentence
    assert next_step in caught.value.next_step
    assert caught.value.exit_code == Exit.WRONG_USE


def test_a_link_into_nowhere_says_so(root: Path) -> None:
    (root / "link.csv").symlink_to(root / "cache" / "gone")
    with pytest.raises(DataMissing, match="link to a file that is not there"):
        find(root, "link.csv")


def test_the_digest_is_of_the_bytes(root: Path) -> None:
    identity = identify(root, "data/training.csv", root / "cache.json")
    assert identity.files[0].digest == "sha256:" + hashlib.sha256(b"data/training.csv").hexdigest()
    assert (identity.files[0].path, identity.size) == ("data/training.csv", len("data/training.csv"))
    assert identify(root, "data/training.csv", root / "other.json") == identity


def test_names_and_contents_make_the_identity(root: Path) -> None:
    before = identify(root, "data", root / "cache.json").digest
    (root / "data" / "b.tsv").rename(root / "data" / "c.tsv")
    renamed = identify(root, "data", root / "cache.json").digest
    (root / "data" / "c.tsv").write_text("other")
    assert len({before, renamed, identify(root, "data", root / "cache.json").digest}) == 3


def test_an_unchanged_file_is_not_read_again(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "SETTLED_NS", -1)
    read: list[Path] = []
    digest = files._digest

    def counted(path: Path, *arguments: object) -> str:
        read.append(path)
        return digest(path, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(files, "_digest", counted)
    first = identify(root, "data", root / "cache.json")
    assert len(read) == 4
    assert identify(root, "data", root / "cache.json") == first
    assert len(read) == 4
    path = root / "data" / "training.csv"
    stamp = path.stat()
    # the file system's clock has to tick once: within one tick nothing tells the two
    while path.stat().st_ctime_ns == stamp.st_ctime_ns:
        path.write_text("DATA/training.csv")
        os.utime(path, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    assert identify(root, "data", root / "cache.json") != first, "same size and time stamp, but not the same content"
    assert len(read) == 5


def test_a_file_that_was_just_written_is_not_trusted_to_the_cache(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "SETTLED_NS", 10**15)
    identify(root, "data", root / "cache.json")
    assert not (root / "cache.json").exists()


def test_how_long_a_file_takes_to_be_read_does_not_make_it_older(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [(root / "data" / "training.csv").stat().st_mtime_ns + 1]
    monkeypatch.setattr(files, "time", SimpleNamespace(time_ns=lambda: now[0]))

    def take_long(done: int) -> None:
        now[0] += 10**12

    identify(root, "data/training.csv", root / "cache.json", report=take_long)
    assert not (root / "cache.json").exists()
    identify(root, "data/training.csv", root / "cache.json")
    assert (root / "cache.json").exists()


@pytest.mark.parametrize("rubbish", [b"", b"{", b"[1]", b'{"a": 1}', b"\xff\xfe"])
def test_an_unusable_cache_is_made_anew(root: Path, monkeypatch: pytest.MonkeyPatch, rubbish: bytes) -> None:
    monkeypatch.setattr(files, "SETTLED_NS", -1)
    cache = root / "deep" / "cache.json"
    cache.parent.mkdir()
    cache.write_bytes(rubbish)
    identity = identify(root, "data", cache)
    assert identify(root, "data", cache) == identity
    assert b"training.csv" in cache.read_bytes()
    assert [path.name for path in cache.parent.iterdir()] == ["cache.json"], "no temporary file is left"


def test_a_file_that_is_written_to_meanwhile_is_noticed(root: Path) -> None:
    path = root / "data" / "training.csv"

    def write_more(done: int) -> None:
        with path.open("a") as file:
            file.write("more")

    with pytest.raises(DataChanged, match=r"data/training.csv changed while it was read"):
        identify(root, "data/training.csv", root / "cache.json", report=write_more)


def test_hashing_can_be_cancelled(root: Path) -> None:
    cancelled = threading.Event()
    cancelled.set()
    with pytest.raises(Cancelled):
        identify(root, "data", root / "cache.json", cancelled=cancelled)


def test_a_pipe_is_no_data(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "data.csv")
    with pytest.raises(DataMissing, match="neither a file nor a folder"):
        find(tmp_path, "data.csv")
