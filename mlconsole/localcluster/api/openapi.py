"""``/openapi/v3``: what kubectl reads before it applies.

The documents name the operations, their parameters and kinds. Schemas of the kinds are left out: kubectl then merges
with the patch rules that it has built in.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from mlconsole.localcluster.api.discovery import GIT_VERSION
from mlconsole.localcluster.api.registry import GROUP_VERSIONS, RESOURCES, Resource

Object = dict[str, Any]

_OBJECT = {"schema": {"type": "object"}}
WRITE_PARAMETERS = ("dryRun", "fieldManager", "fieldValidation")


def index() -> Object:
    """Where the document of each group version is."""
    places = {_path(group, version): group for group, version in GROUP_VERSIONS}
    return {"paths": {path: {"serverRelativeURL": f"/openapi/v3/{path}?hash={GIT_VERSION}"} for path in places}}


def _path(group: str, version: str) -> str:
    return f"apis/{group}/{version}" if group else f"api/{version}"


@cache
def document(path: str) -> Object | None:
    """The document of a group version, or None where it is not served."""
    for group, version in GROUP_VERSIONS:
        if _path(group, version) == path:
            served = [resource for resource in RESOURCES if (resource.group, resource.version) == (group, version)]
            paths: Object = {}
            for resource in served:
                paths |= _operations(resource)
            info = {"title": "mlconsole local cluster", "version": GIT_VERSION}
            return {"openapi": "3.0.0", "info": info, "paths": paths, "components": {"schemas": {}}}
    return None


def item_path(resource: Resource) -> str:
    """The path of one object, with placeholders."""
    namespace = "namespaces/{namespace}/" if resource.namespaced else ""
    return f"/{_path(resource.group, resource.version)}/{namespace}{resource.plural}/{{name}}"


def _operations(resource: Resource) -> Object:
    base = item_path(resource).removesuffix("/{name}")
    collection: Object = {}
    if "create" in resource.verbs:
        collection["post"] = _operation(resource, "post", WRITE_PARAMETERS)
    if "list" not in resource.verbs:
        return {base: collection}
    collection["get"] = _operation(resource, "list", ("labelSelector", "fieldSelector", "limit", "watch"))
    item = {
        "get": _operation(resource, "get", ()),
        "put": _operation(resource, "put", WRITE_PARAMETERS),
        "patch": _operation(resource, "patch", (*WRITE_PARAMETERS, "force")),
        "delete": _operation(resource, "delete", ("dryRun", "gracePeriodSeconds", "propagationPolicy")),
    }
    return {base: collection, base + "/{name}": item}


def _operation(resource: Resource, action: str, parameters: tuple[str, ...]) -> Object:
    kind = {"group": resource.group, "version": resource.version, "kind": resource.kind}
    boolean = ("force", "watch")
    return {
        "operationId": f"{action}{resource.kind}",
        "parameters": [
            {"name": name, "in": "query", "schema": {"type": "boolean" if name in boolean else "string"}}
            for name in parameters
        ],
        "responses": {"200": {"description": "OK", "content": {"application/json": _OBJECT}}},
        "x-kubernetes-action": action,
        "x-kubernetes-group-version-kind": kind,
    }
