"""Server-side apply: a manager states the fields it wants; ownership decides what is merged, removed or refused."""

from __future__ import annotations

import json
from typing import Any

from mlconsole.localcluster.api.errors import ApiError, Cause, apply_conflict
from mlconsole.localcluster.api.ownership.fields import (
    MISSING,
    FieldSet,
    compare,
    fields_of,
    merge,
    remove,
    text_of,
    with_structs,
)
from mlconsole.localcluster.api.ownership.fit import problems
from mlconsole.localcluster.api.ownership.managed import Entry, Managed, Manager, owned_part, read, write
from mlconsole.localcluster.api.schema.shapes import Shape
from mlconsole.localcluster.store import clone, timestamp

Object = dict[str, Any]

LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"


def apply(live: Object | None, config: Object, manager: Manager, shape: Shape, *, force: bool) -> Object:
    """The object after ``manager`` applied ``config``, with managedFields brought up to date.

    Raises:
        ApiError: 500 where the configuration does not fit the schema, 409 where others own what it would change.
    """
    status = manager.subresource == "status"
    _check(config, shape)
    wanted = owned_part(_without_nulls(config), status=status)
    base = live or {}
    current = owned_part(base, status=status)
    managed = read(base)
    claimed = fields_of(wanted, shape)
    last = managed.get(manager, Entry()).fields
    merged = merge(current, wanted, shape)
    others = {other: entry for other, entry in managed.items() if other != manager}
    merged = _prune(merged, last, claimed.union(*(entry.fields for entry in others.values())), shape)
    _settle_conflicts(base, current, merged, others, manager, shape, force=force)
    before = managed.get(manager)
    unchanged = before is not None and before.fields == claimed
    others[manager] = Entry(claimed, before.time if unchanged and before is not None else timestamp())
    return _assemble(base, config, merged, others, status=status)


def _check(config: Object, shape: Shape) -> None:
    found = problems(config, shape)
    if not found:
        return
    meta = config.get("metadata") or {}
    name = f"{meta.get('namespace', '')}/{meta.get('name', '')}"
    gvk = f"{config.get('apiVersion', '')}, Kind={config.get('kind', '')}"
    text = found[0] if len(found) == 1 else "errors:\n" + "\n".join(f"  {line}" for line in found)
    raise ApiError(500, f"failed to create typed patch object ({name}; {gvk}): {text}")


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nulls(item) for key, item in value.items() if item is not None}
    return [_without_nulls(item) for item in value] if isinstance(value, list) else value


def _prune(merged: Object, last: FieldSet, owned: FieldSet, shape: Shape) -> Object:
    """Takes away what the manager set before, sets no longer, and nobody owns."""
    if not last:
        return merged
    given_up = with_structs(last, shape)
    everything = with_structs(fields_of(merged, shape), shape)
    pruned = _left(remove(merged, given_up, shape))
    kept = with_structs(fields_of(pruned, shape), shape) | with_structs(owned, shape)
    pruned = _left(remove(merged, everything - kept, shape))
    gone = everything - with_structs(fields_of(pruned, shape), shape)
    return _left(remove(merged, gone & given_up, shape))


def _left(value: Any) -> Object:
    return {} if value is MISSING else value


def _settle_conflicts(
    live: Object, current: Object, merged: Object, others: Managed, manager: Manager, shape: Shape, *, force: bool
) -> None:
    difference = compare(current, merged, shape)
    changed = difference.added | difference.modified
    disputed = [(other, path) for other, entry in others.items() for path in sorted(entry.fields & changed)]
    if disputed and not force:
        allowed = _from_last_applied(live, shape) if manager.name == "kubectl" else set()
        refused = [(other, path) for other, path in disputed if path not in allowed]
        if refused:
            raise apply_conflict([_cause(other, path, others[other]) for other, path in refused])
    for entry in others.values():
        entry.fields -= changed | difference.removed


def _cause(other: Manager, path: tuple[str, ...], entry: Entry) -> Cause:
    who = json.dumps(other.name)
    if other.subresource:
        who += f" with subresource {json.dumps(other.subresource)}"
    if other.operation == "Update":
        who += f" using {other.api_version}" + (f" at {entry.time}" if entry.time else "")
    return Cause("FieldManagerConflict", f"conflict with {who}", text_of(path))


def _from_last_applied(live: Object, shape: Shape) -> FieldSet:
    """Fields that client-side apply set and that still have that value: server-side apply may take them over."""
    text = live.get("metadata", {}).get("annotations", {}).get(LAST_APPLIED)
    try:
        applied = json.loads(text) if text else None
    except ValueError:
        return set()
    if not isinstance(applied, dict):
        return set()
    part = owned_part(_without_nulls(applied))
    return fields_of(part, shape) - compare(part, owned_part(live), shape).modified


def _assemble(base: Object, config: Object, merged: Object, managed: Managed, *, status: bool) -> Object:
    new = clone(base)
    if status:
        new["status"] = merged.get("status", {})
    else:
        meta = {k: v for k, v in base.get("metadata", {}).items() if k not in ("labels", "annotations")}
        meta = {k: v for k, v in meta.items() if k not in ("finalizers", "ownerReferences")}
        new = {key: clone(base[key]) for key in ("apiVersion", "kind", "status") if key in base}
        identity = config.get("metadata") or {}
        named = {key: identity[key] for key in ("name", "namespace", "uid") if identity.get(key) and key not in meta}
        new["metadata"] = named | clone(meta) | clone(merged.get("metadata", {}))
        new |= {key: clone(value) for key, value in merged.items() if key != "metadata"}
    new.setdefault("apiVersion", config.get("apiVersion"))
    new.setdefault("kind", config.get("kind"))
    write(new, managed)
    return new
