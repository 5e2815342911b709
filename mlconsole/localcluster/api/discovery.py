"""What the server has: ``/api``, ``/apis``, the resource lists of each group version, ``/version``."""

from __future__ import annotations

import platform
from typing import Any

from mlconsole.localcluster.api.registry import GROUP_VERSIONS, RESOURCES, Resource

MINOR = "33"
GIT_VERSION = f"v1.{MINOR}.0+local"


def version() -> dict[str, Any]:
    """The answer to ``/version``: the API level that is spoken."""
    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    return {
        "major": "1",
        "minor": MINOR,
        "gitVersion": GIT_VERSION,
        "gitCommit": "",
        "gitTreeState": "clean",
        "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": "none",
        "compiler": "python",
        "platform": f"{platform.system().lower()}/{machine}",
    }


def core_versions(address: str) -> dict[str, Any]:
    """The answer to ``/api``."""
    addresses = [{"clientCIDR": "0.0.0.0/0", "serverAddress": address}]
    return {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": addresses}


def group_list() -> dict[str, Any]:
    """The answer to ``/apis``."""
    groups = [_group(group, version) for group, version in GROUP_VERSIONS if group]
    return {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}


def group(name: str) -> dict[str, Any] | None:
    """The answer to ``/apis/GROUP``, or None."""
    for known, version in GROUP_VERSIONS:
        if known == name:
            return {"kind": "APIGroup", "apiVersion": "v1", **_group(known, version)}
    return None


def resource_list(group_name: str, group_version: str) -> dict[str, Any] | None:
    """The answer to ``/api/v1`` or ``/apis/GROUP/VERSION``, or None where it is not served."""
    if (group_name, group_version) not in GROUP_VERSIONS:
        return None
    rows: list[dict[str, Any]] = []
    for resource in RESOURCES:
        if (resource.group, resource.version) == (group_name, group_version):
            rows.append(_row(resource))
            rows += [_subresource_row(resource, name) for name in resource.subresources]
    label = f"{group_name}/{group_version}" if group_name else group_version
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": label, "resources": rows}


def _group(name: str, version: str) -> dict[str, Any]:
    entry = {"groupVersion": f"{name}/{version}", "version": version}
    return {"name": name, "versions": [entry], "preferredVersion": entry}


def _row(resource: Resource) -> dict[str, Any]:
    row: dict[str, Any] = {
        "name": resource.plural,
        "singularName": resource.singular,
        "namespaced": resource.namespaced,
        "kind": resource.kind,
        "verbs": list(resource.verbs),
    }
    if resource.short:
        row["shortNames"] = list(resource.short)
    if resource.categories:
        row["categories"] = list(resource.categories)
    return row


def _subresource_row(resource: Resource, name: str) -> dict[str, Any]:
    row: dict[str, Any] = {"name": f"{resource.plural}/{name}", "singularName": "", "namespaced": resource.namespaced}
    if name == "scale":
        return row | {"group": "autoscaling", "version": "v1", "kind": "Scale", "verbs": ["get", "patch", "update"]}
    if name == "proxy":
        kind = f"{resource.kind}ProxyOptions"
        return row | {"kind": kind, "verbs": ["create", "delete", "get", "patch", "update"]}
    return row | {"kind": resource.kind, "verbs": ["get"] if name == "log" else ["get", "patch", "update"]}
