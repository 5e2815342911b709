"""Pods as controllers make, choose and end them."""

from __future__ import annotations

from collections.abc import Iterable

from mlconsole.localcluster.controllers.base import MANAGER
from mlconsole.localcluster.controllers.events import EventRecorder
from mlconsole.localcluster.controllers.objects import (
    condition,
    controlled_by,
    controller_of,
    is_active,
    is_ready,
    labels_of,
    matches,
    owner_reference,
    parse_time,
    quantity,
    seconds_since,
)
from mlconsole.localcluster.controllers.quota import QuotaExceeded, admit_pod
from mlconsole.localcluster.store import NotFound, Object, Store, clone, random_suffix


def new_pod(owner: Object, api_version: str, kind: str, prefix: str) -> Object:
    """A pod from the template of its owner, named ``<prefix>xxxxx`` by the store."""
    template = clone(owner["spec"]["template"])
    meta = template.get("metadata") or {}
    metadata: Object = {
        "generateName": prefix,
        "namespace": owner["metadata"]["namespace"],
        "labels": dict(meta.get("labels") or {}),
        "ownerReferences": [owner_reference(owner, api_version, kind)],
    }
    if meta.get("annotations"):
        metadata["annotations"] = dict(meta["annotations"])
    spec = template["spec"]
    spec.setdefault("enableServiceLinks", True)
    status = {"phase": "Pending", "qosClass": qos_class(spec)}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec, "status": status}


def qos_class(spec: Object) -> str:
    """Guaranteed, Burstable or BestEffort, from the requests and limits of all containers."""
    containers = [*(spec.get("initContainers") or []), *spec["containers"]]
    resources = [container.get("resources") or {} for container in containers]
    if not any(item.get("requests") or item.get("limits") for item in resources):
        return "BestEffort"
    return "Guaranteed" if all(_is_guaranteed(item) for item in resources) else "Burstable"


def _is_guaranteed(resources: Object) -> bool:
    limits, requests = resources.get("limits") or {}, resources.get("requests") or {}
    return all(
        name in limits and quantity(requests.get(name, limits[name])) == quantity(limits[name])
        for name in ("cpu", "memory")
    )


def owned_pods(store: Store, owner: Object) -> list[Object]:
    """The stored pods (read only) that ``owner`` manages; those without an owner that it selects become its own."""
    namespace = owner["metadata"]["namespace"]
    return [pod for pod in store.scan("pods", namespace) if controlled_by(pod, owner)]


def adopt(store: Store, resource: str, owner: Object, api_version: str, kind: str) -> None:
    """Makes ``owner`` the controller of the objects that its selector takes and that nobody controls."""
    for obj in list(store.scan(resource, owner["metadata"]["namespace"])):
        free = controller_of(obj) is None and "deletionTimestamp" not in obj["metadata"]
        if free and matches(owner["spec"].get("selector"), labels_of(obj)):
            adopted = clone(obj)
            references = adopted["metadata"].setdefault("ownerReferences", [])
            references.append(owner_reference(owner, api_version, kind))
            store.update(resource, adopted)


def active_pods(pods: Iterable[Object]) -> list[Object]:
    """Those that are neither finished nor about to go."""
    return [pod for pod in pods if is_active(pod)]


def end_pod(store: Store, pod: Object) -> None:
    """Asks for the end of a pod; one that no node has yet is simply gone."""
    namespace, name = pod["metadata"]["namespace"], pod["metadata"]["name"]
    try:
        if not pod["spec"].get("nodeName"):
            store.delete("pods", namespace, name)
        else:
            grace = pod["spec"].get("terminationGracePeriodSeconds")
            store.mark_deleted("pods", namespace, name, 30 if grace is None else grace)
    except NotFound:
        return


def deletion_order(pod: Object) -> tuple[bool, int, bool, float, int, float]:
    """Sorts the pods that can best be spared first, as the ReplicaSet controller ranks them."""
    status = pod.get("status") or {}
    phase = {"Pending": 0, "Unknown": 1}.get(status.get("phase", "Pending"), 2)
    ready = condition(pod, "Ready")
    ready_for = seconds_since(ready["lastTransitionTime"]) if is_ready(pod) and ready else 0.0
    restarts = sum(item.get("restartCount", 0) for item in status.get("containerStatuses") or [])
    created = parse_time(pod["metadata"]["creationTimestamp"]).timestamp()
    return bool(pod["spec"].get("nodeName")), phase, is_ready(pod), round(ready_for), -restarts, -created


class PodWriter:
    """Creates and ends pods for one controller and says so in events."""

    def __init__(self, store: Store, events: EventRecorder, component: str, api_version: str, kind: str) -> None:
        self._store = store
        self._events = events
        self._component = component
        self._api_version = api_version
        self._kind = kind

    def create(
        self,
        owner: Object,
        prefix: str,
        annotations: dict[str, str] | None = None,
        labels: dict[str, str] | None = None,
    ) -> Object:
        """Creates one pod of ``owner``, with these annotations and labels beside the template's.

        Raises:
            QuotaExceeded: where it is one too many; an event says so.
        """
        pod = new_pod(owner, self._api_version, self._kind, prefix)
        if annotations:
            pod["metadata"].setdefault("annotations", {}).update(annotations)
        pod["metadata"]["labels"] |= labels or {}
        pod["metadata"]["name"] = prefix + random_suffix()
        try:
            admit_pod(self._store, pod)
        except QuotaExceeded as error:
            message = f"Error creating: {error}"
            self._events.record(self._component, self._kind, owner, "FailedCreate", message, warning=True)
            raise
        stored = self._store.create("pods", pod, manager=MANAGER)
        self._say(owner, "SuccessfulCreate", f"Created pod: {stored['metadata']['name']}")
        return stored

    def end(self, owner: Object, pod: Object) -> None:
        """Ends one pod of ``owner``."""
        end_pod(self._store, pod)
        self._say(owner, "SuccessfulDelete", f"Deleted pod: {pod['metadata']['name']}")

    def _say(self, owner: Object, reason: str, message: str) -> None:
        self._events.record(self._component, self._kind, owner, reason, message)
