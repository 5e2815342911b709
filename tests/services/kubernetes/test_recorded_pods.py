"""Wherever kubectl printed the pods of a recorded scenario, ours are the same, in every column."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from mlconsole.services.kubernetes.rows import age, pod_row
from mlconsole.services.kubernetes.watch import PodWatcher
from tests.services.kubernetes.fake_cluster import Reply, Request, Stepped, playing

SCENARIOS = (
    "crash-loop",
    "image-missing",
    "job-complete",
    "never-ready",
    "oom-killed",
    "rollout-first",
    "rollout-update",
    "scale-and-delete",
    "unschedulable",
)
EARLIER = 0.5
"""Seconds by which the recorder's clock may be ahead of what the server had when kubectl asked."""


def printed(command: dict[str, Any]) -> list[list[str]]:
    """The lines of `kubectl get pods`, their columns split where two blanks are."""
    lines = command["stdout"].splitlines()[1:]
    return [[cell.strip() for cell in line.replace("   ", "\t").split("\t") if cell.strip()] for line in lines]


def moments(recorded: Stepped, command: dict[str, Any]) -> Iterator[float]:
    """The moments, up to the end of a command, at which a pod changed; and that end."""
    for event in recorded.scenario["stream"]:
        if event["kind"] == "Pod" and event["at"] <= command["until"]:
            yield event["at"]
    yield command["until"]


def caught_up(recorded: Stepped, watcher: PodWatcher) -> None:
    deadline = time.monotonic() + 40
    while {uid: pod.metadata.resource_version for uid, pod in watcher.pods().items()} != recorded.pods():
        assert time.monotonic() < deadline, "the watcher did not see the recorded pods"
        time.sleep(0.001)


def shown(watcher: PodWatcher, at: datetime) -> list[list[str]]:
    """The rows as the screen has them, with durations as of a moment of the recording."""
    rows = []
    for row in watcher.snapshot().rows:
        pod = watcher.pods()[row.uid]
        restarts = pod_row(pod, at).restarts
        rows.append([row.name, row.ready, row.status, restarts, age(row.created_at, at)])
    return rows


def seconds_of(command: dict[str, Any], started: datetime) -> Iterator[datetime]:
    """The whole seconds at which the server may have printed."""
    begin = started + timedelta(seconds=command["at"] - EARLIER)
    for step in range(int((command["until"] - command["at"] + EARLIER) * 10) + 1):
        yield begin + timedelta(seconds=step / 10)


@pytest.mark.parametrize("name", SCENARIOS)
def test_the_rows_are_what_kubectl_printed(tmp_path: Path, name: str) -> None:
    recorded = Stepped(name)
    started = datetime.fromisoformat(recorded.scenario["started_at"].replace("Z", "+00:00"))
    commands = [entry for entry in recorded.scenario["commands"] if "get pods" in entry["command"]]
    assert commands
    with playing(recorded, tmp_path) as (_, connection):
        watcher = PodWatcher(lambda: connection, "app=ml-model", lambda: None)
        watcher.start()
        try:
            for command in commands:
                wanted, seen = printed(command), []
                for moment in moments(recorded, command):
                    if moment < recorded.now():
                        continue
                    recorded.advance(moment)
                    if moment >= command["at"] - EARLIER:
                        caught_up(recorded, watcher)
                        seen += [shown(watcher, at) for at in seconds_of(command, started)]
                assert wanted in seen
        finally:
            watcher.stop()


class WithoutEvents(Stepped):
    """A recorded cluster whose events may not be seen."""

    def respond(self, request: Request) -> Reply:
        if request.path.endswith("events"):
            return Reply(403, {"kind": "Status", "message": 'User "a" cannot list resource "events"'})
        return super().respond(request)


@pytest.mark.parametrize(
    ("recorded", "reason"),
    [
        (Stepped, "Container model is up, but not ready: Readiness probe failed: "),
        (WithoutEvents, "Container model is up, but not ready."),
    ],
)
def test_a_row_says_why_its_pod_is_not_ready(tmp_path: Path, recorded: type[Stepped], reason: str) -> None:
    cluster = recorded("never-ready")
    with playing(cluster, tmp_path) as (fake, connection):
        cluster.advance(13)
        watcher = PodWatcher(lambda: connection, "app=ml-model", lambda: None, with_events=True)
        watcher.start()
        try:
            deadline = time.monotonic() + 30
            reasons: set[str] = set()
            while not (len(reasons) and all(text.startswith(reason) for text in reasons)):
                assert time.monotonic() < deadline, reasons
                time.sleep(0.005)
                reasons = {row.reason for row in watcher.snapshot().rows}
            caught_up(cluster, watcher)
            while watcher.snapshot().watch.state != "live":
                assert time.monotonic() < deadline, watcher.snapshot().watch
                time.sleep(0.005)
        finally:
            watcher.stop()
        asked = {request.query.get("fieldSelector") for request in fake.requests if request.path.endswith("events")}
        assert asked == {"type=Warning,involvedObject.kind=Pod"}
