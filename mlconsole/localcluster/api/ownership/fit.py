"""Whether an applied configuration fits the schema, in the words of server-side apply."""

from __future__ import annotations

from typing import Any

from mlconsole.localcluster.api.ownership.fields import Path, children, item_element, text_of
from mlconsole.localcluster.api.schema.shapes import KEY_DEFAULTS, Shape

_GO_TYPES = {str: "string", bool: "bool", int: "int64", float: "float64", list: "[]interface {}"}

_NO_DEFAULT = " (and doesn't have default value)"


def problems(value: Any, shape: Shape, path: Path = ()) -> list[str]:
    """What does not fit, one sentence each; empty where all does."""
    if value is None:
        return []
    if shape.form == "scalar":
        wrong = _scalar_problem(value, shape.name)
        return [f"{text_of(path)}: {wrong}"] if wrong else []
    if shape.form == "list":
        if not isinstance(value, list):
            return [f"{text_of(path)}: expected list, got {_go(value)}"]
        return _list_problems(value, shape, path)
    if not isinstance(value, dict):
        return [f"{text_of(path)}: expected map, got {_go(value)}"]
    found: list[str] = []
    for element, item, kind in children(value, shape):
        if shape.form == "struct" and element[2:] not in shape.fields:
            found.append(f"{text_of((*path, element))}: field not declared in schema")
        else:
            found += problems(item, kind, (*path, element))
    return found


def _list_problems(value: list[Any], shape: Shape, path: Path) -> list[str]:
    found: list[str] = []
    seen: set[str] = set()
    for index, item in enumerate(value):
        element = f"i:{index}"
        if shape.keys:
            missing = _missing_key(item, shape)
            if missing:
                found.append(f"{text_of(path)}: element {index}: {missing}")
                continue
            element = item_element(item, shape)
            if element in seen:
                found.append(f"{text_of(path)}: duplicate entries for key {text_of((element,))}")
            seen.add(element)
        found += problems(item, shape.of, (*path, element))
    return found


def _missing_key(item: Any, shape: Shape) -> str:
    if not isinstance(item, dict):
        return f"associative list with keys may not have non-map elements, got {_go(item)}"
    for key in shape.keys or ():
        if item.get(key) is None and key not in KEY_DEFAULTS:
            return f'associative list with keys has an element that omits key field "{key}"' + _NO_DEFAULT
    return ""


def _scalar_problem(value: Any, name: str) -> str:
    if name in ("int32", "int64", "number"):
        fits = isinstance(value, int | float) and not isinstance(value, bool)
        return "" if fits else f"expected numeric (int or float), got {_go(value)}"
    if name == "bool":
        return "" if isinstance(value, bool) else f"expected boolean, got {_go(value)}"
    if name in ("IntOrString", "Quantity"):
        fits = isinstance(value, int | float | str) and not isinstance(value, bool)
        return "" if fits else f"expected string or number, got {_go(value)}"
    if name in ("string", "Time", "bytes"):
        return (
            "" if isinstance(value, str) else f"expected string, got &value.valueUnstructured{{Value:{_plain(value)}}}"
        )
    return ""


def _go(value: Any) -> str:
    return _GO_TYPES.get(type(value), "map[string]interface {}")


def _plain(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
