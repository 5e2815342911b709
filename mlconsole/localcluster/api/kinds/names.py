"""The rules for names, labels and label selectors, in the API server's words."""

from __future__ import annotations

import json
import re
from typing import Any

from mlconsole.localcluster.api.errors import Cause

_LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN = rf"{_LABEL}(\.{_LABEL})*"
_RFC1035 = "[a-z]([-a-z0-9]*[a-z0-9])?"
_QUALIFIED = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"

_LABEL_TEXT = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with "
    f"an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '{_LABEL}')"
)
_SUBDOMAIN_TEXT = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and "
    "end with an alphanumeric character (e.g. 'example.com', regex used for validation is "
    r"'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
)
_RFC1035_TEXT = (
    "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, "
    f"and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is '{_RFC1035}')"
)
_VALUE_TEXT = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and "
    "end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is "
    "'(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
)
_KEY_TEXT = (
    "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric "
    "character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is "
    f"'{_QUALIFIED}')"
)


def wrong(field: str, value: Any, why: str) -> Cause:
    """A value that is not allowed."""
    # Go writes maps in the order of their keys, structs in that of their fields.
    is_map = isinstance(value, dict) and all(isinstance(item, str) for item in value.values())
    shown = json.dumps(value, separators=(",", ":"), ensure_ascii=False, sort_keys=is_map)
    return Cause("FieldValueInvalid", f"Invalid value: {shown}: {why}", field)


def required(field: str, why: str = "") -> Cause:
    """A value that is missing."""
    return Cause("FieldValueRequired", "Required value" + (f": {why}" if why else ""), field)


def duplicate(field: str, value: Any) -> Cause:
    """A value that may be there once only."""
    return Cause("FieldValueDuplicate", f"Duplicate value: {json.dumps(value, separators=(',', ':'))}", field)


def unsupported(field: str, value: Any, allowed: tuple[str, ...]) -> Cause:
    """A value that is none of those that exist."""
    listed = ", ".join(f'"{item}"' for item in sorted(allowed))
    return Cause("FieldValueNotSupported", f"Unsupported value: {json.dumps(value)}: supported values: {listed}", field)


def check_label_name(value: Any, field: str) -> list[Cause]:
    """RFC 1123 label, as containers, ports, volumes and namespaces are named."""
    if not value:
        return [required(field)]
    causes = []
    if len(str(value)) > 63:
        causes.append(wrong(field, value, "must be no more than 63 characters"))
    if not re.fullmatch(_LABEL, str(value)):
        causes.append(wrong(field, value, _LABEL_TEXT))
    return causes


def check_object_name(kind: str, meta: dict[str, Any]) -> list[Cause]:
    """The name of an object by the rule of its kind."""
    name = meta.get("name")
    if not name:
        return [required("metadata.name", "name or generateName is required")]
    if kind == "Namespace":
        return check_label_name(name, "metadata.name")
    if kind == "Service":
        if len(name) <= 63 and re.fullmatch(_RFC1035, name):
            return []
        return [wrong("metadata.name", name, _RFC1035_TEXT)]
    if kind in ("Role", "ClusterRole", "RoleBinding", "ClusterRoleBinding"):
        bad = next((text for text in ("/", "%") if text in name), "")
        return [wrong("metadata.name", name, f"may not contain '{bad}'")] if bad else []
    if len(name) > 253:
        return [wrong("metadata.name", name, "must be no more than 253 characters")]
    return [] if re.fullmatch(_SUBDOMAIN, name) else [wrong("metadata.name", name, _SUBDOMAIN_TEXT)]


def check_labels(labels: Any, field: str) -> list[Cause]:
    """Keys and values of labels."""
    causes: list[Cause] = []
    for key, value in (labels or {}).items():
        causes += check_key(key, field)
        if len(value) > 63:
            causes.append(wrong(field, value, "must be no more than 63 bytes"))
        elif value and not re.fullmatch(_QUALIFIED, value):
            causes.append(wrong(field, value, _VALUE_TEXT))
    return causes


def check_key(key: str, field: str) -> list[Cause]:
    """A qualified name: the key of a label or an annotation."""
    prefix, slash, name = key.rpartition("/")
    if slash and not re.fullmatch(_SUBDOMAIN, prefix.lower()):
        return [wrong(field, key, f"prefix part {_SUBDOMAIN_TEXT}")]
    if len(name) > 63:
        return [wrong(field, key, "name part must be no more than 63 characters")]
    return [] if re.fullmatch(_QUALIFIED, name) else [wrong(field, key, _KEY_TEXT)]


def selects(selector: Any, labels: dict[str, str]) -> bool:
    """Whether a label selector object fits labels; an empty or missing one fits nothing here."""
    if not isinstance(selector, dict) or not (selector.get("matchLabels") or selector.get("matchExpressions")):
        return False
    if not (selector.get("matchLabels") or {}).items() <= labels.items():
        return False
    return all(_expression(item, labels) for item in selector.get("matchExpressions") or [])


def _expression(item: dict[str, Any], labels: dict[str, str]) -> bool:
    key, values = item.get("key", ""), item.get("values") or []
    operator = item.get("operator")
    if operator == "In":
        return labels.get(key) in values
    if operator == "NotIn":
        return labels.get(key) not in values
    return (key in labels) if operator == "Exists" else (key not in labels)
