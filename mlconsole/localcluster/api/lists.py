"""Lists: selecting, paging, and the version from which a watch can go on."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec

from mlconsole.localcluster.api import options
from mlconsole.localcluster.api.errors import ApiError, bad_request, continue_expired, version_too_large
from mlconsole.localcluster.api.selectors import Predicate, field_predicate, label_predicate
from mlconsole.localcluster.api.targets import Target
from mlconsole.localcluster.store import Store, key_of

Object = dict[str, Any]


class Page(NamedTuple):
    """Objects to be read only, and the metadata of the list."""

    items: list[Object]
    metadata: Object


class _Continue(msgspec.Struct):
    """Where the next page starts: after this key, of the list at this version."""

    version: int
    namespace: str
    name: str
    left: int = 0


def predicates(target: Target, query: Mapping[str, str]) -> list[Predicate]:
    """The tests that an object must pass, by the selectors of the query. Raises ApiError 400."""
    selected = [label_predicate(query.get("labelSelector", ""))]
    selected.append(field_predicate(query.get("fieldSelector", ""), target.resource))
    if target.name is not None:
        selected.append(field_predicate(f"metadata.name={target.name}", target.resource))
    return [test for test in selected if test is not None]


def list_page(store: Store, target: Target, query: Mapping[str, str]) -> Page:
    """The objects that a list request is to see. Raises ApiError."""
    _check_version(store, query)
    tests = predicates(target, query)
    items = [obj for obj in store.scan(target.resource.plural, target.namespace) if all(test(obj) for test in tests)]
    limit, token = options.number(query, "limit"), query.get("continue", "")
    version = store.version
    if token:
        start = _read_token(token)
        version = start.version
        items = [obj for obj in items if key_of(obj) > (start.namespace, start.name)]
    metadata: Object = {"resourceVersion": str(version)}
    if limit and limit > 0 and len(items) > limit:
        left = len(items) - limit
        items = items[:limit]
        metadata["continue"] = _token(_Continue(version, *key_of(items[-1])))
        if not tests:
            metadata["remainingItemCount"] = left
    return Page(items, metadata)


def _check_version(store: Store, query: Mapping[str, str]) -> None:
    wanted = options.version(query)
    match = query.get("resourceVersionMatch", "")
    if match and wanted is None:
        raise bad_request("resourceVersionMatch is forbidden unless resourceVersion is provided")
    if wanted is None or query.get("continue"):
        return
    if wanted > store.version:
        raise version_too_large(wanted, store.version)
    if match == "Exact" and wanted != store.version:
        raise ApiError(410, "The resourceVersion for the provided list is too old.", "Expired")


def _token(position: _Continue) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode(position)).decode().rstrip("=")


def _read_token(token: str) -> _Continue:
    try:
        return msgspec.json.decode(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)), type=_Continue)
    except (msgspec.DecodeError, msgspec.ValidationError, binascii.Error, ValueError):
        raise continue_expired() from None
