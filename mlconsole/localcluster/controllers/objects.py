"""Reading Kubernetes objects: owners, selectors, conditions, times and quantities. Pure functions."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from decimal import ROUND_CEILING, Decimal, InvalidOperation
from typing import Any

from mlconsole.localcluster.store import NAME_ALPHABET, Object, timestamp

NODE_NAME = "local"
"""The one node of the cluster."""

_FACTORS = {
    "n": Decimal("1e-9"), "u": Decimal("1e-6"), "m": Decimal("1e-3"), "": Decimal(1),
    "k": Decimal(10**3), "M": Decimal(10**6), "G": Decimal(10**9), "T": Decimal(10**12), "P": Decimal(10**15),
    "Ki": Decimal(2**10), "Mi": Decimal(2**20), "Gi": Decimal(2**30), "Ti": Decimal(2**40), "Pi": Decimal(2**50),
}  # fmt: skip


def quantity(text: str | int | float | None) -> Decimal:
    """The value of a Kubernetes quantity such as ``500m`` or ``64Mi``; 0 for what is none."""
    word = str(text if text is not None else "0")
    number = word.rstrip("numkKMGTPi")
    try:
        return Decimal(number) * _FACTORS[word[len(number) :]]
    except (InvalidOperation, KeyError):
        return Decimal(0)


def quantity_text(amount: Decimal, kind: str) -> str:
    """An amount as the API writes it: `1500m`, `512Mi`; `kind` tells what it is of (`requests.memory`)."""
    if amount == amount.to_integral_value():
        whole = int(amount)
        if "memory" in kind or "storage" in kind:
            for power, suffix in ((50, "Pi"), (40, "Ti"), (30, "Gi"), (20, "Mi"), (10, "Ki")):
                if whole and whole % 2**power == 0:
                    return f"{whole >> power}{suffix}"
        return str(whole)
    return f"{int((amount * 1000).to_integral_value(ROUND_CEILING))}m"


def labels_of(obj: Object) -> dict[str, str]:
    """The labels of an object."""
    return obj["metadata"].get("labels") or {}


def annotations_of(obj: Object) -> dict[str, str]:
    """The annotations of an object."""
    return obj["metadata"].get("annotations") or {}


def matches(selector: Object | None, labels: dict[str, str]) -> bool:
    """Whether a label selector (matchLabels, matchExpressions) takes these labels; an empty one takes none."""
    selector = selector or {}
    exact = selector.get("matchLabels") or {}
    expressions = selector.get("matchExpressions") or []
    if not exact and not expressions:
        return False
    return all(labels.get(key) == value for key, value in exact.items()) and all(
        _expression_holds(expression, labels) for expression in expressions
    )


def _expression_holds(expression: Object, labels: dict[str, str]) -> bool:
    value, values = labels.get(expression["key"]), expression.get("values") or []
    match expression["operator"]:
        case "In":
            return value in values
        case "NotIn":
            return value not in values
        case "Exists":
            return value is not None
        case _:
            return value is None


def controller_of(obj: Object) -> Object | None:
    """The owner reference of the controller that manages the object."""
    references = obj["metadata"].get("ownerReferences") or []
    return next((reference for reference in references if reference.get("controller")), None)


def controlled_by(obj: Object, owner: Object) -> bool:
    """Whether ``owner`` is the managing controller of ``obj``."""
    reference = controller_of(obj)
    return reference is not None and reference["uid"] == owner["metadata"]["uid"]


def owner_reference(owner: Object, api_version: str, kind: str) -> Object:
    """An owner reference that makes ``owner`` the managing controller."""
    meta = owner["metadata"]
    return {
        "apiVersion": api_version, "kind": kind, "name": meta["name"], "uid": meta["uid"],
        "controller": True, "blockOwnerDeletion": True,
    }  # fmt: skip


def is_deleted(obj: Object) -> bool:
    """Whether the deletion of the object was asked for."""
    return "deletionTimestamp" in obj["metadata"]


def is_finished(pod: Object) -> bool:
    """Whether every container of the pod has ended for good."""
    return pod.get("status", {}).get("phase") in ("Succeeded", "Failed")


def is_active(pod: Object) -> bool:
    """Whether the pod counts as one of its controller's: neither finished nor about to go."""
    return not is_finished(pod) and not is_deleted(pod)


def condition(obj: Object, kind: str) -> Object | None:
    """The condition of this type in the object's status."""
    conditions = obj.get("status", {}).get("conditions") or []
    return next((item for item in conditions if item["type"] == kind), None)


def has_condition(obj: Object, kind: str) -> bool:
    """Whether the condition of this type is True."""
    found = condition(obj, kind)
    return found is not None and found["status"] == "True"


def is_ready(pod: Object) -> bool:
    """Whether the pod's Ready condition is True."""
    return has_condition(pod, "Ready")


def available_in(pod: Object, min_ready_seconds: int) -> float | None:
    """Seconds until a ready pod counts as available: 0 where it does, None where it is not ready."""
    ready = condition(pod, "Ready")
    if ready is None or ready["status"] != "True":
        return None
    if not min_ready_seconds:
        return 0.0
    return max(0.0, min_ready_seconds - seconds_since(ready["lastTransitionTime"]))


def parse_time(text: str) -> datetime:
    """A moment as the API writes it."""
    return datetime.fromisoformat(text)


def seconds_since(text: str) -> float:
    """Seconds that went by since a moment as the API writes it."""
    return (datetime.now(UTC) - parse_time(text)).total_seconds()


def micro_timestamp() -> str:
    """Now, with microseconds, as the API writes MicroTime."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def set_condition(conditions: list[Object], new: Object) -> None:
    """Puts a condition into the list; lastTransitionTime stays where the status is what it was."""
    old = next((item for item in conditions if item["type"] == new["type"]), None)
    new.setdefault("lastTransitionTime", timestamp())
    if old is None:
        conditions.append(new)
        return
    if old["status"] == new["status"]:
        new["lastTransitionTime"] = old["lastTransitionTime"]
    conditions[conditions.index(old)] = new


def without_empty(value: Any) -> Any:
    """The value without nulls and empty maps and lists, so that equal meanings compare equal."""
    if isinstance(value, dict):
        cleaned = {key: without_empty(item) for key, item in value.items()}
        return {key: item for key, item in cleaned.items() if item not in (None, {}, [])}
    if isinstance(value, list):
        return [without_empty(item) for item in value]
    return value


def safe_hash(value: Any, length: int = 10) -> str:
    """A short hash of JSON-like data in letters and digits that spell no words."""
    digest = hashlib.sha256(json.dumps(without_empty(value), sort_keys=True).encode()).digest()
    return "".join(NAME_ALPHABET[byte % len(NAME_ALPHABET)] for byte in digest[:length])
