"""``/openapi/v2`` in protobuf, for kubectl up to 1.27, which asks it whether a kind can be patched with validation.

Field numbers are those of https://github.com/google/gnostic/blob/main/openapiv2/OpenAPIv2.proto.
"""

from __future__ import annotations

import json
from functools import cache

from mlconsole.localcluster.api.discovery import GIT_VERSION
from mlconsole.localcluster.api.openapi import WRITE_PARAMETERS, item_path
from mlconsole.localcluster.api.registry import RESOURCES, Resource

MEDIA_TYPE = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"


@cache
def document() -> bytes:
    """The whole document: a PATCH of each writable kind with its parameters."""
    info = _text(1, "mlconsole local cluster") + _text(2, GIT_VERSION)
    paths = b"".join(_message(2, _path(resource)) for resource in RESOURCES if "patch" in resource.verbs)
    return _text(1, "2.0") + _message(2, info) + _message(8, paths)


def _path(resource: Resource) -> bytes:
    parameters = b"".join(_message(8, _parameter(name)) for name in WRITE_PARAMETERS)
    kind = {"group": resource.group, "kind": resource.kind, "version": resource.version}
    extension = _text(1, "x-kubernetes-group-version-kind") + _message(2, _text(2, json.dumps(kind)))
    patch = _text(5, f"patch{resource.kind}") + parameters + _message(13, extension)
    return _text(1, item_path(resource)) + _message(2, _message(8, patch))


def _parameter(name: str) -> bytes:
    query = _text(2, "query") + _text(4, name) + _text(6, "string")
    parameter = _message(2, _message(3, query))
    return _message(1, parameter)


def _text(number: int, text: str) -> bytes:
    return _message(number, text.encode())


def _message(number: int, content: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)
