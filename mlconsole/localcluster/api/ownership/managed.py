"""``metadata.managedFields``: reading, changing and writing who manages which fields."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

from mlconsole.localcluster.api.ownership.fields import FieldSet, compare, from_v1, to_v1
from mlconsole.localcluster.api.registry import BY_PLURAL
from mlconsole.localcluster.api.schema.shapes import Shape, shape_of
from mlconsole.localcluster.store import timestamp

Object = dict[str, Any]

_UNOWNED_METADATA = (
    "name",
    "namespace",
    "uid",
    "selfLink",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "generation",
    "resourceVersion",
    "managedFields",
)


class Manager(NamedTuple):
    """What identifies an entry of managedFields."""

    name: str
    operation: str
    api_version: str
    subresource: str = ""


@dataclass(slots=True)
class Entry:
    """The fields of one manager, and when it last changed them."""

    fields: FieldSet = field(default_factory=set)
    time: str | None = None


Managed = dict[Manager, Entry]


def read(obj: Object) -> Managed:
    """The managers of an object. Entries that can't be read are left out."""
    managed: Managed = {}
    for raw in obj.get("metadata", {}).get("managedFields") or []:
        if not isinstance(raw, dict) or not raw.get("operation"):
            continue
        manager = Manager(
            raw.get("manager", ""), raw["operation"], raw.get("apiVersion", ""), raw.get("subresource", "")
        )
        try:
            fields = from_v1(raw.get("fieldsV1") or {})
        except ValueError:
            continue
        managed[manager] = Entry(fields, raw.get("time"))
    return managed


def write(obj: Object, managed: Managed) -> None:
    """Puts the managers into the object, appliers first."""
    entries = []
    ordered = sorted(managed.items(), key=lambda pair: (pair[0].operation, pair[1].time or "", pair[0].name))
    for manager, entry in ordered:
        if not entry.fields:
            continue
        raw: Object = {
            "manager": manager.name,
            "operation": manager.operation,
            "apiVersion": manager.api_version,
            "time": entry.time or timestamp(),
            "fieldsType": "FieldsV1",
            "fieldsV1": to_v1(entry.fields),
        }
        if manager.subresource:
            raw["subresource"] = manager.subresource
        entries.append(raw)
    meta = obj.setdefault("metadata", {})
    meta.pop("managedFields", None)
    if entries:
        meta["managedFields"] = entries


def owned_part(obj: Object, *, status: bool = False) -> Object:
    """The part of an object whose fields are owned: without identity, and with either the status or the rest."""
    if status:
        return {"status": obj["status"]} if "status" in obj else {}
    part = {key: value for key, value in obj.items() if key not in ("apiVersion", "kind", "status")}
    meta = {key: value for key, value in obj.get("metadata", {}).items() if key not in _UNOWNED_METADATA}
    part.pop("metadata", None)
    return part | ({"metadata": meta} if meta else {})


def record_controller(resource: str, old: Object | None, new: Object, name: str, status: bool) -> None:
    """Notes in ``new`` that a controller, or the kubelet, wrote it: its status, or all but that."""
    served = BY_PLURAL.get(resource)
    if served is not None:
        manager = Manager(name, "Update", served.api_version, "status" if status else "")
        record_update(old, new, manager, shape_of(served.kind))


def record_update(old: Object | None, new: Object, manager: Manager, shape: Shape) -> None:
    """Notes in ``new`` that a manager wrote it: what it changed is its own, and nobody else's."""
    managed = read(new) if "managedFields" in new.get("metadata", {}) else read(old or {})
    status = manager.subresource == "status"
    difference = compare(owned_part(old or {}, status=status), owned_part(new, status=status), shape)
    changed = difference.added | difference.modified
    for other, entry in managed.items():
        if other != manager:
            entry.fields -= changed | difference.removed
    if changed or difference.removed:
        entry = managed.setdefault(manager, Entry())
        entry.fields = (entry.fields | changed) - difference.removed
        entry.time = timestamp()
    write(new, managed)
