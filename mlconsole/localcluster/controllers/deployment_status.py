"""The status of a Deployment: counts, and the conditions Available and Progressing in Kubernetes' words."""

from __future__ import annotations

from mlconsole.localcluster.controllers.objects import condition, seconds_since, set_condition
from mlconsole.localcluster.controllers.rollout import (
    has_progressed,
    is_complete,
    max_unavailable,
    replicas_of,
    status_count,
    total_replicas,
)
from mlconsole.localcluster.store import Object, clone, timestamp

NEW_CREATED = "NewReplicaSetCreated"
NEW_FOUND = "FoundNewReplicaSet"
UPDATED = "ReplicaSetUpdated"
NEW_AVAILABLE = "NewReplicaSetAvailable"
TIMED_OUT = "ProgressDeadlineExceeded"
PAUSED = "DeploymentPaused"
RESUMED = "DeploymentResumed"


def counts(deployment: Object, new: Object | None, old: list[Object]) -> Object:
    """The status with fresh counts and the Available condition; other conditions as they were."""
    every = old if new is None else [*old, new]
    available = sum(status_count(item, "availableReplicas") for item in every)
    values = {
        "replicas": sum(status_count(item, "replicas") for item in every),
        "updatedReplicas": 0 if new is None else status_count(new, "replicas"),
        "readyReplicas": sum(status_count(item, "readyReplicas") for item in every),
        "availableReplicas": available,
        "unavailableReplicas": max(0, total_replicas(every) - available),
    }
    before = deployment.get("status") or {}
    status: Object = {
        "observedGeneration": deployment["metadata"].get("generation", 1),
        **{name: value for name, value in values.items() if value},
        "terminatingReplicas": sum(status_count(item, "terminatingReplicas") for item in every),
        "conditions": clone(before.get("conditions") or []),
    }
    if "collisionCount" in before:
        status["collisionCount"] = before["collisionCount"]
    enough = available >= replicas_of(deployment) - max_unavailable(deployment)
    put(status, "Available", enough, *_AVAILABLE[enough])
    _tell_failure(status, every if new is None else [new])
    return status


def _tell_failure(status: Object, replicasets: list[Object]) -> None:
    """Says what keeps the ReplicaSets from making pods, as long as something does."""
    failures = [found for item in replicasets if (found := condition(item, "ReplicaFailure"))]
    if failures:
        put(status, "ReplicaFailure", True, failures[0]["reason"], failures[0]["message"])
    else:
        status["conditions"] = [item for item in status["conditions"] if item["type"] != "ReplicaFailure"]


_AVAILABLE = {
    True: ("MinimumReplicasAvailable", "Deployment has minimum availability."),
    False: ("MinimumReplicasUnavailable", "Deployment does not have minimum availability."),
}


def put(status: Object, kind: str, value: bool | str, reason: str, message: str, *, touch: bool = False) -> None:
    """Sets a condition; an equal one stays as it is unless ``touch`` asks for a fresh lastUpdateTime."""
    text = value if isinstance(value, str) else "True" if value else "False"
    old = find_condition(status, kind)
    if old is not None and not touch and (old["status"], old["reason"]) == (text, reason):
        return
    now = timestamp()
    condition = {"type": kind, "status": text, "lastUpdateTime": now, "lastTransitionTime": now,
                 "reason": reason, "message": message}  # fmt: skip
    set_condition(status["conditions"], condition)


def find_condition(status: Object, kind: str = "Progressing") -> Object | None:
    """The condition of this type in a status."""
    return next((item for item in status.get("conditions") or [] if item["type"] == kind), None)


def judge_progress(deployment: Object, status: Object, new_name: str) -> None:
    """Sets the Progressing condition of ``status`` (fresh counts) for a Deployment that is not paused."""
    before = deployment.get("status") or {}
    current = find_condition(status)
    reason = current["reason"] if current else ""
    done_before = status.get("replicas", 0) == status.get("updatedReplicas", 0) and reason == NEW_AVAILABLE
    if done_before:
        return
    subject = f'ReplicaSet "{new_name}"' if new_name else f'Deployment "{deployment["metadata"]["name"]}"'
    if is_complete(deployment, status):
        put(status, "Progressing", True, NEW_AVAILABLE, f"{subject} has successfully progressed.")
    elif has_progressed(before, status):
        put(status, "Progressing", True, UPDATED, f"{subject} is progressing.", touch=True)
    elif _timed_out(deployment, current):
        put(status, "Progressing", False, TIMED_OUT, f"{subject} has timed out progressing.")


def _timed_out(deployment: Object, current: Object | None) -> bool:
    if current is None or current["reason"] in (NEW_AVAILABLE, PAUSED):
        return False
    return current["reason"] == TIMED_OUT or seconds_since(current["lastUpdateTime"]) > deadline(deployment)


def deadline(deployment: Object) -> float:
    """``progressDeadlineSeconds``: how long a rollout may stand still."""
    seconds = deployment["spec"].get("progressDeadlineSeconds")
    return 600.0 if seconds is None else float(seconds)


def next_look(deployment: Object, status: Object) -> float | None:
    """Seconds until the progress deadline has to be judged again; None where nothing is under way."""
    current = find_condition(status)
    settled = current is None or current["reason"] in (NEW_AVAILABLE, TIMED_OUT, PAUSED)
    if current is None or settled or is_complete(deployment, status):
        return None
    return max(0.05, deadline(deployment) - seconds_since(current["lastUpdateTime"]) + 0.05)
