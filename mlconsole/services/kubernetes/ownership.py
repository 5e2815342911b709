"""Who owns the fields of an object, and how those of an earlier `kubectl apply` by hand become ours.

Most projects were first deployed by hand. As long as kubectl stays a second owner of every field, what is later taken
out of a manifest stays in the cluster; so once we have applied an object, kubectl's ownership of it is given up.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from mlconsole.services.kubernetes.documents import Body
from mlconsole.services.kubernetes.problems import ApplyConflict, Forbidden, Invalid, NotFound, decode

if TYPE_CHECKING:
    from mlconsole.services.kubernetes.connection import Connection

RESTORING_MANAGER = "mlconsole-restore"
"""Under this name an object is put back as it was; where it stays on a field, the next apply takes it over."""

FORMER_MANAGERS = frozenset(
    {
        "kubectl-client-side-apply",
        "kubectl",
        "kubectl-create",
        "kubectl-last-applied",
        "before-first-apply",
        RESTORING_MANAGER,
    }
)
"""Who wrote the same manifests before us, by hand: their fields are taken over. `kubectl edit` and an autoscaler
have other names; `kubectl scale` has the name `kubectl`, but the subresource `scale`."""

JSON_PATCH_TYPE = "application/json-patch+json"


ATTEMPTS = 5


def release_former(connection: Connection, path: str, body: Body) -> None:
    """Give up what kubectl owned of an object that was just applied.

    Args:
        connection: to the cluster.
        path: the object's.
        body: the answer of the apply.
    """
    for _ in range(ATTEMPTS):
        metadata: Body = body.get("metadata") or {}
        entries: list[Any] = metadata.get("managedFields") or []
        kept = [entry for entry in entries if not _is_former(entry)]
        if len(kept) == len(entries):
            return
        try:
            write_owners(connection, path, body, kept)
            return
        except ApplyConflict:
            # Controllers write an object's status right after it was applied.
            body = decode(connection.request("GET", path), Body)
        except (Forbidden, Invalid, NotFound):
            # The apply itself is done, and the next one comes by here again.
            return


def write_owners(connection: Connection, path: str, body: Body, owners: list[Any]) -> None:
    """Write down who owns an object's fields, where it still is the one of `body`.

    Raises:
        ApplyConflict: somebody has changed it since.
        Problem: it can't be changed.
    """
    version = (body.get("metadata") or {}).get("resourceVersion", "")
    patch = [
        {"op": "replace", "path": "/metadata/managedFields", "value": owners},
        {"op": "replace", "path": "/metadata/resourceVersion", "value": version},
    ]
    connection.request("PATCH", path, body=msgspec.json.encode(patch), content_type=JSON_PATCH_TYPE)


def _is_former(entry: object) -> bool:
    return isinstance(entry, dict) and entry.get("manager") in FORMER_MANAGERS and not entry.get("subresource")
