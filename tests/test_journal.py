"""The journal keeps what was written, in whichever process, and tells who is gone."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from mlconsole.errors import Refused, WrongUse
from mlconsole.evidence.base import Fingerprint, Input, now
from mlconsole.evidence.release import Note, Runner, StageRun
from mlconsole.evidence.training import ModelFile, ModelVersion
from mlconsole.journal import Journal, JournalFailed, NoSuchRelease, ProjectGone


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    journal = Journal(tmp_path / ".mlconsole" / "journal.db")
    yield journal
    journal.close()


def a_version(number: int, digest: str = "sha256:aa") -> ModelVersion:
    model = ModelFile(digest=digest, size=10, filename="model.pkl")
    return ModelVersion(name="m", number=number, model=model, release=number, created_at=now())


def test_a_release_is_read_back_as_it_was_written(journal: Journal) -> None:
    begun = journal.begin_release(kind="release", who="ada", approved=True, reason="weekly")
    assert journal.release(1) == begun
    assert journal.latest_release() == begun


def test_a_journal_that_was_removed_is_told_from_one_that_is_there(journal: Journal, tmp_path: Path) -> None:
    journal.begin_release(kind="release", who="ada", approved=True)
    journal.check_there()
    moved = (tmp_path / ".mlconsole").rename(tmp_path / "moved")
    assert journal.is_gone
    with pytest.raises(ProjectGone, match="is not there any more"):
        journal.check_there()
    Journal(tmp_path / ".mlconsole" / "journal.db").close()
    assert journal.is_gone, "that is another one"
    assert not (moved / "journal.db").samefile(tmp_path / ".mlconsole" / "journal.db")


def test_only_one_release_runs_at_a_time(journal: Journal) -> None:
    journal.begin_release(kind="release", who="ada", approved=False)
    with pytest.raises(Refused, match="Release 1 is running"):
        journal.begin_release(kind="release", who="bob", approved=False)


def test_a_release_whose_runner_died_is_interrupted_and_can_be_taken_over(journal: Journal) -> None:
    begun = journal.begin_release(kind="release", who="ada", approved=False)
    journal.save_stage(StageRun(release=1, stage="train", attempt=1, state="running", started_at=now()))
    assert begun.runner is not None
    dead = msgspec.structs.replace(begun.runner, started=begun.runner.started - 1000)
    journal.save_release(msgspec.structs.replace(begun, runner=dead))

    assert journal.release(1).state == "interrupted"
    assert [run.state for run in journal.stage_runs(1)] == ["interrupted"]
    assert journal.take_over(1, approved=True).state == "running"
    assert journal.release(1).approved


def test_a_runner_on_another_host_counts_as_alive(journal: Journal) -> None:
    begun = journal.begin_release(kind="release", who="ada", approved=False)
    elsewhere = Runner(pid=1, started=0, host="another-host")
    journal.save_release(msgspec.structs.replace(begun, runner=elsewhere))
    assert journal.release(1).state == "running"


def test_a_runner_is_the_same_where_the_clock_was_set_right_since_it_began(journal: Journal) -> None:
    begun = journal.begin_release(kind="release", who="ada", approved=False)
    assert begun.runner is not None
    told_later = msgspec.structs.replace(begun.runner, started=begun.runner.started + 1.5)
    journal.save_release(msgspec.structs.replace(begun, runner=told_later))
    assert journal.release(1).state == "running"


def test_the_latest_attempt_at_a_stage_counts(journal: Journal) -> None:
    journal.begin_release(kind="release", who="ada", approved=False)
    for attempt, state in ((1, "failed"), (2, "done")):
        journal.save_stage(StageRun(release=1, stage="data", attempt=attempt, state=state, started_at=now()))  # type: ignore[arg-type]
    assert [(run.attempt, run.state) for run in journal.stage_runs(1)] == [(2, "done")]
    assert journal.attempts(1, "data") == 2


def test_a_done_stage_is_found_by_its_fingerprint(journal: Journal) -> None:
    mine = Fingerprint(digest="sha256:1", inputs=(Input(name="data", digest="x"),))
    other = Fingerprint(digest="sha256:2", inputs=(Input(name="data", digest="y"),))
    run = StageRun(release=1, stage="data", attempt=1, state="done", started_at=now(), fingerprint=mine)
    journal.save_stage(run)
    assert journal.done_stage("data", mine) == run
    assert journal.done_stage("data", other) is None
    assert other.changed_since(mine) == ("data",)


def test_what_was_only_reused_or_waiting_is_not_the_last_run(journal: Journal) -> None:
    for release, state in ((1, "refused"), (2, "reused"), (3, "waiting")):
        journal.save_stage(StageRun(release=release, stage="deploy", attempt=1, state=state, started_at=now()))  # type: ignore[arg-type]
    last = journal.last_run("deploy")
    assert last is not None
    assert last.release == 1


def test_events_are_read_on_from_where_one_was(journal: Journal) -> None:
    first = journal.emit(1, Note(text="one"), "repo")
    journal.emit(2, Note(text="of another release"))
    second = journal.emit(1, Note(text="two"), "repo")
    assert journal.events(1) == (first, second)
    assert journal.events(1, after=first.id) == (second,)


def test_aliases_point_at_versions_and_remember_their_moves(journal: Journal) -> None:
    for number in (1, 2):
        journal.add_version(a_version(number))
        journal.move_alias("m", "champion", number, number)
    champion = journal.alias("m", "champion")
    assert champion is not None
    assert champion.label == "m@v2"
    assert [move.number for move in journal.alias_moves("m")] == [1, 2]
    assert journal.alias("m", "previous") is None
    assert journal.next_version_number("m") == 3
    with pytest.raises(WrongUse, match="no m@v9"):
        journal.version("m", 9)


def test_a_transaction_is_whole_or_absent(journal: Journal) -> None:
    with pytest.raises(ZeroDivisionError), journal.transaction(durable=True):
        journal.add_version(a_version(1))
        raise ZeroDivisionError
    assert journal.versions("m") == ()


def test_another_process_sees_what_was_written(journal: Journal, tmp_path: Path) -> None:
    reader = Journal(tmp_path / ".mlconsole" / "journal.db")
    before = reader.change_mark()
    journal.begin_release(kind="release", who="ada", approved=False)
    assert reader.change_mark() != before
    assert reader.release(1).started_by == "ada"


def test_a_number_that_is_not_there_is_named(journal: Journal) -> None:
    with pytest.raises(NoSuchRelease, match="There is no release 7"):
        journal.release(7)


def test_who_opens_a_journal_that_another_one_is_just_making_waits_for_it(tmp_path: Path) -> None:
    other = sqlite3.connect(tmp_path / "journal.db", isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    ending = threading.Timer(0.1, other.close)
    ending.start()
    Journal(tmp_path / "journal.db").close()
    ending.join()


def test_a_damaged_file_is_told_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "journal.db").write_bytes(b"this is no database" * 100)
    with pytest.raises(JournalFailed, match="can't be used"):
        Journal(tmp_path / "journal.db")


def test_a_journal_of_a_later_version_is_left_alone(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "journal.db") as database:
        database.execute("PRAGMA user_version=99")
    with pytest.raises(JournalFailed, match="later mlconsole"):
        Journal(tmp_path / "journal.db")


def test_the_state_folder_ignores_itself(journal: Journal, tmp_path: Path) -> None:
    assert (tmp_path / ".mlconsole" / ".gitignore").read_text() == "*\n"
