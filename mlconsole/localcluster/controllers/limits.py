"""LimitRanges: what a container asks for where it does not say, and how much it may.

Source: plugin/pkg/admission/limitranger of Kubernetes; the texts are the API server's.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from mlconsole.localcluster.controllers.objects import quantity
from mlconsole.localcluster.store import Object, Store

ANNOTATION = "kubernetes.io/limit-ranger"


def apply_limits(store: Store, pod: Object) -> list[str]:
    """Fills the defaults of the namespace's LimitRanges into a new pod; returns what it breaks."""
    items = [
        item
        for found in store.scan("limitranges", pod["metadata"]["namespace"])
        for item in found["spec"].get("limits") or []
    ]
    for item in items:
        if item.get("type") == "Container":
            _fill(pod, item)
    broken: list[str] = []
    for item in items:
        if item.get("type") == "Container":
            for container in _containers(pod):
                broken += _broken(item, "Container", container.get("resources") or {})
        elif item.get("type") == "Pod":
            broken += _broken(item, "Pod", _summed(pod))
    return broken


def _containers(pod: Object) -> list[Object]:
    return [*(pod["spec"].get("initContainers") or []), *pod["spec"]["containers"]]


def _fill(pod: Object, item: Object) -> None:
    told = []
    for container in _containers(pod):
        resources = container.setdefault("resources", {})
        for part, source in (("requests", "defaultRequest"), ("limits", "default")):
            defaults = item.get(source) or {}
            has = resources.get(part) or {}
            added = sorted(name for name in defaults if name not in has)
            if added:
                resources[part] = has | {name: defaults[name] for name in added}
                told.append(f"{', '.join(added)} {part[:-1]} for container {container['name']}")
    if told:
        annotations = pod["metadata"].setdefault("annotations", {})
        annotations.setdefault(ANNOTATION, f"LimitRanger plugin set: {'; '.join(told)}")


def _summed(pod: Object) -> Object:
    found: dict[str, dict[str, Decimal]] = {"requests": {}, "limits": {}}
    for container in pod["spec"]["containers"]:
        for part, amounts in found.items():
            for name, amount in ((container.get("resources") or {}).get(part) or {}).items():
                amounts[name] = amounts.get(name, Decimal(0)) + quantity(amount)
    return found


def _broken(item: Object, kind: str, resources: Object) -> list[str]:
    requests, limits = resources.get("requests") or {}, resources.get("limits") or {}
    found: list[str] = []
    for name, least in sorted((item.get("min") or {}).items()):
        start = f"minimum {name} usage per {kind} is {least}"
        if name not in requests:
            found.append(f"{start}.  No request is specified")
            continue
        too_small = [word for word, amount in _of(name, request=requests, limit=limits) if amount < quantity(least)]
        found += [f"{start}, but {too_small[0]}"] if too_small else []
    for name, most in sorted((item.get("max") or {}).items()):
        start = f"maximum {name} usage per {kind} is {most}"
        if name not in limits:
            found.append(f"{start}.  No limit is specified")
            continue
        too_large = [word for word, amount in _of(name, limit=limits, request=requests) if amount > quantity(most)]
        found += [f"{start}, but {too_large[0]}"] if too_large else []
    return found


def _of(name: str, **parts: Object) -> list[tuple[str, Decimal]]:
    """The amounts of a resource, each with how it is told: `limit is 2Gi`."""
    return [(f"{word} is {part[name]}", _amount(part[name])) for word, part in parts.items() if name in part]


def _amount(value: Any) -> Decimal:
    return value if isinstance(value, Decimal) else quantity(value)
