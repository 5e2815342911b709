"""One object's server-side apply, or the dry run of it, and what becomes of fields that others own."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

import msgspec

from mlconsole.services.kubernetes.documents import FROM_TEXT, Body, Manifest
from mlconsole.services.kubernetes.facts import MANAGER
from mlconsole.services.kubernetes.field_paths import line_of
from mlconsole.services.kubernetes.ownership import FORMER_MANAGERS
from mlconsole.services.kubernetes.problems import (
    ApplyConflict,
    FieldConflict,
    Invalid,
    NotFound,
    conflict_of,
    decode,
)

if TYPE_CHECKING:
    from mlconsole.services.kubernetes.connection import Connection
    from mlconsole.services.kubernetes.resources import Resource

APPLY_TYPE = "application/apply-patch+yaml"
PATCH_SECONDS = 30.0


def apply_patch(
    connection: Connection,
    manifest: Manifest,
    resource: Resource,
    namespace: str,
    *,
    dry_run: bool,
    taking: Collection[FieldConflict] = (),
) -> Body:
    """Apply one object and return it as it is then.

    Fields that were applied by hand before (`ownership.FORMER_MANAGERS`) are taken over, and those in `taking`.

    Raises:
        ApplyConflict: others own further fields that would change; its `conflicts` are all of the object's.
        Invalid: the cluster refuses the object; the sentence names the file.
        Problem: the cluster refuses, or can't be reached.
    """
    try:
        return _patch(connection, manifest, resource, namespace, dry_run=dry_run, force=False)
    except ApplyConflict as conflict:
        foreign = tuple(entry for entry in conflict.conflicts if entry.manager not in FORMER_MANAGERS)
        if not conflict.conflicts:
            raise
        if any(entry not in taking for entry in foreign):
            raise conflict_of(foreign, manifest.title) from conflict
        return _patch(connection, manifest, resource, namespace, dry_run=dry_run, force=True)


def _patch(
    connection: Connection, manifest: Manifest, resource: Resource, namespace: str, *, dry_run: bool, force: bool
) -> Body:
    query = {"fieldManager": MANAGER, "fieldValidation": "Strict", "force": "true" if force else "false"}
    if dry_run:
        query["dryRun"] = "All"
    body = msgspec.json.encode(manifest.body)
    path = resource.path(namespace, manifest.name)
    try:
        answer = connection.request(
            "PATCH", path, query=query, body=body, content_type=APPLY_TYPE, timeout=PATCH_SECONDS
        )
    except Invalid as problem:
        if manifest.source == FROM_TEXT:
            raise
        line = line_of(manifest, problem.fields[0]) if problem.fields else None
        place = f"{manifest.source}, document {manifest.document}" + (f", line {line}" if line else "")
        raise Invalid(
            f"{place}: {problem.sentence}",
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
