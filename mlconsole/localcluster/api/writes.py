"""Creating, replacing and patching objects: decoding, defaults, validation, ownership, storing."""

from __future__ import annotations

import json
from typing import Any

from mlconsole.localcluster.api.bodies import Decoded, decode, load_json, load_yaml
from mlconsole.localcluster.api.errors import (
    ApiError,
    Cause,
    already_exists,
    bad_request,
    conflict,
    forbidden,
    invalid,
    manager_required,
    not_found,
    unsupported_media_type,
)
from mlconsole.localcluster.api.kinds.defaults import admit, bind_claim, fill, prepare_create
from mlconsole.localcluster.api.kinds.validation import check
from mlconsole.localcluster.api.options import WriteOptions
from mlconsole.localcluster.api.ownership.managed import Manager, record_update
from mlconsole.localcluster.api.patching.apply import apply
from mlconsole.localcluster.api.patching.documents import json_patch, merge_patch
from mlconsole.localcluster.api.patching.strategic import strategic_merge
from mlconsole.localcluster.api.registry import Resource
from mlconsole.localcluster.api.schema.shapes import shape_of
from mlconsole.localcluster.api.targets import Target
from mlconsole.localcluster.controllers.quota import QuotaExceeded, admit_object, admit_pod
from mlconsole.localcluster.store import GENERATED, AlreadyExists, Conflict, NotFound, Store, clone, timestamp

Object = dict[str, Any]

JSON_PATCH = "application/json-patch+json"
MERGE_PATCH = "application/merge-patch+json"
STRATEGIC_PATCH = "application/strategic-merge-patch+json"
APPLY_PATCH = "application/apply-patch+yaml"
PATCH_TYPES = (JSON_PATCH, MERGE_PATCH, STRATEGIC_PATCH, APPLY_PATCH)


