"""What sets releases off by itself: the banner, what waits in Data, the switch, and what history tells."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from mlconsole.evidence.base import now
from mlconsole.evidence.release import ReleaseTrigger
from mlconsole.evidence.watching import WatcherState, WatchState
from mlconsole.journal import Journal, this_runner
from mlconsole.trigger_queue import TriggerQueue

from .conftest import Build, Drive


def propose(journal: Journal, *names: str, then: Any = "propose") -> TriggerQueue:
    queue = TriggerQueue(journal)
    for name in names:
        queue.put("data", name, f"inbox/{name}.csv (61 KiB)", then=then, watch="data inbox")
    return queue


def watched(queue: TriggerQueue, **more: Any) -> None:
    state = WatchState(name="data inbox", kind="data", then="propose", **more)
    queue.save_watcher(WatcherState(runner=this_runner(), started_at=now(), beat_at=now(), watches=(state,)))


async def test_a_proposal_is_a_banner_that_one_key_accepts(build: Build, drive: Drive) -> None:
    built = build("done")
    queue = propose(built.journal, "may", "june")
    watched(queue)
    async with drive(built.project.root, size=(140, 40)) as console:
        await console.shows("A release is proposed: inbox/may.csv (61 KiB) and", "◉ watching")
        await console.press("v")
        await console.shows("Release this, up to the approval?", "mlconsole triggers accept")
        await console.press("tab", "enter")
        await console.until(lambda: not queue.triggers({"proposed"}))
        assert [(trigger.state, trigger.then) for trigger in queue.triggers()] == [("waiting", "run")] * 2
        await console.until(lambda: "A release is proposed" not in console.flowing)


async def test_a_proposal_can_be_dismissed(build: Build, drive: Drive) -> None:
    built = build("done")
    queue = propose(built.journal, "may")
    async with drive(built.project.root) as console:
        await console.press("V")
        await console.shows("Let nothing follow from this?")
        await console.press("tab", "enter")
        await console.until(lambda: queue.trigger(1).outcome == "dismissed")


async def test_where_nobody_watches_a_runner_releases_what_is_proposed(
    build: Build, drive: Drive, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlconsole.release import launch

    built = build("done")
    propose(built.journal, "may")
    started: list[list[str]] = []
    monkeypatch.setattr(launch, "launch", lambda project, arguments: started.append(list(arguments)) or 1)
    async with drive(built.project.root) as console:
        await console.shows("A release is proposed")
        await console.press("v")
        await console.shows("mlconsole run --trigger 1")
        await console.press("tab", "enter")
        await console.until(lambda: started == [["run", "--trigger", "1"]])


async def test_the_batches_that_wait_are_listed_with_the_data(build: Build, drive: Drive) -> None:
    built = build("done")
    watched(propose(built.journal, "may", "june", then="run"), words="2 files being written")
    async with drive(built.project.root, size=(140, 40)) as console:
        await console.press("2")
        await console.shows("Waiting 2 batches", "inbox/june.csv (61 KiB) waiting", "data inbox: 2 files being written")


async def test_the_switch_starts_the_watcher_and_ends_it(
    build: Build, drive: Drive, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlconsole.watcher import control

    built = build("done")
    queue = TriggerQueue(built.journal)
    monkeypatch.setattr(control, "start", lambda project: watched(queue))
    monkeypatch.setattr(control, "stop", lambda project: queue.no_watcher(this_runner()))
    async with drive(built.project.root, size=(140, 40)) as console:
        await console.press("W")
        await console.shows("Watch, and let releases begin by themselves?", "mlconsole watch --detach")
        await console.press("tab", "enter")
        await console.shows("◉ watching")
        await console.press("W")
        await console.shows("Watch no more?", "data inbox: propose")
        await console.press("tab", "enter")
        await console.until(lambda: "◉ watching" not in console.text)


async def test_the_history_tells_what_set_a_release_off(build: Build, drive: Drive) -> None:
    built = build("done")
    release = built.journal.release(1)
    trigger = ReleaseTrigger(kinds=("data",), words="inbox/may.csv (61 KiB)", ids=(1,))
    built.journal.save_release(msgspec.structs.replace(release, trigger=trigger))
    async with drive(built.project.root, size=(160, 40)) as console:
        await console.press("h")
        await console.shows("◆ inbox/may.csv (61 KiB)")


async def test_a_read_only_console_shows_the_proposal_and_answers_nothing(build: Build, drive: Drive) -> None:
    built = build("done")
    queue = propose(built.journal, "may")
    async with drive(built.project.root, readonly=True) as console:
        await console.shows("A release is proposed")
        await console.press("v")
        await console.press("W")
        await console.shows("it changes nothing")
    assert queue.trigger(1).state == "proposed"


async def test_those_who_sit_before_it_are_rung_once(build: Build, drive: Drive) -> None:
    built = build("done")
    async with drive(built.project.root) as console:
        rung: list[str] = []
        console.app._ring = rung.append  # type: ignore[method-assign]
        propose(built.journal, "may")
        await console.shows("A release is proposed")
        built.journal.save_release(built.journal.release(1))
        await console.until(lambda: len(rung) == 1)
    assert "a release is proposed: inbox/may.csv" in rung[0]


async def test_a_release_that_another_machine_made_needless_says_so(build: Build, drive: Drive) -> None:
    built = build("paused")
    latest = built.journal.latest_release()
    assert latest is not None
    built.journal.save_release(msgspec.structs.replace(latest, already="ml-model@v7"))
    async with drive(built.project.root) as console:
        await console.shows("was not needed: ml-model@v7 is the same.")
        await console.press("h")
        await console.shows("not needed: ml-model@v7 is")


def test_nothing_of_this_is_read_before_a_release_was_made(tmp_path: Path) -> None:
    assert TriggerQueue(Journal(tmp_path / "journal.db")).triggers() == ()
