"""Every object of the local cluster: kept in memory, persisted to SQLite, watched by controllers and clients.

One global counter gives each write its ``resourceVersion``, so that a list and a watch from the list's version
together miss nothing. Stored objects are never changed in place: a write puts a new object where the old one was.
"""

from __future__ import annotations

import asyncio
import secrets
import sqlite3
import uuid
from collections import deque
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import msgspec

if TYPE_CHECKING:
    from pathlib import Path

HISTORY = 5_000
"""Events kept for watches that start from an earlier version."""

GENERATED = frozenset(
    {"pods", "deployments", "replicasets", "statefulsets", "daemonsets", "jobs", "cronjobs", "jobsets", "trainjobs",
     "ingresses", "networkpolicies", "poddisruptionbudgets"}
)  # fmt: skip
"""Resources whose ``metadata.generation`` counts the changes of their spec."""

NAME_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"

Object = dict[str, Any]
Key = tuple[str, str]
Recorder = Callable[[str, Object | None, Object, str, bool], None]
"""Notes in a new object who manages what changed: the resource, the old and the new object, who, whether the status."""

T = TypeVar("T")

_SCHEMA = """
create table if not exists objects (
    resource text not null, namespace text not null, name text not null, body blob not null,
    primary key (resource, namespace, name)
) without rowid;
create table if not exists counter (id integer primary key check (id = 0), version integer not null);
insert or ignore into counter values (0, 1);
"""


class Conflict(Exception):
    """The object was changed since the writer read it."""


class AlreadyExists(Exception):
    """An object of this resource, namespace and name is stored already."""


class NotFound(Exception):
    """No such object."""


class Expired(Exception):
    """A watch asked for events that are no longer kept; ``args`` are the asked and the oldest usable version."""


class Event(NamedTuple):
    """One write. ``object`` and ``previous`` are shared with the store: read them, never change them."""

    type: str
    object: Object
    previous: Object | None
    version: int


class Subscription:
    """An async iterator of the events of one resource; it ends when closed."""

    def __init__(
        self, store: Store, resource: str, namespace: str | None, backlog: list[Event], limit: int | None
    ) -> None:
        self.resource = resource
        self.namespace = namespace
        self._store = store
        self._events: deque[Event] = deque(backlog)
        self._limit = limit
        self._wake = asyncio.Event()
        self._closed = False

    def __aiter__(self) -> Subscription:
        return self

    async def __anext__(self) -> Event:
        while not self._events:
            if self._closed:
                raise StopAsyncIteration
            self._wake.clear()
            await self._wake.wait()
        return self._events.popleft()

    def pending(self) -> list[Event]:
        """Takes every event that is already there, without waiting."""
        events = list(self._events)
        self._events.clear()
        return events

    def close(self) -> None:
        """Ends the iteration once the events that are already there were read."""
        self._closed = True
        self._store._subscriptions.discard(self)
        self._wake.set()

    def _offer(self, event: Event) -> None:
        self._events.append(event)
        self._wake.set()

    @property
    def _overflows(self) -> bool:
        return self._limit is not None and len(self._events) > self._limit


