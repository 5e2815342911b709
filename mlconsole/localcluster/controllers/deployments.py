"""Deployments: one ReplicaSet a pod template, and the way from one to the next."""

from __future__ import annotations

from collections.abc import Iterable

from mlconsole.localcluster.controllers import deployment_status as progress
from mlconsole.localcluster.controllers import rollout
from mlconsole.localcluster.controllers.base import MANAGER, Controller, owner_key
from mlconsole.localcluster.controllers.objects import (
    annotations_of,
    condition,
    controlled_by,
    is_deleted,
    owner_reference,
    safe_hash,
)
from mlconsole.localcluster.controllers.pods import adopt
from mlconsole.localcluster.store import AlreadyExists, Event, Key, Object, clone, key_of

_OWN_ANNOTATIONS = frozenset(
    {
        "kubectl.kubernetes.io/last-applied-configuration", rollout.REVISION, rollout.REVISION_HISTORY,
        rollout.DESIRED, rollout.MAXIMUM, "deprecated.deployment.rollback.to",
    }
)  # fmt: skip


class DeploymentController(Controller):
    """Rolls Deployments out: RollingUpdate and Recreate, pause, scale, revisions, deadline."""

    watches = ("deployments", "replicasets", "pods")

    def keys(self, resource: str, event: Event) -> Iterable[Key]:
        """The Deployment itself, that of a ReplicaSet, or (Recreate waits for ends) that of a pod which is gone."""
        if resource == "deployments":
            return [key_of(event.object)]
        if resource == "replicasets":
            return owner_key(event.object, "Deployment")
        if event.type != "DELETED":
            return []
        namespace = event.object["metadata"].get("namespace", "")
        return [
            (namespace, owner)
            for _, name in owner_key(event.object, "ReplicaSet")
            for replicaset in [self.find("replicasets", (namespace, name))]
            if replicaset is not None
            for _, owner in owner_key(replicaset, "Deployment")
        ]

    def reconcile(self, key: Key) -> float | None:
        """Takes the next step of the rollout and writes the status."""
        deployment = self.find("deployments", key)
        if deployment is None or is_deleted(deployment):
            return None
        adopt(self.store, "replicasets", deployment, "apps/v1", "Deployment")
        new, old = self._split(deployment)
        if deployment["spec"].get("paused"):
            return self._hold(deployment, new, old)
        self._note_resumed(deployment)
        if self._was_scaled(deployment, new, old):
            self._scale_all(deployment, new, old)
            new, old = self._split(deployment)
            if new is not None:
                self._ensure_revision(deployment, new, old)
        elif rollout.is_rolling(deployment):
            new = self._roll(deployment, new, old)
        else:
            new = self._recreate(deployment, new, old)
        return self._write_status(deployment)

    def _split(self, deployment: Object) -> tuple[Object | None, list[Object]]:
        """The ReplicaSet of the present template, and the others, oldest first."""
        namespace = deployment["metadata"]["namespace"]
        owned = [clone(item) for item in self.store.scan("replicasets", namespace) if controlled_by(item, deployment)]
        owned.sort(key=lambda item: (item["metadata"]["creationTimestamp"], rollout.revision_of(item)))
        template = deployment["spec"]["template"]
        new = next((item for item in owned if rollout.same_template(item["spec"]["template"], template)), None)
        return new, [item for item in owned if item is not new]

    def _roll(self, deployment: Object, new: Object | None, old: list[Object]) -> Object:
        new = self._ensure_new(deployment, new, old)
        size = rollout.new_size(deployment, new, [*old, new])
        if size != rollout.replicas_of(new):
            return self._scale(deployment, new, size)
        shrinking = rollout.old_sizes(deployment, new, old)
        for replicaset, smaller in shrinking:
            self._scale(deployment, replicaset, smaller)
        if not shrinking and rollout.is_complete(deployment, progress.counts(deployment, new, old)):
            self._forget_old(deployment, old)
        return new

    def _recreate(self, deployment: Object, new: Object | None, old: list[Object]) -> Object | None:
        alive = [item for item in old if rollout.replicas_of(item)]
        for replicaset in alive:
            self._scale(deployment, replicaset, 0)
        namespace = deployment["metadata"]["namespace"]
        if alive or rollout.has_running_pods(list(self.store.scan("pods", namespace)), old):
            return new
        new = self._ensure_new(deployment, new, old)
        new = self._scale(deployment, new, rollout.replicas_of(deployment))
        if rollout.is_complete(deployment, progress.counts(deployment, new, old)):
            self._forget_old(deployment, old)
        return new

    def _ensure_new(self, deployment: Object, new: Object | None, old: list[Object]) -> Object:
        if new is not None:
            return self._ensure_revision(deployment, new, old)
        revision = max((rollout.revision_of(item) for item in old), default=0) + 1
        created = self._create(deployment, revision, old)
        self._mark_revision(deployment, revision, progress.NEW_CREATED, f'Created new replica set "{_name(created)}"')
        return created

    def _create(self, deployment: Object, revision: int, old: list[Object]) -> Object:
        spec, meta = deployment["spec"], deployment["metadata"]
        collisions = (deployment.get("status") or {}).get("collisionCount", 0)
        short = safe_hash([spec["template"], collisions])
        template = clone(spec["template"])
        labels = template.setdefault("metadata", {}).setdefault("labels", {})
        labels[rollout.HASH_LABEL] = short
        selector = clone(spec["selector"])
        selector.setdefault("matchLabels", {})[rollout.HASH_LABEL] = short
        replicaset: Object = {
            "apiVersion": "apps/v1", "kind": "ReplicaSet",
            "metadata": {
                "name": f"{meta['name']}-{short}", "namespace": meta["namespace"], "labels": dict(labels),
                "annotations": self._annotations(deployment, {}, revision),
                "ownerReferences": [owner_reference(deployment, "apps/v1", "Deployment")],
            },
            "spec": {"replicas": 0, "selector": selector, "template": template},
            "status": {"replicas": 0},
        }  # fmt: skip
        if spec.get("minReadySeconds"):
            replicaset["spec"]["minReadySeconds"] = spec["minReadySeconds"]
        size = rollout.new_size(deployment, replicaset, old)
        replicaset["spec"]["replicas"] = size
        try:
            created = self.store.create("replicasets", replicaset, manager=MANAGER)
        except AlreadyExists:
            deployment.setdefault("status", {})["collisionCount"] = collisions + 1
            self.write_status("deployments", deployment)
            raise
        if size:
            self._say(deployment, f"Scaled up replica set {_name(created)} from 0 to {size}")
        return created

    def _ensure_revision(self, deployment: Object, new: Object, old: list[Object]) -> Object:
        """Gives a template that came back the highest revision; that is what an undo does."""
        revision = max((rollout.revision_of(item) for item in old), default=0) + 1
        wanted = clone(new)
        wanted["metadata"]["annotations"] = self._annotations(deployment, annotations_of(new), revision)
        if deployment["spec"].get("minReadySeconds"):
            wanted["spec"]["minReadySeconds"] = deployment["spec"]["minReadySeconds"]
        else:
            wanted["spec"].pop("minReadySeconds", None)
        stored = self.store.update("replicasets", wanted)
        found = f'Found new replica set "{_name(stored)}"'
        if (
            rollout.revision_of(deployment) != rollout.revision_of(stored)
            or condition(deployment, "Progressing") is None
        ):
            self._mark_revision(deployment, rollout.revision_of(stored), progress.NEW_FOUND, found)
        return stored

    @staticmethod
    def _annotations(deployment: Object, present: dict[str, str], revision: int) -> dict[str, str]:
        copied = {name: text for name, text in annotations_of(deployment).items() if name not in _OWN_ANNOTATIONS}
        annotations = dict(present) | copied
        before = present.get(rollout.REVISION, "")
        if int(before or 0) < revision:
            annotations[rollout.REVISION] = str(revision)
            if before:
                history = [text for text in (present.get(rollout.REVISION_HISTORY), before) if text]
                annotations[rollout.REVISION_HISTORY] = ",".join(history)
        annotations[rollout.DESIRED] = str(rollout.replicas_of(deployment))
        annotations[rollout.MAXIMUM] = str(rollout.replicas_of(deployment) + rollout.max_surge(deployment))
        return annotations

    def _mark_revision(self, deployment: Object, revision: int, reason: str, message: str) -> None:
        meta = deployment["metadata"]
        meta["annotations"] = annotations_of(deployment) | {rollout.REVISION: str(revision)}
        status = deployment.setdefault("status", {})
        status.setdefault("conditions", [])
        progress.put(status, "Progressing", True, reason, message, touch=True)
        stored = self.store.replace("deployments", deployment, manager=MANAGER)
        meta["resourceVersion"] = stored["metadata"]["resourceVersion"]

    def _was_scaled(self, deployment: Object, new: Object | None, old: list[Object]) -> bool:
        wanted = str(rollout.replicas_of(deployment))
        active = [item for item in (*old, *([new] if new else [])) if rollout.replicas_of(item)]
        return any(annotations_of(item).get(rollout.DESIRED, wanted) != wanted for item in active)

    def _scale_all(self, deployment: Object, new: Object | None, old: list[Object]) -> None:
        every = [*old, new] if new is not None else old
        active = [item for item in every if rollout.replicas_of(item)]
        if len(active) <= 1:
            only = active[0] if active else new or (old[-1] if old else None)
            if only is not None:
                self._scale(deployment, only, rollout.replicas_of(deployment))
            return
        rolling = rollout.is_rolling(deployment)
        sizes = (
            rollout.proportional_sizes(deployment, active) if rolling else [(x, rollout.replicas_of(x)) for x in active]
        )
        for replicaset, size in sizes:
            self._scale(deployment, replicaset, size)

    def _scale(self, deployment: Object, replicaset: Object, size: int) -> Object:
        before = rollout.replicas_of(replicaset)
        wanted = clone(replicaset)
        wanted["metadata"].pop("resourceVersion", None)
        wanted["spec"]["replicas"] = size
        annotations = wanted["metadata"].setdefault("annotations", {})
        annotations[rollout.DESIRED] = str(rollout.replicas_of(deployment))
        annotations[rollout.MAXIMUM] = str(rollout.replicas_of(deployment) + rollout.max_surge(deployment))
        stored = self.store.update("replicasets", wanted)
        if size != before:
            way = "up" if size > before else "down"
            self._say(deployment, f"Scaled {way} replica set {_name(stored)} from {before} to {size}")
        return stored

    def _hold(self, deployment: Object, new: Object | None, old: list[Object]) -> float | None:
        if self._was_scaled(deployment, new, old):
            self._scale_all(deployment, new, old)
        self._note_pause(deployment, "Unknown", progress.PAUSED, "Deployment is paused")
        return self._write_status(deployment)

    def _note_resumed(self, deployment: Object) -> None:
        current = condition(deployment, "Progressing")
        if current is not None and current["reason"] == progress.PAUSED:
            self._note_pause(deployment, "Unknown", progress.RESUMED, "Deployment is resumed")

    def _note_pause(self, deployment: Object, value: str, reason: str, message: str) -> None:
        status = deployment.setdefault("status", {})
        status.setdefault("conditions", [])
        current = progress.find_condition(status)
        if current is not None and current["reason"] == progress.TIMED_OUT:
            return
        progress.put(status, "Progressing", value, reason, message)
        stored = self.write_status("deployments", deployment)
        deployment["metadata"]["resourceVersion"] = stored["metadata"]["resourceVersion"]

    def _write_status(self, deployment: Object) -> float | None:
        new, old = self._split(deployment)
        status = progress.counts(deployment, new, old)
        if not deployment["spec"].get("paused"):
            progress.judge_progress(deployment, status, _name(new) if new else "")
        if status != deployment.get("status"):
            self.write_status("deployments", deployment | {"status": status})
        return progress.next_look(deployment, status)

    def _forget_old(self, deployment: Object, old: list[Object]) -> None:
        limit = deployment["spec"].get("revisionHistoryLimit")
        surplus = len(old) - (10 if limit is None else int(limit))
        for replicaset in sorted(old, key=rollout.revision_of)[: max(0, surplus)]:
            if not rollout.replicas_of(replicaset) and not rollout.status_count(replicaset, "replicas"):
                self.store.delete("replicasets", *key_of(replicaset))

    def _say(self, deployment: Object, message: str) -> None:
        self.events.record("deployment-controller", "Deployment", deployment, "ScalingReplicaSet", message)


def _name(obj: Object) -> str:
    name: str = obj["metadata"]["name"]
    return name
