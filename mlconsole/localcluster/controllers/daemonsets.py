"""DaemonSets: one pod a node, and there is one node."""

from __future__ import annotations

from collections.abc import Iterable

from mlconsole.localcluster.controllers.base import Controller, owner_key
from mlconsole.localcluster.controllers.events import EventRecorder
from mlconsole.localcluster.controllers.objects import (
    NODE_NAME,
    available_in,
    is_deleted,
    is_finished,
    is_ready,
    labels_of,
)
from mlconsole.localcluster.controllers.pods import PodWriter, owned_pods
from mlconsole.localcluster.controllers.quota import QuotaExceeded
from mlconsole.localcluster.controllers.revisions import forget_old, keep_template, revision_name, template_hash
from mlconsole.localcluster.controllers.statefulsets import REVISION
from mlconsole.localcluster.store import Event, Key, Object, Store, key_of


class DaemonSetController(Controller):
    """Keeps the pod of each DaemonSet on the node."""

    watches = ("daemonsets", "pods", "nodes")

    def __init__(self, store: Store, events: EventRecorder) -> None:
        super().__init__(store, events)
        self._pods = PodWriter(store, events, "daemonset-controller", "apps/v1", "DaemonSet")

    def keys(self, resource: str, event: Event) -> Iterable[Key]:
        """The DaemonSet itself, that of a pod, or all where the node changes."""
        if resource == "nodes":
            return [key_of(item) for item in self.store.scan("daemonsets")]
        return [key_of(event.object)] if resource == "daemonsets" else owner_key(event.object, "DaemonSet")

    def reconcile(self, key: Key) -> float | None:
        """Makes or ends the pod, then writes the status."""
        found = self.find("daemonsets", key)
        if found is None or is_deleted(found):
            return None
        keep_template(self.store, found, "DaemonSet", {REVISION: template_hash(found)})
        pods, wanted = owned_pods(self.store, found), self._is_wanted(found)
        updates = (found["spec"].get("updateStrategy") or {}).get("type") != "OnDelete"
        for pod in pods:
            stale = updates and labels_of(pod).get(REVISION) != template_hash(found)
            if not is_deleted(pod) and (stale or not wanted or is_finished(pod)):
                self._pods.end(found, pod)
        again = None
        if wanted and not owned_pods(self.store, found):
            labels = {
                REVISION: template_hash(found),
                "pod-template-generation": str(found["metadata"].get("generation", 1)),
            }
            try:
                self._pods.create(found, found["metadata"]["name"] + "-", labels=labels)
            except QuotaExceeded:
                again = self._retry_delay(key)
        wait = self._write_status(found, wanted)
        name = found["metadata"]["name"]
        used = {revision_name(found), *(f"{name}-{labels_of(pod).get(REVISION)}" for pod in pods)}
        forget_old(self.store, found, used)
        return wait if again is None else min(again, wait or again)

    def _is_wanted(self, found: Object) -> bool:
        node = self.find("nodes", ("", NODE_NAME))
        selector = found["spec"]["template"]["spec"].get("nodeSelector") or {}
        return node is not None and selector.items() <= labels_of(node).items()

    def _write_status(self, found: Object, wanted: bool) -> float | None:
        pods = [pod for pod in owned_pods(self.store, found) if not is_deleted(pod)]
        waits = [available_in(pod, found["spec"].get("minReadySeconds") or 0) for pod in pods]
        available = sum(wait == 0 for wait in waits)
        counts = {
            "updatedNumberScheduled": sum(labels_of(pod).get(REVISION) == template_hash(found) for pod in pods),
            "numberAvailable": available,
            "numberUnavailable": max(0, int(wanted) - available),
        }
        status: Object = {
            "currentNumberScheduled": len(pods) if wanted else 0,
            "numberMisscheduled": 0 if wanted else len(pods),
            "desiredNumberScheduled": int(wanted),
            "numberReady": sum(is_ready(pod) for pod in pods),
            "observedGeneration": found["metadata"].get("generation", 1),
        } | {name: count for name, count in counts.items() if count}
        if status != found.get("status"):
            self.write_status("daemonsets", found | {"status": status})
        return min((wait for wait in waits if wait), default=None)