class Store:
    """Every object of the cluster. Not thread-safe: one event loop owns it.

    Args:
        path: the SQLite file; ``None`` keeps everything in memory only.
    """

    def __init__(self, path: Path | None) -> None:
        self._objects: dict[str, dict[Key, Object]] = {}
        self._history: deque[tuple[str, Event]] = deque()
        self._subscriptions: set[Subscription] = set()
        self._database = _open(path) if path is not None else None
        self.recorder: Recorder | None = None
        self._version = self._load()
        self._floor = self._version

    @property
    def version(self) -> int:
        """The version of the latest write."""
        return self._version

    def get(self, resource: str, namespace: str | None, name: str) -> Object:
        """A copy of the object. Raises NotFound."""
        return clone(self.peek(resource, namespace, name))

    def peek(self, resource: str, namespace: str | None, name: str) -> Object:
        """The stored object itself, to be read only. Raises NotFound."""
        try:
            return self._objects[resource][(namespace or "", name)]
        except KeyError:
            raise NotFound(resource, name) from None

    def list(self, resource: str, namespace: str | None = None) -> list[Object]:
        """Copies of the objects of a namespace (None: of all), in the order of namespace and name."""
        return [clone(obj) for obj in self.scan(resource, namespace)]

    def scan(self, resource: str, namespace: str | None = None) -> Iterator[Object]:
        """As ``list``, but the stored objects themselves, to be read only."""
        table = self._objects.get(resource, {})
        for key in sorted(table):
            if namespace is None or key[0] == namespace:
                yield table[key]

    def create(self, resource: str, obj: Object, *, manager: str = "") -> Object:
        """Stores a new object; fills uid, creationTimestamp, resourceVersion and generation. Raises AlreadyExists.

        ``manager``, here and in the other methods, is who is recorded to manage what is written; nobody where empty.
        """
        new = clone(obj)
        meta = new.setdefault("metadata", {})
        if not meta.get("name") and meta.get("generateName"):
            meta["name"] = meta["generateName"] + random_suffix()
        key = key_of(new)
        if key in self._objects.get(resource, {}):
            raise AlreadyExists(resource, key[1])
        meta["uid"] = meta.get("uid") or str(uuid.uuid4())
        meta["creationTimestamp"] = meta.get("creationTimestamp") or timestamp()
        if resource in GENERATED:
            meta["generation"] = 1
        self._record(resource, None, new, manager, status=False)
        self._write("ADDED", resource, key, new, None)
        return clone(new)

    def update(self, resource: str, obj: Object, *, status: bool = False, manager: str = "") -> Object:
        """Replaces an object and returns what is stored now.

        With ``status`` only the status of ``obj`` is taken, else everything but the status; a change of the spec
        raises the generation. An identical object is no write. Raises NotFound, and Conflict where ``obj`` carries a
        resourceVersion that is not the stored one.
        """
        key = key_of(obj)
        old = self.peek(resource, *key)
        wanted = obj.get("metadata", {}).get("resourceVersion")
        if wanted and wanted != old["metadata"]["resourceVersion"]:
            raise Conflict(resource, key[1])
        new = _with_status(old, obj) if status else _without_status(old, obj)
        return self._replace(resource, key, old, new, manager, status=status)

    def replace(self, resource: str, obj: Object, *, manager: str = "") -> Object:
        """Replaces metadata, spec and status at once, under the same rules as ``update``."""
        key = key_of(obj)
        old = self.peek(resource, *key)
        wanted = obj.get("metadata", {}).get("resourceVersion")
        if wanted and wanted != old["metadata"]["resourceVersion"]:
            raise Conflict(resource, key[1])
        return self._replace(resource, key, old, clone(obj), manager, status=False)

    def mark_deleted(self, resource: str, namespace: str | None, name: str, grace_seconds: int) -> Object:
        """Sets deletionTimestamp and the grace period; a second call can only shorten it. Raises NotFound."""
        old = self.peek(resource, namespace, name)
        new = clone(old)
        meta = new["metadata"]
        if "deletionTimestamp" in meta and meta.get("deletionGracePeriodSeconds", 0) <= grace_seconds:
            return new
        meta["deletionTimestamp"] = timestamp(grace_seconds)
        meta["deletionGracePeriodSeconds"] = grace_seconds
        if "generation" in meta:
            meta["generation"] += 1
        self._write("MODIFIED", resource, key_of(old), new, old)
        return clone(new)

    def delete(self, resource: str, namespace: str | None, name: str) -> Object:
        """Removes an object and returns its last state. Raises NotFound."""
        old = self.peek(resource, namespace, name)
        last = clone(old)
        self._write("DELETED", resource, key_of(old), last, old)
        return clone(last)

    def watch(
        self, resource: str, namespace: str | None = None, since: int | None = None, *, limit: int | None = None
    ) -> Subscription:
        """The writes to a resource after version ``since`` (None: from now on). Raises Expired.

        With a ``limit`` the subscription ends when more events than that wait to be read.
        """
        backlog: list[Event] = []
        if since is not None and since < self._version:
            if since < self._floor:
                raise Expired(since, self._floor)
            backlog = [e for r, e in self._history if r == resource and e.version > since and _within(e, namespace)]
        subscription = Subscription(self, resource, namespace, backlog, limit)
        self._subscriptions.add(subscription)
        return subscription

    def end_subscriptions(self) -> None:
        """Ends every subscription: whoever iterates over one comes to its end."""
        for subscription in list(self._subscriptions):
            subscription.close()

    def close(self) -> None:
        """Ends every subscription and closes the file."""
        self.end_subscriptions()
        if self._database is not None:
            self._database.close()
            self._database = None

    def _replace(self, resource: str, key: Key, old: Object, new: Object, manager: str, *, status: bool) -> Object:
        meta, old_meta = new["metadata"], old["metadata"]
        for field in ("uid", "creationTimestamp", "generation", "resourceVersion"):
            if field in old_meta:
                meta[field] = old_meta[field]
        if new == old:
            return clone(old)
        if "generation" in old_meta and new.get("spec") != old.get("spec"):
            meta["generation"] = old_meta["generation"] + 1
        self._record(resource, old, new, manager, status=status)
        self._write("MODIFIED", resource, key, new, old)
        return clone(new)

    def _record(self, resource: str, old: Object | None, new: Object, manager: str, *, status: bool) -> None:
        if manager and self.recorder is not None:
            self.recorder(resource, old, new, manager, status)

    def _write(self, kind: str, resource: str, key: Key, obj: Object, previous: Object | None) -> None:
        version = self._version + 1
        obj["metadata"]["resourceVersion"] = str(version)
        self._persist(kind, resource, key, obj, version)
        self._version = version
        table = self._objects.setdefault(resource, {})
        if kind == "DELETED":
            del table[key]
        else:
            table[key] = obj
        self._publish(resource, Event(kind, obj, previous, version))

    def _persist(self, kind: str, resource: str, key: Key, obj: Object, version: int) -> None:
        if self._database is None:
            return
        with self._database as transaction:
            if kind == "DELETED":
                transaction.execute("delete from objects where resource=? and namespace=? and name=?", (resource, *key))
            else:
                row = (resource, *key, msgspec.json.encode(obj))
                transaction.execute("insert or replace into objects values (?, ?, ?, ?)", row)
            transaction.execute("update counter set version=?", (version,))

    def _publish(self, resource: str, event: Event) -> None:
        self._history.append((resource, event))
        if len(self._history) > HISTORY:
            self._floor = self._history.popleft()[1].version
        for subscription in list(self._subscriptions):
            if subscription.resource == resource and _within(event, subscription.namespace):
                subscription._offer(event)
                if subscription._overflows:
                    subscription.close()

    def _load(self) -> int:
        if self._database is None:
            return 1
        for resource, namespace, name, body in self._database.execute("select * from objects"):
            self._objects.setdefault(resource, {})[(namespace, name)] = msgspec.json.decode(body)
        return int(self._database.execute("select version from counter").fetchone()[0])


