"""The watcher looks, queues, has releases carried out one at a time, and tells people once."""

from __future__ import annotations

import errno
import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from mlconsole.errors import Refused
from mlconsole.evidence.base import now
from mlconsole.evidence.monitoring import MonitorState
from mlconsole.evidence.release import ProblemRecord, ReleaseState, ReleaseTrigger, StageRun
from mlconsole.evidence.training import Parameter, PythonEnvironment, ResourceUse, TrainEvidence
from mlconsole.evidence.watching import Then, Trigger
from mlconsole.journal import Journal, ProjectGone
from mlconsole.monitor_log import MonitorLog
from mlconsole.project import Project
from mlconsole.project.settings import NotifySettings, SettingsInvalid, WatchSettings
from mlconsole.release.engine import Engine, Order
from mlconsole.trigger_queue import TriggerQueue, merged
from mlconsole.watcher import loop as loop_module
from mlconsole.watcher.answering import answer, settle_outcomes
from mlconsole.watcher.loop import Watcher
from mlconsole.watcher.pace import MOST_TRIES, Begin, GoOn, Wait, count_try, next_move
from mlconsole.watcher.telling import Teller
from mlconsole.watcher.watches import KEPT, watches_of, with_defaults

DEADLINE = 60.0


@pytest.fixture
def queue(journal: Journal) -> TriggerQueue:
    return TriggerQueue(journal)


def watching(project: Project, *watches: WatchSettings, **more: Any) -> Project:
    return replace(project, settings=msgspec.structs.replace(project.settings, watch=watches, **more))


def inbox(then: Then = "release", **more: Any) -> WatchSettings:
    return WatchSettings(kind="data", path="inbox/*.csv", settle="0s", then=then, **more)


def put(queue: TriggerQueue, name: str, then: Then = "run", **more: Any) -> Trigger:
    trigger = queue.put("data", name, f"{name}.csv", then=then, **more)
    assert trigger is not None
    return trigger


class Runner:
    """A runner's process, played in this one: it answers what it is asked to when it is looked at."""

    def __init__(self, project: Project, journal: Journal, arguments: list[str]) -> None:
        self.arguments = arguments
        self._done = False
        self._work = (project, journal)

    def poll(self) -> int | None:
        if not self._done:
            self._done = True
            project, journal = self._work
            numbers = [int(word) for word in self.arguments if word.isdecimal()]
            order = Order(approved="--approve" in self.arguments, who="watcher")
            if self.arguments[0] == "resume":
                Engine(project, journal).resume(numbers[0], order)
            else:
                answer(project, journal, Engine(project, journal), order, numbers)
        return 0


@pytest.fixture
def runners(monkeypatch: pytest.MonkeyPatch, journal: Journal) -> list[Runner]:
    """The runners that were started."""
    started: list[Runner] = []

    def start(project: Project, arguments: list[str]) -> Runner:
        started.append(Runner(project, journal, arguments))
        return started[-1]

    monkeypatch.setattr(loop_module, "runner_process", start)
    return started


def steps(watcher: Watcher, until: Callable[[], bool]) -> None:
    """Go on until something holds, however slow the machine is."""
    deadline = time.monotonic() + DEADLINE
    while not until():
        assert time.monotonic() < deadline
        time.sleep(min(watcher.step(), 0.02))


