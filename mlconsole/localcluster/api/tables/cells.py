"""What every table's row asks of an object."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from mlconsole.localcluster.api.tables.durations import since

Object = dict[str, Any]


def part(obj: Object, name: str) -> Object:
    """The struct of that name; an empty one where there is none."""
    value = obj.get(name)
    return value if isinstance(value, dict) else {}


def name(obj: Object) -> str:
    """An object's name."""
    return str(part(obj, "metadata").get("name", ""))


def age(obj: Object, now: datetime) -> str:
    """How long there has been an object, in kubectl's words."""
    return since(part(obj, "metadata").get("creationTimestamp"), now)
