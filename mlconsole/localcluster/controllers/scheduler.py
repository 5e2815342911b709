"""The scheduler: gives pods to the one node where their requests fit, and says why where they don't."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from mlconsole.localcluster.controllers.base import Controller
from mlconsole.localcluster.controllers.objects import NODE_NAME, is_finished, labels_of, quantity, set_condition
from mlconsole.localcluster.store import Event, Key, Object, key_of, timestamp

_NO_HELP = (
    "no new claims to deallocate, preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling."
)


class Scheduler(Controller):
    """Binds pods; a pod that does not fit is looked at again when another one ends or the node changes."""

    watches = ("pods", "nodes")

    def keys(self, resource: str, event: Event) -> Iterable[Key]:
        """A pod without a node; all of these where room may have been made."""
        pod = event.object
        if resource == "pods" and event.type != "DELETED" and not is_finished(pod):
            return [] if pod["spec"].get("nodeName") else [key_of(pod)]
        return [key_of(waiting) for waiting in self.store.scan("pods") if not waiting["spec"].get("nodeName")]

    def reconcile(self, key: Key) -> float | None:
        """Binds one pod, or writes down why it can't run."""
        pod = self.find("pods", key)
        if pod is None or pod["spec"].get("nodeName") or pod["spec"].get("schedulingGates"):
            return None
        node = self.find("nodes", ("", NODE_NAME))
        reason = "no node is registered yet" if node is None else obstacle(pod, node, list(self.store.scan("pods")))
        if reason:
            self._refuse(pod, f"0/1 nodes are available: {reason}. {_NO_HELP}")
        else:
            self._bind(pod)
        return None

    def _bind(self, pod: Object) -> None:
        pod["spec"]["nodeName"] = NODE_NAME
        _put(pod, {"type": "PodScheduled", "status": "True"})
        stored = self.store.replace("pods", pod)
        where = "/".join(key_of(pod))
        message = f"Successfully assigned {where} to {NODE_NAME}"
        self.events.record("default-scheduler", "Pod", stored, "Scheduled", message)

    def _refuse(self, pod: Object, message: str) -> None:
        before = pod.get("status", {}).get("conditions") or []
        known = any(item.get("message") == message for item in before)
        _put(pod, {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message})
        self.store.update("pods", pod, status=True, manager="kube-scheduler")
        if not known:
            self.events.record("default-scheduler", "Pod", pod, "FailedScheduling", message, warning=True)


def obstacle(pod: Object, node: Object, pods: Iterable[Object]) -> str:
    """Why the pod can't run on the node, in the scheduler's words; empty where it can."""
    selector = pod["spec"].get("nodeSelector") or {}
    if not selector.items() <= labels_of(node).items():
        return "1 node(s) didn't match Pod's node affinity/selector"
    if node["spec"].get("unschedulable"):
        return "1 node(s) were unschedulable"
    running = [other for other in pods if other["spec"].get("nodeName") and not is_finished(other)]
    allocatable = node["status"]["allocatable"]
    short = [
        f"1 Insufficient {name}"
        for name, amount in requests_of(pod).items()
        if amount and amount + _requested(running, name) > quantity(allocatable.get(name))
    ]
    if len(running) >= quantity(allocatable.get("pods", 110)):
        short.append("1 Too many pods")
    return ", ".join(short)


def _requested(pods: list[Object], name: str) -> Decimal:
    return sum((requests_of(pod).get(name, Decimal(0)) for pod in pods), Decimal(0))


def requests_of(pod: Object) -> dict[str, Decimal]:
    """What a pod asks for of each resource: the sum of its containers, or its largest init container if more."""
    total: dict[str, Decimal] = {}
    for container in pod["spec"]["containers"]:
        for name, amount in _requests(container).items():
            total[name] = total.get(name, Decimal(0)) + amount
    for container in pod["spec"].get("initContainers") or []:
        for name, amount in _requests(container).items():
            total[name] = max(total.get(name, Decimal(0)), amount)
    return total


def _requests(container: Object) -> dict[str, Decimal]:
    resources = container.get("resources") or {}
    wanted = (resources.get("limits") or {}) | (resources.get("requests") or {})
    return {name: quantity(amount) for name, amount in wanted.items()}


def _put(pod: Object, condition: Object) -> None:
    now = timestamp()
    conditions = pod.setdefault("status", {"phase": "Pending"}).setdefault("conditions", [])
    set_condition(conditions, {"lastProbeTime": None, "lastTransitionTime": now, **condition})
