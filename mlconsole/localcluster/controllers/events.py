"""Events: what the controllers and the kubelet tell people, counted where it repeats, kept for an hour."""

from __future__ import annotations

import logging
import sqlite3
import time

from mlconsole.localcluster.controllers.objects import NODE_NAME, micro_timestamp, seconds_since
from mlconsole.localcluster.store import AlreadyExists, NotFound, Object, Store, timestamp

KEPT_SECONDS = 3600.0
BURST = 25
"""Events that one object may cause at once; after that one each `REFILL_SECONDS`, as the real recorder does."""
REFILL_SECONDS = 300.0

SIMILAR = 10
SIMILAR_SECONDS = 600.0
COMBINED = "(combined from similar events): "

log = logging.getLogger(__name__)

API_VERSIONS = {"Pod": "v1", "Service": "v1", "Node": "v1", "Job": "batch/v1", "Deployment": "apps/v1",
                "ReplicaSet": "apps/v1", "StatefulSet": "apps/v1", "DaemonSet": "apps/v1"}  # fmt: skip

_Key = tuple[str, str, str, str]


class EventRecorder:
    """Writes v1 Events into the store.

    Args:
        store: where the events go.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._names: dict[_Key, tuple[str, str]] = {}
        self._similar: dict[_Key, dict[str, float]] = {}
        self._tokens: dict[tuple[str, str], tuple[float, float]] = {}
        for event in store.scan("events"):
            meta = event["metadata"]
            self._names[_key_of(event)] = (meta["namespace"], meta["name"])

    def record(
        self,
        component: str,
        kind: str,
        obj: Object,
        reason: str,
        message: str,
        *,
        warning: bool = False,
        field: str = "",
    ) -> None:
        """Notes what happened to ``obj`` (an object of this kind); the same again raises the count.

        Args:
            component: who says it, such as ``kubelet``.
            field: the part of the object that it is about, such as ``spec.containers{model}``.
        """
        event = _event(component, kind, obj, reason, message, warning, field)
        if not self._allowed(component, event["involvedObject"]["uid"]):
            return
        key = self._key(event)
        try:
            known = self._names.get(key)
            if known is None or not self._count_again(*known, event["message"]):
                stored = self._store.create("events", event)
                self._names[key] = (stored["metadata"]["namespace"], stored["metadata"]["name"])
        except (AlreadyExists, sqlite3.Error):
            log.exception("an event about %s can't be written", obj["metadata"]["name"])

    def _key(self, event: Object) -> _Key:
        """What makes two events the same; from the tenth message about one thing on, all further ones are."""
        uid, field, reason, message = _key_of(event)
        now = time.monotonic()
        recent = self._similar.setdefault((uid, field, reason, event["type"]), {})
        recent[message] = now
        for old in [text for text, moment in recent.items() if now - moment > SIMILAR_SECONDS]:
            del recent[old]
        if len(recent) < SIMILAR:
            return uid, field, reason, message
        event["message"] = COMBINED + message
        return uid, field, reason, COMBINED

    def _count_again(self, namespace: str, name: str, message: str) -> bool:
        try:
            event = self._store.get("events", namespace, name)
        except NotFound:
            return False
        if event.get("eventTime"):
            count = (event.get("series") or {}).get("count", 1) + 1
            event["series"] = {"count": count, "lastObservedTime": micro_timestamp()}
        else:
            event["count"] = (event.get("count") or 1) + 1
            event["lastTimestamp"] = timestamp()
        event["message"] = message
        self._store.update("events", event)
        return True

    def _allowed(self, component: str, uid: str) -> bool:
        now = time.monotonic()
        tokens, last = self._tokens.get((component, uid), (float(BURST), now))
        tokens = min(BURST, tokens + (now - last) / REFILL_SECONDS)
        self._tokens[component, uid] = (max(tokens - 1, tokens % 1), now)
        return tokens >= 1

    def sweep(self) -> None:
        """Removes the events that were last seen over an hour ago."""
        for event in list(self._store.scan("events")):
            series = event.get("series") or {}
            last = series.get("lastObservedTime") or event.get("lastTimestamp") or event.get("eventTime")
            meta = event["metadata"]
            if seconds_since(last or meta["creationTimestamp"]) > KEPT_SECONDS:
                self._names.pop(_key_of(event), None)
                self._store.delete("events", meta["namespace"], meta["name"])
        fresh = time.monotonic() - KEPT_SECONDS
        self._tokens = {key: value for key, value in self._tokens.items() if value[1] > fresh}
        self._similar = {key: value for key, value in self._similar.items() if max(value.values(), default=0) > fresh}


def _key_of(event: Object) -> _Key:
    involved = event["involvedObject"]
    return involved.get("uid", ""), involved.get("fieldPath", ""), event.get("reason", ""), event.get("message", "")


def _event(component: str, kind: str, obj: Object, reason: str, message: str, warning: bool, field: str) -> Object:
    meta = obj["metadata"]
    namespace = meta.get("namespace") or "default"
    involved = {"kind": kind, "name": meta["name"], "uid": meta["uid"], "apiVersion": API_VERSIONS[kind],
                "resourceVersion": meta["resourceVersion"]}  # fmt: skip
    if meta.get("namespace"):
        involved["namespace"] = namespace
    if field:
        involved["fieldPath"] = field
    event: Object = {
        "apiVersion": "v1", "kind": "Event",
        "metadata": {"name": f"{meta['name']}.{time.time_ns():x}", "namespace": namespace},
        "involvedObject": involved, "reason": reason, "message": message[:1024],
        "type": "Warning" if warning else "Normal", "reportingComponent": component, "reportingInstance": "",
    }  # fmt: skip
    if component == "default-scheduler":
        action = "Scheduling" if warning else "Binding"
        return event | {"source": {}, "firstTimestamp": None, "lastTimestamp": None, "action": action,
                        "eventTime": micro_timestamp(), "reportingInstance": component}  # fmt: skip
    source = {"component": component}
    if component == "kubelet":
        source["host"] = event["reportingInstance"] = NODE_NAME
    now = timestamp()
    return event | {"source": source, "firstTimestamp": now, "lastTimestamp": now, "count": 1, "eventTime": None}
