"""ReplicaSets: as many pods of a template as asked for."""

from __future__ import annotations

from collections.abc import Iterable

from mlconsole.localcluster.controllers.base import Controller, owner_key
from mlconsole.localcluster.controllers.events import EventRecorder
from mlconsole.localcluster.controllers.objects import available_in, condition, is_deleted, is_ready, labels_of
from mlconsole.localcluster.controllers.pods import PodWriter, active_pods, adopt, deletion_order, owned_pods
from mlconsole.localcluster.controllers.quota import QuotaExceeded
from mlconsole.localcluster.store import Event, Key, Object, Store, key_of, timestamp


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
            failure, again = self._scale(replicaset), None
            if failure:
                again = self._retry_delay(key)
            wait = self._write_status(replicaset, failure)
            return wait if again is None else min(again, wait or again)
        return self._write_status(replicaset, "")

    def _scale(self, replicaset: Object) -> str:
        """Creates or ends pods; returns why not all could be created, empty where they could."""
        pods = active_pods(owned_pods(self.store, replicaset))
        wanted = _replicas(replicaset)
        try:
            for _ in range(wanted - len(pods)):
                self._pods.create(replicaset, replicaset["metadata"]["name"] + "-")
        except QuotaExceeded as error:
            return str(error)
        for pod in sorted(pods, key=deletion_order)[: max(0, len(pods) - wanted)]:
            self._pods.end(replicaset, pod)
        return ""

    def _write_status(self, replicaset: Object, failure: str) -> float | None:
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
        if failure:
            status["conditions"] = [_failure(replicaset, failure)]
        if status != replicaset.get("status"):
            self.write_status("replicasets", replicaset | {"status": status})
        return min((wait for wait in waits if wait), default=None)


def _failure(replicaset: Object, message: str) -> Object:
    known = condition(replicaset, "ReplicaFailure") or {}
    since = known.get("lastTransitionTime") or timestamp()
    # A pod that could not be made has another name each time: the first one's text stays.
    text = known.get("message") or message
    return {"type": "ReplicaFailure", "status": "True", "lastTransitionTime": since, "reason": "FailedCreate",
            "message": text}  # fmt: skip


def _replicas(replicaset: Object) -> int:
    wanted = replicaset["spec"].get("replicas")
    return 1 if wanted is None else int(wanted)


def _template_metadata(replicaset: Object) -> Object:
    metadata: Object = replicaset["spec"]["template"].get("metadata") or {}
    return metadata
