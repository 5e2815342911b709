"""Objects that an earlier release applied and this one no longer has: found, and deleted where that was asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from mlconsole.errors import Problem
from mlconsole.evidence.cluster import DeployPlan, Orphan
from mlconsole.services.kubernetes.documents import Body, Manifest, from_yaml
from mlconsole.services.kubernetes.facts import MANAGER
from mlconsole.services.kubernetes.patching import read
from mlconsole.services.kubernetes.problems import Forbidden, NotFound
from mlconsole.services.kubernetes.resources import resource_of

if TYPE_CHECKING:
    from mlconsole.services.kubernetes.connection import Connection

NEVER_PRUNED = {
    "Namespace": "everything in it would go, too",
    "PersistentVolume": "it holds data",
    "PersistentVolumeClaim": "it holds data",
    "CustomResourceDefinition": "all objects of its kind would go, too",
}
"""Kinds whose deletion destroys more than what a release made, and why."""

_Key = tuple[str, str, str, str]


def find_orphans(
    connection: Connection, former: DeployPlan | None, manifests: Sequence[Manifest]
) -> tuple[Orphan, ...]:
    """Return what `former` applied, `manifests` have not, and the cluster still has with us as its manager.

    Raises:
        Problem: the cluster can't be asked.
    """
    if former is None:
        return ()
    present = {_key(entry.api_version, entry.kind, entry.namespace, entry.name, connection) for entry in manifests}
    found = []
    for api_version, kind, namespace, name in _applied(former, connection):
        if _key(api_version, kind, namespace, name, connection) in present:
            continue
        try:
            resource = resource_of(connection, api_version, kind)
            live = read(connection, resource, namespace if resource.namespaced else "", name)
        except (NotFound, Forbidden):
            continue
        if live is not None and _is_ours(live):
            kept = NEVER_PRUNED.get(kind, "")
            found.append(Orphan(api_version=api_version, kind=kind, name=name, namespace=namespace, kept=kept))
    return tuple(found)


def prune(connection: Connection, plan: DeployPlan, *, report: Callable[[str], None]) -> tuple[list[str], list[str]]:
    """Delete a plan's orphans, where it says so.

    Returns:
        Those that are deleted, and those that are not, each with the reason.
    """
    pruned: list[str] = []
    failed: list[str] = []
    for orphan in plan.orphans:
        if not plan.prune or orphan.kept:
            continue
        title = f"{orphan.kind} {orphan.name}"
        try:
            delete(connection, orphan.api_version, orphan.kind, orphan.namespace, orphan.name)
        except Problem as problem:
            failed.append(f"{title}: {problem.sentence}")
            continue
        pruned.append(title)
        report(f"{orphan.kind.lower()}/{orphan.name} deleted")
    return pruned, failed


def delete(connection: Connection, api_version: str, kind: str, namespace: str, name: str, *, uid: str = "") -> None:
    """Delete an object, and in the background what it owns; only the one with `uid` where that is given.

    Raises:
        Problem: the cluster refuses. That it is gone already is none.
    """
    resource = resource_of(connection, api_version, kind)
    options: Body = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background"}
    if uid:
        options["preconditions"] = {"uid": uid}
    path = resource.path(namespace if resource.namespaced else "", name)
    try:
        connection.request("DELETE", path, body=msgspec.json.encode(options))
    except NotFound:
        return


def _applied(former: DeployPlan, connection: Connection) -> Iterator[_Key]:
    """All that a plan applied, and the orphans that it left there.

    Its Secrets are not in its manifests, but in its changes.
    """
    for manifest in from_yaml(former.manifests):
        namespace = manifest.namespace or former.target.namespace
        yield manifest.api_version, manifest.kind, namespace, manifest.name
    for change in former.changes:
        if change.kind == "Secret" and change.action != "delete":
            yield "v1", "Secret", change.namespace, change.name
    for orphan in former.orphans:
        yield orphan.api_version, orphan.kind, orphan.namespace, orphan.name


def _key(api_version: str, kind: str, namespace: str, name: str, connection: Connection) -> _Key:
    """What an object is known by: its group without the version, which may change from release to release."""
    return api_version.rpartition("/")[0], kind, namespace or connection.namespace, name


def _is_ours(live: Body) -> bool:
    entries: list[Any] = (live.get("metadata") or {}).get("managedFields") or []
    return any(isinstance(entry, dict) and entry.get("manager") == MANAGER for entry in entries)
