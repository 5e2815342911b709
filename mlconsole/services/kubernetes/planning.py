"""What an apply would change, asked of the cluster by dry runs: the plan that a person approves."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple

import msgspec

from mlconsole.evidence.cluster import (
    ConflictChoice,
    DeployOptions,
    DeployPlan,
    ObjectChange,
    ObjectConflict,
)
from mlconsole.services.kubernetes.differences import difference
from mlconsole.services.kubernetes.documents import Manifest, to_yaml
from mlconsole.services.kubernetes.field_paths import without_fields
from mlconsole.services.kubernetes.manifests import in_order
from mlconsole.services.kubernetes.orphans import find_orphans
from mlconsole.services.kubernetes.patching import apply_patch, read
from mlconsole.services.kubernetes.problems import ApplyConflict, FieldConflict, NotFound, conflict_of
from mlconsole.services.kubernetes.resources import resource_of
from mlconsole.services.kubernetes.secrets import keep_secrets

if TYPE_CHECKING:
    from mlconsole.services.kubernetes.connection import Connection


AS_SET = DeployOptions()


class _Planned(NamedTuple):
    """One object of a plan: what is to be applied of it, what that changes, and who owns fields of it."""

    manifest: Manifest
    change: ObjectChange
    conflicts: tuple[ObjectConflict, ...] = ()


def plan(
    connection: Connection,
    manifests: Sequence[Manifest],
    *,
    selector: str,
    version: str,
    options: DeployOptions = AS_SET,
    former: DeployPlan | None = None,
    resolves: str = "",
) -> DeployPlan:
    """Ask the cluster what applying these manifests would change. Nothing is changed.

    A plan is kept in the journal, so it holds no Secret: `apply` takes those of this process, or is given them.
    Fields that others own are the plan's `conflicts`, those of all objects at once. By `options.conflicts` they are
    taken over, or taken out of the manifests; where it says `ask`, the plan is open and can't be applied.

    Args:
        connection: to the cluster, and its namespace for objects that name none.
        manifests: with the release's facts in them.
        selector: the pods' labels.
        version: the model version's label.
        options: what becomes of conflicts, and whether orphans are to be deleted.
        former: what was applied there before; what it has and this one has not are the orphans.
        resolves: the digest of the open plan that this one is the answer to.

    Raises:
        ApplyConflict: a field that is to be left to its owner can't be found in the manifest.
        Problem: the cluster refuses an object, or can't be reached.
    """
    ordered = in_order(manifests)
    new_namespaces: set[str] = set()
    planned: list[_Planned] = []
    for manifest in ordered:
        found = _planned(connection, manifest, ordered, new_namespaces, options.conflicts)
        if manifest.kind == "Namespace" and found.change.action == "create":
            new_namespaces.add(manifest.name)
        planned.append(found)
    orphans = find_orphans(connection, former, ordered)
    deleted = [
        ObjectChange(kind=orphan.kind, name=orphan.name, namespace=orphan.namespace, action="delete")
        for orphan in orphans
        if options.prune and not orphan.kept
    ]
    text = to_yaml([entry.manifest for entry in planned if entry.manifest.kind != "Secret"])
    conflicts = tuple(conflict for entry in planned for conflict in entry.conflicts)
    made = DeployPlan(
        digest="",
        target=connection.target(selector),
        version=version,
        manifests=text,
        manifests_digest=_digest(text.encode()),
        changes=(*(entry.change for entry in planned), *deleted),
        conflicts=conflicts,
        conflict_choice=options.conflicts if conflicts else "ask",
        resolves=resolves if conflicts else "",
        orphans=orphans,
        prune=options.prune,
    )
    made = msgspec.structs.replace(made, digest=_digest_of(made))
    keep_secrets(made.digest, [entry.manifest for entry in planned])
    return made


def _digest_of(made: DeployPlan) -> str:
    """A digest of all that would be done; orphans that stay are none of it."""
    done = (made.target, made.manifests_digest, made.changes, made.conflicts, made.conflict_choice)
    return _digest(msgspec.json.encode(done))


def _planned(
    connection: Connection,
    manifest: Manifest,
    all_manifests: Sequence[Manifest],
    new_namespaces: set[str],
    choice: ConflictChoice,
) -> _Planned:
    namespace = manifest.namespace or connection.namespace
    try:
        resource = resource_of(connection, manifest.api_version, manifest.kind)
    except NotFound:
        if not _defined_by(manifest, all_manifests):
            raise
        return _Planned(manifest, _change(manifest, namespace, "create", difference(None, manifest.body)))
    if not resource.namespaced:
        namespace = ""
    live = read(connection, resource, namespace, manifest.name)
    if live is None and namespace in new_namespaces:
        return _Planned(manifest, _change(manifest, namespace, "create", difference(None, manifest.body)))
    try:
        result = apply_patch(connection, manifest, resource, namespace, dry_run=True)
        conflicts: tuple[FieldConflict, ...] = ()
    except ApplyConflict as conflict:
        if not conflict.conflicts:
            raise
        conflicts = conflict.conflicts
        if choice == "leave":
            manifest = _leaving(manifest, conflicts)
        taking = () if choice == "leave" else conflicts
        result = apply_patch(connection, manifest, resource, namespace, dry_run=True, taking=taking)
    # The server fills in what differs at every dry run (addresses, ports): of a new object, the manifest is shown.
    text = difference(live, result) if live is not None else difference(None, manifest.body)
    change = _change(manifest, namespace, "create" if live is None else "change" if text else "none", text)
    return _Planned(manifest, change, tuple(_conflict(change, entry) for entry in conflicts))


def _leaving(manifest: Manifest, conflicts: tuple[FieldConflict, ...]) -> Manifest:
    """The manifest without the fields that others own, as the API server's documentation advises."""
    left, missing = without_fields(manifest, [conflict.field for conflict in conflicts])
    if missing:
        rest = tuple(conflict for conflict in conflicts if conflict.field in missing)
        raise conflict_of(rest, f"{manifest.title}, where these can't be left out")
    return left


def _conflict(change: ObjectChange, found: FieldConflict) -> ObjectConflict:
    return ObjectConflict(
        kind=change.kind, name=change.name, namespace=change.namespace, field=found.field, owner=found.manager
    )


def _change(manifest: Manifest, namespace: str, action: Literal["create", "change", "none"], diff: str) -> ObjectChange:
    return ObjectChange(kind=manifest.kind, name=manifest.name, namespace=namespace, action=action, diff=diff)


def _defined_by(manifest: Manifest, manifests: Sequence[Manifest]) -> bool:
    """Whether one of the manifests is the CustomResourceDefinition of this one's kind."""
    group = manifest.api_version.rpartition("/")[0]
    for entry in manifests:
        spec = entry.body.get("spec") or {}
        if (
            entry.kind == "CustomResourceDefinition"
            and spec.get("group") == group
            and (spec.get("names") or {}).get("kind") == manifest.kind
        ):
            return True
    return False


def _digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"
