"""Each cause that keeps a pod from being ready is one line and a next step."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from mlconsole.services.kubernetes.diagnosis import refused_pods, why_not_ready, why_restarted, why_stuck
from mlconsole.services.kubernetes.objects import Event, Pod, Workload

OOM = {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}
CRASH = {
    "terminated": {
        "exitCode": 3,
        "reason": "Error",
        "startedAt": "2026-11-23T05:37:29Z",
        "finishedAt": "2026-11-23T05:37:31Z",
    }
}


def pod(state: dict[str, Any] | None = None, last: dict[str, Any] | None = None, **status: Any) -> Pod:
    container = {
        "name": "m",
        "image": "ml:9",
        "state": state or {"running": {}},
        "lastState": last or {},
        "restartCount": 2 if last else 0,
    }
    body = {
        "metadata": {"name": "p", "uid": "u"},
        "status": {"phase": "Running", "containerStatuses": [container], **status},
    }
    return msgspec.json.decode(json.dumps(body), type=Pod)


def waiting(reason: str, message: str = "") -> dict[str, Any]:
    return {"waiting": {"reason": reason, "message": message}}


def event(reason: str, message: str, uid: str = "u") -> Event:
    return msgspec.json.decode(
        json.dumps({"involvedObject": {"uid": uid}, "type": "Warning", "reason": reason, "message": message}),
        type=Event,
    )


def condition(name: str, status: str, reason: str = "", message: str = "") -> dict[str, Any]:
    return {"conditions": [{"type": name, "status": status, "reason": reason, "message": message}]}


@pytest.mark.parametrize(
    ("subject", "events", "kind", "part"),
    [
        (pod(waiting("ErrImagePull", "no such host")), [], "ErrImagePull", "image ml:9 can't be pulled: no such host"),
        (pod(waiting("InvalidImageName")), [], "InvalidImageName", "The image ml:9 can't be pulled."),
        (
            pod(waiting("CreateContainerConfigError", 'configmap "a" not found')),
            [],
            "CreateContainerConfigError",
            'lacks configuration: configmap "a" not found',
        ),
        (pod(waiting("RunContainerError", "no such file")), [], "RunContainerError", "can't be started: no such file"),
        (
            pod(waiting("CrashLoopBackOff"), CRASH),
            [],
            "CrashLoopBackOff",
            "ended with exit code 3 after 2 s, restarted 2 times.",
        ),
        (pod(waiting("CrashLoopBackOff"), OOM), [], "OOMKilled", "over its memory limit, restarted 2 times."),
        (pod(OOM), [], "OOMKilled", "over its memory limit."),
        (pod(None, OOM), [], "OOMKilled", "over its memory limit"),
        (pod(CRASH), [], "Error", "ended with exit code 3"),
        (pod(), [], "Unhealthy", "Container m is up, but not ready."),
        (
            pod(),
            [event("Unhealthy", "other", "x"), event("Unhealthy", "Readiness probe failed: 500")],
            "Unhealthy",
            "Container m is up, but not ready: Readiness probe failed: 500",
        ),
        (
            pod(
                waiting(""),
                phase="Pending",
                **condition("PodScheduled", "False", "Unschedulable", "0/3 nodes: 3 Insufficient cpu. preemption: no"),
            ),
            [],
            "Unschedulable",
            "No node fits: 0/3 nodes: 3 Insufficient cpu.",
        ),
        (
            pod(waiting("ContainerCreating"), phase="Pending"),
            [event("FailedMount", 'secret "k" not found')],
            "FailedMount",
            'A volume is not ready: secret "k" not found',
        ),
        (
            pod(waiting("ContainerCreating"), phase="Failed", reason="Evicted", message="disk pressure"),
            [],
            "Evicted",
            "The pod has failed (Evicted): disk pressure",
        ),
    ],
)
def test_a_cause_is_one_line_with_a_next_step(subject: Pod, events: list[Event], kind: str, part: str) -> None:
    diagnosis = why_not_ready(subject, events)
    assert diagnosis is not None
    assert diagnosis.kind == kind
    assert part in diagnosis.sentence
    assert "\n" not in diagnosis.sentence
    assert diagnosis.next_step


def test_a_pod_that_is_ready_starting_done_or_going_has_no_cause() -> None:
    ready = pod(**condition("Ready", "True"))
    starting = pod(waiting("ContainerCreating"), phase="Pending")
    done = pod(phase="Succeeded")
    going = msgspec.json.decode(b'{"metadata":{"deletionTimestamp":"2026-11-23T05:00:00Z"}}', type=Pod)
    assert [why_not_ready(entry) for entry in (ready, starting, done, going)] == [None] * 4


def test_a_restart_that_is_over_still_says_how_the_last_run_ended() -> None:
    found = why_restarted(pod(None, CRASH, **condition("Ready", "True")))
    assert found is not None
    assert "ended with exit code 3 after 2 s" in found.sentence
    assert why_restarted(pod()) is None


def test_a_quota_is_told_from_other_refusals() -> None:
    message = 'pods "p" is forbidden: exceeded quota: q, requested: pods=1, used: pods=1, limited: pods=1'
    quota = refused_pods(message)
    assert quota.kind == "QuotaExceeded"
    assert quota.sentence == "A quota blocks new pods: q, requested: pods=1, used: pods=1, limited: pods=1."
    assert refused_pods("denied by policy").sentence == "New pods are refused: denied by policy."


def test_a_workload_knows_of_its_pause_its_deadline_and_its_failures() -> None:
    def told(status: dict[str, Any], **spec: Any) -> str:
        body = {"kind": "Deployment", "metadata": {"name": "a"}, "spec": spec, "status": status}
        found = why_stuck(msgspec.json.decode(json.dumps(body), type=Workload))
        return found.kind if found else ""

    assert told({}) == ""
    assert told({}, paused=True) == "Paused"
    assert told(condition("Progressing", "False", "ProgressDeadlineExceeded")) == "ProgressDeadlineExceeded"
    assert told(condition("ReplicaFailure", "True", "FailedCreate", "exceeded quota: q, x")) == "QuotaExceeded"


def test_a_message_with_escapes_and_line_ends_is_one_clean_line() -> None:
    diagnosis = why_not_ready(pod(waiting("RunContainerError", "a\n\x1b[31mb" + "c" * 1000)))
    assert diagnosis is not None
    assert "\x1b" not in diagnosis.sentence
    assert "\n" not in diagnosis.sentence
    assert len(diagnosis.sentence) < 400
