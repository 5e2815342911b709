"""Deleting objects: at once, gracefully (pods), with all they hold (namespaces)."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mlconsole.localcluster.api.errors import ApiError, conflict, not_found
from mlconsole.localcluster.api.registry import RESOURCES, Resource
from mlconsole.localcluster.api.targets import Target
from mlconsole.localcluster.store import NotFound, Store, clone

Object = dict[str, Any]

_CONTENT_POLL = (0.05, 2.0)
"""Seconds between two looks into a namespace that is being emptied: at first, and at most."""


@dataclass(slots=True)
class DeleteOptions:
    """What a DELETE asks for."""

    grace: int | None = None
    orphan: bool = False
    dry_run: bool = False
    uid: str | None = None
    version: str | None = None


def delete_options(body: Any, query: Mapping[str, str]) -> DeleteOptions:
    """Reads ``metav1.DeleteOptions`` from the body, and from the query where it is there."""
    given = body if isinstance(body, dict) else {}
    grace = given.get("gracePeriodSeconds", query.get("gracePeriodSeconds"))
    policy = given.get("propagationPolicy", query.get("propagationPolicy"))
    conditions = given.get("preconditions") or {}
    return DeleteOptions(
        grace=int(grace) if grace is not None and str(grace).removeprefix("-").isdecimal() else None,
        orphan=policy == "Orphan" or given.get("orphanDependents") is True,
        dry_run="All" in (given.get("dryRun") or []) or query.get("dryRun") == "All",
        uid=conditions.get("uid"),
        version=conditions.get("resourceVersion"),
    )


class Remover:
    """Deletes objects; finishes the deletion of namespaces in the background."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._tasks: set[asyncio.Task[None]] = set()

    def resume(self) -> None:
        """Goes on with the namespaces whose deletion had begun when the server ended."""
        for namespace in list(self.store.scan("namespaces")):
            if "deletionTimestamp" in namespace["metadata"]:
                self._empty(namespace["metadata"]["name"])

    async def close(self) -> None:
        """Ends the background work."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def delete(self, target: Target, options: DeleteOptions) -> Object:
        """Deletes one object; returns the object where it lingers, else a Status. Raises ApiError."""
        resource, name = target.resource, target.name or ""
        try:
            old = self.store.peek(resource.plural, target.namespace, name)
        except NotFound:
            raise not_found(resource, name) from None
        self._check(resource, old, options)
        if options.dry_run:
            return clone(old) if resource.kind == "Pod" else _success(resource, old)
        if options.orphan:
            self._orphan(old["metadata"]["uid"])
        return self._remove(resource, old, options)

    def delete_all(self, resource: Resource, objects: list[Object], options: DeleteOptions) -> None:
        """Deletes the objects of a collection."""
        for old in objects:
            if options.dry_run:
                continue
            if options.orphan:
                self._orphan(old["metadata"]["uid"])
            self._remove(resource, old, options)

    def _check(self, resource: Resource, old: Object, options: DeleteOptions) -> None:
        meta = old["metadata"]
        if options.uid and options.uid != meta["uid"]:
            why = f"Precondition failed: UID in precondition: {options.uid}, UID in object meta: {meta['uid']}"
            raise conflict(resource, meta["name"], why)
        if options.version and options.version != meta["resourceVersion"]:
            why = (
                f"Precondition failed: ResourceVersion in precondition: {options.version}, "
                f"ResourceVersion in object meta: {meta['resourceVersion']}"
            )
            raise conflict(resource, meta["name"], why)
        if resource.kind == "Namespace" and meta["name"] in ("default", "kube-system"):
            message = f'namespaces "{meta["name"]}" is forbidden: this namespace may not be deleted'
            raise ApiError(403, message, "Forbidden", {"name": meta["name"], "kind": "namespaces"})

    def _remove(self, resource: Resource, old: Object, options: DeleteOptions) -> Object:
        meta = old["metadata"]
        place = (resource.plural, meta.get("namespace"), meta["name"])
        if resource.kind == "Pod":
            grace = _pod_grace(old, options.grace)
            if grace > 0 or meta.get("finalizers"):
                return self.store.mark_deleted(*place, grace)
        elif resource.kind == "Namespace":
            self.store.mark_deleted(*place, 0)
            marked = self.store.get(*place)
            marked["status"] = (marked.get("status") or {}) | {"phase": "Terminating"}
            marked = self.store.update("namespaces", marked, status=True)
            self._empty(meta["name"])
            return marked
        elif meta.get("finalizers"):
            return self.store.mark_deleted(*place, 0)
        removed = self.store.delete(*place)
        return removed if resource.kind == "Pod" else _success(resource, removed)

    def _orphan(self, owner: str) -> None:
        for resource in RESOURCES:
            for obj in list(self.store.scan(resource.plural)):
                owners = obj["metadata"].get("ownerReferences") or []
                if any(reference.get("uid") == owner for reference in owners):
                    changed = clone(obj)
                    kept = [reference for reference in owners if reference.get("uid") != owner]
                    changed["metadata"]["ownerReferences"] = kept
                    if not kept:
                        del changed["metadata"]["ownerReferences"]
                    self.store.update(resource.plural, changed)

    def _empty(self, namespace: str) -> None:
        task = asyncio.get_running_loop().create_task(self._empty_namespace(namespace))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _empty_namespace(self, namespace: str) -> None:
        contents = [resource for resource in RESOURCES if resource.namespaced]
        left, (wait, longest) = True, _CONTENT_POLL
        while left:
            left = False
            # Owners first: a controller must not replace what is deleted here.
            for resource in sorted(contents, key=lambda item: item.plural == "pods"):
                for obj in list(self.store.scan(resource.plural, namespace)):
                    left = True
                    if "deletionTimestamp" not in obj["metadata"]:
                        self._remove(resource, obj, DeleteOptions())
            if left:
                await asyncio.sleep(wait)
                wait = min(wait * 1.2, longest)
        try:
            self.store.delete("namespaces", None, namespace)
        except NotFound:
            return


def _pod_grace(pod: Object, asked: int | None) -> int:
    """Seconds that a pod is given to end; a pod that never ran or has ended goes at once."""
    phase = (pod.get("status") or {}).get("phase")
    if phase in ("Succeeded", "Failed") or not (pod.get("spec") or {}).get("nodeName"):
        return 0
    if asked is not None:
        return max(asked, 0)
    grace = (pod.get("spec") or {}).get("terminationGracePeriodSeconds")
    return 30 if grace is None else int(grace)


def _success(resource: Resource, removed: Object) -> Object:
    meta = removed["metadata"]
    details = {"name": meta["name"], "group": resource.group, "kind": resource.plural, "uid": meta["uid"]}
    details = {key: value for key, value in details.items() if value}
    return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details}
