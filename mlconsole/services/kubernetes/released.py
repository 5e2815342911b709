"""Whether a target was given the same before, by another journal: its replica sets and pods tell.

A replica set that has no pods any more still tells what was released by it, as far back as the workload keeps them
(`revisionHistoryLimit`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING

import msgspec

from mlconsole.evidence.serving import Released
from mlconsole.services.kubernetes.facts import (
    CHANGED_BY_ANNOTATION,
    JOURNAL_ANNOTATION,
    RELEASE_ANNOTATION,
    SOURCE_ANNOTATION,
)
from mlconsole.services.kubernetes.objects import Metadata, ObjectList, Workload
from mlconsole.services.kubernetes.pages import list_pods, pages
from mlconsole.services.kubernetes.resources import REPLICA_SETS
from mlconsole.services.kubernetes.rows import MODEL_DIGEST_ANNOTATION, VERSION_ANNOTATION
from mlconsole.services.kubernetes.serving import annotations_of
from mlconsole.text import clean_line

if TYPE_CHECKING:
    from mlconsole.services.kubernetes.connection import Connection


def released(
    connection: Connection, selector: str, source: str, journal: str, models: Collection[str]
) -> Released | None:
    """What another journal's release brought there from the same source; None where none has.

    One whose pods serve goes before one that was replaced since. One that never got ready, and still tries, counts for
    nothing: its release may have died.

    Args:
        connection: to the target.
        selector: of the pods that serve.
        source: the digest of what is to be released.
        journal: the identity of the journal that asks: what it released itself is its own affair.
        models: the digests of the models that it made: of two copies of one journal, each made others.

    Raises:
        Forbidden: replica sets or pods may not be listed.
        Problem: the cluster can't be asked.
    """
    found = [*_by_replica_sets(connection, selector), *_by_pods(connection, selector)]
    same = [entry for template, entry in found if _is_same(template, source) and not _is_own(template, journal, models)]
    there = next((entry for entry in same if entry.serves), next(iter(same), None))
    now = next((entry.version for _, entry in found if entry.serves), "")
    return there if there is None or there.serves else msgspec.structs.replace(there, now=now)


def _by_replica_sets(connection: Connection, selector: str) -> Iterator[tuple[Metadata, Released]]:
    path = REPLICA_SETS.path(connection.namespace)
    for page in pages(connection, path, ObjectList[Workload], {"labelSelector": selector}):
        for entry in page.items or ():
            serves = entry.status.ready_replicas > 0
            if serves or not entry.spec.replicas:
                template = entry.spec.template.metadata
                yield template, _released(template, entry.metadata.annotations or {}, serves=serves)


def _by_pods(connection: Connection, selector: str) -> Iterator[tuple[Metadata, Released]]:
    """What is served by pods of other owners than replica sets."""
    for pod in list_pods(connection, selector):
        owner = pod.metadata.owner
        if pod.is_ready and owner is not None and owner.kind != "ReplicaSet":
            on_owner = annotations_of(connection, owner.kind, owner.name)
            yield pod.metadata, _released(pod.metadata, on_owner, serves=True)


def _released(template: Metadata, on_owner: dict[str, str], *, serves: bool) -> Released:
    who, release = (clean_line(on_owner.get(name, "")) for name in (CHANGED_BY_ANNOTATION, RELEASE_ANNOTATION))
    return Released(
        version=_told(template, VERSION_ANNOTATION) or "a version",
        by=f"{who or 'another machine'}{f', release {release}' if release else ''}",
        serves=serves,
    )


def _is_same(template: Metadata, source: str) -> bool:
    return _told(template, SOURCE_ANNOTATION) == source and bool(_told(template, JOURNAL_ANNOTATION))


def _is_own(template: Metadata, journal: str, models: Collection[str]) -> bool:
    return _told(template, JOURNAL_ANNOTATION) == journal and _told(template, MODEL_DIGEST_ANNOTATION) in models


def _told(template: Metadata, name: str) -> str:
    return clean_line((template.annotations or {}).get(name, ""))
