"""JSON patch (RFC 6902) and merge patch (RFC 7386)."""

from __future__ import annotations

from typing import Any

from mlconsole.localcluster.api.errors import ApiError, bad_request
from mlconsole.localcluster.store import clone


def merge_patch(target: Any, patch: Any) -> Any:
    """RFC 7386: null removes, objects merge, all else replaces."""
    if not isinstance(patch, dict):
        return patch
    merged = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = merge_patch(merged.get(key), value)
    return merged


def json_patch(target: dict[str, Any], operations: Any) -> dict[str, Any]:
    """RFC 6902. Raises ApiError 400 for a malformed patch, 422 for one that does not fit the object."""
    if not isinstance(operations, list):
        raise bad_request("json: cannot unmarshal object into Go value of type jsonpatch.Patch")
    result: Any = clone(target)
    for operation in operations:
        if not isinstance(operation, dict) or not isinstance(operation.get("path"), str):
            raise bad_request("a JSON patch is a list of operations with a path")
        result = _operate(result, operation)
    if not isinstance(result, dict):
        raise _refused("the patched document is not an object")
    return result


def _operate(document: Any, operation: dict[str, Any]) -> Any:
    kind, path = operation.get("op"), _pointer(operation["path"])
    if kind == "add":
        return _add(document, path, clone(operation.get("value")))
    if kind == "remove":
        _take(document, path)
        return document
    if kind == "replace":
        _get(document, path)
        if path:
            _take(document, path)
        return _add(document, path, clone(operation.get("value")))
    if kind == "test":
        if _get(document, path) != operation.get("value"):
            raise _refused(f"testing value {operation['path']} failed")
        return document
    if kind in ("move", "copy") and isinstance(operation.get("from"), str):
        source = _pointer(operation["from"])
        value = clone(_get(document, source))
        if kind == "move":
            _take(document, source)
        return _add(document, path, value)
    raise bad_request(f"Unexpected kind: {kind}")


def _pointer(text: str) -> list[str]:
    if text and not text.startswith("/"):
        raise bad_request(f"not a JSON pointer: {text}")
    return [part.replace("~1", "/").replace("~0", "~") for part in text.split("/")[1:]]


def _get(document: Any, path: list[str]) -> Any:
    for part in path:
        if isinstance(document, dict) and part in document:
            document = document[part]
        elif isinstance(document, list):
            document = document[_index(document, part)]
        else:
            raise _missing(path)
    return document


def _add(document: Any, path: list[str], value: Any) -> Any:
    if not path:
        return value
    parent = _get(document, path[:-1])
    if isinstance(parent, dict):
        parent[path[-1]] = value
    elif isinstance(parent, list):
        parent.insert(len(parent) if path[-1] == "-" else _index(parent, path[-1], extra=1), value)
    else:
        raise _missing(path)
    return document


def _take(document: Any, path: list[str]) -> None:
    if not path:
        raise _refused("the whole document can't be removed")
    parent = _get(document, path[:-1])
    _get(parent, path[-1:])
    if isinstance(parent, dict):
        del parent[path[-1]]
    else:
        del parent[_index(parent, path[-1])]


def _index(items: list[Any], part: str, extra: int = 0) -> int:
    if not part.isdecimal() or int(part) >= len(items) + extra:
        raise _refused(f"Unable to access invalid index: {part}")
    return int(part)


def _missing(path: list[str]) -> ApiError:
    return _refused(f"doc is missing path: /{'/'.join(path)}: missing value")


def _refused(why: str) -> ApiError:
    return ApiError(422, f"the server rejected our request due to an error in our request: {why}", "Invalid", {})
