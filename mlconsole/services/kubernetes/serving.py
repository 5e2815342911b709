"""What serves in a cluster, as its pods tell it: nothing but the cluster is asked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlconsole.evidence.serving import Serving
from mlconsole.services.kubernetes.facts import (
    CHANGE_CAUSE_ANNOTATION,
    CHANGED_BY_ANNOTATION,
    COMMIT_ANNOTATION,
    DATA_DIGEST_ANNOTATION,
    MANAGER,
    RELEASE_ANNOTATION,
)
from mlconsole.services.kubernetes.objects import Pod, Workload
from mlconsole.services.kubernetes.pages import list_pods
from mlconsole.services.kubernetes.problems import Forbidden, NotFound, decode
from mlconsole.services.kubernetes.resources import WORKLOADS
from mlconsole.services.kubernetes.rows import model_of
from mlconsole.text import clean_line

if TYPE_CHECKING:
    from mlconsole.services.kubernetes.connection import Connection

__all__ = ["OURS", "annotations_of", "serving"]

OURS = f"app.kubernetes.io/managed-by={MANAGER}"
"""The selector of all pods that a release of ours made."""


def serving(connection: Connection, selector: str) -> tuple[Serving, ...]:
    """Ask which models the pods of a selector serve: an entry for each owner and model, in order of name.

    Pods that are going are left out. What a release wrote on the owner (its number, who) is empty where the owner may
    not be read or was made by something else.

    Raises:
        Forbidden: pods may not be listed.
        Problem: the cluster can't be asked.
    """
    groups: dict[tuple[str, ...], list[Pod]] = {}
    for pod in list_pods(connection, selector):
        if pod.metadata.deletion_timestamp is None:
            groups.setdefault(_key(pod), []).append(pod)
    notes: dict[tuple[str, str], dict[str, str]] = {}
    found = []
    for pods in groups.values():
        owner = pods[0].metadata.owner
        name = (owner.kind, owner.name) if owner else ("", "")
        if name not in notes:
            notes[name] = annotations_of(connection, *name)
        found.append(_entry(pods, notes[name]))
    return tuple(sorted(found, key=lambda entry: (entry.owner, entry.version)))


def _key(pod: Pod) -> tuple[str, ...]:
    owner = pod.metadata.owner
    return (owner.uid if owner else "", *model_of(pod))


def annotations_of(connection: Connection, kind: str, name: str) -> dict[str, str]:
    """What stands on the owner of pods, where it may be read: a ReplicaSet has its Deployment's annotations."""
    resource = WORKLOADS.get(kind)
    if resource is None:
        return {}
    try:
        data = connection.request("GET", resource.path(connection.namespace, name))
    except (Forbidden, NotFound):
        return {}
    return decode(data, Workload).metadata.annotations or {}


def _entry(pods: list[Pod], on_owner: dict[str, str]) -> Serving:
    first = pods[0]
    version, model_digest = model_of(first)
    told = first.metadata.annotations or {}
    owner = first.metadata.owner
    release = on_owner.get(RELEASE_ANNOTATION, "")
    images = dict.fromkeys(container.image for pod in pods for container in pod.spec.containers or ())
    return Serving(
        version=clean_line(version),
        model_digest=clean_line(model_digest),
        data_digest=clean_line(told.get(DATA_DIGEST_ANNOTATION, "")),
        commit=clean_line(told.get(COMMIT_ANNOTATION, "")),
        owner_kind=clean_line(owner.kind) if owner else "",
        owner=clean_line(owner.name) if owner else "",
        images=tuple(clean_line(image) for image in images),
        pods=tuple(sorted(clean_line(pod.metadata.name) for pod in pods)),
        ready=sum(pod.is_ready for pod in pods),
        release=int(release) if release.isdecimal() and len(release) < 10 else 0,
        changed_by=clean_line(on_owner.get(CHANGED_BY_ANNOTATION, "")),
        change_cause=clean_line(on_owner.get(CHANGE_CAUSE_ANNOTATION, "")),
    )