@pytest.fixture(autouse=True)
def closed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No watcher of a test goes on listening behind it."""
    made: list[Watcher] = []
    begin = Watcher.__init__

    def noted(self: Watcher, *given: Any, **more: Any) -> None:
        begin(self, *given, **more)
        made.append(self)

    monkeypatch.setattr(Watcher, "__init__", noted)
    yield
    for watcher in made:
        watcher.close()


def a_watcher(project: Project, journal: Journal, said: list[str] | None = None) -> Watcher:
    return Watcher(project, journal, stopped=threading.Event(), say=(said if said is not None else []).append)


def test_new_files_are_released_and_a_second_copy_is_not(
    project: Project, journal: Journal, queue: TriggerQueue, world: Any, runners: list[Runner]
) -> None:
    (project.root / "inbox").mkdir()
    (project.root / "inbox" / "may.csv").write_text("a\n1\n")
    (project.root / "inbox" / "may-again.csv").write_text("a\n1\n")
    said: list[str] = []
    watcher = a_watcher(watching(project, inbox()), journal, said)
    steps(watcher, lambda: any(trigger.state == "ended" for trigger in queue.triggers()))
    for _ in range(5):
        watcher.step()
    assert [(trigger.outcome, trigger.release) for trigger in queue.triggers()] == [("released", 1)]
    assert [runner.arguments for runner in runners] == [["run", "--trigger", "1", "--approve"]]
    assert any("release 1 done" in words for words in said)
    there = queue.watcher()
    assert there is not None
    assert [watch.name for watch in there.watches] == ["data inbox/*.csv"]


def test_no_copy_is_kept_of_what_is_never_added_again(project: Project, journal: Journal, queue: TriggerQueue) -> None:
    kept, folder = project.state / KEPT, project.root / "inbox"
    folder.mkdir()
    (watch,) = watches_of(watching(project, inbox(add=True)), journal)
    (folder / "may.csv").write_text("a\n1\n")
    watch.step()
    (folder / "waits-too.csv").write_text("a\n1\n")
    watch.step()
    (may,) = queue.triggers()
    (content,) = kept.iterdir()
    assert content.read_text() == "a\n1\n", "it is still to be added"
    queue.end([may], "released")
    content.unlink()
    (folder / "once-more.csv").write_text("a\n1\n")
    watch.step()
    assert (queue.triggers()[0].outcome, list(kept.iterdir())) == ("released", [])


def test_what_waits_while_a_release_runs_is_merged_into_the_next(
    project: Project, journal: Journal, queue: TriggerQueue, world: Any, runners: list[Runner]
) -> None:
    project = watching(project, WatchSettings(kind="monitor", then="release"))
    watcher = a_watcher(project, journal)
    put(queue, "may", "release")
    world.during["train"] = lambda context: [put(queue, name, "release") for name in ("june", "july")]
    steps(watcher, lambda: bool(queue.triggers({"ended"})))
    world.during.clear()
    world.inputs["data"] = "summer"
    steps(watcher, lambda: len(queue.triggers({"ended"})) == 3)
    assert [trigger.release for trigger in reversed(queue.triggers())] == [1, 2, 2]
    assert runners[-1].arguments == ["run", "--trigger", "2", "--trigger", "3", "--approve"]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux tells who has a file open")
def test_files_that_arrive_together_are_one_release(
    project: Project, journal: Journal, queue: TriggerQueue, world: Any, runners: list[Runner]
) -> None:
    (project.root / "inbox").mkdir()
    watcher = a_watcher(watching(project, inbox()), journal)
    with (project.root / "inbox" / "june.csv").open("w") as slow:
        slow.write("a\n2\n")
        slow.flush()
        (project.root / "inbox" / "may.csv").write_text("a\n1\n")
        steps(watcher, lambda: bool(queue.triggers()))
        for _ in range(5):
            watcher.step()
        there = queue.watcher()
        assert there is not None
        assert (runners, there.busy, there.watches[0].words) == ([], "more is arriving", "1 file being written")
    steps(watcher, lambda: len(queue.triggers({"ended"})) == 2)
    assert [runner.arguments for runner in runners] == [["run", "--trigger", "1", "--trigger", "2", "--approve"]]


def test_what_a_gate_refused_together_is_said_to_be_judged_apart(
    project: Project, journal: Journal, queue: TriggerQueue, world: Any, runners: list[Runner]
) -> None:
    (project.root / "inbox").mkdir()
    for name in ("may", "june"):
        (project.root / "inbox" / f"{name}.csv").write_text(f"a\n{name}\n")
    world.refuse("data", "a is out of range")
    data = msgspec.structs.replace(project.settings.data, path="data")
    said: list[str] = []
    watcher = a_watcher(watching(project, inbox(add=True), data=data), journal, said)
    steps(watcher, lambda: len(queue.triggers({"ended"})) == 2)
    assert "release 1 refused: Data says no: a is out of range" in said
    assert any(words.startswith("each of these is judged by itself now: inbox/") for words in said)
    assert not any("could not be begun" in words for words in said)
    assert [runner.arguments.count("--trigger") for runner in runners] == [2, 1, 1]


def test_to_the_end_only_where_all_ask_for_it_and_no_name_has_to_be_typed(
    project: Project, journal: Journal, queue: TriggerQueue, world: Any, runners: list[Runner]
) -> None:
    put(queue, "may", "release")
    put(queue, "june", "run")
    watcher = a_watcher(watching(project, WatchSettings(kind="monitor")), journal)
    steps(watcher, lambda: bool(runners))
    assert "--approve" not in runners[0].arguments
    guarded = watching(project, WatchSettings(kind="monitor"))
    deploy = msgspec.structs.replace(guarded.settings.deploy, context="prod-eu")
    guarded = replace(guarded, settings=msgspec.structs.replace(guarded.settings, deploy=deploy))
    steps(watcher, lambda: queue.trigger(1).state == "taken")
    put(queue, "july", "release")
    said: list[str] = []
    protected = a_watcher(guarded, journal, said)
    steps(protected, lambda: len(runners) == 2)
    assert "--approve" not in runners[1].arguments
    assert "the context is protected: the release waits for its approval" in said


def begun(journal: Journal, queue: TriggerQueue, trigger: Trigger, state: ReleaseState) -> None:
    """A release that a trigger set off, as it ended."""
    with journal.transaction():
        release = journal.begin_release(kind="release", who="w", approved=False, trigger=merged([trigger]))
        queue.take(release.number, release.trigger)
    journal.save_release(msgspec.structs.replace(release, state=state, finished_at=now()))


def test_what_nobody_approved_is_not_carried_along_by_what_needs_no_approval(
    journal: Journal, queue: TriggerQueue
) -> None:
    commits = queue.put("branch", "c0ffee", "origin/main: 1 commit", then="run")
    assert commits is not None
    begun(journal, queue, commits, "waiting")
    july = put(queue, "july", "release")
    words = "what came with release 1 was not approved yet: the release waits"
    assert next_move(journal) == Begin(triggers=(july.id,), to_the_end=False, words=words)
    begun(journal, queue, july, "refused")
    august = put(queue, "august", "release")
    assert next_move(journal) == Begin(triggers=(august.id,), to_the_end=False, words=words), "the commits are in there"
    begun(journal, queue, august, "done")
    later = put(queue, "september", "release")
    assert next_move(journal) == Begin(triggers=(later.id,), to_the_end=True)


def test_data_that_was_refused_keeps_nothing_from_the_cluster(journal: Journal, queue: TriggerQueue) -> None:
    begun(journal, queue, put(queue, "july", "run", adds=True), "refused")
    august = put(queue, "august", "release", adds=True)
    assert next_move(journal) == Begin(triggers=(august.id,), to_the_end=True)


def test_no_release_is_begun_while_the_settings_cant_be_read(
    project: Project, journal: Journal, queue: TriggerQueue, world: Any, runners: list[Runner]
) -> None:
    put(queue, "may", "release")
    watched = watching(project, WatchSettings(kind="monitor"))
    halted = Watcher(watched, journal, stopped=threading.Event(), halted="the settings can't be read")
    halted.step()
    watcher = queue.watcher()
    assert watcher is not None
    assert (watcher.busy, runners, queue.trigger(1).tries) == ("the settings can't be read", [], 0)
    steps(a_watcher(watched, journal), lambda: queue.trigger(1).outcome == "released")


def test_a_proposal_waits_for_a_person(
    project: Project, journal: Journal, queue: TriggerQueue, world: Any, runners: list[Runner]
) -> None:
    put(queue, "may", "propose")
    watcher = a_watcher(watching(project, WatchSettings(kind="monitor")), journal)
    for _ in range(3):
        watcher.step()
    assert runners == []
    queue.accept()
    steps(watcher, lambda: queue.trigger(1).state == "taken")
    assert "--approve" not in runners[0].arguments


def test_a_second_watcher_is_refused(project: Project, journal: Journal, queue: TriggerQueue) -> None:
    project = watching(project, WatchSettings(kind="monitor"))
    watcher = a_watcher(project, journal)
    other = queue.watcher()
    assert other is not None
    journal.keep("UPDATE watcher SET body = ?", msgspec.json.encode(_elsewhere(other)))
    with pytest.raises(Refused, match="watched already"):
        a_watcher(project, journal)
    del watcher


def _elsewhere(state: Any) -> Any:
    return msgspec.structs.replace(state, runner=msgspec.structs.replace(state.runner, host="another-host"))


def test_a_watcher_stops_when_it_is_told_and_says_that_nobody_watches(
    project: Project, journal: Journal, queue: TriggerQueue
) -> None:
    stopped = threading.Event()
    (project.root / "inbox").mkdir()
    watcher = Watcher(watching(project, inbox("propose")), journal, stopped=stopped)
    thread = threading.Thread(target=watcher.run)
    thread.start()
    (project.root / "inbox" / "may.csv").write_text("a\n1\n")
    deadline = time.monotonic() + DEADLINE
    while not queue.triggers():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    stopped.set()
    thread.join(DEADLINE)
    assert not thread.is_alive()
    assert queue.watcher() is None
    assert [(trigger.state, trigger.words) for trigger in queue.triggers()] == [("proposed", "inbox/may.csv (4 B)")]


def test_a_watcher_ends_with_its_project_and_does_not_make_it_anew(project: Project, journal: Journal) -> None:
    (project.root / "inbox").mkdir()
    watcher = a_watcher(watching(project, inbox("propose")), journal)
    watcher.step()
    shutil.rmtree(project.root)
    with pytest.raises(ProjectGone, match="is not there any more"):
        watcher.run()
    assert not project.root.exists()


def interrupted(journal: Journal, queue: TriggerQueue, state: str = "running") -> int:
    """A release that a trigger set off, and whose runner is dead, or that ended otherwise."""
    trigger = put(queue, "may", "release")
    with journal.transaction():
        release = journal.begin_release(kind="release", who="w", approved=True, trigger=merged([trigger]))
        queue.take(release.number, release.trigger)
    assert release.runner is not None
    dead = msgspec.structs.replace(release.runner, started=1.0)
    journal.save_release(msgspec.structs.replace(release, runner=dead, state=state, finished_at=now()))
    return release.number


def test_a_release_whose_runner_died_goes_on_but_not_for_ever(journal: Journal, queue: TriggerQueue) -> None:
    number = interrupted(journal, queue)
    later = now() + timedelta(hours=1)
    for _ in range(MOST_TRIES):
        assert next_move(journal, later) == GoOn(release=number)
        count_try(queue, queue.taken_by(number))
    assert next_move(journal, later) == Wait()


def test_what_failed_outside_of_the_project_is_tried_again_after_a_while(journal: Journal, queue: TriggerQueue) -> None:
    number = interrupted(journal, queue, "failed")
    assert next_move(journal) == Wait(), "what failed otherwise is left to people"
    problem = ProblemRecord(sentence="Can't reach the cluster.", exit_code=3)
    run = StageRun(release=number, stage="deploy", attempt=1, state="failed", started_at=now(), problem=problem)
    journal.save_stage(run)
    assert next_move(journal) == GoOn(release=number)
    count_try(queue, queue.taken_by(number))
    move = next_move(journal)
    assert isinstance(move, Wait)
    assert move.seconds is not None
    assert 0 < move.seconds <= 5


def test_a_release_that_was_ended_with_its_machine_goes_on_and_one_that_a_person_cancelled_does_not(
    project: Project, journal: Journal, queue: TriggerQueue
) -> None:
    number = interrupted(journal, queue, "cancelled")
    settle_outcomes(project, journal)
    assert (queue.trigger(1).outcome, next_move(journal)) == ("", GoOn(release=number))
    journal.decide(number, "cancel", "train", who="ada")
    settle_outcomes(project, journal)
    assert (queue.trigger(1).outcome, next_move(journal)) == ("cancelled", Wait())


def test_what_gave_way_to_a_rollback_of_the_monitor_is_released_after_it(
    project: Project, journal: Journal, queue: TriggerQueue
) -> None:
    number = interrupted(journal, queue, "cancelled")
    journal.decide(number, "cancel", "train", who="monitor")
    log = MonitorLog(journal)
    log.save_state(MonitorState(at=now(), asked_back="m@v2"))
    settle_outcomes(project, journal)
    assert next_move(journal) == Wait(why="m@v2 is to be rolled back first")
    rollback = journal.begin_release(kind="rollback", who="monitor", approved=True)
    journal.save_release(msgspec.structs.replace(rollback, state="done", finished_at=now()))
    settle_outcomes(project, journal)
    assert isinstance(next_move(journal), Wait), "the monitor has not seen it yet"
    assert next_move(journal, now() + timedelta(hours=1)) == Begin(triggers=(1,), to_the_end=True), "it is gone"
    log.save_state(MonitorState(at=now()))
    assert next_move(journal) == Begin(triggers=(1,), to_the_end=True)


def test_a_release_that_a_person_left_open_is_replaced_only_after_a_while(
    journal: Journal, queue: TriggerQueue
) -> None:
    release = journal.begin_release(kind="release", who="ada", approved=False)
    put(queue, "may")
    assert next_move(journal) == Wait(why="release 1 is running")
    journal.save_release(msgspec.structs.replace(release, state="paused", finished_at=now()))
    move = next_move(journal)
    assert isinstance(move, Wait)
    assert move.why == "release 1, which ada began, is open"
    assert next_move(journal, now() + timedelta(hours=1)) == Begin(triggers=(1,), to_the_end=False)


def test_triggers_that_can_not_be_released_are_tried_less_and_less_often_and_then_fail(
    journal: Journal, queue: TriggerQueue
) -> None:
    put(queue, "may")
    pauses = []
    for _ in range(MOST_TRIES):
        before = now()
        count_try(queue, [queue.trigger(1)])
        moment = queue.trigger(1).not_before
        if queue.trigger(1).state == "waiting":
            assert moment is not None
            pauses.append(((moment - now()).total_seconds(), (moment - before).total_seconds()))
    expected = (5, 20, 80, 320, 900, 900, 900)
    assert all(least <= pause <= most for pause, (least, most) in zip(expected, pauses, strict=True)), pauses
    assert (queue.trigger(1).state, queue.trigger(1).outcome) == ("ended", "failed")


def test_people_are_told_once_what_was_proposed_and_how_it_ended(
    project: Project, journal: Journal, queue: TriggerQueue, world: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOOK", "https://hooks.example.com/sEcReT")
    posted: list[dict[str, Any]] = []
    telling = watching(project, notify=NotifySettings(webhook="HOOK", on=("proposed", "waiting", "refused")))

    def send(address: str, body: bytes, key: str) -> None:
        assert address == "https://hooks.example.com/sEcReT"
        posted.append(msgspec.json.decode(body))
        assert posted[-1]["id"] == key

    put(queue, "may", "propose")
    teller = Teller(telling, journal, send=send)
    teller.tell()
    teller.tell()
    queue.accept()
    answer(telling, journal, Engine(telling, journal), Order(who="w"), [1])
    teller.tell()
    world.refuse("data", "out of range")
    world.inputs["data"] = "june"
    put(queue, "june")
    answer(telling, journal, Engine(telling, journal), Order(who="w"), [2])
    teller.tell()
    teller.close()
    Teller(telling, journal, send=send).tell()
    assert [found["event"] for found in posted] == ["proposed", "waiting", "refused"]
    waits = "release 1 waits for an approval (may.csv). Look at the plan, then: mlconsole approve 1"
    assert posted[1]["text"] == f"m: {waits}"
    assert "Data says no: out of range" in posted[2]["text"]


def test_what_comes_while_people_are_told_is_told_next(
    project: Project, journal: Journal, queue: TriggerQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    teller = Teller(project, journal)
    wake = teller._poster.wake

    def comes_meanwhile() -> None:
        monkeypatch.setattr(teller._poster, "wake", wake)
        with closing(Journal(project.journal_path)) as theirs:
            put(TriggerQueue(theirs), "june", "propose")

    monkeypatch.setattr(teller._poster, "wake", comes_meanwhile)
    put(queue, "may", "propose")
    teller.tell()
    assert [trigger.told for trigger in queue.triggers()] == ["", "proposed"]
    teller.tell()
    assert [trigger.told for trigger in queue.triggers()] == ["proposed", "proposed"]


def test_what_the_settings_do_not_say_well_is_told_in_a_sentence(project: Project, journal: Journal) -> None:
    with pytest.raises(SettingsInvalid, match="nothing to watch"):
        watches_of(project, journal)
    with pytest.raises(SettingsInvalid, match="Two watches are called 'data inbox"):
        watches_of(watching(project, inbox(), inbox()), journal)
    with pytest.raises(SettingsInvalid, match="nothing says which file"):
        watches_of(watching(project, WatchSettings(kind="parameters")), journal)
    assert with_defaults(project) == project, "without data there is nothing to watch by default"


def test_a_watch_that_can_not_look_says_why_and_tries_again(project: Project, journal: Journal) -> None:
    (branch,) = watches_of(watching(project, WatchSettings(kind="branch", every="1s")), journal)
    before = time.monotonic()
    branch.step()
    assert "is not a git repository" in branch.state.problem
    assert branch.due_at > before


def test_parameters_count_by_what_they_say(project: Project, journal: Journal, queue: TriggerQueue) -> None:
    path = project.root / "params.yaml"
    path.write_text("depth: 3\nrate: 0.1\n")
    settings = WatchSettings(kind="parameters", path="params.yaml", settle="0s", then="run")
    (watch,) = watches_of(watching(project, settings), journal)
    watch.step()
    path.write_text("rate: 0.1   # the same\ndepth: 3\n")
    watch.step()
    assert [trigger.words for trigger in queue.triggers()] == ["params.yaml: depth = 3 and rate = 0.1"]
    path.write_text("rate: 0.2\ndepth: 3\n")
    watch.step()
    assert len(queue.triggers()) == 2


def test_how_a_release_ended_is_said_whoever_went_on_with_it(
    project: Project, journal: Journal, queue: TriggerQueue, world: Any, runners: list[Runner]
) -> None:
    said: list[str] = []
    watcher = a_watcher(watching(project, WatchSettings(kind="monitor")), journal, said)
    number = interrupted(journal, queue)
    steps(watcher, lambda: queue.trigger(1).outcome == "released" and any("release 1 done" in words for words in said))
    ends = [words for words in said if words.startswith(f"release {number} ")]
    assert ends[:2] == ["release 1 interrupted: its process has ended. It goes on.", "release 1 goes on"]
    assert [words.partition(":")[0] for words in ends[2:]] == ["release 1 done"]
    after: list[str] = []
    a_watcher(watching(project, WatchSettings(kind="monitor")), journal, after).step()
    assert not any(words.startswith("release 1") for words in after), "what ended before it began is no news"


def test_a_disk_that_takes_nothing_more_is_said_once_and_does_not_end_the_watcher(
    project: Project, journal: Journal, queue: TriggerQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    stopped = threading.Event()
    watched = watching(project, WatchSettings(kind="schedule", cron="0 0 1 1 *"))
    watcher = Watcher(watched, journal, stopped=stopped, say=said.append)
    failures = iter([OSError(errno.EROFS, "Read-only file system", "/p/answering.lock")] * 3)

    def step() -> float:
        for failure in failures:
            raise failure
        stopped.set()
        return 0.0

    monkeypatch.setattr(watcher, "step", step)
    monkeypatch.setattr(loop_module, "BEAT_SECONDS", 0.0)
    assert watcher.run() is False
    advice = "Check the disk's space and the file's permissions."
    assert said == [f"/p/answering.lock can't be used: Read-only file system. {advice}"]


def test_when_a_release_is_tried_again_is_said(project: Project, journal: Journal, queue: TriggerQueue) -> None:
    said: list[str] = []
    watcher = a_watcher(watching(project, WatchSettings(kind="monitor")), journal, said)
    number = interrupted(journal, queue, "failed")
    problem = ProblemRecord(sentence="Can't reach the cluster.", exit_code=3)
    run = StageRun(release=number, stage="deploy", attempt=1, state="failed", started_at=now(), problem=problem)
    journal.save_stage(run)
    later = now() + timedelta(minutes=20)
    queue.save(msgspec.structs.replace(queue.trigger(1), tries=3, not_before=later))
    watcher.step()
    assert any(words.startswith("release 1 failed") and "It is tried again in" in words for words in said), said


def test_parameters_that_a_training_is_about_to_take_are_judged_after_it(
    project: Project, journal: Journal, queue: TriggerQueue
) -> None:
    (project.root / "params.yaml").write_text("depth: 3\n")
    settings = WatchSettings(kind="parameters", path="params.yaml", settle="0s", then="run")
    (watch,) = watches_of(watching(project, settings), journal)
    release = journal.begin_release(kind="release", who="w", approved=True)
    watch.step()
    assert queue.triggers() == ()
    journal.save_stage(train_run(release.number, "3"))
    watch.step()
    assert queue.triggers() == ()
    (project.root / "params.yaml").write_text("depth: 4\n")
    watch.step()
    assert [trigger.words for trigger in queue.triggers()] == ["params.yaml: depth 3 → 4"]


def train_run(release: int, depth: str, **python: Any) -> StageRun:
    """A training that was done with this depth."""
    environment = PythonEnvironment(executable="", version="", digest="", **python)
    parameters = (Parameter(name="depth", value=depth),)
    use = ResourceUse(seconds=0)
    evidence = TrainEvidence(command="", environment=environment, parameters=parameters, exit_code=0, use=use)
    return StageRun(release=release, stage="train", attempt=1, state="done", started_at=now(), evidence=evidence)


def test_parameters_of_a_model_that_was_imported_are_not_those_of_the_file(
    project: Project, journal: Journal, queue: TriggerQueue
) -> None:
    journal.save_stage(train_run(1, "3"))
    journal.save_stage(train_run(2, "99", found="elsewhere"))
    (project.root / "params.yaml").write_text("depth: 3\n")
    settings = WatchSettings(kind="parameters", path="params.yaml", settle="0s", then="run")
    (watch,) = watches_of(watching(project, settings), journal)
    watch.step()
    assert queue.triggers() == ()


def test_a_schedule_that_passed_while_nobody_watched_counts_once(
    project: Project, journal: Journal, queue: TriggerQueue
) -> None:
    settings = WatchSettings(kind="schedule", cron="* * * * *", then="run")
    (watch,) = watches_of(watching(project, settings), journal)
    watch.step()
    assert queue.triggers() == (), "what was before it began does not count"
    long_ago = (now() - timedelta(days=2)).isoformat()
    journal.keep("UPDATE watches SET since = ?", long_ago)
    watch.step()
    watch.step()
    assert len(queue.triggers()) <= 2, "two, where the minute changes meanwhile"
    assert watch.state.next_at is not None
    assert queue.triggers()[0].words.startswith("schedule * * * * *")


def test_a_schedule_asks_the_clock_often_and_says_when_it_is_next(project: Project, journal: Journal) -> None:
    settings = WatchSettings(kind="schedule", cron="0 0 1 1 *", zone="UTC")
    (watch,) = watches_of(watching(project, settings), journal)
    before = now()
    watch.step()
    assert watch.due_at - time.monotonic() <= 30, "the machine may sleep, or its clock be set, meanwhile"
    new_year = watch.state.next_at
    assert new_year is not None
    assert (new_year.month, new_year.day, new_year > before) == (1, 1, True)


def test_what_was_released_by_hand_does_not_count(
    project: Project, journal: Journal, queue: TriggerQueue, tmp_path: Path
) -> None:
    from mlconsole.evidence.data import DataEvidence, DataFile, DataIdentity, DataProfile, DataSchema
    from mlconsole.services.triggers.files import digest_of

    (project.root / "inbox").mkdir()
    for name in ("old", "new"):
        (project.root / "inbox" / f"{name}.csv").write_text(name)
    released = DataFile(path="inbox/old.csv", size=3, digest=digest_of(iter([b"old"])))
    profile = DataProfile(identity=DataIdentity(digest="d", files=(released,), size=3), rows=1, columns=())
    evidence = DataEvidence(profile=profile, schema=DataSchema(columns=()))
    run = StageRun(release=1, stage="data", attempt=1, state="done", started_at=now(), evidence=evidence)
    journal.save_stage(run)
    (watch,) = watches_of(watching(project, inbox("propose")), journal)
    watch.step()
    watch.step()
    assert [trigger.place for trigger in queue.triggers()] == ["inbox/new.csv"]


def test_a_release_without_a_trigger_says_so(journal: Journal) -> None:
    release = journal.begin_release(kind="release", who="ada", approved=False)
    assert release.trigger is None
    assert ReleaseTrigger(kinds=("data",), words="may.csv").ids == ()
