"""Garbage collection: what is owned goes when its last owner is gone, what is in a namespace goes with it."""

from __future__ import annotations

from collections.abc import Iterable

from mlconsole.localcluster.controllers.base import Controller
from mlconsole.localcluster.controllers.pods import end_pod
from mlconsole.localcluster.store import Event, Key, NotFound, Object, key_of

OWNERS = (
    "deployments",
    "replicasets",
    "statefulsets",
    "daemonsets",
    "cronjobs",
    "trainjobs",
    "jobsets",
    "jobs",
    "pods",
    "services",
)
DEPENDENTS = (
    "replicasets",
    "pods",
    "jobsets",
    "jobs",
    "workloads",
    "controllerrevisions",
    "endpoints",
    "endpointslices",
    "configmaps",
    "secrets",
    "services",
)
NAMESPACED = (
    "deployments",
    "statefulsets",
    "daemonsets",
    *DEPENDENTS,
    "events",
    "serviceaccounts",
    "persistentvolumeclaims",
    "leases",
    "resourcequotas",
    "limitranges",
    "cronjobs",
    "trainjobs",
    "horizontalpodautoscalers",
    "ingresses",
    "networkpolicies",
    "poddisruptionbudgets",
    "roles",
    "rolebindings",
)

_RESOURCES = {
    "Deployment": "deployments",
    "ReplicaSet": "replicasets",
    "StatefulSet": "statefulsets",
    "DaemonSet": "daemonsets",
    "CronJob": "cronjobs",
    "TrainJob": "trainjobs",
    "JobSet": "jobsets",
    "Job": "jobs",
    "Pod": "pods",
    "Service": "services",
}


class GarbageCollector(Controller):
    """Keys are (resource, uid) of owners that went, (resource, namespace/name) of dependents that came."""

    watches = (*dict.fromkeys((*OWNERS, *DEPENDENTS)), "namespaces")

    def keys(self, resource: str, event: Event) -> Iterable[Key]:
        """Deleted owners, and new objects that have owners."""
        meta = event.object["metadata"]
        if event.type == "DELETED" and resource in (*OWNERS, "namespaces"):
            return [(f"gone/{resource}", meta["name"] if resource == "namespaces" else meta["uid"])]
        if event.type == "ADDED" and meta.get("ownerReferences"):
            return [(resource, "/".join(key_of(event.object)))]
        return []

    def reconcile(self, key: Key) -> float | None:
        """Removes what has no owner left."""
        resource, rest = key
        if resource == "gone/namespaces":
            self._empty_namespace(rest)
        elif resource.startswith("gone/"):
            for kind in DEPENDENTS:
                for obj in list(self.store.scan(kind)):
                    references = obj["metadata"].get("ownerReferences") or []
                    if any(reference["uid"] == rest for reference in references):
                        self._remove_orphan(kind, obj)
        else:
            namespace, _, name = rest.partition("/")
            dependent = self.find(resource, (namespace, name))
            if dependent is not None:
                self._remove_orphan(resource, dependent)
        return None

    def _empty_namespace(self, namespace: str) -> None:
        if self.find("namespaces", ("", namespace)) is not None:
            return
        for kind in NAMESPACED:
            for obj in list(self.store.scan(kind, namespace)):
                self._remove(kind, obj)

    def _remove_orphan(self, resource: str, obj: Object) -> None:
        references = obj["metadata"].get("ownerReferences") or []
        namespace = obj["metadata"].get("namespace") or ""
        if references and not any(self._exists(namespace, reference) for reference in references):
            self._remove(resource, obj)

    def _remove(self, resource: str, obj: Object) -> None:
        if resource == "pods":
            end_pod(self.store, obj)
        else:
            self.store.delete(resource, *key_of(obj))

    def _exists(self, namespace: str, reference: Object) -> bool:
        resource = _RESOURCES.get(reference["kind"])
        if resource is None:
            return True
        try:
            owner = self.store.peek(resource, namespace, reference["name"])
        except NotFound:
            return False
        return bool(owner["metadata"]["uid"] == reference["uid"])
