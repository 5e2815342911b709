"""Answers as bytes: objects, lists, Tables and partial metadata, as the Accept header asks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from mlconsole.localcluster.api.registry import Resource
from mlconsole.localcluster.api.tables.tables import table

Object = dict[str, Any]

encode = msgspec.json.Encoder().encode


class Renderer:
    """Renders the objects of one resource in the form that a request asks for.

    Args:
        resource: what the objects are.
        form: ``Table``, ``PartialObjectMetadata`` or nothing (the objects themselves).
        include: the ``includeObject`` option of Tables.
    """

    def __init__(self, resource: Resource, form: str, include: str = "") -> None:
        self.resource = resource
        self.form = form
        self.include = include or "Metadata"
        self._described = False

    def one(self, obj: Object) -> Object:
        """A single object."""
        meta = obj.get("metadata") or {}
        if self.form == "Table":
            metadata = {"resourceVersion": meta.get("resourceVersion", "")}
            return table(self.resource.kind, [obj], metadata, include=self.include)
        return _partial(obj) if self.form else obj

    def many(self, items: Sequence[Object], metadata: Object) -> Object:
        """A list."""
        if self.form == "Table":
            return table(self.resource.kind, items, metadata, include=self.include)
        if self.form:
            head = {"kind": "PartialObjectMetadataList", "apiVersion": "meta.k8s.io/v1", "metadata": metadata}
            return head | {"items": [_partial(item) for item in items]}
        head = {"kind": f"{self.resource.kind}List", "apiVersion": self.resource.api_version, "metadata": metadata}
        return head | {"items": list(items)}

    def event(self, kind: str, obj: Object) -> bytes:
        """One line of a watch; the columns of a Table are described in the first line only."""
        if self.form == "Table":
            given = obj.get("metadata") or {}
            metadata: Object = {"resourceVersion": given.get("resourceVersion", "")}
            if kind == "BOOKMARK" and "annotations" in given:
                metadata["annotations"] = given["annotations"]
            header = not self._described
            self._described = True
            obj = table(self.resource.kind, [obj], metadata, include=self.include, header=header)
        elif self.form:
            obj = _partial(obj)
        return encode({"type": kind, "object": obj}) + b"\n"

    def bookmark(self, version: int, *, initial: bool = False) -> bytes:
        """A line that says up to which version the watch has come."""
        metadata: Object = {"resourceVersion": str(version)}
        if initial:
            metadata["annotations"] = {"k8s.io/initial-events-end": "true"}
        return self.event(
            "BOOKMARK", {"kind": self.resource.kind, "apiVersion": self.resource.api_version} | {"metadata": metadata}
        )


def _partial(obj: Object) -> Object:
    head = {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1"}
    return head | {"metadata": obj.get("metadata") or {}}
