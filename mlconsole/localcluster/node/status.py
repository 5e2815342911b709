"""The status of a pod, built from what is known of its containers, in Kubernetes' words. Pure functions."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any

from mlconsole.localcluster.controllers.addresses import LOOPBACK
from mlconsole.localcluster.controllers.objects import set_condition
from mlconsole.localcluster.store import Object, clone, timestamp


@dataclass
class ContainerRecord:
    """What is known of one container.

    Args:
        spec: the container as the pod's spec has it.
        state: ``waiting``, ``running`` or ``terminated`` with its fields, as the API has them.
        over: it has ended and will not be started again.
    """

    spec: Object
    state: Object = field(default_factory=lambda: {"waiting": {"reason": "ContainerCreating"}})
    last_state: Object = field(default_factory=dict)
    restart_count: int = 0
    ready: bool = False
    started: bool = False
    container_id: str = ""
    image_id: str = ""
    over: bool = False

    @property
    def name(self) -> str:
        """The container's name."""
        return str(self.spec["name"])

    @property
    def is_sidecar(self) -> bool:
        """Whether it is an init container that runs beside the others."""
        return self.spec.get("restartPolicy") == "Always"

    @property
    def exit_code(self) -> int | None:
        """The exit code of a container that has ended."""
        ended = self.state.get("terminated")
        return None if ended is None else int(ended["exitCode"])

    def take_over(self, status: Object) -> None:
        """Goes on from what an earlier server wrote."""
        self.state = clone(status.get("state") or self.state)
        self.last_state = clone(status.get("lastState") or {})
        self.restart_count = int(status.get("restartCount", 0))
        self.ready = bool(status.get("ready"))
        self.started = bool(status.get("started"))
        self.container_id = status.get("containerID", "")
        self.image_id = status.get("imageID", "")

    def to_status(self) -> Object:
        """The entry in ``containerStatuses``."""
        status: dict[str, Any] = {
            "name": self.name, "state": clone(self.state), "lastState": clone(self.last_state), "ready": self.ready,
            "restartCount": self.restart_count, "image": self.spec.get("image", ""), "imageID": self.image_id,
            "started": self.started,
        }  # fmt: skip
        if self.container_id:
            status["containerID"] = self.container_id
        return status


def container_id(uid: str, container: str, attempt: int) -> str:
    """An id that is stable for one start of one container."""
    return "local://" + hashlib.sha256(f"{uid}/{container}/{attempt}".encode()).hexdigest()


def build_status(pod: Object, init: list[ContainerRecord], main: list[ContainerRecord]) -> Object:
    """The pod's status from its containers; times of transitions that did not happen stay as they were."""
    before = pod.get("status") or {}
    status: Object = {key: value for key, value in before.items() if key not in _REBUILT}
    status["phase"] = phase_of(init, main)
    status["observedGeneration"] = pod["metadata"].get("generation", 1)
    status["hostIP"] = LOOPBACK
    status["hostIPs"] = [{"ip": LOOPBACK}]
    status.setdefault("startTime", timestamp())
    if any("running" in record.state or "terminated" in record.state or record.last_state for record in (*init, *main)):
        status["podIP"] = LOOPBACK
        status["podIPs"] = [{"ip": LOOPBACK}]
    status["containerStatuses"] = [record.to_status() for record in main]
    if init:
        status["initContainerStatuses"] = [record.to_status() for record in init]
    status["conditions"] = _conditions(pod, status["phase"], init, main)
    return status


_REBUILT = frozenset({"conditions", "containerStatuses", "initContainerStatuses", "phase", "reason", "message"})


def is_initialized(init: list[ContainerRecord]) -> bool:
    """Whether every init container has succeeded and every sidecar has started."""
    return all(record.started if record.is_sidecar else record.exit_code == 0 for record in init)


def phase_of(init: list[ContainerRecord], main: list[ContainerRecord]) -> str:
    """Pending, Running, Succeeded or Failed."""
    if any(record.over and record.exit_code != 0 and not record.is_sidecar for record in init):
        return "Failed"
    if all(record.over for record in main):
        return "Succeeded" if all(record.exit_code == 0 for record in main) else "Failed"
    waits = any("waiting" in record.state and not record.last_state for record in main)
    return "Pending" if waits or not is_initialized(init) else "Running"


def _conditions(pod: Object, phase: str, init: list[ContainerRecord], main: list[ContainerRecord]) -> list[Object]:
    over = phase in ("Succeeded", "Failed")
    started = any("waiting" not in record.state or record.last_state for record in (*init, *main))
    unready = [record.name for record in main if not record.ready]
    incomplete = [
        record.name for record in init if not (record.started if record.is_sidecar else record.exit_code == 0)
    ]
    ended = {"Succeeded": "PodCompleted", "Failed": "PodFailed"}.get(phase)
    initialized: Object = {"status": "False" if incomplete else "True"}
    if incomplete:
        names = " ".join(incomplete)
        initialized |= {
            "reason": "ContainersNotInitialized",
            "message": f"containers with incomplete status: [{names}]",
        }
    elif phase == "Succeeded":
        initialized["reason"] = "PodCompleted"
    ready: Object = {"status": "False" if unready or over else "True"}
    if ended:
        ready["reason"] = ended
    elif unready:
        message = f"containers with unready status: [{' '.join(unready)}]"
        ready |= {"reason": "ContainersNotReady", "message": message}
    wanted = {
        "PodReadyToStartContainers": {"status": "True" if started and not over else "False"},
        "Initialized": initialized,
        "Ready": ready,
        "ContainersReady": dict(ready),
        "PodScheduled": {"status": "True"},
    }
    return _with_times(pod, wanted)


def _with_times(pod: Object, wanted: dict[str, Object]) -> list[Object]:
    conditions = clone((pod.get("status") or {}).get("conditions") or [])
    generation = pod["metadata"].get("generation", 1)
    for kind, fields in wanted.items():
        new = {"type": kind, "observedGeneration": generation, "status": fields["status"], "lastProbeTime": None,
               "lastTransitionTime": timestamp(), **fields}  # fmt: skip
        set_condition(conditions, new)
    order = list(wanted)
    return sorted(conditions, key=lambda item: order.index(item["type"]) if item["type"] in order else len(order))
