"""Rollouts are told in kubectl's words, and a failing one with its reason."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import dropwhile
from pathlib import Path
from typing import Any

import pytest

from mlconsole.errors import Cancelled, WrongUse
from mlconsole.evidence.cluster import RolloutProgress, RolloutVerdict, WorkloadRef
from mlconsole.services.kubernetes import follower
from mlconsole.services.kubernetes.manifests import from_yaml
from mlconsole.services.kubernetes.objects import (
    Condition,
    RollingUpdate,
    UpdateStrategy,
    Workload,
)
from mlconsole.services.kubernetes.rollout import follow, workloads_of
from mlconsole.services.kubernetes.rollout_status import rollout_status
from tests.services.kubernetes import recordings
from tests.services.kubernetes.fake_cluster import Recorded, Reply, Request, playing, serving

DEPLOYMENT = WorkloadRef(kind="Deployment", name="ml-model-deployment", namespace="lab")
STATUS_COMMANDS = [
    (name, number)
    for name, count in {
        "rollout-first": 1,
        "rollout-update": 3,
        "scale-and-delete": 3,
        "image-missing": 2,
        "crash-loop": 2,
        "never-ready": 1,
        "oom-killed": 1,
        "unschedulable": 1,
    }.items()
    for number in range(count)
]


def told(
    name: str, number: int, folder: Path, *, speed: float = 100, logs: bytes = b"", **keywords: float
) -> tuple[RolloutVerdict, list[RolloutProgress], dict[str, str]]:
    """Follow a recorded rollout from the moment at which kubectl began to; also returns kubectl's own words."""
    commands = [entry for entry in recordings.scenario(name)["commands"] if "rollout status" in entry["command"]]
    command = commands[number]
    seen: list[RolloutProgress] = []
    recorded = Recorded(name, speed, start=command["at"], end=command["until"], logs=logs)
    with playing(recorded, folder) as (_, connection):
        (verdict,) = follow(
            connection, [DEPLOYMENT], report=seen.append, cancelled=threading.Event(), timeout=60, **keywords
        )
    return verdict, seen, command


@pytest.mark.end_to_end
def test_at_their_own_pace_they_end_as_with_kubectl_or_sooner_with_the_reason(tmp_path: Path) -> None:
    def follow_one(command: tuple[str, int]) -> tuple[RolloutVerdict, dict[str, str]]:
        folder = tmp_path / "-".join(map(str, command))
        folder.mkdir()
        verdict, _, said = told(*command, folder, speed=1, crash_limit=99)
        return verdict, said

    with ThreadPoolExecutor(len(STATUS_COMMANDS)) as pool:
        for verdict, command in pool.map(follow_one, STATUS_COMMANDS):
            assert verdict.succeeded is (command["exit"] == 0)
            if verdict.succeeded:
                assert verdict.sentence == command["stdout"].splitlines()[-1]
            elif command["stderr"].strip() != f"error: {verdict.sentence}":
                # Sooner than kubectl, which waits for the deadline and then knows no reason.
                assert "will not roll out: " in verdict.sentence
                assert verdict.seconds < float(command["until"]) - float(command["at"])
            assert verdict.succeeded or verdict.reason


@pytest.mark.parametrize(("name", "number"), STATUS_COMMANDS)
def test_a_recorded_rollout_is_told_as_kubectl_told_it(tmp_path: Path, name: str, number: int) -> None:
    verdict, seen, command = told(name, number, tmp_path, crash_limit=99)
    words = command["stdout"].splitlines()
    assert verdict.succeeded is (command["exit"] == 0)
    if verdict.succeeded:
        assert verdict.sentence == words[-1]
    else:
        assert command["stderr"].strip() == f"error: {verdict.sentence}"
        assert verdict.reason
        assert verdict.next_step
    # Which state comes first depends on who looks first: kubectl, or the controllers. From then on they agree.
    said = list(dropwhile(lambda sentence: sentence not in words, [progress.sentence for progress in seen]))
    assert said or not verdict.succeeded
    assert [sentence for sentence in said if sentence not in words and sentence not in command["stderr"]] == []


