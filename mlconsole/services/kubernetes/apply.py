"""Server-side apply: what it would change (a plan), and the doing of it.

Protocol: https://kubernetes.io/docs/reference/using-api/server-side-apply/
"""

from __future__ import annotations

import hashlib
import shlex
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Literal

import msgspec

from mlconsole.errors import OutsideFailed, Problem, WrongUse
from mlconsole.evidence.base import CommandRun
from mlconsole.evidence.cluster import ClusterTarget, DeployPlan, ObjectChange
from mlconsole.services.kubernetes.differences import difference
from mlconsole.services.kubernetes.documents import FROM_TEXT, Body, Manifest, from_yaml, to_yaml
from mlconsole.services.kubernetes.facts import MANAGER
from mlconsole.services.kubernetes.manifests import in_order
from mlconsole.services.kubernetes.objects import Workload
from mlconsole.services.kubernetes.ownership import FORMER_MANAGERS, release_former
from mlconsole.services.kubernetes.problems import ApplyConflict, Invalid, NotFound, conflict_of, decode
from mlconsole.services.kubernetes.resources import Resource, resource_of
from mlconsole.text import listed

if TYPE_CHECKING:
    from mlconsole.services.kubernetes.connection import Connection

APPLY_TYPE = "application/apply-patch+yaml"
ESTABLISHED_SECONDS = 30.0

_secrets: OrderedDict[str, tuple[Manifest, ...]] = OrderedDict()
_SECRETS_KEPT = 8


class PartlyApplied(OutsideFailed):
    """An apply stopped in the middle: what was applied before stays, and is named."""


def plan(
    connection: Connection,
    manifests: Sequence[Manifest],
    *,
    selector: str,
    version: str,
    force: bool = False,
) -> DeployPlan:
    """Ask the cluster what applying these manifests would change. Nothing is changed.

    A plan is kept in the journal, so it holds no Secret: `apply` takes those of this process, or is given them.

    Args:
        connection: to the cluster, and its namespace for objects that name none.
        manifests: with the release's facts in them.
        selector: the pods' labels.
        version: the model version's label.
        force: take over fields that others own.

    Raises:
        ApplyConflict: others own fields that would change, and `force` is not set.
        Problem: the cluster refuses an object, or can't be reached.
    """
    ordered = in_order(manifests)
    new_namespaces: set[str] = set()
    changes = []
    for manifest in ordered:
        change = _planned(connection, manifest, ordered, new_namespaces, force=force)
        if manifest.kind == "Namespace" and change.action == "create":
            new_namespaces.add(manifest.name)
        changes.append(change)
    target = connection.target(selector)
    text = to_yaml([manifest for manifest in ordered if manifest.kind != "Secret"])
    manifests_digest = _digest(text.encode())
    digest = _digest(msgspec.json.encode((target, manifests_digest, changes)))
    _keep_secrets(digest, ordered)
    return DeployPlan(
        digest=digest,
        target=target,
        version=version,
        manifests=text,
        manifests_digest=manifests_digest,
        changes=tuple(changes),
    )


def apply(
    connection: Connection,
    plan: DeployPlan,
    *,
    report: Callable[[str], None],
    force: bool = False,
    secrets: Sequence[Manifest] = (),
) -> None:
    """Apply a plan's manifests, in order.

    Args:
        connection: to the cluster that was planned for.
        plan: what was looked at.
        report: called with a sentence for each object, in kubectl's words.
        force: take over fields that others own.
        secrets: the Secrets among the manifests, where `plan` was made by another process.

    Raises:
        WrongUse: the plan is for another cluster, or its Secrets are not at hand.
        PartlyApplied: it failed after something had been applied already; says what.
        Problem: it failed at the first object, so that nothing has changed.
    """
    _refuse_another(connection, plan.target)
    ordered = in_order([*from_yaml(plan.manifests), *_secrets_of(plan, secrets)])
    actions = {(change.kind, change.name): change.action for change in plan.changes}
    done: list[str] = []
    for position, manifest in enumerate(ordered):
        try:
            _apply_one(connection, manifest, force=force)
            if manifest.kind == "CustomResourceDefinition":
                _wait_established(connection, manifest)
        except Problem as problem:
            if not done:
                raise
            rest = [entry.title for entry in ordered[position + 1 :]]
            raise PartlyApplied(
                f"Applied {listed(done, 5)}; then {manifest.title} failed: {problem.sentence}",
                f"{problem.next_step} Then deploy again, or roll back."
                + (f" Not tried: {listed(rest, 5)}." if rest else ""),
            ) from problem
        done.append(manifest.title)
        action = actions.get((manifest.kind, manifest.name), "change")
        word = {"create": "created", "none": "unchanged"}.get(action, "configured")
        report(f"{manifest.kind.lower()}/{manifest.name} {word}")


def commands(plan: DeployPlan) -> tuple[CommandRun, ...]:
    """The kubectl lines that do the same as `apply`, and then look at it."""
    base = f"kubectl --context {shlex.quote(plan.target.context)} -n {shlex.quote(plan.target.namespace)}"
    apply_line = f"{base} apply --server-side --field-manager={MANAGER} -f manifests.yaml"
    rollouts = [
        CommandRun(line=f"{base} rollout status {manifest.kind.lower()}/{shlex.quote(manifest.name)}")
        for manifest in from_yaml(plan.manifests)
        if manifest.kind in ("Deployment", "StatefulSet", "DaemonSet")
    ]
    pods = CommandRun(line=f"{base} get pods -l {shlex.quote(plan.target.selector)}")
    return (
        CommandRun(line=apply_line, note="manifests.yaml: the rendered manifests of the plan"),
        *rollouts,
        *([pods] if plan.target.selector else []),
    )


