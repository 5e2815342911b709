"""Strategic merge patch: lists are merged by the keys that the schema names.

The directives are those of
https://github.com/kubernetes/community/blob/master/contributors/devel/sig-api-machinery/strategic-merge-patch.md.
"""

from __future__ import annotations

from typing import Any

from mlconsole.localcluster.api.errors import bad_request
from mlconsole.localcluster.api.schema.shapes import ANY, Shape

PATCH = "$patch"
RETAIN = "$retainKeys"
DELETE_PREFIX = "$deleteFromPrimitiveList/"
ORDER_PREFIX = "$setElementOrder/"


def strategic_merge(target: dict[str, Any], patch: Any, shape: Shape) -> dict[str, Any]:
    """The object with the patch merged into it. Raises ApiError 400 for a patch that is no object."""
    if not isinstance(patch, dict):
        raise bad_request("the patch of a strategic merge must be an object")
    return _merge_map(target, patch, shape)


def _merge_map(target: Any, patch: dict[str, Any], shape: Shape) -> dict[str, Any]:
    directive = patch.get(PATCH)
    body = {key: value for key, value in patch.items() if key not in (PATCH, RETAIN)}
    if directive == "replace":
        replaced: dict[str, Any] = _plain(body)
        return replaced
    if directive == "delete":
        return {}
    merged = dict(target) if isinstance(target, dict) else {}
    if RETAIN in patch:
        merged = {key: value for key, value in merged.items() if key in patch[RETAIN]}
    for key, value in body.items():
        if key.startswith(DELETE_PREFIX):
            name = key.removeprefix(DELETE_PREFIX)
            merged[name] = [item for item in merged.get(name) or [] if item not in value]
        elif not key.startswith(ORDER_PREFIX):
            _set(merged, key, value, _field(shape, key))
    _reorder(merged, body, shape)
    return merged


def _field(shape: Shape, key: str) -> Shape:
    if shape.form == "struct":
        return shape.fields.get(key, ANY)
    return shape.of if shape.form == "map" else ANY


def _set(merged: dict[str, Any], key: str, value: Any, shape: Shape) -> None:
    if value is None:
        merged.pop(key, None)
    elif isinstance(value, dict):
        merged[key] = _merge_map(merged.get(key), value, shape)
    elif isinstance(value, list):
        merged[key] = _merge_list(merged.get(key), value, shape)
    else:
        merged[key] = value


def _merge_list(target: Any, patch: list[Any], shape: Shape) -> list[Any]:
    have = target if isinstance(target, list) else []
    if shape.is_set:
        return have + [item for item in patch if item not in have]
    key = shape.keys[0] if shape.keys else None
    if key is None or any(isinstance(item, dict) and item.get(PATCH) == "replace" and len(item) == 1 for item in patch):
        return [_plain(item) for item in patch if not (isinstance(item, dict) and item.get(PATCH) == "replace")]
    merged = list(have)
    for item in patch:
        if not isinstance(item, dict) or key not in item:
            raise bad_request(f"map: {item} does not contain declared merge key: {key}")
        place = _place(merged, item, shape)
        if item.get(PATCH) == "delete":
            merged = [old for old in merged if not (isinstance(old, dict) and old.get(key) == item[key])]
        elif place is None:
            merged.append(_merge_map({}, item, shape.of))
        else:
            merged[place] = _merge_map(merged[place], item, shape.of)
    return merged


def _place(items: list[Any], wanted: dict[str, Any], shape: Shape) -> int | None:
    """Where the item of the same merge key is; the first key counts, further ones only where both have them."""
    keys = shape.keys or ()
    for index, item in enumerate(items):
        if isinstance(item, dict) and item.get(keys[0]) == wanted.get(keys[0]):
            further = (item[k] == wanted[k] for k in keys[1:] if k in item and k in wanted)
            if all(further):
                return index
    return None


def _reorder(merged: dict[str, Any], body: dict[str, Any], shape: Shape) -> None:
    for directive, order in body.items():
        if not directive.startswith(ORDER_PREFIX) or not isinstance(order, list):
            continue
        name = directive.removeprefix(ORDER_PREFIX)
        items, kind = merged.get(name), _field(shape, name)
        if not isinstance(items, list):
            continue
        key = kind.keys[0] if kind.keys else None
        merged[name] = _ordered(items, order, key)


def _ordered(items: list[Any], order: list[Any], key: str | None) -> list[Any]:
    """Items in the wanted order; those that the order does not name keep their place after their predecessor."""
    wanted = [entry.get(key) if key and isinstance(entry, dict) else entry for entry in order]
    ranks: list[tuple[int, int]] = []
    last = -1
    for position, item in enumerate(items):
        identity = item.get(key) if key and isinstance(item, dict) else item
        if identity in wanted:
            last = wanted.index(identity)
        ranks.append((last, position))
    return [items[position] for _, position in sorted(ranks)]


def _plain(value: Any) -> Any:
    """A value without directives and nulls."""
    if isinstance(value, dict):
        kept = {key: item for key, item in value.items() if not key.startswith("$") and item is not None}
        return {key: _plain(item) for key, item in kept.items()}
    return [_plain(item) for item in value] if isinstance(value, list) else value
