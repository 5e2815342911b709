"""A content counts once for ever, and one release takes it, whoever is killed in between."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import msgspec
import pytest

from mlconsole.errors import Refused, WrongUse
from mlconsole.evidence.base import now
from mlconsole.evidence.release import Runner
from mlconsole.evidence.watching import Addition, Sighting, WatcherState
from mlconsole.journal import Journal, this_runner
from mlconsole.services import readonly
from mlconsole.trigger_queue import TakenAlready, TriggerQueue, merged


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path / ".mlconsole" / "journal.db")


@pytest.fixture
def queue(journal: Journal) -> TriggerQueue:
    return TriggerQueue(journal)


def begin(journal: Journal, *numbers: int) -> int:
    """Begin a release that answers triggers, and end it."""
    queue = TriggerQueue(journal)
    trigger = merged(queue.trigger(number) for number in numbers) if numbers else None
    with journal.transaction():
        release = journal.begin_release(kind="release", who="watcher", approved=True, trigger=trigger)
        queue.take(release.number, trigger)
    journal.save_release(msgspec.structs.replace(release, state="done"))
    return release.number


def test_a_content_counts_once_for_ever(queue: TriggerQueue, journal: Journal) -> None:
    first = queue.put("data", "sha256:a", "may.csv", then="run")
    assert first is not None
    assert first.state == "waiting"
    assert queue.put("data", "sha256:a", "may-again.csv", then="run") is None
    begin(journal, first.id)
    assert queue.put("data", "sha256:a", "may.csv", then="run") is None
    assert queue.put("branch", "sha256:a", "a commit of the same name", then="run") is not None


def test_a_release_tells_what_set_it_off(queue: TriggerQueue, journal: Journal) -> None:
    for month in ("may", "june"):
        queue.put("data", month, f"{month}.csv", then="run")
    queue.put("branch", "abc", "origin/main is at abc", then="run")
    trigger = journal.release(begin(journal, 1, 2, 3)).trigger
    assert trigger is not None
    assert (trigger.kinds, trigger.words) == (("data", "branch"), "may.csv, june.csv and origin/main is at abc")
    assert [found.release for found in queue.taken_by(1)] == [1, 1, 1]


def test_two_releases_never_take_the_same_trigger(queue: TriggerQueue, journal: Journal) -> None:
    queue.put("data", "may", "may.csv", then="run")
    begin(journal, 1)
    with pytest.raises(TakenAlready, match="Trigger 1 was answered already by release 1"):
        begin(journal, 1)
    assert len(journal.releases()) == 1, "a release that can't take its trigger is not begun"


def test_a_release_that_a_person_begins_answers_what_was_proposed(queue: TriggerQueue, journal: Journal) -> None:
    queue.put("data", "may", "may.csv", then="propose")
    queue.put("data", "june", "june.csv", then="propose", adds=True)
    queue.put("data", "july", "july.csv", then="run")
    begin(journal)
    assert [found.state for found in reversed(queue.triggers())] == ["taken", "proposed", "waiting"]


def test_a_person_accepts_and_dismisses(queue: TriggerQueue) -> None:
    for month in ("may", "june", "july"):
        queue.put("data", month, f"{month}.csv", then="propose")
    assert [(found.state, found.then) for found in queue.accept([2])] == [("waiting", "run")]
    assert [found.outcome for found in queue.dismiss()] == ["dismissed", "dismissed"]
    with pytest.raises(WrongUse, match="Nothing is proposed"):
        queue.accept()
    with pytest.raises(WrongUse, match="Trigger 1: no longer open"):
        queue.dismiss([1])


def test_only_one_process_watches(queue: TriggerQueue) -> None:
    me = WatcherState(runner=this_runner(), started_at=now(), beat_at=now())
    queue.save_watcher(me)
    queue.save_watcher(msgspec.structs.replace(me, busy="looking"))
    other = msgspec.structs.replace(me, runner=msgspec.structs.replace(me.runner, pid=1))
    with pytest.raises(Refused, match="watched already"):
        queue.save_watcher(other)
    dead = Runner(pid=me.runner.pid, started=1, host=me.runner.host)
    queue.no_watcher(other.runner)
    assert queue.watcher() is not None
    queue.no_watcher(me.runner)
    queue.save_watcher(msgspec.structs.replace(me, runner=dead))
    assert queue.watcher() is None, "one whose process is gone does not count"
    queue.save_watcher(me)
    assert queue.watcher() == me


def test_what_a_watch_has_seen_is_remembered(queue: TriggerQueue) -> None:
    begun, first = queue.since("data")
    assert (first, queue.since("data")) == (True, (begun, False))
    queue.remember("data", "may.csv", Sighting(stamp="1", digest="a"))
    queue.remember("data", "may.csv", Sighting(stamp="2", digest="b"))
    queue.remember("other", "may.csv", Sighting(stamp="3", digest="c"))
    assert queue.sightings("data") == {"may.csv": Sighting(stamp="2", digest="b")}
    queue.forget("data", ["may.csv"])
    assert queue.sightings("data") == {}
    queue.save_addition(Addition(trigger=1, path="data/may.csv", digest_after="a"))
    queue.save_addition(Addition(trigger=1, path="data/may.csv", digest_after="a", state="added"))
    assert [found.state for found in queue.additions()] == ["added"]


def test_a_journal_of_an_earlier_version_gets_the_tables_and_is_readable_where_nothing_may_change(
    tmp_path: Path,
) -> None:
    path = tmp_path / "journal.db"
    journal = Journal(path)
    journal.begin_release(kind="release", who="ada", approved=False)
    journal.close()
    with sqlite3.connect(path) as db:
        later = (
            "triggers",
            "sightings",
            "watches",
            "additions",
            "watcher",
            "monitor_points",
            "monitor_state",
            "outbox",
        )
        for table in later:
            db.execute(f"DROP TABLE {table}")
        db.execute("PRAGMA user_version=1")
    db.close()
    with readonly.switched_on():
        old = Journal(path)
        assert TriggerQueue(old).triggers() == ()
        assert old.release(1).started_by == "ada"
    new = Journal(path)
    assert TriggerQueue(new).put("data", "a", "a.csv", then="run") is not None