class Writer:
    """Writes objects the way the API server does. All methods are synchronous: a write is one step of the loop."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def create(self, target: Target, value: Any, options: WriteOptions) -> Object:
        """Stores a new object. Raises ApiError."""
        obj = self._decoded(target, value, options)
        return self._create(target, obj, options, Manager(options.manager, "Update", target.resource.api_version))

    def replace(self, target: Target, value: Any, options: WriteOptions) -> Object:
        """Puts an object in the place of the one that is there. Raises ApiError."""
        obj = self._decoded(target, value, options)
        old = self.existing(target)
        given = obj["metadata"].get("uid")
        if given and given != old["metadata"]["uid"]:
            why = f"Precondition failed: UID in precondition: {given}, UID in object meta: {old['metadata']['uid']}"
            raise conflict(target.resource, target.name or "", why)
        manager = self._manager(target, options)
        return self._finish(target, old, obj, options, manager)

    def patch(self, target: Target, body: bytes, content_type: str, options: WriteOptions) -> tuple[Object, bool]:
        """Applies a patch of any type; returns the object and whether it was created. Raises ApiError."""
        if content_type == APPLY_PATCH:
            return self._apply(target, load_yaml(body), options)
        if content_type not in PATCH_TYPES:
            raise unsupported_media_type(PATCH_TYPES)
        old = self.existing(target)
        changes = load_json(body)
        if content_type == JSON_PATCH:
            patched = json_patch(old, changes)
        elif content_type == MERGE_PATCH:
            patched = merge_patch(clone(old), changes)
        else:
            patched = strategic_merge(clone(old), changes, shape_of(target.resource.kind))
        new = self._patched(target, patched, body, options)
        return self._finish(target, old, new, options, self._manager(target, options)), False

    def change(self, target: Target, old: Object, new: Object, options: WriteOptions) -> Object:
        """Stores a changed copy of an object that is there. Raises ApiError."""
        return self._finish(target, old, new, options, self._manager(target, options))

    def existing(self, target: Target) -> Object:
        """The stored object, to be read only. Raises ApiError 404."""
        try:
            return self.store.peek(target.resource.plural, target.namespace, target.name or "")
        except NotFound:
            raise not_found(target.resource, target.name or "") from None

    def store_changed(self, target: Target, old: Object, new: Object, options: WriteOptions) -> Object:
        """Stores ``new`` in place of ``old``, or says what would be stored where it is a dry run."""
        if options.dry_run:
            return _as_if_stored(target.resource, old, new)
        try:
            return self.store.replace(target.resource.plural, new)
        except Conflict:
            raise conflict(target.resource, target.name or "") from None

    def _manager(self, target: Target, options: WriteOptions) -> Manager:
        return Manager(options.manager, "Update", target.resource.api_version, target.subresource)

    def _decoded(self, target: Target, value: Any, options: WriteOptions) -> Object:
        resource = target.resource
        _check_kind(resource, value)
        decoded = decode(value, resource)
        refused = options.settle(decoded.complaints)
        if refused:
            kind = resource.kind
            raise bad_request(
                f'{kind} in version "{resource.version}" cannot be handled as a {kind}: strict decoding error: '
                + ", ".join(refused)
            )
        _place(target, decoded.obj)
        return decoded.obj

    def _patched(self, target: Target, patched: Object, body: bytes, options: WriteOptions) -> Object:
        try:
            decoded = decode(patched, target.resource)
        except ApiError as error:
            decoded = Decoded({})
            refused = [str(error).partition("cannot be handled as a ")[2].partition(": ")[2]]
        else:
            refused = options.settle(decoded.complaints)
            if refused:
                refused = ["strict decoding error: " + ", ".join(refused)]
        if refused:
            shown = json.dumps(body.decode(errors="replace"), ensure_ascii=False)
            cause = Cause("FieldValueInvalid", f"Invalid value: {shown}: {refused[0]}", "patch")
            raise invalid(None, "", [cause])
        _check_kind(target.resource, decoded.obj)
        _place(target, decoded.obj)
        return decoded.obj

    def _apply(self, target: Target, config: Object, options: WriteOptions) -> tuple[Object, bool]:
        resource = target.resource
        if not options.named:
            raise manager_required()
        _check_kind(resource, config)
        if not isinstance(config.get("metadata") or {}, dict):
            raise bad_request("metadata must be an object")
        if (config.get("metadata") or {}).get("managedFields"):
            raise bad_request("metadata.managedFields must be nil")
        manager = Manager(options.manager, "Apply", resource.api_version, target.subresource)
        try:
            old: Object | None = self.existing(target)
        except ApiError:
            if target.subresource:
                raise
            self._check_namespace(target)
            old = None
        placed = config | {"metadata": dict(config.get("metadata") or {})}
        _place(target, placed)
        new = apply(old, config, manager, shape_of(resource.kind), force=options.force)
        _place(target, new)
        if old is None:
            return self._create(target, decode(new, resource).obj, options, None), True
        if version := placed["metadata"].get("resourceVersion"):
            new["metadata"]["resourceVersion"] = version
        return self._finish(target, old, decode(new, resource).obj, options, None), False

    def _create(self, target: Target, obj: Object, options: WriteOptions, manager: Manager | None) -> Object:
        resource = target.resource
        self._check_namespace(target)
        obj.pop("status", None)
        if obj["metadata"].get("resourceVersion"):
            raise bad_request("resourceVersion should not be set on objects to be created")
        for field in _SERVER_FIELDS:
            obj["metadata"].pop(field, None)
        fill(resource.kind, obj)
        prepare_create(resource.kind, obj)
        causes = check(resource.kind, obj, None)
        name = str(obj["metadata"].get("name", ""))
        if causes:
            raise invalid(resource, name, causes)
        if manager is not None:
            obj["metadata"].pop("managedFields", None)
            record_update(None, obj, manager, shape_of(resource.kind))
        admit(resource.kind, obj)
        if target.namespace:
            _admit(self.store, resource, obj)
        if options.dry_run:
            return self._dry_create(target, obj, name)
        if resource.kind == "PersistentVolumeClaim":
            bind_claim(obj)
        try:
            return self.store.create(resource.plural, obj)
        except AlreadyExists:
            raise already_exists(resource, name) from None

    def _dry_create(self, target: Target, obj: Object, name: str) -> Object:
        resource = target.resource
        try:
            self.store.peek(resource.plural, target.namespace, name)
        except NotFound:
            generation = {"generation": 1} if resource.plural in GENERATED else {}
            return obj | {"metadata": obj["metadata"] | generation | {"creationTimestamp": timestamp()}}
        raise already_exists(resource, name)

    def _check_namespace(self, target: Target) -> None:
        if not target.namespace:
            return
        try:
            namespace = self.store.peek("namespaces", None, target.namespace)
        except NotFound:
            details = {"name": target.namespace, "kind": "namespaces"}
            raise ApiError(404, f'namespaces "{target.namespace}" not found', "NotFound", details) from None
        if "deletionTimestamp" in namespace["metadata"]:
            why = f"unable to create new content in namespace {target.namespace} because it is being terminated"
            message = f'{target.resource.qualified} "{target.name or ""}" is forbidden: {why}'
            raise ApiError(403, message, "Forbidden", {"kind": target.resource.plural})

    def _finish(
        self, target: Target, old: Object, new: Object, options: WriteOptions, manager: Manager | None
    ) -> Object:
        resource = target.resource
        current = old["metadata"]["resourceVersion"]
        if (new["metadata"].get("resourceVersion") or current) != current:
            raise conflict(resource, target.name or "")
        if target.subresource == "status":
            new = _only_status(old, new)
        else:
            _keep_status(old, new)
            _keep_assigned(resource.kind, old, new)
            fill(resource.kind, new)
            causes = check(resource.kind, new, old)
            if causes:
                raise invalid(resource, target.name or "", causes)
        if manager is not None:
            record_update(old, new, manager, shape_of(resource.kind))
        stored = self.store_changed(target, old, new, options)
        self._drop_if_released(target, stored, options)
        return stored

    def _drop_if_released(self, target: Target, stored: Object, options: WriteOptions) -> None:
        meta = stored["metadata"]
        waiting = target.resource.plural in ("pods", "namespaces")
        if "deletionTimestamp" in meta and not meta.get("finalizers") and not waiting and not options.dry_run:
            self.store.delete(target.resource.plural, target.namespace, meta["name"])


def _check_kind(resource: Resource, value: Any) -> None:
    if not isinstance(value, dict):
        return
    kind, api_version = value.get("kind"), value.get("apiVersion")
    if not kind or not api_version:
        missing = "Kind" if not kind else "apiVersion"
        shown = json.dumps(value, separators=(",", ":"), ensure_ascii=False)[:200]
        raise bad_request(f"Object '{missing}' is missing in '{shown}'")
    if (api_version, kind) != (resource.api_version, resource.kind):
        version = str(api_version).rpartition("/")[2]
        raise bad_request(
            f'{kind} in version "{version}" cannot be handled as a {resource.kind}: the API version in the data '
            f"({api_version}) does not match the expected API version ({resource.api_version})"
        )


def _place(target: Target, obj: Object) -> None:
    """Puts namespace and name of the URL into the object. Raises ApiError 400 where it names others."""
    meta = obj.setdefault("metadata", {})
    if target.namespace:
        if meta.get("namespace", target.namespace) != target.namespace:
            what = "the namespace of the provided object does not match the namespace sent on the request"
            raise bad_request(what)
        meta["namespace"] = target.namespace
    elif not target.resource.namespaced:
        meta.pop("namespace", None)
    if target.name:
        if meta.get("name", target.name) != target.name:
            what = f"the name of the object ({meta['name']}) does not match the name on the URL ({target.name})"
            raise bad_request(what)
        meta["name"] = target.name


def _only_status(old: Object, new: Object) -> Object:
    result = clone(old)
    if "status" in new:
        result["status"] = new["status"]
    for field in ("managedFields", "resourceVersion"):
        if field in new["metadata"]:
            result["metadata"][field] = new["metadata"][field]
    return result


_SERVER_FIELDS = (
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "uid",
    "creationTimestamp",
    "generation",
    "selfLink",
)
"""Metadata that only the server sets, whatever a client sends."""


def _keep_status(old: Object, new: Object) -> None:
    new.pop("status", None)
    if "status" in old:
        new["status"] = clone(old["status"])
    for field in _SERVER_FIELDS:
        new["metadata"].pop(field, None)
        if field in old["metadata"]:
            new["metadata"][field] = old["metadata"][field]


def _keep_assigned(kind: str, old: Object, new: Object) -> None:
    """Keeps what the cluster assigned where a replacement leaves it out."""
    was, now = old.get("spec") or {}, new.get("spec")
    if not isinstance(now, dict):
        return
    if kind == "Service":
        names = ["clusterIP", "clusterIPs", "healthCheckNodePort"]
    elif kind == "Pod":
        names = [name for name in was if name not in ("containers", "initContainers", "activeDeadlineSeconds")]
    elif kind == "PersistentVolumeClaim":
        names = ["volumeName", "storageClassName"]
    elif kind == "Job":
        names = ["selector"]
        _keep_job_labels(was, now)
    else:
        return
    for name in names:
        if name in was and not now.get(name):
            now[name] = clone(was[name])
    if kind == "Service" and now.get("type") in ("NodePort", "LoadBalancer"):
        ports = {(port.get("port"), port.get("protocol")): port.get("nodePort") for port in was.get("ports") or []}
        for port in now.get("ports") or []:
            kept = ports.get((port.get("port"), port.get("protocol", "TCP")))
            if kept and not port.get("nodePort"):
                port["nodePort"] = kept


def _keep_job_labels(was: Object, now: Object) -> None:
    generated = ("controller-uid", "job-name")
    labels = ((was.get("template") or {}).get("metadata") or {}).get("labels") or {}
    kept = {key: value for key, value in labels.items() if key.rpartition("/")[2] in generated}
    if kept and isinstance(now.get("template"), dict):
        meta = now["template"].setdefault("metadata", {})
        meta["labels"] = (meta.get("labels") or {}) | kept


def _as_if_stored(resource: Resource, old: Object, new: Object) -> Object:
    result = clone(new)
    meta = result["metadata"]
    for field in ("uid", "creationTimestamp", "generation", "resourceVersion"):
        if field in old["metadata"]:
            meta[field] = old["metadata"][field]
    if resource.plural in GENERATED and result.get("spec") != old.get("spec"):
        meta["generation"] = old["metadata"].get("generation", 0) + 1
    return result


def _admit(store: Store, resource: Resource, obj: Object) -> None:
    meta = obj["metadata"]
    try:
        if resource.kind == "Pod":
            admit_pod(store, obj)
        else:
            admit_object(store, resource.plural, resource.group, meta["namespace"], meta["name"])
    except QuotaExceeded as error:
        raise forbidden(resource, meta["name"], str(error)) from None
