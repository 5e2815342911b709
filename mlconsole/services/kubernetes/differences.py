"""What an apply would change in an object, as unified text: without noise, and with secrets masked."""

from __future__ import annotations

import copy
import difflib
import json
import re
from typing import Any

import msgspec

from mlconsole.services.kubernetes.documents import Body, Manifest, to_yaml
from mlconsole.services.kubernetes.facts import CHANGE_CAUSE_ANNOTATION, CHANGED_BY_ANNOTATION, RELEASE_ANNOTATION
from mlconsole.text import clean

LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
MASK, MASK_BEFORE, MASK_AFTER = "***", "*** (before)", "*** (after)"

NOISE = ("managedFields", "resourceVersion", "generation", "uid", "creationTimestamp", "selfLink", "deletionTimestamp")
"""What the server alone writes into an object's metadata."""

_NOISY_ANNOTATIONS = ("deployment.kubernetes.io/revision",)

_NOTES = "|".join(re.escape(name) for name in (RELEASE_ANNOTATION, CHANGED_BY_ANNOTATION, CHANGE_CAUSE_ANNOTATION))
# four spaces: of the object itself, not of its pod template
_NOTE = re.compile(rf"[-+] {{4}}({_NOTES}): ")


def difference(live: Body | None, applied: Body) -> str:
    """Compare a live object with what it would be; empty where an apply changes nothing.

    Args:
        live: the object as it is; None where it does not exist yet.
        applied: the answer of a dry run, or the manifest itself for an object that does not exist yet.
    """
    before = tidy(live) if live is not None else None
    after = tidy(applied)
    if before == after:
        return ""
    _mask(before, after)
    title = _title(applied)
    lines = difflib.unified_diff(
        _lines(before), _lines(after), fromfile=f"live/{title}", tofile=f"planned/{title}", lineterm="", n=3
    )
    return clean("\n".join(lines)) + "\n"


def is_only_notes(diff: str) -> bool:
    """Whether a difference is nothing but which release wrote the object, who began it, and why.

    Every release writes that anew, whatever else it changes.
    """
    changed = [line for line in diff.splitlines()[2:] if line.startswith(("-", "+"))]
    return bool(changed) and all(_NOTE.match(line) for line in changed)


def tidy(body: Body) -> Body:
    """Copy an object without what the server alone writes, so that two plans of one state are equal."""
    clean_body = copy.deepcopy(body)
    clean_body.pop("status", None)
    metadata = clean_body.get("metadata") or {}
    for name in NOISE:
        metadata.pop(name, None)
    annotations = metadata.get("annotations") or {}
    for name in _NOISY_ANNOTATIONS:
        annotations.pop(name, None)
    if not annotations:
        metadata.pop("annotations", None)
    template_metadata = ((clean_body.get("spec") or {}).get("template") or {}).get("metadata")
    if isinstance(template_metadata, dict) and template_metadata.get("creationTimestamp", "") is None:
        template_metadata.pop("creationTimestamp")
    tidied: Body = _sorted(clean_body)
    return tidied


def _sorted(value: Any) -> Any:
    """Put keys in one order, apiVersion and kind first as a person expects them."""
    if isinstance(value, dict):
        first = {"apiVersion": 0, "kind": 1, "metadata": 2, "name": 3}
        return {key: _sorted(value[key]) for key in sorted(value, key=lambda key: (first.get(key, 9), key))}
    return [_sorted(entry) for entry in value] if isinstance(value, list) else value


def _mask(before: Body | None, after: Body) -> None:
    """Hide a Secret's values, but show which of them change."""
    if after.get("kind") != "Secret":
        return
    for section in ("data", "stringData"):
        old = (before or {}).get(section) or {}
        new = after.get(section) or {}
        for name in {*old, *new}:
            same = name in old and name in new and old[name] == new[name]
            if name in old:
                old[name] = MASK if same or name not in new else MASK_BEFORE
            if name in new:
                new[name] = MASK if same or name not in old else MASK_AFTER
    for body in (before, after):
        _mask_last_applied(body or {})


def _mask_last_applied(body: Body) -> None:
    annotations = (body.get("metadata") or {}).get("annotations") or {}
    text = annotations.get(LAST_APPLIED)
    if text is None:
        return
    try:
        kept = json.loads(text)
        for section in ("data", "stringData"):
            if isinstance(kept.get(section), dict):
                kept[section] = dict.fromkeys(kept[section], MASK)
        annotations[LAST_APPLIED] = msgspec.json.encode(kept).decode()
    except (ValueError, AttributeError):
        annotations[LAST_APPLIED] = MASK


def _lines(body: Body | None) -> list[str]:
    if body is None:
        return []
    return to_yaml([Manifest(source="", document=1, body=body)]).removeprefix("---\n").splitlines()


def _title(body: Body) -> str:
    metadata = body.get("metadata") or {}
    where = f"{metadata['namespace']}/" if metadata.get("namespace") else ""
    return f"{where}{str(body.get('kind', '')).lower()}/{metadata.get('name', '')}"
