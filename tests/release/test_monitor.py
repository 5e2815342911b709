"""What the monitor makes of what pods say, and what it does then."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from mlconsole.evidence.base import StageName, now
from mlconsole.evidence.monitoring import Counters, Reading, Unread
from mlconsole.evidence.release import ReleaseTrigger, StageRun, TriggerKind
from mlconsole.evidence.training import ModelFile, ModelVersion
from mlconsole.journal import Journal
from mlconsole.monitor_log import MonitorLog
from mlconsole.outbox import Outbox
from mlconsole.project import Project
from mlconsole.project.settings import MonitorRule, MonitorSettings, NotifySettings, WatchSettings
from mlconsole.release.acting import Monitor
from mlconsole.release.monitor_words import point_words, state_lines
from mlconsole.services.monitoring.reading import Readings
from mlconsole.trigger_queue import TriggerQueue

ERRORS = MonitorRule(metric="errors", above=0.1, hold="20s", cool_down="60s", then="roll back")
SLOW = MonitorRule(metric="latency", above=0.1, times=2, hold="20s", then="warn")


class Bench:
    """A monitor over servers that a test makes count, every ten seconds of its own clock."""

    def __init__(self, project: Project, journal: Journal, *rules: MonitorRule, **settings: Any) -> None:
        self.journal, self.moment = journal, datetime(2024, 5, 1, tzinfo=UTC)
        monitor = MonitorSettings(window="30s", rules=rules)
        made = msgspec.structs.replace(project.settings, monitor=monitor, **settings)
        self.project = Project(root=project.root, settings=made, settings_file=None, found=())
        self.pods: dict[tuple[str, str], Counters] = {}
        self.unread: tuple[Unread, ...] = ()
        self.launched: list[Sequence[str]] = []
        self.monitor = self.new_monitor()
        for number in (1, 2):
            file = ModelFile(digest=f"sha256:{number}", size=1, filename="m")
            journal.add_version(ModelVersion(name="m", number=number, model=file, release=number, created_at=now()))
            release = journal.begin_release(kind="release", who="ada", approved=True, version=f"m@v{number}")
            journal.save_release(msgspec.structs.replace(release, state="done"))
        journal.move_alias("m", "previous", 1, 2)
        journal.move_alias("m", "champion", 2, 2)

    def new_monitor(self) -> Monitor:
        return Monitor(self.project, self.journal, self._read, launch=self._launch, clock=lambda: self.moment)

    def _read(self) -> Readings:
        read = (Reading(source=pod, version=version, counters=told) for (pod, version), told in self.pods.items())
        return Readings(read=tuple(read), unread=self.unread)

    def _launch(self, project: Project, arguments: Sequence[str]) -> subprocess.Popen[bytes]:
        self.launched.append(arguments)
        return SimpleNamespace(poll=lambda: 1)  # type: ignore[return-value]

    def count(self, pod: str, version: str, requests: int, errors: int = 0, latency: float = 0.05) -> None:
        """Have a pod count so many more requests, all of them in one bin of the latency."""
        before = self.pods.get((pod, version), Counters())
        bins = {**before.latency, latency: before.latency.get(latency, 0) + requests}
        self.pods[pod, version] = Counters(
            requests=before.requests + requests, errors=before.errors + errors, latency=bins
        )

    def pass_time(self, times: int = 1, **counted: tuple[int, int]) -> None:
        """Look so many times; each version counts so many requests and errors before each look."""
        for _ in range(times):
            for version, (requests, errors) in counted.items():
                self.count(f"pod-{version} uid", version, requests, errors)
            self.moment += timedelta(seconds=10)
            self.monitor.step()

    @property
    def acts(self) -> list[str]:
        state = MonitorLog(self.journal).state()
        return [act.act for act in state.acts] if state else []


@pytest.fixture
def bench(project: Project, journal: Journal) -> Bench:
    return Bench(project, journal, ERRORS)


def test_a_new_version_that_fails_is_rolled_back_once_the_rule_has_held(bench: Bench) -> None:
    bench.pass_time(3, v1=(50, 0), v2=(50, 0))
    bench.pass_time(2, v1=(50, 0), v2=(50, 20))
    assert bench.acts == []
    bench.pass_time(1, v1=(50, 0), v2=(50, 20))
    assert bench.acts == ["roll back"]
    (arguments,) = bench.launched
    assert arguments[0] == "rollback"
    reason = arguments[arguments.index("--reason") + 1]
    assert reason.startswith("monitor: m@v2: 40.0% of the requests failed in the last 30 s, 10.0% may")
    assert "(m@v1: 0.0% on the same minutes)" in reason
    (decision,) = bench.journal.decisions(2)
    assert (decision.kind, decision.who, decision.subject) == ("monitor", "monitor", "roll back by errors roll back")


def test_what_it_does_is_to_be_told_together_with_the_decision(project: Project, journal: Journal) -> None:
    told = Bench(project, journal, ERRORS, notify=NotifySettings(webhook="HOOK"))
    told.pass_time(4, v1=(50, 0), v2=(50, 20))
    (letter,) = Outbox(journal).letters()
    assert (letter.notification.event, letter.notification.version) == ("monitor", "m@v2")
    assert letter.notification.text.startswith("m: roll back: m@v2: 40.0% of the requests failed")


def test_it_is_not_rolled_back_where_the_version_before_is_no_better_on_the_same_minutes(bench: Bench) -> None:
    bench.pass_time(6, v1=(50, 20), v2=(50, 20))
    assert bench.acts == ["warn"]
    assert bench.launched == []
    assert "m@v1 is no better on the same minutes" in bench.journal.decisions(2)[0].reason


def test_it_is_rolled_back_where_both_are_bad_but_it_is_so_many_times_worse(project: Project, journal: Journal) -> None:
    worse = Bench(project, journal, msgspec.structs.replace(ERRORS, times=2))
    worse.pass_time(6, v1=(50, 10), v2=(50, 15))
    assert worse.acts == []
    worse.pass_time(6, v1=(50, 10), v2=(50, 45))
    assert worse.acts == ["roll back"]


def test_nothing_follows_from_few_requests_or_from_errors_that_pass(bench: Bench) -> None:
    bench.pass_time(8, v2=(3, 3))
    bench.pass_time(1, v2=(100, 90))
    bench.pass_time(8, v2=(1000, 0))
    assert bench.acts == []


def test_a_rollback_that_could_not_begin_is_tried_again_also_by_a_monitor_that_was_begun_anew(bench: Bench) -> None:
    bench.pass_time(5, v2=(50, 50))
    assert len(bench.launched) == 2
    bench.monitor = bench.new_monitor()
    bench.pass_time(1, v2=(50, 50))
    assert len(bench.launched) == 3
    assert bench.acts == ["roll back"]
    bench.journal.move_alias("m", "champion", 1, 3)
    bench.journal.move_alias("m", "previous", 2, 3)
    bench.pass_time(3, v1=(50, 0))
    assert len(bench.launched) == 3
    # and what was rolled back is never brought back for it
    bench.pass_time(5, v1=(50, 50))
    assert bench.acts == ["roll back", "warn"]


def test_a_release_that_nobody_attends_gives_way_to_a_rollback(bench: Bench) -> None:
    trigger = ReleaseTrigger(kinds=("data",), words="may.csv")
    running = bench.journal.begin_release(kind="release", who="watcher", approved=True, trigger=trigger)
    train = StageRun(release=3, stage="train", attempt=1, state="running", started_at=now())
    bench.journal.save_stage(train)
    bench.pass_time(6, v2=(50, 50))
    assert bench.launched == []
    (decision,) = bench.journal.decisions(3)
    assert (decision.kind, decision.stage, decision.who) == ("cancel", "train", "monitor")
    bench.journal.save_release(msgspec.structs.replace(running, state="cancelled"))
    bench.pass_time(1, v2=(50, 50))
    assert len(bench.launched) == 1


@pytest.mark.parametrize(("trigger", "stage"), [(None, "train"), (("data",), "deploy")])
def test_one_of_a_person_does_not_and_none_that_changes_the_cluster(
    bench: Bench, trigger: tuple[TriggerKind, ...] | None, stage: StageName
) -> None:
    words = ReleaseTrigger(kinds=trigger, words="may.csv") if trigger else None
    running = bench.journal.begin_release(kind="release", who="ada", approved=True, trigger=words)
    bench.journal.save_stage(StageRun(release=3, stage=stage, attempt=1, state="running", started_at=now()))
    bench.pass_time(6, v2=(50, 50))
    assert (bench.launched, bench.journal.decisions(3)) == ([], ())
    bench.journal.save_release(msgspec.structs.replace(running, state="failed"))
    bench.pass_time(1, v2=(50, 50))
    assert len(bench.launched) == 1


def test_one_that_may_not_act_only_looks(bench: Bench) -> None:
    bench.pass_time(2, v2=(50, 50))
    for _ in range(5):
        bench.count("pod-v2 uid", "v2", 50, 50)
        bench.moment += timedelta(seconds=10)
        bench.monitor.step(acts=False)
    assert bench.acts == []
    assert len(MonitorLog(bench.journal).points()) == 7


def test_latency_is_compared_with_the_version_before_and_warns_again_after_its_cool_down(
    project: Project, journal: Journal
) -> None:
    bench = Bench(project, journal, SLOW)
    for _ in range(4):
        bench.count("a u", "v1", 50, latency=0.2)
        bench.count("b u", "v2", 50, latency=0.25)
        bench.pass_time()
    assert bench.acts == []  # above 0.1 s, but not twice as slow as the version before
    for _ in range(8):
        bench.count("a u", "v1", 50, latency=0.2)
        bench.count("b u", "v2", 50, latency=1.5)
        bench.pass_time()
    assert bench.acts == ["warn"]


def test_drift_and_retraining_become_a_trigger_of_its_own_kind(project: Project, journal: Journal) -> None:
    rule = MonitorRule(metric="errors", above=0.1, hold="0s", then="retrain", name="too many errors")
    bench = Bench(project, journal, rule, watch=(WatchSettings(kind="monitor", then="run"),))
    bench.pass_time(4, v2=(50, 20))
    (trigger,) = TriggerQueue(journal).triggers()
    assert (trigger.kind, trigger.then, trigger.state) == ("monitor", "run", "waiting")
    assert trigger.words.startswith("m@v2: 40.0% of the requests failed")


def test_a_pod_that_is_silent_for_a_look_and_one_that_restarts_are_counted_right(bench: Bench) -> None:
    bench.pass_time(2, v2=(50, 0))
    kept = bench.pods.pop(("pod-v2 uid", "v2"))
    bench.unread = (Unread(pod="pod-v2", version="m@v2", sentence="timed out"),)
    bench.pass_time()
    assert "1 pod can't be read (pod-v2: timed out)" in point_words(MonitorLog(bench.journal).points()[-1])
    bench.unread = ()
    bench.pods["pod-v2 uid", "v2"] = kept
    bench.pass_time(1, v2=(7, 0))
    assert _requests(bench) == 7
    bench.pods["pod-v2 uid", "v2"] = Counters(requests=4)
    bench.pass_time()
    assert _requests(bench) == 4
    state = MonitorLog(bench.journal).state()
    assert state is not None
    assert any(line.startswith("rule errors roll back") for line in state_lines(state))


def _requests(bench: Bench) -> float:
    return MonitorLog(bench.journal).points()[-1].versions[0].counters.requests
