"""Fields by the paths in which a cluster names them: `.spec.template.spec.containers[name="model"].image`.

Source of the notation: `fieldpath.Path.String` of sigs.k8s.io/structured-merge-diff.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Sequence
from typing import Any

import msgspec

from mlconsole.services.kubernetes.documents import Body, Manifest

_KEY = re.compile(r'([A-Za-z0-9_]+)=("(?:[^"\\]|\\.)*"|[^,\]]+)')
_BRACKETS = re.compile(r'\[((?:"(?:[^"\\]|\\.)*"|[^\]"])*)\]')


def without_fields(manifest: Manifest, paths: Sequence[str]) -> tuple[Manifest, tuple[str, ...]]:
    """Take fields out of a manifest, so that an apply of it leaves them to who owns them.

    Returns:
        The manifest without them, and the paths that it does not have.
    """
    body = copy.deepcopy(manifest.body)
    missing = tuple(path for path in paths if not _remove(body, path))
    return msgspec.structs.replace(manifest, body=body), missing


def line_of(manifest: Manifest, path: str) -> int | None:
    """In which line of its file a field is, or the nearest above it that is there; None where that is not known."""
    trail = _trail(manifest.body, path if path.startswith((".", "[")) else f".{path}")
    for length in range(len(trail), -1, -1):
        if trail[:length] in manifest.lines:
            return manifest.lines[trail[:length]]
    return None


def _trail(value: Any, path: str) -> tuple[str, ...]:
    """The names and places that lead to a field, as far as there are such."""
    if isinstance(value, dict) and path.startswith("."):
        for name in sorted((name for name in value if path[1:].startswith(name)), key=len, reverse=True):
            rest = path[1 + len(name) :]
            if not rest or rest[0] in ".[":
                return (name, *_trail(value[name], rest))
    brackets = _BRACKETS.match(path)
    if isinstance(value, list) and brackets is not None:
        index = _position(value, brackets.group(1))
        if index is not None:
            return (str(index), *_trail(value[index], path[brackets.end() :]))
    return ()


def _remove(value: Any, path: str) -> bool:
    """Remove what `path` leads to, below `value`; whether it was there."""
    if isinstance(value, dict) and path.startswith("."):
        return _remove_from_mapping(value, path[1:])
    brackets = _BRACKETS.match(path)
    if not isinstance(value, list) or brackets is None:
        return False
    index = _position(value, brackets.group(1))
    if index is None:
        return False
    rest = path[brackets.end() :]
    if rest:
        return _remove(value[index], rest)
    del value[index]
    return True


def _remove_from_mapping(value: Body, path: str) -> bool:
    # Names may have dots of their own (`example.com/owner`), so the longest that fits is tried first.
    for name in sorted((name for name in value if path.startswith(name)), key=len, reverse=True):
        rest = path[len(name) :]
        if not rest:
            del value[name]
            return True
        if rest[0] in ".[" and _remove(value[name], rest):
            return True
    return False


def _position(entries: list[Any], selector: str) -> int | None:
    """The place of `name="model"`, `="value"` or `3` in a list."""
    if selector.startswith("="):
        wanted = _value(selector[1:])
        return next((index for index, entry in enumerate(entries) if entry == wanted), None)
    if selector.isdigit():
        return int(selector) if int(selector) < len(entries) else None
    keys = {name: _value(text) for name, text in _KEY.findall(selector)}
    for index, entry in enumerate(entries):
        # The server fills a key in that has a default, such as a port's protocol.
        if isinstance(entry, dict) and keys and all(entry.get(name, found) == found for name, found in keys.items()):
            return index
    return None


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
