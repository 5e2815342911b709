"""``meta.k8s.io/v1`` Tables of lists, single objects and watch events."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from mlconsole.localcluster.api.tables.columns import DEFAULT, LAYOUTS

Object = dict[str, Any]


def table(
    kind: str, objects: Iterable[Object], metadata: Object, *, include: str = "Metadata", header: bool = True
) -> Object:
    """A Table of objects of one kind.

    Args:
        kind: the kind of the objects.
        objects: one object a row.
        metadata: the metadata of the list (or of the object).
        include: what each row carries of its object: ``None``, ``Metadata`` or ``Object``.
        header: whether to describe the columns; later events of a watch leave them out.
    """
    layout = LAYOUTS.get(kind, DEFAULT)
    now = datetime.now(UTC)
    columns = [column.definition() for column in layout.columns] if header else None
    rows = [{"cells": layout.row(obj, now), "object": _included(obj, include)} for obj in objects]
    for row in rows:
        if row["object"] is None:
            del row["object"]
    head = {"kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": metadata}
    return head | {"columnDefinitions": columns, "rows": rows}


def _included(obj: Object, include: str) -> Object | None:
    if include == "None":
        return None
    if include == "Object":
        return obj
    head = {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1"}
    return head | {"metadata": obj.get("metadata") or {}}