def _refuse_another(connection: Connection, target: ClusterTarget) -> None:
    """A context's name may have been given to another cluster since the plan was made, so its address counts too."""
    here = connection.target(target.selector)
    if here == target:
        return
    raise WrongUse(
        f"The plan is for {target.context}/{target.namespace} at {target.server}, "
        f"but the connection leads to {here.context}/{here.namespace} at {here.server}.",
        "Plan again for this cluster.",
    )


def _planned(
    connection: Connection,
    manifest: Manifest,
    all_manifests: Sequence[Manifest],
    new_namespaces: set[str],
    *,
    force: bool,
) -> ObjectChange:
    namespace = manifest.namespace or connection.namespace
    try:
        resource = resource_of(connection, manifest.api_version, manifest.kind)
    except NotFound:
        if not _defined_by(manifest, all_manifests):
            raise
        return _change(manifest, namespace, "create", difference(None, manifest.body))
    if not resource.namespaced:
        namespace = ""
    live = read(connection, resource, namespace, manifest.name)
    if live is None and namespace in new_namespaces:
        return _change(manifest, namespace, "create", difference(None, manifest.body))
    result = _patch(connection, manifest, resource, namespace, dry_run=True, force=force)
    if live is None:
        # The server fills in what differs at every dry run (addresses, ports); the manifest itself is what is new.
        return _change(manifest, namespace, "create", difference(None, manifest.body))
    text = difference(live, result)
    return _change(manifest, namespace, "change" if text else "none", text)


def _change(manifest: Manifest, namespace: str, action: Literal["create", "change", "none"], diff: str) -> ObjectChange:
    return ObjectChange(kind=manifest.kind, name=manifest.name, namespace=namespace, action=action, diff=diff)


def _apply_one(connection: Connection, manifest: Manifest, *, force: bool) -> None:
    resource = resource_of(connection, manifest.api_version, manifest.kind)
    namespace = (manifest.namespace or connection.namespace) if resource.namespaced else ""
    body = _patch(connection, manifest, resource, namespace, dry_run=False, force=force)
    release_former(connection, resource.path(namespace, manifest.name), body)


def _patch(
    connection: Connection, manifest: Manifest, resource: Resource, namespace: str, *, dry_run: bool, force: bool
) -> Body:
    query = {"fieldManager": MANAGER, "fieldValidation": "Strict", "force": "true" if force else "false"}
    if dry_run:
        query["dryRun"] = "All"
    body = msgspec.json.encode(manifest.body)
    path = resource.path(namespace, manifest.name)
    try:
        answer = connection.request("PATCH", path, query=query, body=body, content_type=APPLY_TYPE, timeout=30)
    except ApplyConflict as conflict:
        foreign = tuple(entry for entry in conflict.conflicts if entry.manager not in FORMER_MANAGERS)
        if foreign or not conflict.conflicts:
            raise (conflict_of(foreign, manifest.title) if foreign else conflict) from conflict
        query["force"] = "true"
        answer = connection.request("PATCH", path, query=query, body=body, content_type=APPLY_TYPE, timeout=30)
    except Invalid as problem:
        if manifest.source == FROM_TEXT:
            raise
        raise Invalid(
            f"{manifest.source}, document {manifest.document}: {problem.sentence}",
            problem.next_step,
            fields=problem.fields,
        ) from problem
    return decode(answer, Body)


def read(connection: Connection, resource: Resource, namespace: str, name: str) -> Body | None:
    """Return a live object, or None where it (or its namespace) does not exist."""
    try:
        return decode(connection.request("GET", resource.path(namespace, name)), Body)
    except NotFound:
        return None


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


def _wait_established(connection: Connection, manifest: Manifest) -> None:
    resource = resource_of(connection, manifest.api_version, manifest.kind)
    deadline = time.monotonic() + ESTABLISHED_SECONDS
    while True:
        body = connection.request("GET", resource.path("", manifest.name))
        established = decode(body, Workload).condition("Established")
        if established is not None and established.status == "True":
            return
        if time.monotonic() > deadline:
            raise OutsideFailed(
                f"{manifest.title} was not established within {ESTABLISHED_SECONDS:.0f} s.", "Look at its conditions."
            )
        time.sleep(0.2)


def _keep_secrets(digest: str, manifests: Sequence[Manifest]) -> None:
    found = tuple(manifest for manifest in manifests if manifest.kind == "Secret")
    if found:
        _secrets[digest] = found
        while len(_secrets) > _SECRETS_KEPT:
            _secrets.popitem(last=False)


def _secrets_of(plan: DeployPlan, given: Sequence[Manifest]) -> tuple[Manifest, ...]:
    wanted = {change.name for change in plan.changes if change.kind == "Secret" and change.action != "none"}
    found = tuple(manifest for manifest in given if manifest.kind == "Secret") or _secrets.get(plan.digest, ())
    missing = sorted(wanted - {manifest.name for manifest in found})
    if missing:
        raise WrongUse(
            f"The plan changes the Secret {listed(missing)}, whose content is never kept.",
            "Plan again from the manifests, then apply.",
        )
    return found


def _digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"
