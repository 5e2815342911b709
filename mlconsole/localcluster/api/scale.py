"""The ``scale`` subresource: the replicas of a workload as an object of their own."""

from __future__ import annotations

from typing import Any

from mlconsole.localcluster.api.errors import bad_request, conflict, unsupported_media_type
from mlconsole.localcluster.api.options import WriteOptions
from mlconsole.localcluster.api.patching.documents import json_patch, merge_patch
from mlconsole.localcluster.api.tables.rows import selector_text
from mlconsole.localcluster.api.targets import Target
from mlconsole.localcluster.api.writes import JSON_PATCH, PATCH_TYPES, Writer
from mlconsole.localcluster.store import clone

Object = dict[str, Any]


def scale_of(obj: Object) -> Object:
    """The Scale of a Deployment or ReplicaSet."""
    meta = {
        key: obj["metadata"][key]
        for key in ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
        if key in obj["metadata"]
    }
    spec, status = obj.get("spec") or {}, obj.get("status") or {}
    selector = selector_text(spec.get("selector"))
    shown = {"replicas": status.get("replicas", 0), "selector": selector}
    scale: Object = {"kind": "Scale", "apiVersion": "autoscaling/v1", "metadata": meta}
    replicas = {"replicas": spec["replicas"]} if spec.get("replicas") else {}
    return scale | {"spec": replicas, "status": shown}


def set_scale(writer: Writer, target: Target, given: Any, patch_type: str, options: WriteOptions) -> Object:
    """Sets the replicas by PUT (no patch type) or PATCH; returns the new Scale. Raises ApiError."""
    old = writer.existing(target)
    if not patch_type:
        scale = given
    elif patch_type not in PATCH_TYPES:
        raise unsupported_media_type(PATCH_TYPES)
    else:
        scale = json_patch(scale_of(old), given) if patch_type == JSON_PATCH else merge_patch(scale_of(old), given)
    if not isinstance(scale, dict) or not isinstance(scale.get("spec") or {}, dict):
        raise bad_request("Scale must be an object")
    replicas = (scale.get("spec") or {}).get("replicas", 0)
    if isinstance(replicas, bool) or not isinstance(replicas, int):
        kind = type(replicas).__name__.replace("str", "string")
        raise bad_request(f"json: cannot unmarshal {kind} into Go struct field ScaleSpec.spec.replicas of type int32")
    version = (scale.get("metadata") or {}).get("resourceVersion")
    if version and version != old["metadata"]["resourceVersion"]:
        raise conflict(target.resource, target.name or "")
    new = clone(old)
    new["spec"]["replicas"] = replicas
    return scale_of(writer.change(target, old, new, options))
