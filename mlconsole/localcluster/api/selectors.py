"""Label selectors and field selectors, as lists and watches take them."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from mlconsole.localcluster.api.errors import bad_request
from mlconsole.localcluster.api.registry import Resource

Object = dict[str, Any]
Predicate = Callable[[Object], bool]

_SET = re.compile(r"^([^\s,!=()]+)\s+(in|notin)\s*\(([^()]*)\)$")
_COMPARISON = re.compile(r"^([^\s,!=()<>]+)\s*(==|!=|=)\s*([^\s,!=()]*)$")
_NUMBER = re.compile(r"^([^\s,!=()<>]+)\s*([<>])\s*(-?\d+)$")
_EXISTS = re.compile(r"^(!?)\s*([^\s,!=()]+)$")

_FIELDS: dict[str, frozenset[str]] = {
    "pods": frozenset(
        {
            "spec.nodeName",
            "spec.restartPolicy",
            "spec.schedulerName",
            "spec.serviceAccountName",
            "spec.hostNetwork",
            "status.phase",
            "status.podIP",
            "status.nominatedNodeName",
        }
    ),
    "events": frozenset(
        {f"involvedObject.{name}" for name in ("kind", "namespace", "name", "uid", "apiVersion", "resourceVersion")}
        | {"involvedObject.fieldPath", "reason", "reportingComponent", "source", "type"}
    ),
    "secrets": frozenset({"type"}),
    "namespaces": frozenset({"status.phase"}),
    "nodes": frozenset({"spec.unschedulable"}),
    "replicasets": frozenset({"status.replicas"}),
    "jobs": frozenset({"status.successful"}),
    "services": frozenset({"spec.clusterIP", "spec.type"}),
}


def label_predicate(selector: str) -> Predicate | None:
    """A test of an object's labels, or None where everything fits. Raises ApiError 400."""
    tests = [_requirement(part) for part in _split(selector)]
    if not tests:
        return None
    return lambda obj: all(test(obj.get("metadata", {}).get("labels") or {}) for test in tests)


def _split(selector: str) -> list[str]:
    parts, depth, start = [], 0, 0
    for index, char in enumerate(selector):
        depth += (char == "(") - (char == ")")
        if char == "," and depth == 0:
            parts.append(selector[start:index])
            start = index + 1
    return [part.strip() for part in [*parts, selector[start:]] if part.strip()]


def _requirement(text: str) -> Callable[[dict[str, str]], bool]:
    if match := _SET.match(text):
        key, operator, listed = match.groups()
        values = {value.strip() for value in listed.split(",")}
        if operator == "in":
            return lambda labels: labels.get(key) in values
        return lambda labels: labels.get(key) not in values
    if match := _COMPARISON.match(text):
        key, operator, value = match.groups()
        return (
            (lambda labels: labels.get(key) != value) if operator == "!=" else (lambda labels: labels.get(key) == value)
        )
    if match := _NUMBER.match(text):
        key, operator, limit = match.groups()
        sign = 1 if operator == ">" else -1
        return lambda labels: labels.get(key, "").isdecimal() and sign * int(labels[key]) > sign * int(limit)
    if match := _EXISTS.match(text):
        negated, key = match.groups()
        return (lambda labels: key not in labels) if negated else (lambda labels: key in labels)
    raise bad_request(f'unable to parse requirement: found "{text}", expected: a label selector')


def field_predicate(selector: str, resource: Resource) -> Predicate | None:
    """A test of an object's fields, or None where everything fits. Raises ApiError 400."""
    tests = [_field_test(part, resource) for part in _split(selector)]
    return (lambda obj: all(test(obj) for test in tests)) if tests else None


def _field_test(text: str, resource: Resource) -> Predicate:
    match = _COMPARISON.match(text)
    if match is None:
        raise bad_request(f"invalid selector: '{text}'; can't understand '{text}'")
    name, operator, wanted = match.groups()
    if name not in {"metadata.name", "metadata.namespace"} and name not in _FIELDS.get(resource.plural, ()):
        raise bad_request(
            f'Unable to find "{resource.api_version}, Resource={resource.plural}" that match label selector "", '
            f'field selector "{text}": field label not supported: {name}'
        )
    path = name.split(".")
    if operator == "!=":
        return lambda obj: field_text(obj, path) != wanted
    return lambda obj: field_text(obj, path) == wanted


def field_text(obj: Object, path: list[str]) -> str:
    """A field as selectors compare it: text, empty where it is not set."""
    if path == ["source"]:
        path = ["source", "component"]
    if path == ["status", "successful"]:
        path = ["status", "succeeded"]
    value: Any = obj
    for part in path:
        value = value.get(part) if isinstance(value, dict) else None
    if isinstance(value, bool):
        return str(value).lower()
    if value is None:
        defaults = {"unschedulable": "false", "hostNetwork": "false", "replicas": "0", "succeeded": "0"}
        return defaults.get(path[-1], "")
    return str(value)