def clone(value: T) -> T:
    """A deep copy of JSON-like data."""
    source: Any = value
    if type(source) is dict:
        source = {key: clone(item) if type(item) in _CONTAINERS else item for key, item in source.items()}
    elif type(source) is list:
        source = [clone(item) if type(item) in _CONTAINERS else item for item in source]
    copied: T = source
    return copied


_CONTAINERS = (dict, list)


def key_of(obj: Object) -> Key:
    """Namespace ("" for cluster-scoped objects) and name."""
    return obj["metadata"].get("namespace") or "", obj["metadata"]["name"]


def timestamp(seconds: float = 0) -> str:
    """Now, or so many seconds from now, as the API writes times."""
    return (datetime.now(UTC) + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")


def random_suffix() -> str:
    """Five characters as ``generateName`` appends them."""
    return "".join(secrets.choice(NAME_ALPHABET) for _ in range(5))


def _open(path: Path) -> sqlite3.Connection:
    path.parent.mkdir(parents=True, exist_ok=True)
    database = sqlite3.connect(path)
    database.execute("pragma journal_mode=wal")
    database.execute("pragma synchronous=normal")
    database.executescript(_SCHEMA)
    return database


def _within(event: Event, namespace: str | None) -> bool:
    return namespace is None or event.object["metadata"].get("namespace") == namespace


def _with_status(old: Object, obj: Object) -> Object:
    new = clone(old)
    if "status" in obj:
        new["status"] = clone(obj["status"])
    return new


def _without_status(old: Object, obj: Object) -> Object:
    new: Object = clone({key: value for key, value in obj.items() if key != "status"})
    if "status" in old:
        new["status"] = clone(old["status"])
    return new