@pytest.mark.parametrize(
    ("name", "number", "reason", "event"),
    [
        (
            "image-missing",
            1,
            "The image registry.local/absent:9 can't be pulled: failed to resolve image: failed to do request: "
            'Head "https://registry.local/v2/absent/manifests/9": dial tcp: lookup registry.local on 192.0.2.53:53: '
            "no such host",
            "Warning Failed Failed to pull image",
        ),
        ("crash-loop", 1, "Container model ended with exit code 3 after 1 s, restarted once.", "BackOff"),
        (
            "never-ready",
            0,
            "Container model is up, but not ready: Readiness probe failed: ",
            "Warning Unhealthy Readiness probe failed",
        ),
        ("unschedulable", 0, "No node fits: 0/1 nodes are available: 1 Insufficient cpu.", "FailedScheduling"),
    ],
)
def test_a_rollout_that_misses_its_deadline_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, number: int, reason: str, event: str
) -> None:
    monkeypatch.setattr(follower, "START_SECONDS", 0.0)
    logs = b"Traceback: bad \x1b[31mmodel file\n"
    verdict, seen, _ = told(name, number, tmp_path, speed=20, logs=logs, crash_limit=99)
    assert "exceeded its progress deadline" in verdict.sentence
    assert reason in verdict.reason
    assert any(event in line for line in verdict.events)
    assert any(progress.problem for progress in seen)
    if name == "crash-loop":
        assert verdict.log_tail == ("Traceback: bad model file",)


def test_a_crash_loop_is_given_up_before_the_deadline(tmp_path: Path) -> None:
    verdict, _, _ = told("crash-loop", 1, tmp_path, speed=8, crash_limit=1)
    assert not verdict.succeeded
    assert verdict.sentence.startswith("Deployment ml-model-deployment will not roll out: Container model ended with")


def test_an_image_that_stays_missing_is_given_up_before_the_deadline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follower, "PATIENCE", dict.fromkeys(follower.PATIENCE, 0.5))
    verdict, _, _ = told("image-missing", 1, tmp_path, speed=8)
    assert "will not roll out: The image registry.local/absent:9" in verdict.sentence
    assert verdict.next_step.startswith("Check the image's name and tag")


def test_a_time_out_has_a_reason(tmp_path: Path) -> None:
    recorded = Recorded("never-ready", 2, start=1)
    with playing(recorded, tmp_path) as (_, connection):
        (verdict,) = follow(
            connection, [DEPLOYMENT], report=lambda progress: None, cancelled=threading.Event(), timeout=3
        )
    assert verdict.sentence == "Deployment ml-model-deployment did not roll out within 3 s."
    assert "Readiness probe failed" in verdict.reason


def test_a_cancel_ends_it_at_once(tmp_path: Path) -> None:
    cancelled = threading.Event()

    def report(progress: RolloutProgress) -> None:
        cancelled.set()

    with playing(Recorded("never-ready", 1, start=1), tmp_path) as (_, connection), pytest.raises(Cancelled):
        follow(connection, [DEPLOYMENT], report=report, cancelled=cancelled)


def test_kinds_without_a_rollout_are_refused(tmp_path: Path) -> None:
    with playing(Recorded("never-ready", 1), tmp_path) as (_, connection), pytest.raises(WrongUse, match="ConfigMap"):
        follow(
            connection,
            [WorkloadRef(kind="ConfigMap", name="a", namespace="lab")],
            report=lambda progress: None,
            cancelled=threading.Event(),
        )


def test_a_job_is_followed_to_its_end(tmp_path: Path) -> None:
    with playing(Recorded("job-complete", 4, start=0.6), tmp_path) as (_, connection):
        (verdict,) = follow(
            connection,
            [WorkloadRef(kind="Job", name="train", namespace="lab")],
            report=lambda progress: None,
            cancelled=threading.Event(),
        )
    assert verdict.succeeded
    assert verdict.sentence == 'job "train" complete'


