"""The columns of `kubectl get pods`, by the algorithm that the API server prints them with.

Source: `printPod` and `HumanDuration` of the Kubernetes sources.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import msgspec

from mlconsole.evidence.cluster import PodRow
from mlconsole.services.kubernetes.diagnosis import why_not_ready
from mlconsole.services.kubernetes.objects import Container, ContainerStatus, Event, Pod, Terminated
from mlconsole.text import clean

VERSION_ANNOTATION = "mlconsole.dev/model-version"
MODEL_DIGEST_ANNOTATION = "mlconsole.dev/model-digest"
VERSION_VARIABLE = "MODEL_VERSION"

_MINUTE, _HOUR, _DAY, _YEAR = 60, 3600, 86400, 365 * 86400


def human_duration(seconds: float) -> str:
    """Say a length of time as kubectl's AGE column does: `12s`, `3m5s`, `2d3h`."""
    whole = int(seconds)
    if whole < -1:
        return "<invalid>"
    if whole < 0:
        return "0s"
    if whole < 2 * _MINUTE:
        return f"{whole}s"
    for limit, large, large_unit, small, small_unit in (
        (10 * _MINUTE, _MINUTE, "m", 1, "s"),
        (3 * _HOUR, _MINUTE, "m", 0, ""),
        (8 * _HOUR, _HOUR, "h", _MINUTE, "m"),
        (2 * _DAY, _HOUR, "h", 0, ""),
        (8 * _DAY, _DAY, "d", _HOUR, "h"),
        (2 * _YEAR, _DAY, "d", 0, ""),
        (8 * _YEAR, _YEAR, "y", _DAY, "d"),
    ):
        if whole < limit:
            rest = whole % large // small if small else 0
            return f"{whole // large}{large_unit}" + (f"{rest}{small_unit}" if rest else "")
    return f"{whole // _YEAR}y"


def age(created_at: datetime | None, now: datetime) -> str:
    """Say how long ago something was, as kubectl does; `<unknown>` without a moment."""
    return "<unknown>" if created_at is None else human_duration((now - created_at).total_seconds())


def pod_row(pod: Pod, now: datetime, events: Sequence[Event] = ()) -> PodRow:
    """Return a pod's row as `kubectl get pods` prints it, with the model version that it runs.

    Args:
        pod: the pod.
        now: the moment that durations are counted to.
        events: events of this pod, from which the reason takes a failing health check's text.
    """
    tally = _Tally(pod)
    owner, version, digest = pod.metadata.owner, *model_of(pod)
    diagnosis = why_not_ready(pod, events)
    return PodRow(
        name=clean(pod.metadata.name),
        namespace=pod.metadata.namespace,
        uid=pod.metadata.uid,
        ready=f"{tally.ready}/{tally.total}",
        status=clean(tally.reason),
        restarts=tally.restarts_text(now),
        created_at=pod.metadata.creation_timestamp,
        is_ready=pod.is_ready,
        restart_count=tally.restarts,
        node=pod.spec.node_name,
        ip=pod.status.pod_ip,
        version=clean(version),
        model_digest=clean(digest),
        owner=owner.name if owner else "",
        deleting=pod.metadata.deletion_timestamp is not None,
        reason=diagnosis.sentence if diagnosis else "",
    )


def with_restarts(row: PodRow, pod: Pod, now: datetime) -> PodRow:
    """Return a row with its restarts as they are told at another moment; the same row where they read the same."""
    restarts = _Tally(pod).restarts_text(now)
    return row if restarts == row.restarts else msgspec.structs.replace(row, restarts=restarts)


def model_of(pod: Pod) -> tuple[str, str]:
    """Return the model version and model digest that a pod says it runs; empty where it says nothing."""
    annotations = pod.metadata.annotations or {}
    version = annotations.get(VERSION_ANNOTATION, "")
    if not version:
        for container in pod.spec.containers or ():
            found = next((entry.value for entry in container.env or () if entry.name == VERSION_VARIABLE), "")
            if found:
                version = found
                break
    return version, annotations.get(MODEL_DIGEST_ANNOTATION, "")


