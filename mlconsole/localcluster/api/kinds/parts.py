"""The parts of an object that defaults are written into."""

from __future__ import annotations

from typing import Any

Object = dict[str, Any]


def struct(owner: Object, name: str) -> Object:
    """The struct of that name, made where it is missing."""
    value = owner.setdefault(name, {})
    return value if isinstance(value, dict) else {}


def items(owner: Object, name: str) -> list[Object]:
    """The structs of the list of that name."""
    value = owner.get(name)
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []
