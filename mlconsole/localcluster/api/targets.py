"""Which object or collection a URL path means."""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import unquote

from mlconsole.localcluster.api.registry import Resource, find


class Target(NamedTuple):
    """The place that a request is about; ``rest`` is what follows a ``proxy`` subresource."""

    resource: Resource
    namespace: str | None
    name: str | None
    subresource: str = ""
    rest: str = ""


def resolve(raw_path: str) -> Target | None:
    """Reads ``/api/v1/…`` and ``/apis/GROUP/VERSION/…``; None where nothing is served.

    Args:
        raw_path: the path as it was sent, still percent-encoded.
    """
    parts = raw_path.split("/")[1:]
    if parts[0] == "api":
        group, version, rest = "", parts[1] if len(parts) > 1 else "", parts[2:]
    elif parts[0] == "apis" and len(parts) > 2:
        group, version, rest = parts[1], parts[2], parts[3:]
    else:
        return None
    if rest and rest[-1] == "" and "proxy" not in rest:
        rest = rest[:-1]
    namespace: str | None = None
    if len(rest) >= 3 and rest[0] == "namespaces" and find(group, version, rest[2]):
        namespace, rest = unquote(rest[1]), rest[2:]
    resource = find(group, version, rest[0]) if rest else None
    if resource is None or (namespace is not None and not resource.namespaced):
        return None
    return _target(resource, namespace, rest[1:])


def _target(resource: Resource, namespace: str | None, rest: list[str]) -> Target | None:
    name = unquote(rest[0]) if rest else None
    subresource = rest[1] if len(rest) > 1 else ""
    if name is not None and resource.namespaced and namespace is None:
        return None
    if subresource and subresource not in resource.subresources:
        return None
    if subresource == "proxy":
        return Target(resource, namespace, name, subresource, "/".join(rest[2:]))
    return None if len(rest) > 2 else Target(resource, namespace, name, subresource)
