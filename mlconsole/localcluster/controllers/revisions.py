"""ControllerRevisions: the templates that a StatefulSet or DaemonSet had, so that it can go back to one of them.

Names, labels and content are as kubectl's `rollout history` and `rollout undo` look for them.
"""

from __future__ import annotations

import contextlib

from mlconsole.localcluster.controllers.base import MANAGER
from mlconsole.localcluster.controllers.objects import (
    annotations_of,
    controlled_by,
    owner_reference,
    safe_hash,
    without_empty,
)
from mlconsole.localcluster.store import NotFound, Object, Store, clone

RESOURCE = "controllerrevisions"
HASH = "controller.kubernetes.io/hash"


def template_hash(owner: Object) -> str:
    """A short name of the owner's present template."""
    return safe_hash(owner["spec"]["template"])


def revision_name(owner: Object) -> str:
    """The name of the ControllerRevision of the present template."""
    return f"{owner['metadata']['name']}-{template_hash(owner)}"


def keep_template(store: Store, owner: Object, kind: str, labels: dict[str, str]) -> None:
    """Has the present template as the newest revision; one that was there before becomes the newest again.

    Args:
        store: where.
        owner: the workload.
        kind: its kind.
        labels: what the revision gets beside the template's labels.
    """
    known = revisions_of(store, owner)
    newest = known[-1] if known else None
    data = _data(owner)
    same = next((item for item in reversed(known) if without_empty(item["data"]) == without_empty(data)), None)
    number = newest["revision"] + 1 if newest is not None else 1
    if same is None:
        _create(store, owner, kind, labels, data, number)
    elif same is not newest:
        store.update(RESOURCE, clone(same) | {"revision": number}, manager=MANAGER)


def revisions_of(store: Store, owner: Object) -> list[Object]:
    """The stored revisions of a workload (read only), the oldest first."""
    namespace = owner["metadata"]["namespace"]
    found = [item for item in store.scan(RESOURCE, namespace) if controlled_by(item, owner)]
    return sorted(found, key=lambda item: int(item["revision"]))


def template_of(store: Store, owner: Object, name: str) -> Object | None:
    """The template that a revision of the workload keeps; None where that is gone."""
    try:
        found = store.peek(RESOURCE, owner["metadata"]["namespace"], name)
    except NotFound:
        return None
    template: Object = clone(found["data"]["spec"]["template"])
    template.pop("$patch", None)
    return template


def forget_old(store: Store, owner: Object, used: set[str]) -> None:
    """Removes the oldest revisions beyond the history's limit, but none whose name is in `used`."""
    limit = owner["spec"].get("revisionHistoryLimit")
    idle = [item for item in revisions_of(store, owner) if item["metadata"]["name"] not in used]
    for item in idle[: max(0, len(idle) - (10 if limit is None else limit))]:
        with contextlib.suppress(NotFound):
            store.delete(RESOURCE, owner["metadata"]["namespace"], item["metadata"]["name"])


def _data(owner: Object) -> Object:
    """A patch that brings the template back whole."""
    return {"spec": {"template": clone(owner["spec"]["template"]) | {"$patch": "replace"}}}


def _create(store: Store, owner: Object, kind: str, labels: dict[str, str], data: Object, number: int) -> None:
    template_labels = (owner["spec"]["template"].get("metadata") or {}).get("labels") or {}
    metadata: Object = {
        "name": revision_name(owner),
        "namespace": owner["metadata"]["namespace"],
        "labels": template_labels | labels | {HASH: template_hash(owner)},
        "ownerReferences": [owner_reference(owner, "apps/v1", kind)],
    }
    if annotations_of(owner):
        metadata["annotations"] = dict(annotations_of(owner))
    revision = {"apiVersion": "apps/v1", "kind": "ControllerRevision", "metadata": metadata}
    store.create(RESOURCE, revision | {"data": data, "revision": number}, manager=MANAGER)
