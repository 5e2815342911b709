"""Types of fields, read from the compact notation of ``kinds``.

The notation of a field is ``name:TYPE``, with TYPE one of

- ``string int32 int64 bool number IntOrString Quantity Time bytes any``
- ``Name``: a struct;  ``!Name``: a struct that is owned and replaced as one value
- ``<T>``: a map from strings to T;  ``!<T>``: such a map, replaced as one value
- ``[T]``: a list that is replaced as one value;  ``[T]@``: a set of scalars;
  ``[T]@a,b``: a list merged by the keys ``a`` and ``b`` of its items
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from mlconsole.localcluster.api.schema.core import CORE
from mlconsole.localcluster.api.schema.pods import PODS
from mlconsole.localcluster.api.schema.policies import POLICIES
from mlconsole.localcluster.api.schema.trainings import TRAININGS
from mlconsole.localcluster.api.schema.workloads import WORKLOADS

SCALARS = frozenset({"string", "int32", "int64", "bool", "number", "IntOrString", "Quantity", "Time", "bytes", "any"})

KEY_DEFAULTS = {"protocol": "TCP"}
"""Merge keys that may be left out of an item, and what they are then."""


@dataclass(frozen=True, slots=True)
class Shape:
    """A type: ``form`` is scalar, struct, map or list; ``name`` the scalar's or the struct's name."""

    form: str
    name: str = ""
    item: Shape | None = None
    atomic: bool = False
    keys: tuple[str, ...] | None = None

    @property
    def fields(self) -> dict[str, Shape]:
        """The fields of a struct."""
        return struct_fields(self.name)

    @property
    def of(self) -> Shape:
        """The type of a map's values or a list's items."""
        return self.item or ANY

    @property
    def is_set(self) -> bool:
        """A list of scalars without an order, merged by value."""
        return self.keys == ()


ANY = Shape("scalar", "any")


@cache
def parse(text: str) -> Shape:
    """The type that a notation stands for."""
    if text.startswith("["):
        inner, _, keys = text[1:].rpartition("]")
        if not keys:
            return Shape("list", item=parse(inner), atomic=True)
        return Shape("list", item=parse(inner), keys=tuple(key for key in keys[1:].split(",") if key))
    atomic = text.startswith("!")
    text = text.removeprefix("!")
    if text.startswith("<"):
        return Shape("map", item=parse(text[1:-1]), atomic=atomic)
    if text in SCALARS:
        return Shape("scalar", text)
    return Shape("struct", text, atomic=atomic)


@cache
def struct_fields(name: str) -> dict[str, Shape]:
    """The fields of a struct, in the order of the notation."""
    notation = (CORE | PODS | WORKLOADS | POLICIES | TRAININGS)[name]
    pairs = (word.partition(":") for word in notation.split())
    return {field: parse(kind or "string") for field, _, kind in pairs}


def shape_of(kind: str) -> Shape:
    """The type of a served kind."""
    return Shape("struct", kind)