def stateful_set(*, ready: int, updated: int = 0, partition: int | None = None, revision: str = "b") -> Workload:
    workload = Workload(kind="StatefulSet")
    workload.metadata.name, workload.metadata.generation = "db", 2
    workload.spec.replicas = 3
    workload.spec.update_strategy = UpdateStrategy(
        type="RollingUpdate", rolling_update=RollingUpdate(partition=partition)
    )
    workload.status.observed_generation = 2
    workload.status.ready_replicas, workload.status.updated_replicas = ready, updated
    workload.status.current_replicas = 3
    workload.status.current_revision, workload.status.update_revision = "b", revision
    return workload


@pytest.mark.parametrize(
    ("workload", "sentence", "state"),
    [
        (stateful_set(ready=1), "Waiting for 2 pods to be ready...", "waiting"),
        (
            stateful_set(ready=3, updated=1, partition=1),
            "Waiting for partitioned roll out to finish: 1 out of 2 new pods have been updated...",
            "waiting",
        ),
        (
            stateful_set(ready=3, updated=2, partition=1),
            "partitioned roll out complete: 2 new pods have been updated...",
            "done",
        ),
        (
            stateful_set(ready=3, updated=2, revision="c"),
            "waiting for statefulset rolling update to complete 2 pods at revision c...",
            "waiting",
        ),
        (stateful_set(ready=3), "statefulset rolling update complete 3 pods at revision b...", "done"),
        (
            stateful_set(ready=3, updated=2, partition=0),
            "Waiting for partitioned roll out to finish: 2 out of 3 new pods have been updated...",
            "waiting",
        ),
        (
            stateful_set(ready=3, updated=3, partition=0),
            "partitioned roll out complete: 3 new pods have been updated...",
            "done",
        ),
    ],
)
def test_stateful_sets_are_told_as_kubectl_does(workload: Workload, sentence: str, state: str) -> None:
    status = rollout_status(workload)
    assert (status.sentence, status.state) == (sentence, state)


def test_daemon_sets_are_told_as_kubectl_does() -> None:
    workload = Workload(kind="DaemonSet")
    workload.metadata.name = "agent"
    workload.status.desired_number_scheduled, workload.status.updated_number_scheduled = 2, 1
    words = 'Waiting for daemon set "agent" rollout to finish: 1 out of 2 new pods have been updated...'
    assert rollout_status(workload).sentence == words
    workload.status.updated_number_scheduled = workload.status.number_available = 2
    assert rollout_status(workload).sentence == 'daemon set "agent" successfully rolled out'


def test_a_failed_job_says_why() -> None:
    workload = Workload(kind="Job")
    workload.metadata.name = "train"
    workload.status.conditions = [Condition(type="Failed", status="True", message="backoff limit")]
    assert rollout_status(workload).sentence == 'job "train" failed: backoff limit'


def test_workloads_are_found_among_manifests() -> None:
    text = "\n---\n".join(
        f"{{apiVersion: v1, kind: {kind}, metadata: {{name: a, namespace: x}}}}" for kind in ("Service", "Deployment")
    )
    assert workloads_of(from_yaml(text)) == (WorkloadRef(kind="Deployment", name="a", namespace="x"),)


def test_a_cluster_that_goes_away_meanwhile_is_told(tmp_path: Path) -> None:
    recorded = Recorded("never-ready", 4, start=1)
    seen: list[RolloutProgress] = []
    with playing(recorded, tmp_path) as (cluster, connection):

        def report(progress: RolloutProgress) -> None:
            seen.append(progress)
            if not recorded.stopped.is_set():
                recorded.stopped.set()
                cluster.close()

        (verdict,) = follow(connection, [DEPLOYMENT], report=report, cancelled=threading.Event(), timeout=6)
    assert not verdict.succeeded
    assert "Can't reach the cluster at 127.0.0.1" in verdict.reason
    assert "Can't reach the cluster" in seen[-1].problem