class _Tally(msgspec.Struct):
    """The walk over a pod's containers that READY, STATUS and RESTARTS come from."""

    pod: Pod
    reason: str = ""
    total: int = 0
    ready: int = 0
    restarts: int = 0
    restarted_at: datetime | None = None
    sidecar_restarts: int = 0
    sidecar_restarted_at: datetime | None = None

    def __post_init__(self) -> None:
        pod = self.pod
        self.reason = pod.status.reason or pod.status.phase
        scheduled = pod.condition("PodScheduled")
        if scheduled is not None and scheduled.reason == "SchedulingGated":
            self.reason = "SchedulingGated"
        sidecars = [entry for entry in pod.spec.init_containers or () if _is_sidecar(entry)]
        self.total = len(pod.spec.containers or ()) + len(sidecars)
        initializing = self._walk_init_containers()
        initialized = pod.condition("Initialized")
        if not initializing or (initialized is not None and initialized.status == "True"):
            self._walk_containers()
        if pod.metadata.deletion_timestamp is not None:
            if pod.status.reason == "NodeLost":
                self.reason = "Unknown"
            elif pod.status.phase not in ("Succeeded", "Failed"):
                self.reason = "Terminating"

    def _walk_init_containers(self) -> bool:
        """Take in the init containers; True where one of them is what the pod waits for."""
        specs = {entry.name: entry for entry in self.pod.spec.init_containers or ()}
        for index, status in enumerate(self.pod.status.init_container_statuses or ()):
            self._add_restarts(status)
            sidecar = status.name in specs and _is_sidecar(specs[status.name])
            if sidecar:
                self.sidecar_restarts += status.restart_count
                ended = status.last_state.terminated
                self.sidecar_restarted_at = _later(self.sidecar_restarted_at, ended.finished_at if ended else None)
            terminated, waiting = status.state.terminated, status.state.waiting
            if terminated is not None and terminated.exit_code == 0:
                continue
            if sidecar and status.started:
                self.ready += status.ready
                continue
            if terminated is not None:
                self.reason = "Init:" + _ended(terminated)
            elif waiting is not None and waiting.reason not in ("", "PodInitializing"):
                self.reason = "Init:" + waiting.reason
            else:
                self.reason = f"Init:{index}/{len(specs)}"
            return True
        return False

    def _walk_containers(self) -> None:
        self.restarts, self.restarted_at = self.sidecar_restarts, self.sidecar_restarted_at
        running = False
        error = ""
        for status in reversed(self.pod.status.container_statuses or ()):
            self._add_restarts(status)
            state = status.state
            if state.waiting is not None and state.waiting.reason:
                self.reason = state.waiting.reason
            elif state.terminated is not None:
                self.reason = _ended(state.terminated)
                if state.terminated.exit_code != 0:
                    error = self.reason
            elif status.ready and state.running is not None:
                running = True
                self.ready += 1
        if self.reason == "Completed":
            ready = self.pod.condition("Ready")
            if running and ready is not None and ready.status == "True":
                self.reason = "Running"
            elif error:
                self.reason = error
            elif running:
                self.reason = "NotReady"

    def _add_restarts(self, status: ContainerStatus) -> None:
        self.restarts += status.restart_count
        ended = status.last_state.terminated
        self.restarted_at = _later(self.restarted_at, ended.finished_at if ended else None)

    def restarts_text(self, now: datetime) -> str:
        if self.restarts and self.restarted_at is not None:
            return f"{self.restarts} ({age(self.restarted_at, now)} ago)"
        return str(self.restarts)


def _is_sidecar(container: Container) -> bool:
    return container.restart_policy == "Always"


def _ended(terminated: Terminated) -> str:
    if terminated.reason:
        return terminated.reason
    return f"Signal:{terminated.signal}" if terminated.signal else f"ExitCode:{terminated.exit_code}"


def _later(first: datetime | None, second: datetime | None) -> datetime | None:
    return max(first, second) if first and second else first or second
