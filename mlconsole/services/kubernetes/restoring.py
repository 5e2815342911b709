"""Puts objects back as they were before an apply that could not be finished."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from mlconsole.errors import Problem
from mlconsole.services.kubernetes.differences import NOISE, tidy
from mlconsole.services.kubernetes.documents import Body, Manifest
from mlconsole.services.kubernetes.orphans import delete
from mlconsole.services.kubernetes.ownership import JSON_PATCH_TYPE, RESTORING_MANAGER, write_owners
from mlconsole.services.kubernetes.patching import read
from mlconsole.services.kubernetes.problems import (
    ApplyConflict,
    Forbidden,
    Invalid,
    NotFound,
    ServerFailed,
    Unreachable,
    decode,
)
from mlconsole.services.kubernetes.resources import Resource

if TYPE_CHECKING:
    from mlconsole.services.kubernetes.connection import Connection

ATTEMPTS = 5
PAUSE_SECONDS = 0.1


class Before(NamedTuple):
    """An object that an apply has changed, or may have, as it was before; `live` is None where there was none.

    `applied` is the answer of its apply, None where none came.
    """

    manifest: Manifest
    resource: Resource
    namespace: str
    live: Body | None
    applied: Body | None = None


class Restored(NamedTuple):
    """The titles of objects that are as they were again, and of those that are not, each with the reason."""

    done: tuple[str, ...]
    failed: tuple[str, ...]


def restore(connection: Connection, changed: Sequence[Before], *, report: Callable[[str], None]) -> Restored:
    """Put objects back, the last one first. Never raises: what does not succeed is told."""
    done: list[str] = []
    failed: list[str] = []
    away: Problem | None = None
    for before in reversed(changed):
        manifest = before.manifest
        try:
            if away is not None:
                raise away
            word = _restore_one(connection, before)
        except Problem as problem:
            if isinstance(problem, Unreachable):
                # It would not answer for the next one either; each further try only takes its time.
                away = problem
            failed.append(f"{manifest.title} ({problem.sentence})")
            continue
        if word:
            report(f"{manifest.kind.lower()}/{manifest.name} {word}")
        done.append(manifest.title)
    return Restored(tuple(done), tuple(failed))


def _restore_one(connection: Connection, before: Before) -> str:
    """Put one object back; says what was done, empty where it had not been changed after all."""
    manifest = before.manifest
    if before.live is None:
        made = before.applied or read(connection, before.resource, before.namespace, manifest.name)
        if made is None:
            return ""
        uid = str((made.get("metadata") or {}).get("uid") or "")
        delete(connection, manifest.api_version, manifest.kind, before.namespace, manifest.name, uid=uid)
        return "deleted again"
    return _put_back(connection, before.resource.path(before.namespace, manifest.name), before.live)


def _put_back(connection: Connection, path: str, live: Body) -> str:
    for attempt in range(ATTEMPTS):
        current = decode(connection.request("GET", path), Body)
        if tidy(current) == tidy(live):
            _owners_back(connection, path, current, live)
            return "" if attempt == 0 else "restored"
        patch = msgspec.json.encode(_back(current, live))
        query = {"fieldManager": RESTORING_MANAGER}
        try:
            answer = connection.request("PATCH", path, query=query, body=patch, content_type=JSON_PATCH_TYPE)
        except ApplyConflict:
            # Controllers write an object's status right after it was applied.
            time.sleep(PAUSE_SECONDS)
            continue
        _owners_back(connection, path, decode(answer, Body), live)
        return "restored"
    raise ServerFailed("It was changed again and again by others.", "Put it back by hand.")


def _back(current: Body, live: Body) -> list[Body]:
    """A JSON patch from one state to the other: unlike a PUT, it needs no right that an apply does not need."""
    patch = _replacing("", current, live, ("metadata", "status", "apiVersion", "kind"))
    patch += _replacing("/metadata", current["metadata"], live["metadata"], (*NOISE, "name", "namespace"))
    version = current["metadata"]["resourceVersion"]
    return [*patch, {"op": "replace", "path": "/metadata/resourceVersion", "value": version}]


def _replacing(path: str, current: Body, live: Body, left_out: Sequence[str]) -> list[Body]:
    patch: list[Body] = []
    for key in {**current, **live}:
        place = f"{path}/{key.replace('~', '~0').replace('/', '~1')}"
        if key in left_out or current.get(key) == live.get(key):
            continue
        if key in live:
            patch.append({"op": "add", "path": place, "value": live[key]})
        else:
            patch.append({"op": "remove", "path": place})
    return patch


def _owners_back(connection: Connection, path: str, current: Body, live: Body) -> None:
    """Give the fields back to who owned them. Where that fails, the next apply takes them over without asking."""
    owners = (live.get("metadata") or {}).get("managedFields")
    for _ in range(ATTEMPTS):
        now: Body = current.get("metadata") or {}
        if not owners or now.get("managedFields") == owners or tidy(current) != tidy(live):
            return
        try:
            write_owners(connection, path, current, owners)
            return
        except ApplyConflict:
            time.sleep(PAUSE_SECONDS)
            current = decode(connection.request("GET", path), Body)
        except (Forbidden, Invalid, NotFound):
            return
