"""StatefulSets: pods with ordinals, made, updated and removed one after the other."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable

from mlconsole.localcluster.controllers.base import MANAGER, Controller, owner_key
from mlconsole.localcluster.controllers.events import EventRecorder
from mlconsole.localcluster.controllers.objects import (
    available_in,
    is_deleted,
    is_finished,
    is_ready,
    labels_of,
)
from mlconsole.localcluster.controllers.pods import end_pod, new_pod, owned_pods
from mlconsole.localcluster.controllers.quota import QuotaExceeded, admit_pod
from mlconsole.localcluster.controllers.revisions import forget_old, keep_template, revision_name, template_of
from mlconsole.localcluster.store import AlreadyExists, Event, Key, Object, Store, clone, key_of

REVISION = "controller-revision-hash"
POD_NAME = "statefulset.kubernetes.io/pod-name"
POD_INDEX = "apps.kubernetes.io/pod-index"


class StatefulSetController(Controller):
    """Keeps the pods ``name-0`` … of each StatefulSet."""

    watches = ("statefulsets", "pods")

    def __init__(self, store: Store, events: EventRecorder) -> None:
        super().__init__(store, events)

    def keys(self, resource: str, event: Event) -> Iterable[Key]:
        """The StatefulSet itself, or that of a pod."""
        return [key_of(event.object)] if resource == "statefulsets" else owner_key(event.object, "StatefulSet")

    def reconcile(self, key: Key) -> float | None:
        """Takes the next step, then writes the status."""
        found = self.find("statefulsets", key)
        if found is None or is_deleted(found):
            return None
        keep_template(self.store, found, "StatefulSet", {})
        pods = {ordinal_of(pod): pod for pod in owned_pods(self.store, found)}
        again = None
        try:
            if self._fill(found, pods) and self._shrink(found, pods):
                self._update(found, pods)
        except QuotaExceeded:
            again = self._retry_delay(key)
        wait = self._write_status(found)
        status = found["status"]
        used = {
            status["currentRevision"],
            status["updateRevision"],
            *(labels_of(p).get(REVISION, "") for p in pods.values()),
        }
        forget_old(self.store, found, used)
        return wait if again is None else min(again, wait or again)

    def _fill(self, found: Object, pods: dict[int, Object]) -> bool:
        """Makes missing pods; tells whether all are there and ready, or none waits for another."""
        ordered = found["spec"].get("podManagementPolicy") != "Parallel"
        for ordinal in range(_replicas(found)):
            pod = pods.get(ordinal)
            if pod is not None and is_finished(pod) and not is_deleted(pod):
                self._remove(found, pod)
                return False
            if pod is None:
                self._make(found, ordinal)
            stale = pod is not None and labels_of(pod).get(REVISION) != revision_name(found)
            if ordered and (pod is None or is_deleted(pod) or (not is_ready(pod) and not stale)):
                return False
        return True

    def _shrink(self, found: Object, pods: dict[int, Object]) -> bool:
        """Removes pods that are too many, the last first; tells whether there are none."""
        surplus = sorted((ordinal for ordinal in pods if ordinal >= _replicas(found)), reverse=True)
        ordered = found["spec"].get("podManagementPolicy") != "Parallel"
        for ordinal in surplus[:1] if ordered else surplus:
            if not is_deleted(pods[ordinal]):
                self._remove(found, pods[ordinal])
        return not surplus

    def _update(self, found: Object, pods: dict[int, Object]) -> None:
        """Removes one pod of an older template, the last first; `_fill` makes it anew."""
        strategy = found["spec"].get("updateStrategy") or {}
        if strategy.get("type") == "OnDelete":
            return
        partition = _partition(found)
        for ordinal in sorted((ordinal for ordinal in pods if ordinal >= partition), reverse=True):
            pod = pods[ordinal]
            if labels_of(pod).get(REVISION) != revision_name(found) and not is_deleted(pod):
                self._remove(found, pod)
                return
            if is_deleted(pod) or not is_ready(pod):
                return

    def _make(self, found: Object, ordinal: int) -> None:
        revision, owner = revision_name(found), found
        current = (found.get("status") or {}).get("currentRevision") or revision
        if ordinal < _partition(found) and current != revision:
            # Below the partition a pod that went comes back as it was.
            before = template_of(self.store, found, current)
            if before is not None:
                revision, owner = current, found | {"spec": found["spec"] | {"template": before}}
        pod = new_pod(owner, "apps/v1", "StatefulSet", "")
        meta, name = pod["metadata"], f"{found['metadata']['name']}-{ordinal}"
        del meta["generateName"]
        meta["name"] = name
        meta["labels"] |= {REVISION: revision, POD_NAME: name, POD_INDEX: str(ordinal)}
        pod["spec"] |= {"hostname": name, "subdomain": found["spec"].get("serviceName") or ""}
        for claim in found["spec"].get("volumeClaimTemplates") or []:
            self._claim(pod, claim)
        try:
            admit_pod(self.store, pod)
        except QuotaExceeded as error:
            message = f"create Pod {name} in StatefulSet {found['metadata']['name']} failed error: {error}"
            self.events.record("statefulset-controller", "StatefulSet", found, "FailedCreate", message, warning=True)
            raise
        self.store.create("pods", pod, manager=MANAGER)
        self._say(found, "SuccessfulCreate", f"create Pod {name} in StatefulSet {found['metadata']['name']} successful")

    def _claim(self, pod: Object, template: Object) -> None:
        """Gives the pod a volume with a claim of its own, which outlives it."""
        volume = template["metadata"]["name"]
        name = f"{volume}-{pod['metadata']['name']}"
        claim = clone(template)
        claim["metadata"] |= {"name": name, "namespace": pod["metadata"]["namespace"]}
        head = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "status": {"phase": "Bound"}}
        # That of the pod before is there already.
        with contextlib.suppress(AlreadyExists):
            self.store.create("persistentvolumeclaims", head | claim | head)
        volumes = [item for item in pod["spec"].get("volumes") or [] if item["name"] != volume]
        pod["spec"]["volumes"] = [*volumes, {"name": volume, "persistentVolumeClaim": {"claimName": name}}]

    def _remove(self, found: Object, pod: Object) -> None:
        end_pod(self.store, pod)
        name = pod["metadata"]["name"]
        self._say(found, "SuccessfulDelete", f"delete Pod {name} in StatefulSet {found['metadata']['name']} successful")

    def _write_status(self, found: Object) -> float | None:
        pods = owned_pods(self.store, found)
        alive = [pod for pod in pods if not is_deleted(pod)]
        before, update = found.get("status") or {}, revision_name(found)
        current = before.get("currentRevision") or update
        waits = [available_in(pod, found["spec"].get("minReadySeconds") or 0) for pod in alive]
        updated = sum(labels_of(pod).get(REVISION) == update for pod in alive)
        rolls = (found["spec"].get("updateStrategy") or {}).get("type") != "OnDelete"
        if rolls and updated == len(pods) == _replicas(found) and all(is_ready(pod) for pod in alive):
            current = update
        counts = {
            "readyReplicas": sum(is_ready(pod) for pod in alive),
            "currentReplicas": sum(labels_of(pod).get(REVISION) == current for pod in alive),
            "updatedReplicas": updated,
        }
        status: Object = {
            "observedGeneration": found["metadata"].get("generation", 1),
            "replicas": len(pods),
            "availableReplicas": sum(wait == 0 for wait in waits),
            "currentRevision": current,
            "updateRevision": update,
            "collisionCount": 0,
        } | {name: count for name, count in counts.items() if count}
        if status != before:
            self.write_status("statefulsets", found | {"status": status})
        found["status"] = status
        return min((wait for wait in waits if wait), default=None)

    def _say(self, found: Object, reason: str, message: str) -> None:
        self.events.record("statefulset-controller", "StatefulSet", found, reason, message)


def ordinal_of(pod: Object) -> int:
    """The number at the end of a pod's name; -1 where there is none."""
    number = pod["metadata"]["name"].rpartition("-")[2]
    return int(number) if number.isdigit() else -1


def _partition(found: Object) -> int:
    """Pods with a lower ordinal are not updated."""
    strategy = found["spec"].get("updateStrategy") or {}
    return int((strategy.get("rollingUpdate") or {}).get("partition") or 0)


def _replicas(found: Object) -> int:
    wanted = found["spec"].get("replicas")
    return 1 if wanted is None else int(wanted)