class Forbidding(Recorded):
    """A recorded cluster whose replica sets may not be seen."""

    def respond(self, request: Request) -> Reply:
        if request.path.endswith("replicasets"):
            return Reply(403, {"kind": "Status", "message": 'User "a" cannot list resource "replicasets"'})
        return super().respond(request)


@pytest.mark.parametrize(("name", "reason"), [("crash-loop", "ended with exit code 3"), ("image-missing", "pulled")])
def test_without_the_right_to_see_replica_sets_the_cause_is_told_all_the_same(
    tmp_path: Path, name: str, reason: str
) -> None:
    begin = [entry for entry in recordings.scenario(name)["commands"] if "rollout status" in entry["command"]][1]
    recorded = Forbidding(name, 8, start=begin["at"], end=begin["until"])
    with playing(recorded, tmp_path) as (_, connection):
        (verdict,) = follow(
            connection, [DEPLOYMENT], report=lambda progress: None, cancelled=threading.Event(), timeout=60
        )
    assert not verdict.succeeded
    assert reason in verdict.reason


def argo_rollout(phase: str, message: str = "", observed: str = "2") -> dict[str, Any]:
    return {
        "metadata": {"name": "m", "uid": "u", "generation": 2, "resourceVersion": "1"},
        "spec": {"replicas": 2, "selector": {"matchLabels": {"app": "m"}}},
        "status": {"observedGeneration": observed, "phase": phase, "message": message, "updatedReplicas": 1},
    }


@pytest.mark.parametrize(
    ("last", "succeeded", "sentence"),
    [
        (argo_rollout("Healthy"), True, 'rollout "m" is healthy'),
        (
            argo_rollout("Degraded", "ProgressDeadlineExceeded: timed out progressing"),
            False,
            'rollout "m" is degraded - ProgressDeadlineExceeded: timed out progressing',
        ),
    ],
)
def test_an_argo_rollout_is_followed_by_its_phase(
    tmp_path: Path, last: dict[str, Any], succeeded: bool, sentence: str
) -> None:
    steps = [
        argo_rollout("Healthy", observed="1"),
        argo_rollout("Progressing", "more replicas need to be updated"),
        argo_rollout("Paused", "CanaryPauseStep"),
        last,
    ]
    done = threading.Event()
    seen: list[RolloutProgress] = []

    def events() -> Iterator[bytes]:
        for number, step in enumerate(steps):
            step["metadata"]["resourceVersion"] = str(number + 2)
            yield json.dumps({"type": "MODIFIED", "object": step}).encode() + b"\n"
            while number < 3 and len(seen) <= number and not done.wait(0.01):
                pass
        done.wait(30)

    def respond(request: Request) -> Reply:
        is_rollout = request.path.endswith("rollouts")
        if request.query.get("watch"):
            return Reply(chunks=events() if is_rollout else iter(lambda: done.wait(30) and b"", b""))
        items = [argo_rollout("Healthy", observed="1")] if is_rollout else []
        return Reply(body={"items": items, "metadata": {"resourceVersion": "1"}})

    with serving(respond, tmp_path) as (_, connection):
        rollout = WorkloadRef(kind="Rollout", name="m", namespace="lab")
        (verdict,) = follow(connection, [rollout], report=seen.append, cancelled=threading.Event(), timeout=60)
        done.set()
    assert (verdict.succeeded, verdict.sentence) == (succeeded, sentence)
    assert [progress.sentence for progress in seen][:3] == [
        "Waiting for rollout spec update to be observed...",
        'Waiting for rollout "m" to finish: Progressing - more replicas need to be updated',
        'Waiting for rollout "m" to finish: Paused - CanaryPauseStep',
    ]
