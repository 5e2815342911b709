"""Carries a plan out by server-side apply: all of it, or, as far as the cluster lets us, nothing of it.

Protocol: https://kubernetes.io/docs/reference/using-api/server-side-apply/
"""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from mlconsole.errors import OutsideFailed, Problem, WrongUse
from mlconsole.evidence.base import CommandRun
from mlconsole.evidence.cluster import ClusterTarget, DeployPlan
from mlconsole.services.kubernetes.documents import Body, Manifest, from_yaml
from mlconsole.services.kubernetes.facts import MANAGER
from mlconsole.services.kubernetes.manifests import in_order
from mlconsole.services.kubernetes.objects import Workload
from mlconsole.services.kubernetes.ownership import release_former
from mlconsole.services.kubernetes.patching import apply_patch, read
from mlconsole.services.kubernetes.problems import FieldConflict, ServerFailed, Unreachable, decode
from mlconsole.services.kubernetes.resources import resource_of
from mlconsole.services.kubernetes.restoring import Before, Restored, restore
from mlconsole.services.kubernetes.secrets import secrets_of
from mlconsole.text import listed

if TYPE_CHECKING:
    from mlconsole.services.kubernetes.connection import Connection

ESTABLISHED_SECONDS = 30.0


class ApplyUndone(OutsideFailed):
    """An apply stopped in the middle, and what it had changed is as it was again."""


class PartlyApplied(OutsideFailed):
    """An apply stopped in the middle, and not all that it had changed could be put back: it is named."""


def apply(
    connection: Connection, plan: DeployPlan, *, report: Callable[[str], None], secrets: Sequence[Manifest] = ()
) -> None:
    """Apply a plan's manifests, in order. Where one is refused, those before it are put back as they were.

    Only those fields of others are taken over that the plan lists, and only where it says `force`.

    Args:
        connection: to the cluster that was planned for.
        plan: what was looked at.
        report: called with a sentence for each object, in kubectl's words.
        secrets: the Secrets among the manifests, where `plan` was made by another process.

    Raises:
        WrongUse: the plan is for another cluster, its conflicts are open, or its Secrets are not at hand.
        ApplyUndone: an object was refused after others had been applied; all are as they were before.
        PartlyApplied: the same, but not all could be put back; says what is how.
        Problem: it failed at the first object, so that nothing has changed.
    """
    _refuse_another(connection, plan.target)
    if plan.is_open:
        raise WrongUse("Others own fields that the plan changes.", "Choose first: take them over, or leave them.")
    ordered = in_order([*from_yaml(plan.manifests), *secrets_of(plan, secrets)])
    actions = {(change.kind, change.name): change.action for change in plan.changes}
    changed: list[Before] = []
    for position, manifest in enumerate(ordered):
        try:
            _apply_one(connection, manifest, _taking(plan, manifest), changed)
        except Problem as problem:
            rest = [entry.title for entry in ordered[position + 1 :]]
            raise _undone(connection, manifest, problem, changed, rest, report) from problem
        action = actions.get((manifest.kind, manifest.name), "change")
        word = {"create": "created", "none": "unchanged"}.get(action, "configured")
        report(f"{manifest.kind.lower()}/{manifest.name} {word}")


def commands(plan: DeployPlan) -> tuple[CommandRun, ...]:
    """The kubectl lines that do the same as `apply`, and then look at it."""
    base = f"kubectl --context {shlex.quote(plan.target.context)} -n {shlex.quote(plan.target.namespace)}"
    force = " --force-conflicts" if plan.conflicts and plan.conflict_choice == "force" else ""
    apply_line = f"{base} apply --server-side --field-manager={MANAGER}{force} -f manifests.yaml"
    rollouts = [
        CommandRun(line=f"{base} rollout status {manifest.kind.lower()}/{shlex.quote(manifest.name)}")
        for manifest in from_yaml(plan.manifests)
        if manifest.kind in ("Deployment", "StatefulSet", "DaemonSet")
    ]
    deletes = [
        CommandRun(line=f"{base} delete {change.kind.lower()}/{shlex.quote(change.name)}")
        for change in plan.changes
        if change.action == "delete"
    ]
    pods = CommandRun(line=f"{base} get pods -l {shlex.quote(plan.target.selector)}")
    return (
        CommandRun(line=apply_line, note="manifests.yaml: the rendered manifests of the plan"),
        *rollouts,
        *deletes,
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


def _taking(plan: DeployPlan, manifest: Manifest) -> tuple[FieldConflict, ...]:
    """The fields of an object that the plan takes over from others."""
    if plan.conflict_choice != "force":
        return ()
    return tuple(
        FieldConflict(manager=conflict.owner, field=conflict.field)
        for conflict in plan.conflicts
        if (conflict.kind, conflict.name) == (manifest.kind, manifest.name)
    )


def _apply_one(
    connection: Connection, manifest: Manifest, taking: tuple[FieldConflict, ...], changed: list[Before]
) -> None:
    """Apply one object; what it was before goes into `changed` as soon as it may have changed."""
    resource = resource_of(connection, manifest.api_version, manifest.kind)
    namespace = (manifest.namespace or connection.namespace) if resource.namespaced else ""
    before = Before(manifest, resource, namespace, read(connection, resource, namespace, manifest.name))
    try:
        body: Body = apply_patch(connection, manifest, resource, namespace, dry_run=False, taking=taking)
    except (Unreachable, ServerFailed):
        # No answer does not mean that nothing was done.
        changed.append(before)
        raise
    changed.append(before._replace(applied=body))
    release_former(connection, resource.path(namespace, manifest.name), body)
    if manifest.kind == "CustomResourceDefinition":
        _wait_established(connection, manifest)


def _undone(
    connection: Connection,
    manifest: Manifest,
    problem: Problem,
    changed: list[Before],
    rest: list[str],
    report: Callable[[str], None],
) -> Problem:
    """Put back what was changed, and make the problem that says how things are now."""
    if not changed:
        return problem
    report(f"{manifest.title} failed: {problem.sentence} Putting back what was applied before it.")
    restored = restore(connection, changed, report=report)
    sentence = f"{manifest.title} failed: {problem.sentence}"
    if restored.failed:
        return PartlyApplied(f"{sentence} {_state(restored, rest)}", f"{problem.next_step} Then deploy again.".strip())
    others = [title for title in restored.done if title != manifest.title]
    was = f" What was applied before it is as it was: {listed(others, 5)}." if others else " Nothing was changed."
    undone = ApplyUndone(f"{sentence}{was}", problem.next_step)
    undone.exit_code = problem.exit_code
    return undone


def _state(restored: Restored, rest: list[str]) -> str:
    parts = [f"Could not be put back, and may be as this release has it: {listed(list(restored.failed), 9)}."]
    if restored.done:
        parts.append(f"As before: {listed(list(restored.done), 9)}.")
    if rest:
        parts.append(f"Not tried: {listed(rest, 9)}.")
    return " ".join(parts)


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
