"""Objects of a store, branches, schedules, parameters."""

from __future__ import annotations

import subprocess
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import fsspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlconsole.errors import WrongUse
from mlconsole.evidence.training import Parameter
from mlconsole.evidence.watching import Sighting
from mlconsole.services.git import RemoteRefused
from mlconsole.services.triggers import objects
from mlconsole.services.triggers.branch import BranchInvalid, new_commits, remote_branch
from mlconsole.services.triggers.files import NotWhole, kept_path
from mlconsole.services.triggers.objects import ObjectListing
from mlconsole.services.triggers.parameters import changed_words, digest_of_parameters
from mlconsole.services.triggers.schedule import Schedule, ScheduleInvalid

ADDRESS = "memory://bucket/in/*.csv"


@pytest.fixture(autouse=True)
def empty_store() -> None:
    fsspec.filesystem("memory").store.clear()


def put(name: str, content: bytes) -> None:
    fsspec.filesystem("memory").pipe(f"/bucket/in/{name}", content)


def test_an_object_without_a_checksum_counts_once_its_listing_rests(tmp_path: Path) -> None:
    moment = [0.0]
    listing = ObjectListing(ADDRESS, 5, clock=lambda: moment[0])
    put("may.csv", b"a\n1\n")
    put("june.csv.part", b"a\n")
    assert listing.look({}).growing == 1
    moment[0] = 5
    [found] = listing.look({}).whole
    assert (found.place, found.size) == ("memory:///bucket/in/may.csv", 4)
    digest = listing.read_digest(found, tmp_path)
    assert kept_path(tmp_path, digest).read_bytes() == b"a\n1\n"
    known = {found.place: Sighting(stamp=found.stamp, digest=digest)}
    assert listing.look(known).whole == ()
    fsspec.filesystem("memory").rm("/bucket/in/may.csv")
    assert listing.look(known).gone == (found.place,)
    with pytest.raises(NotWhole):
        listing.read_digest(found)


def test_an_object_with_a_checksum_is_whole_as_soon_as_it_is_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    put("may.csv", b"a\n1\n")
    monkeypatch.setattr(objects, "CHECKSUMS", ("size",))
    assert len(ObjectListing("memory://bucket/in", 5).look({}).whole) == 1


def test_an_address_that_nothing_serves_is_told_in_a_sentence() -> None:
    with pytest.raises(WrongUse, match=r"nonsense://bucket can't be watched"):
        ObjectListing("nonsense://bucket", 5).look({})


def git(folder: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=Ada", "-c", "user.email=ada@example.com", "-c", "init.defaultBranch=main")
    done = subprocess.run(["git", *identity, *arguments], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    origin = tmp_path / "origin"
    origin.mkdir()
    git(origin, "init", "-q")
    git(origin, "commit", "-q", "--allow-empty", "-m", "First")
    git(tmp_path, "clone", "-q", str(origin), "checkout")
    return tmp_path / "checkout"


def test_the_commits_of_a_remote_branch_that_are_not_here_are_told(checkout: Path) -> None:
    nobody = threading.Event()
    assert remote_branch(checkout, "") == remote_branch(checkout, "main") == "origin/main"
    assert new_commits(checkout, "origin/main", cancelled=nobody) == ()
    git(checkout.parent / "origin", "commit", "-q", "--allow-empty", "-m", "Second")
    git(checkout.parent / "origin", "commit", "-q", "--allow-empty", "-m", "Third")
    assert [found.subject for found in new_commits(checkout, "origin/main", cancelled=nobody)] == ["Third", "Second"]
    assert git(checkout, "log", "-1", "--format=%s") == "First", "the working copy stays as it is"


def test_a_branch_that_can_not_be_followed_is_told_in_a_sentence(checkout: Path) -> None:
    with pytest.raises(BranchInvalid, match="other can't be watched: main is checked out"):
        remote_branch(checkout, "other")
    git(checkout, "branch", "--unset-upstream")
    with pytest.raises(BranchInvalid, match="follows no branch"):
        remote_branch(checkout, "")
    (checkout.parent / "origin").rename(checkout.parent / "gone")
    with pytest.raises(RemoteRefused):
        new_commits(checkout, "origin/main", cancelled=threading.Event())


def test_a_schedule_follows_the_clock_of_its_zone() -> None:
    winter = datetime(2026, 1, 5, 0, 0, tzinfo=UTC)
    assert Schedule("0 6 * * 1", "Europe/Berlin").next_after(winter) == datetime(2026, 1, 5, 5, 0, tzinfo=UTC)
    summer = datetime(2026, 7, 6, 0, 0, tzinfo=UTC)
    assert Schedule("0 6 * * 1", "Europe/Berlin").next_after(summer) == datetime(2026, 7, 6, 4, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("expression", "zone", "sentence"),
    [
        ("every day", "", "is no schedule"),
        ("0 6 * *", "", "is no schedule"),
        ("0 6 30 2 *", "", "never comes true|is no schedule"),
        ("0 6 * * *", "Mars/Olympus", "no time zone"),
    ],
)
def test_a_schedule_that_can_not_be_is_told_in_a_sentence(expression: str, zone: str, sentence: str) -> None:
    with pytest.raises(ScheduleInvalid, match=sentence):
        Schedule(expression, zone)


@given(
    st.sampled_from(["* * * * *", "*/15 * * * *", "0 6 * * 1", "30 2 * * *", "0 0 1 1 *"]),
    st.sampled_from(["UTC", "Europe/Berlin", "America/New_York"]),
    st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1)),
)
def test_no_moment_of_a_schedule_lies_between_the_last_one_and_now(expression: str, zone: str, now: datetime) -> None:
    moment = now.replace(tzinfo=UTC, microsecond=0)
    schedule = Schedule(expression, zone)
    last = schedule.last_until(moment)
    assert last <= moment < schedule.next_after(last)
    assert schedule.last_until(last) == last


def test_a_moment_that_the_clock_shows_twice_counts_once() -> None:
    schedule = Schedule("30 2 * * *", "Europe/Berlin")
    first = datetime(2020, 10, 25, 0, 30, tzinfo=UTC)
    for minutes in (0, 10, 45, 60, 75, 200):
        assert schedule.last_until(first + timedelta(minutes=minutes)) == first


def parameters(**values: str) -> list[Parameter]:
    return [Parameter(name=name, value=value) for name, value in values.items()]


def test_what_parameters_say_counts_not_their_order() -> None:
    assert digest_of_parameters(parameters(a="1", b="2")) == digest_of_parameters(parameters(b="2", a="1"))
    assert digest_of_parameters(parameters(a="1", b="2")) != digest_of_parameters(parameters(a="12", b=""))
    assert changed_words(parameters(a="1", c="3"), parameters(a="0", b="2")) == "a 0 → 1, c = 3 and no b"
