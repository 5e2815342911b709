"""The row of a pod: READY, STATUS and RESTARTS by the rules of the API server's own printer."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from mlconsole.localcluster.api.tables.durations import parse_time, since

Object = dict[str, Any]


class PodSummary(NamedTuple):
    """What is shown of a pod's containers."""

    ready: str
    status: str
    restarts: str


@dataclass(slots=True)
class _Tally:
    """Restarts and the latest time at which a container ended."""

    restarts: int = 0
    last: datetime | None = None

    def add(self, status: Object) -> None:
        self.restarts += status.get("restartCount") or 0
        ended = parse_time(((status.get("lastState") or {}).get("terminated") or {}).get("finishedAt"))
        if ended is not None and (self.last is None or ended > self.last):
            self.last = ended


@dataclass(slots=True)
class _Count:
    """How far the pod's containers are."""

    ready: int = 0
    initializing: bool = False


def summarize(pod: Object, now: datetime) -> PodSummary:
    """READY, STATUS and RESTARTS of a pod at a moment."""
    spec, status = pod.get("spec") or {}, pod.get("status") or {}
    conditions = {item.get("type"): item for item in status.get("conditions") or []}
    sidecars = {c["name"] for c in spec.get("initContainers") or [] if c.get("restartPolicy") == "Always"}
    count, everything, of_sidecars = _Count(), _Tally(), _Tally()
    reason = status.get("reason") or status.get("phase") or ""
    if (conditions.get("PodScheduled") or {}).get("reason") == "SchedulingGated":
        reason = "SchedulingGated"
    reason = _init_reason(spec, status, sidecars, reason, count, everything, of_sidecars)
    initialized = (conditions.get("Initialized") or {}).get("status") == "True"
    if not count.initializing or initialized:
        everything = of_sidecars
        pod_ready = (conditions.get("Ready") or {}).get("status") == "True"
        reason = _container_reason(status, reason, count, everything, pod_ready=pod_ready)
    if (pod.get("metadata") or {}).get("deletionTimestamp"):
        reason = _deleted_reason(status, reason)
    total = len(spec.get("containers") or []) + len(sidecars)
    return PodSummary(f"{count.ready}/{total}", reason, _restarts(everything, now))


def _init_reason(
    spec: Object,
    status: Object,
    sidecars: set[str],
    reason: str,
    count: _Count,
    everything: _Tally,
    of_sidecars: _Tally,
) -> str:
    for index, container in enumerate(status.get("initContainerStatuses") or []):
        everything.add(container)
        sidecar = container.get("name") in sidecars
        if sidecar:
            of_sidecars.add(container)
        state = container.get("state") or {}
        terminated, waiting = state.get("terminated"), state.get("waiting")
        if terminated is not None and not terminated.get("exitCode"):
            continue
        if sidecar and container.get("started"):
            count.ready += bool(container.get("ready"))
            continue
        count.initializing = True
        if terminated is not None:
            return "Init:" + _ended(terminated)
        if waiting is not None and waiting.get("reason") not in (None, "", "PodInitializing"):
            return f"Init:{waiting['reason']}"
        return f"Init:{index}/{len(spec.get('initContainers') or [])}"
    return reason


def _ended(terminated: Object) -> str:
    if terminated.get("reason"):
        return str(terminated["reason"])
    if terminated.get("signal"):
        return f"Signal:{terminated['signal']}"
    return f"ExitCode:{terminated.get('exitCode', 0)}"


def _container_reason(status: Object, reason: str, count: _Count, tally: _Tally, *, pod_ready: bool) -> str:
    running, error = False, ""
    for container in reversed(status.get("containerStatuses") or []):
        tally.add(container)
        state = container.get("state") or {}
        terminated, waiting = state.get("terminated"), state.get("waiting")
        if waiting is not None and waiting.get("reason"):
            reason = waiting["reason"]
        elif terminated is not None:
            reason = _ended(terminated)
            if terminated.get("exitCode"):
                error = reason
        elif container.get("ready") and state.get("running") is not None:
            running = True
            count.ready += 1
    if reason != "Completed":
        return reason
    if running and pod_ready:
        return "Running"
    return error or ("NotReady" if running else reason)


def _deleted_reason(status: Object, reason: str) -> str:
    if status.get("reason") == "NodeLost":
        return "Unknown"
    return reason if status.get("phase") in ("Succeeded", "Failed") else "Terminating"


def _restarts(tally: _Tally, now: datetime) -> str:
    if tally.restarts and tally.last is not None:
        return f"{tally.restarts} ({since(tally.last.isoformat(), now)} ago)"
    return str(tally.restarts)


def pod_row(pod: Object, now: datetime) -> list[Any]:
    """The cells of a pod, the wide ones included."""
    summary = summarize(pod, now)
    spec, status = pod.get("spec") or {}, pod.get("status") or {}
    meta = pod.get("metadata") or {}
    return [
        meta.get("name"),
        *summary,
        since(meta.get("creationTimestamp"), now),
        status.get("podIP") or "<none>",
        spec.get("nodeName") or "<none>",
        status.get("nominatedNodeName") or "<none>",
        _gates(spec, status),
    ]


def _gates(spec: Object, status: Object) -> str:
    gates = [gate.get("conditionType") for gate in spec.get("readinessGates") or []]
    if not gates:
        return "<none>"
    true = {item.get("type") for item in status.get("conditions") or [] if item.get("status") == "True"}
    return f"{sum(gate in true for gate in gates)}/{len(gates)}"
