"""Sets of fields of an object, as server-side apply needs them.

A path is a tuple of the elements of the FieldsV1 format: ``f:name`` for a field, ``k:{"name":"x"}`` for the item of a
keyed list, ``v:"x"`` for a member of a set. The format and the rules are those of
https://kubernetes.io/docs/reference/using-api/server-side-apply/.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

from mlconsole.localcluster.api.schema.shapes import ANY, KEY_DEFAULTS, Shape

Path = tuple[str, ...]
FieldSet = set[Path]

MISSING: Any = object()


class Comparison(NamedTuple):
    """The fields in which two objects differ."""

    added: FieldSet
    modified: FieldSet
    removed: FieldSet


def to_v1(fields: FieldSet) -> dict[str, Any]:
    """The nested form that ``managedFields[].fieldsV1`` has."""
    tree: dict[str, Any] = {}
    for path in sorted(fields):
        node = tree
        for element in path:
            node = node.setdefault(element, {})
        node["."] = {}
    return _without_lone_dots(tree)


def _without_lone_dots(node: dict[str, Any]) -> dict[str, Any]:
    if set(node) == {"."}:
        return {}
    return {key: child if key == "." else _without_lone_dots(child) for key, child in node.items()}


def from_v1(tree: Any, path: Path = ()) -> FieldSet:
    """Reads the nested form. Raises ValueError where it is not one."""
    if not isinstance(tree, dict):
        raise ValueError("fieldsV1 must be an object")
    if not tree and path:
        return {path}
    fields: FieldSet = set()
    for key, child in tree.items():
        if key == ".":
            fields.add(path)
        elif key[:2] in ("f:", "k:", "v:", "i:"):
            fields |= from_v1(child, (*path, key))
        else:
            raise ValueError(f"unknown element {key!r} in fieldsV1")
    return fields


def text_of(path: Path) -> str:
    """A path as messages show it: ``.spec.containers[name="x"].image``."""
    return "".join(_element_text(element) for element in path)


def _element_text(element: str) -> str:
    kind, value = element[0], element[2:]
    if kind == "f":
        return f".{value}"
    if kind == "k":
        return "[" + ",".join(f"{key}={_compact(item)}" for key, item in json.loads(value).items()) + "]"
    return f"[={value}]" if kind == "v" else f"[{value}]"


def _compact(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def children(value: Any, shape: Shape) -> Iterator[tuple[str, Any, Shape]]:
    """The parts of a struct, map, keyed list or set, each with its path element and its type."""
    if shape.form == "struct":
        known = shape.fields
        for name, item in value.items():
            yield f"f:{name}", item, known.get(name, ANY)
    elif shape.form == "map":
        for name, item in value.items():
            yield f"f:{name}", item, shape.of
    elif shape.is_set:
        for item in value:
            yield f"v:{_compact(item)}", item, shape.of
    else:
        for item in value:
            yield item_element(item, shape), item, shape.of


def item_element(item: Any, shape: Shape) -> str:
    """The path element of an item of a keyed list."""
    keys = {key: item.get(key, KEY_DEFAULTS.get(key)) for key in sorted(shape.keys or ())}
    return f"k:{_compact({key: value for key, value in keys.items() if value is not None})}"


def is_leaf(value: Any, shape: Shape) -> bool:
    """Whether a value is owned as one: a scalar, an atomic struct, map or list, or something of a wrong type."""
    if shape.form == "scalar" or shape.atomic:
        return True
    if shape.form == "list":
        wanted = dict if shape.keys else (str, int, float, bool)
        return not isinstance(value, list) or not all(isinstance(item, wanted) for item in value)
    return not isinstance(value, dict)


def fields_of(value: Any, shape: Shape, path: Path = ()) -> FieldSet:
    """The fields that an applied object claims: its leaves, empty values and list items."""
    if is_leaf(value, shape) or not value:
        return {path} if path else set()
    fields: FieldSet = set()
    for element, item, kind in children(value, shape):
        below = (*path, element)
        if element[0] in "kv":
            fields.add(below)
        fields |= fields_of(item, kind, below) if element[0] != "v" else set()
    return fields


def with_structs(fields: FieldSet, shape: Shape) -> FieldSet:
    """Adds the named fields on the way to each field, so that a struct goes when all that was set in it goes."""
    named = set(fields)
    for path in fields:
        kind = shape
        for depth, element in enumerate(path[:-1], start=1):
            if kind.form == "struct":
                named.add(path[:depth])
                kind = kind.fields.get(element[2:], ANY)
            else:
                kind = kind.of
    return named


def compare(old: Any, new: Any, shape: Shape) -> Comparison:
    """In what ``new`` differs from ``old``."""
    result = Comparison(set(), set(), set())
    _compare(old, new, shape, (), result)
    return result


ALWAYS_THERE = frozenset(
    {
        ("f:metadata",),
        ("f:spec",),
        ("f:status",),
        ("f:spec", "f:strategy"),
        ("f:spec", "f:containers"),
        ("f:spec", "f:template"),
        ("f:spec", "f:template", "f:metadata"),
        ("f:spec", "f:template", "f:spec"),
        ("f:spec", "f:template", "f:spec", "f:containers"),
    }
)
"""Structs that exist in every object of their kind, so that nobody is recorded as having added them."""


def _compare(old: Any, new: Any, shape: Shape, path: Path, result: Comparison) -> None:
    if old is not MISSING and new is not MISSING and old == new:
        return
    if any(value is not MISSING and is_leaf(value, shape) for value in (old, new)):
        _note(old, new, path, result)
        return
    if (old is MISSING or new is MISSING) and path not in ALWAYS_THERE:
        _note(old, new, path, result)
    before = {e: (item, kind) for e, item, kind in children(old, shape)} if old is not MISSING else {}
    after = {e: (item, kind) for e, item, kind in children(new, shape)} if new is not MISSING else {}
    for element in before.keys() | after.keys():
        was, kind = before.get(element, (MISSING, ANY))
        now, kind = after.get(element, (MISSING, kind))
        _compare(was, now, kind, (*path, element), result)


def _note(old: Any, new: Any, path: Path, result: Comparison) -> None:
    kind = result.added if old is MISSING else result.removed if new is MISSING else result.modified
    if path:
        kind.add(path)


def remove(value: Any, fields: FieldSet, shape: Shape) -> Any:
    """The value without these fields; what became empty by that goes too."""
    return _remove(value, to_v1(fields), shape) if fields else value


def _remove(value: Any, tree: dict[str, Any], shape: Shape) -> Any:
    if is_leaf(value, shape):
        return value
    kept: list[tuple[str, Any]] = []
    for element, item, kind in children(value, shape):
        subtree = tree.get(element)
        if subtree is None:
            kept.append((element, item))
        elif subtree and "." not in subtree:
            rest = _remove(item, subtree, kind)
            if rest is not MISSING:
                kept.append((element, rest))
    if not kept and value:
        return MISSING
    if shape.form == "list":
        return [item for _, item in kept]
    return {element[2:]: item for element, item in kept}


def merge(live: Any, config: Any, shape: Shape) -> Any:
    """The live value with an applied one laid over it."""
    if live is MISSING or is_leaf(live, shape) or is_leaf(config, shape):
        return config
    if shape.form != "list":
        merged = dict(live)
        for element, item, kind in children(config, shape):
            merged[element[2:]] = merge(live.get(element[2:], MISSING), item, kind)
        return merged
    return _merge_lists(live, config, shape)


def _merge_lists(live: list[Any], config: list[Any], shape: Shape) -> list[Any]:
    have = {element: item for element, item, _ in children(live, shape)}
    want = {element: item for element, item, _ in children(config, shape)}
    merged: list[Any] = []
    waiting = list(want)
    for element, item in have.items():
        if element not in want:
            merged.append(item)
            continue
        while waiting and element in waiting:
            following = waiting.pop(0)
            merged.append(merge(have.get(following, MISSING), want[following], shape.of))
    merged += [want[element] for element in waiting]
    return merged
