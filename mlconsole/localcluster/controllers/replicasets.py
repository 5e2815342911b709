"""ReplicaSets: as many pods of a template as asked for."""

from __future__ import annotations

from collections.abc import Iterable

from mlconsole.localcluster.controllers.base import Controller, owner_key
from mlconsole.localcluster.controllers.events import EventRecorder
from mlconsole.localcluster.controllers.objects import available_in, is_deleted, is_ready, labels_of
from mlconsole.localcluster.controllers.pods import PodWriter, active_pods, adopt, deletion_order, owned_pods
from mlconsole.localcluster.store import Event, Key, Object, Store, key_of


class ReplicaSetController(Controller):
    """Creates and ends pods until their number is ``spec.replicas``."""

    watches = ("replicasets", "pods")

    def __init__(self, store: Store, events: EventRecorder) -> None:
        super().__init__(store, events)
        self._pods = PodWriter(store, events, "replicaset-controller", "apps/v1", "ReplicaSet")

    def keys(self, resource: str, event: Event) -> Iterable[Key]:
        """The ReplicaSet itself, or that of a pod."""
        return [key_of(event.object)] if resource == "replicasets" else owner_key(event.object, "ReplicaSet")

    def reconcile(self, key: Key) -> float | None:
        """Creates or ends pods, then writes the status."""
        replicaset = self.find("replicasets", key)
        if replicaset is None:
            return None
        if not is_deleted(replicaset):
            adopt(self.store, "pods", replicaset, "apps/v1", "ReplicaSet")
            self._scale(replicaset)
        return self._write_status(replicaset)

    def _scale(self, replicaset: Object) -> None:
        pods = active_pods(owned_pods(self.store, replicaset))
        wanted = _replicas(replicaset)
        for _ in range(wanted - len(pods)):
            self._pods.create(replicaset, replicaset["metadata"]["name"] + "-")
        for pod in sorted(pods, key=deletion_order)[: max(0, len(pods) - wanted)]:
            self._pods.end(replicaset, pod)

    def _write_status(self, replicaset: Object) -> float | None:
        every = owned_pods(self.store, replicaset)
        pods = active_pods(every)
        min_ready = replicaset["spec"].get("minReadySeconds") or 0
        waits = [available_in(pod, min_ready) for pod in pods]
        template = _template_metadata(replicaset).get("labels") or {}
        counts = {
            "fullyLabeledReplicas": sum(template.items() <= labels_of(pod).items() for pod in pods),
            "readyReplicas": sum(is_ready(pod) for pod in pods),
            "availableReplicas": sum(wait == 0 for wait in waits),
        }
        status: Object = {
            "replicas": len(pods),
            "terminatingReplicas": sum(is_deleted(pod) for pod in every),
            "observedGeneration": replicaset["metadata"].get("generation", 1),
        } | {name: count for name, count in counts.items() if count}
        if status != replicaset.get("status"):
            self.store.update("replicasets", replicaset | {"status": status}, status=True)
        return min((wait for wait in waits if wait), default=None)


def _replicas(replicaset: Object) -> int:
    wanted = replicaset["spec"].get("replicas")
    return 1 if wanted is None else int(wanted)


def _template_metadata(replicaset: Object) -> Object:
    metadata: Object = replicaset["spec"]["template"].get("metadata") or {}
    return metadata
