"""How far a rollout is, by kubectl's rules and in kubectl's words.

Source: `polymorphichelpers/rollout_status.go` of kubectl. Pure functions over a decoded workload.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from mlconsole.evidence.base import Record
from mlconsole.services.kubernetes.objects import Workload
from mlconsole.text import clean_line

ON_DELETE = "its strategy is OnDelete: delete its pods to roll them"
"""kubectl refuses to follow such a rollout: nothing happens until somebody deletes pods."""


class RolloutStatus(Record, frozen=True, kw_only=True):
    """One answer of `kubectl rollout status`."""

    sentence: str
    state: Literal["waiting", "done", "failed"] = "waiting"
    wanted: int = 0
    updated: int = 0
    ready: int = 0
    available: int = 0


def rollout_status(workload: Workload) -> RolloutStatus:
    """Say how far a Deployment, StatefulSet, DaemonSet, Job or Argo Rollout is; `workload.kind` decides."""
    return _BY_KIND.get(workload.kind, _deployment)(workload)


def _deployment(workload: Workload) -> RolloutStatus:
    name, status = workload.metadata.name, workload.status
    wanted = 1 if workload.spec.replicas is None else workload.spec.replicas
    updated, available = status.updated_replicas, status.available_replicas
    start = f'Waiting for deployment "{name}" rollout to finish:'
    state: Literal["waiting", "done", "failed"] = "waiting"
    progressing = workload.condition("Progressing")
    if workload.metadata.generation > status.observed:
        sentence = "Waiting for deployment spec update to be observed..."
    elif progressing is not None and progressing.reason == "ProgressDeadlineExceeded":
        sentence, state = f'deployment "{name}" exceeded its progress deadline', "failed"
    elif updated < wanted:
        sentence = f"{start} {updated} out of {wanted} new replicas have been updated..."
    elif status.replicas > updated:
        sentence = f"{start} {status.replicas - updated} old replicas are pending termination..."
    elif available < updated:
        sentence = f"{start} {available} of {updated} updated replicas are available..."
    else:
        sentence, state = f'deployment "{name}" successfully rolled out', "done"
    return RolloutStatus(
        sentence=sentence, state=state, wanted=wanted, updated=updated, ready=status.ready_replicas, available=available
    )


def _stateful_set(workload: Workload) -> RolloutStatus:
    status, strategy = workload.status, workload.spec.update_strategy
    wanted = 1 if workload.spec.replicas is None else workload.spec.replicas
    # The server sets it to 0 where a manifest leaves it out, so that kubectl takes each rollout as a partitioned one.
    partition = strategy.rolling_update.partition if strategy and strategy.rolling_update else None
    state: Literal["waiting", "done", "failed"] = "waiting"
    if status.observed == 0 or workload.metadata.generation > status.observed:
        sentence = "Waiting for statefulset spec update to be observed..."
    elif status.ready_replicas < wanted:
        sentence = f"Waiting for {wanted - status.ready_replicas} pods to be ready..."
    elif strategy is not None and strategy.type == "OnDelete":
        state = "done"
        sentence = f"statefulset updated; {ON_DELETE}"
    elif partition is not None and status.updated_replicas < wanted - partition:
        sentence = (
            f"Waiting for partitioned roll out to finish: {status.updated_replicas} out of "
            f"{wanted - partition} new pods have been updated..."
        )
    elif partition is not None:
        state = "done"
        sentence = f"partitioned roll out complete: {status.updated_replicas} new pods have been updated..."
    elif status.update_revision != status.current_revision:
        sentence = (
            f"waiting for statefulset rolling update to complete {status.updated_replicas} pods "
            f"at revision {status.update_revision}..."
        )
    else:
        state = "done"
        sentence = (
            f"statefulset rolling update complete {status.current_replicas} pods at "
            f"revision {status.current_revision}..."
        )
    return RolloutStatus(
        sentence=sentence,
        state=state,
        wanted=wanted,
        updated=status.updated_replicas,
        ready=status.ready_replicas,
        available=status.available_replicas or status.ready_replicas,
    )


def _daemon_set(workload: Workload) -> RolloutStatus:
    name, status = workload.metadata.name, workload.status
    wanted, updated, available = (
        status.desired_number_scheduled,
        status.updated_number_scheduled,
        status.number_available,
    )
    start = f'Waiting for daemon set "{name}" rollout to finish:'
    state: Literal["waiting", "done", "failed"] = "waiting"
    strategy = workload.spec.update_strategy
    if workload.metadata.generation > status.observed:
        sentence = "Waiting for daemon set spec update to be observed..."
    elif strategy is not None and strategy.type == "OnDelete":
        sentence, state = f"daemon set updated; {ON_DELETE}", "done"
    elif updated < wanted:
        sentence = f"{start} {updated} out of {wanted} new pods have been updated..."
    elif available < wanted:
        sentence = f"{start} {available} of {wanted} updated pods are available..."
    else:
        sentence, state = f'daemon set "{name}" successfully rolled out', "done"
    return RolloutStatus(
        sentence=sentence, state=state, wanted=wanted, updated=updated, ready=status.number_ready, available=available
    )


def _job(workload: Workload) -> RolloutStatus:
    """Only the conditions Complete and Failed are final; numbers are of pods that succeeded and that run."""
    name, status = workload.metadata.name, workload.status
    wanted = workload.spec.completions or 1
    state: Literal["waiting", "done", "failed"] = "waiting"
    complete, failed = workload.condition("Complete"), workload.condition("Failed")
    if complete is not None and complete.status == "True":
        sentence, state = f'job "{name}" complete', "done"
    elif failed is not None and failed.status == "True":
        sentence, state = f'job "{name}" failed: {failed.message or failed.reason}', "failed"
    else:
        sentence = f'Waiting for job "{name}" to finish: {status.succeeded} of {wanted} completions...'
    return RolloutStatus(
        sentence=sentence, state=state, wanted=wanted, updated=status.succeeded + status.active, ready=status.ready
    )


def _argo_rollout(workload: Workload) -> RolloutStatus:
    """By its controller's own phase; a pause may be a step of its strategy, so it is waited for.

    Source: `kubectl argo rollouts status`.
    """
    name, status = workload.metadata.name, workload.status
    wanted = 1 if workload.spec.replicas is None else workload.spec.replicas
    message = f" - {clean_line(status.message)}" if status.message else ""
    state: Literal["waiting", "done", "failed"] = "waiting"
    if workload.metadata.generation > status.observed or not status.phase:
        sentence = "Waiting for rollout spec update to be observed..."
    elif status.phase == "Healthy":
        sentence, state = f'rollout "{name}" is healthy', "done"
    elif status.phase == "Degraded":
        sentence, state = f'rollout "{name}" is degraded{message}', "failed"
    else:
        sentence = f'Waiting for rollout "{name}" to finish: {clean_line(status.phase)}{message}'
    return RolloutStatus(
        sentence=sentence,
        state=state,
        wanted=wanted,
        updated=status.updated_replicas,
        ready=status.ready_replicas,
        available=status.available_replicas,
    )


_BY_KIND: dict[str, Callable[[Workload], RolloutStatus]] = {
    "StatefulSet": _stateful_set,
    "DaemonSet": _daemon_set,
    "Job": _job,
    "Rollout": _argo_rollout,
}
