"""Which files are whole, and what they hold."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from mlconsole.evidence.watching import Sighting
from mlconsole.services.triggers.files import (
    FileScan,
    Look,
    NotWhole,
    is_being_written,
    kept_path,
    read_digest,
)

SETTLE = 5.0


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def inbox(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "inbox"
    folder.mkdir()
    yield folder


def scan(inbox: Path, clock: Clock, pattern: str = "inbox/*.csv") -> FileScan:
    return FileScan(inbox.parent, pattern, SETTLE, clock=clock)


def names(look: Look) -> list[str]:
    return [Path(file.path).name for file in look.whole]


def sightings(look: Look) -> dict[str, Sighting]:
    return {file.place: Sighting(stamp=file.stamp, digest="") for file in look.whole}


def test_a_file_counts_once_it_has_not_changed_for_the_settled_time(inbox: Path, clock: Clock) -> None:
    files = scan(inbox, clock)
    (inbox / "may.csv").write_text("a\n1\n")
    assert files.look({}) == Look((), 1, (), SETTLE)
    clock.now += 4
    with (inbox / "may.csv").open("a") as file:
        file.write("2\n")
    assert names(files.look({})) == []
    clock.now += 4
    assert files.look({}).next_in == pytest.approx(1)
    clock.now += 1
    assert names(files.look({})) == ["may.csv"]


def test_old_time_stamps_do_not_make_a_file_whole(inbox: Path, clock: Clock) -> None:
    files = scan(inbox, clock)
    (inbox / "may.csv").write_text("a\n")
    os.utime(inbox / "may.csv", (1, 1))
    assert names(files.look({})) == []


def test_a_file_that_is_renamed_into_place_counts_at_once(inbox: Path, clock: Clock) -> None:
    files = scan(inbox, clock)
    (inbox / "may.csv.part").write_text("a\n1\n")
    assert files.look({}) == Look()
    (inbox / "may.csv.part").rename(inbox / "may.csv")
    assert names(files.look({})) == ["may.csv"]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux tells who has a file open")
def test_a_file_that_somebody_has_open_for_writing_does_not_count(inbox: Path, clock: Clock) -> None:
    files = scan(inbox, clock)
    with (inbox / "may.csv").open("w") as file:
        file.write("a\n1\n")
        file.flush()
        files.look({})
        clock.now += 60
        assert names(files.look({})) == []
        assert is_being_written(inbox / "may.csv")
    with (inbox / "may.csv").open() as reader:
        assert reader.read(1) == "a"
        assert not is_being_written(inbox / "may.csv"), "reading it is no matter"
    assert names(files.look({})) == ["may.csv"]


def test_what_counted_is_not_looked_at_again_until_it_changes(inbox: Path, clock: Clock) -> None:
    files = scan(inbox, clock)
    (inbox / "may.csv").write_text("a\n1\n")
    files.look({})
    clock.now += SETTLE
    known = sightings(files.look({}))
    assert files.look(known) == Look()
    (inbox / "may.csv").write_text("a\n1\n2\n")
    assert files.look(known).growing == 1
    (inbox / "may.csv").unlink()
    assert files.look(known).gone == ("inbox/may.csv",)


def test_names_that_programs_write_under_empty_and_hidden_files_do_not_count(inbox: Path, clock: Clock) -> None:
    for name in (".hidden.csv", "x.csv.part", "x.tmp", "y.crdownload"):
        (inbox / name).write_text("a\n")
    (inbox / "empty.csv").touch()
    (inbox / ".git").mkdir()
    (inbox / ".git" / "z.csv").write_text("a\n")
    files = scan(inbox, clock, "inbox/**/*")
    files.look({})
    clock.now += SETTLE
    assert files.look({}) == Look()


def test_a_folder_means_its_tables_and_a_name_means_that_file(inbox: Path, clock: Clock) -> None:
    for name in ("b.csv", "a.parquet", "readme.md", "_SUCCESS"):
        (inbox / name).write_text("a\n")
    for pattern, expected in (("inbox", ["a.parquet", "b.csv"]), ("inbox/b.csv", ["b.csv"]), ("inbox/none.csv", [])):
        files = scan(inbox, clock, pattern)
        files.look({})
        clock.now += SETTLE
        assert names(files.look({})) == expected


def test_the_nearest_folder_that_is_there_is_what_has_to_be_watched(inbox: Path, clock: Clock) -> None:
    assert scan(inbox, clock).folder == inbox
    assert scan(inbox, clock, "inbox").folder == inbox
    assert scan(inbox, clock, "later/in/*.csv").folder == inbox.parent
    assert not scan(inbox, clock).reaches_down
    assert scan(inbox, clock, "inbox/*/x.csv").reaches_down


def test_the_content_is_kept_whole_under_its_digest(inbox: Path, clock: Clock, tmp_path: Path) -> None:
    files = scan(inbox, clock)
    (inbox / "may.csv").write_text("a\n1\n")
    files.look({})
    clock.now += SETTLE
    [file] = files.look({}).whole
    expected = f"sha256:{hashlib.sha256((inbox / 'may.csv').read_bytes()).hexdigest()}"
    assert read_digest(file) == expected
    assert read_digest(file, tmp_path / "kept") == expected
    assert kept_path(tmp_path / "kept", expected).read_text() == "a\n1\n"
    assert [path.name for path in (tmp_path / "kept").iterdir()] == [expected.removeprefix("sha256:")]


def test_a_file_that_changes_while_it_is_read_is_not_taken_for_whole(inbox: Path, clock: Clock, tmp_path: Path) -> None:
    files = scan(inbox, clock)
    (inbox / "may.csv").write_text("a\n1\n")
    files.look({})
    clock.now += SETTLE
    [file] = files.look({}).whole
    (inbox / "may.csv").write_text("a\n1\n2\n")
    with pytest.raises(NotWhole):
        read_digest(file, tmp_path / "kept")
    (inbox / "may.csv").unlink()
    with pytest.raises(NotWhole):
        read_digest(file)
