"""Reading objects in the protobuf encoding, which kubectl sends from 1.32 on.

The envelope and the rules are those of
https://kubernetes.io/docs/reference/using-api/api-concepts/#protobuf-encoding. Answers stay JSON, which every client
takes. Fields that Go can't leave out of the encoding come with their zero value: those count as not set.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cache
from typing import Any

from mlconsole.localcluster.api.errors import bad_request
from mlconsole.localcluster.api.schema.shapes import ANY, Shape, shape_of
from mlconsole.localcluster.api.schema.wire import WIRE

Object = dict[str, Any]

MEDIA_TYPE = "application/vnd.kubernetes.protobuf"
MAGIC = b"k8s\x00"

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5

_ZERO_COUNTS = frozenset(
    [
        "replicas",
        "completions",
        "parallelism",
        "backoffLimit",
        "ttlSecondsAfterFinished",
        "terminationGracePeriodSeconds",
        "revisionHistoryLimit",
        "activeDeadlineSeconds",
        "progressDeadlineSeconds",
        "gracePeriodSeconds",
        "runAsUser",
        "runAsGroup",
        "fsGroup",
        "automountServiceAccountToken",
        "suspend",
        "enableServiceLinks",
        "immutable",
        "optional",
        "runAsNonRoot",
        "allowPrivilegeEscalation",
        "readOnlyRootFilesystem",
        "privileged",
        "allocateLoadBalancerNodePorts",
        "manualSelector",
        "shareProcessNamespace",
        "hostUsers",
    ]
)
"""Numbers and booleans that are encoded where they are set only, so that a zero means zero."""


class _Malformed(Exception):
    pass


def load_protobuf(body: bytes) -> Object:
    """The object of a protobuf body, as JSON data. Raises ApiError 400."""
    if not body.startswith(MAGIC):
        raise bad_request("the provided data does not look like a protobuf message, expected prefix [107 56 115 0]")
    try:
        envelope = dict(_fields(body[len(MAGIC) :]))
        head = dict(_fields(envelope.get(1, b"")))
        kind, api_version = head.get(2, b"").decode(), head.get(1, b"").decode()
        if kind not in WIRE:
            raise bad_request(f'no kind "{kind}" is registered for version "{api_version}"')
        return {"kind": kind, "apiVersion": api_version} | _struct(envelope.get(2, b""), shape_of(kind), kind)
    except (_Malformed, UnicodeDecodeError, AttributeError, TypeError, RecursionError) as error:
        raise bad_request(f"the object provided is unrecognized: {error}") from None


def _fields(data: bytes) -> Iterator[tuple[int, Any]]:
    position = 0
    while position < len(data):
        tag, position = _varint(data, position)
        number, kind = tag >> 3, tag & 7
        if kind == _VARINT:
            value, position = _varint(data, position)
            yield number, value
            continue
        if kind == _BYTES:
            size, position = _varint(data, position)
        elif kind in (_FIXED64, _FIXED32):
            size = 8 if kind == _FIXED64 else 4
        else:
            raise _Malformed(f"wire type {kind}")
        if position + size > len(data):
            raise _Malformed("unexpected EOF")
        yield number, data[position : position + size]
        position += size


def _varint(data: bytes, position: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if position >= len(data):
            raise _Malformed("unexpected EOF")
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
    raise _Malformed("number too long")


@cache
def _numbers(wire: str) -> dict[int, str]:
    pairs = (word.partition(":") for word in WIRE.get(wire, "").split())
    return {int(number): name for number, _, name in pairs}


def _struct(data: bytes, shape: Shape, wire: str) -> Object:
    obj: Object = {}
    known = shape.fields
    numbers = _numbers(wire)
    for number, value in _fields(data):
        name = numbers.get(number, "")
        if name.startswith("+"):
            obj |= _struct(value, shape, name[1:])
        elif name:
            _put(obj, name, value, known.get(name, ANY))
    return obj


def _put(obj: Object, name: str, value: Any, shape: Shape) -> None:
    if shape.form == "list":
        obj.setdefault(name, []).append(_value(value, shape.of))
    elif shape.form == "map":
        entry = dict(_fields(value))
        key = entry.get(1, b"").decode()
        obj.setdefault(name, {})[key] = _value(entry.get(2, b""), shape.of)
    else:
        read = _value(value, shape)
        empty = read in ("", None, {}) and name not in ("emptyDir", "podSelector")
        zero = read in (0, False) and not isinstance(read, str) and name not in _ZERO_COUNTS
        if not empty and not zero:
            obj[name] = read


def _value(value: Any, shape: Shape) -> Any:
    if shape.form == "struct":
        return _struct(value, shape, shape.name)
    if shape.name in ("int32", "int64"):
        return value - 2**64 if value >= 2**63 else value
    if shape.name == "bool":
        return bool(value)
    if shape.name == "string":
        return value.decode()
    if shape.name == "bytes":
        return base64.b64encode(value).decode()
    if shape.name == "Quantity":
        return dict(_fields(value)).get(1, b"").decode()
    if shape.name == "Time":
        parts = dict(_fields(value))
        return datetime.fromtimestamp(parts.get(1, 0), UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if parts else None
    if shape.name == "IntOrString":
        parts = dict(_fields(value))
        return parts.get(3, b"").decode() if parts.get(1) else parts.get(2, 0)
    return None
