"""How a Job stands, in words: by its conditions, its pods, events, and what its queue says."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from mlconsole.services.kubernetes.job_manifest import JobPlan, SettingUnusable, config_map, job, literal, name_of
from mlconsole.services.kubernetes.jobs import Job, how_ended, state_of
from mlconsole.services.kubernetes.kueue import Workload, words
from mlconsole.services.kubernetes.objects import Event, Pod

RUNNING = {"state": {"running": {"startedAt": "2026-11-23T10:00:00Z"}}}


def condition(kind: str, reason: str = "", message: str = "", status: str = "True") -> dict[str, str]:
    return {"type": kind, "status": status, "reason": reason, "message": message}


def a_job(*conditions: dict[str, str], failed: int = 0, **spec: Any) -> Job:
    body = {
        "metadata": {"name": "j", "uid": "u"},
        "spec": {"backoffLimit": 2, **spec},
        "status": {"failed": failed, "conditions": list(conditions)},
    }
    return msgspec.convert(body, Job)


def a_pod(name: str = "p", phase: str = "Running", container: Any = None, **status: Any) -> Pod:
    statuses = [{"name": "training", **(container or {})}] if container is not None else []
    body = {
        "metadata": {"name": name, "uid": name, "creationTimestamp": f"2026-11-23T10:00:0{len(name)}Z"},
        "spec": {"containers": [{"name": "training"}], "nodeName": "n1"},
        "status": {"phase": phase, "containerStatuses": statuses, **status},
    }
    return msgspec.convert(body, Pod)


def ended(code: int, reason: str = "Error", **more: Any) -> dict[str, Any]:
    return {"state": {"terminated": {"exitCode": code, "reason": reason, **more}}}


READY = [condition("Ready")]
UNSCHEDULABLE = [
    condition("PodScheduled", "Unschedulable", "0/3 nodes are available: 3 Insufficient nvidia.com/gpu.", "False")
]
PULLING = {
    "image": "x:1",
    "state": {"waiting": {"reason": "ImagePullBackOff", "message": "Back-off pulling image: not found"}},
}


@pytest.mark.parametrize(
    ("found", "pods", "phase", "sentence"),
    [
        (a_job(), [], "pending", "It waits for its pod."),
        (a_job(condition("Complete")), [], "complete", "Complete."),
        (a_job(condition("Completed")), [], "complete", "Complete."),
        (a_job(condition("SuccessCriteriaMet")), [a_pod("p", "Succeeded")], "running", "Its pod has ended well."),
        (a_job(condition("Failed", "DeadlineExceeded", "too long")), [], "failed", "too long"),
        (a_job(condition("FailureTarget")), [], "pending", "It waits for its pod."),
        (a_job(suspend=True), [], "queued", "Suspended: it waits for someone to start it."),
        (a_job(condition("Suspended")), [], "queued", "Suspended: it waits for someone to start it."),
        (a_job(), [a_pod(container=RUNNING, conditions=READY)], "running", "Running in pod p on n1."),
        (
            a_job(failed=1),
            [a_pod(container=RUNNING, conditions=READY)],
            "running",
            "Running in pod p on n1, attempt 2 of 3.",
        ),
        (
            a_job(),
            [a_pod(phase="Pending", conditions=UNSCHEDULABLE)],
            "pending",
            "No node fits: 0/3 nodes are available",
        ),
        (a_job(), [a_pod(phase="Pending", container=PULLING)], "pending", "The image x:1 can't be pulled"),
        (
            a_job(failed=1),
            [a_pod("p", "Failed", ended(137, "OOMKilled"))],
            "retrying",
            "Attempt 1 of 3 failed: It was killed: over its memory limit (OOMKilled).",
        ),
        (
            a_job(),
            [a_pod("p", "Running", RUNNING, conditions=READY), a_pod("pp", "Pending")],
            "pending",
            "1 of 2 pods run.",
        ),
    ],
)
def test_a_job_is_told_by_what_is_known_of_it(found: Job, pods: list[Pod], phase: str, sentence: str) -> None:
    state = state_of(found, pods)
    assert (state.phase, state.sentence[: len(sentence)]) == (phase, sentence)


def test_only_what_does_not_pass_by_itself_is_lasting() -> None:
    def lasting(pod: Pod) -> bool:
        return bool(state_of(a_job(), [pod]).lasting)

    assert lasting(a_pod(phase="Pending", container=PULLING))
    assert not lasting(a_pod(phase="Pending", conditions=UNSCHEDULABLE))


def test_a_quota_that_blocks_its_pod_is_told() -> None:
    event = msgspec.convert(
        {
            "involvedObject": {"uid": "u"},
            "reason": "FailedCreate",
            "message": "Error creating: pods is forbidden: exceeded quota: team, requested: pods=1, limited: pods=0",
        },
        Event,
    )
    state = state_of(a_job(), [], [event])
    assert state.phase == "pending"
    assert state.sentence.startswith("A quota blocks new pods: team, requested: pods=1, limited: pods=0")
    assert state.next_step.startswith("Ask for a larger quota team")


@pytest.mark.parametrize(
    ("pod", "sentence"),
    [
        (a_pod("p", "Succeeded", ended(0, "Completed")), ""),
        (a_pod("p", "Failed", ended(3)), "It ended with exit code 3."),
        (a_pod("p", "Failed", ended(137)), "It ended with signal 9 (it was killed)."),
        (a_pod("p", "Failed", ended(143)), "It ended with signal 15 (it was asked to end)."),
        (a_pod("p", "Failed", ended(128, "StartError", message="no python3")), "It could not be started: no python3."),
        (
            a_pod("p", "Failed", reason="Evicted", message="The node was low on memory."),
            "The pod was ended (Evicted): The node was low on memory.",
        ),
    ],
)
def test_the_end_of_a_pod_is_told_in_a_sentence(pod: Pod, sentence: str) -> None:
    assert how_ended(pod) == sentence


@pytest.mark.parametrize(
    ("conditions", "sentence"),
    [
        ([], "Queued in team-a."),
        (
            [condition("QuotaReserved", "Pending", "couldn't assign flavors: insufficient cpu", "False")],
            "Queued in team-a: couldn't assign flavors: insufficient cpu.",
        ),
        (
            [condition("QuotaReserved", "Inadmissible", "LocalQueue team-a doesn't exist", "False")],
            "Queued in team-a: LocalQueue team-a doesn't exist.",
        ),
        (
            [condition("QuotaReserved")],
            "Queued in team-a: its quota is reserved, and it waits for the checks before it starts.",
        ),
        ([condition("QuotaReserved"), condition("Admitted")], "Queued in team-a: admitted, about to start."),
        (
            [condition("Evicted", "Preempted", "Preempted to accommodate a workload with a higher priority")],
            "Queued in team-a again: Preempted to accommodate a workload with a higher priority.",
        ),
    ],
)
def test_a_queue_is_told_in_its_own_words(conditions: list[dict[str, str]], sentence: str) -> None:
    assert words(msgspec.convert({"status": {"conditions": conditions}}, Workload), "team-a") == sentence


PLAN = JobPlan(
    name="müller model-train-7",
    image="example/m:1",
    command=("python", "train.py", "$HOME/$(x)"),
    store="s3://bucket/models",
    cpu="4",
    memory=8_000_000_000,
    gpu="amd.com/gpu=2",
    queue="team-a",
    service_account="trainer",
    volumes=("data:/data",),
    retries=2,
    deadline=7200.4,
    release=7,
    commit="12e4567",
)


def test_a_plan_becomes_a_job_that_holds_what_was_asked_for() -> None:
    made = job(PLAN, "abcdef123456")
    spec, pod = made["spec"], made["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert made["metadata"]["name"] == name_of(PLAN, "abcdef123456") == "m-ller-model-train-7-abcdef"
    assert made["metadata"]["labels"]["mlconsole.dev/release"] == "7"
    assert made["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "team-a"
    assert (spec["suspend"], spec["backoffLimit"], spec["activeDeadlineSeconds"]) == (True, 2, 7200)
    assert (pod["restartPolicy"], pod["serviceAccountName"]) == ("Never", "trainer")
    assert container["resources"] == {
        "limits": {"memory": "8000000000", "amd.com/gpu": "2"},
        "requests": {"cpu": "4", "memory": "8000000000"},
    }
    assert container["command"][-4:] == ["--", "python", "train.py", "$$HOME/$$(x)"]
    assert {"name": "claim-0", "persistentVolumeClaim": {"claimName": "data"}} in pod["volumes"]
    assert config_map(PLAN, "abcdef123456")["data"]["job_wrapper.py"].startswith('"""Runs a training')


def test_nothing_that_was_not_asked_for_is_in_it() -> None:
    made = job(JobPlan(name="m", image="x", command=("true",), store="file:///s"), "abcdef")
    assert made["spec"]["template"]["spec"]["containers"][0]["resources"] == {}
    assert not {"suspend", "activeDeadlineSeconds"} & made["spec"].keys()
    assert "serviceAccountName" not in made["spec"]["template"]["spec"]


@pytest.mark.parametrize("changes", [{"gpu": "two"}, {"volumes": ("data",)}, {"volumes": ("data:relative",)}])
def test_a_setting_that_can_not_be_used_is_told(changes: dict[str, Any]) -> None:
    with pytest.raises(SettingUnusable, match="train"):
        job(msgspec.structs.replace(PLAN, **changes), "abcdef")


def test_kubernetes_variables_are_not_read_into_a_command() -> None:
    assert literal("$(date) $HOME $$") == "$$(date) $$HOME $$$$"
