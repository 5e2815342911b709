"""Keeps the objects of one kind as the cluster has them: a list, then a watch, for ever.

The contract is that of client-go's reflector: list, watch on from the list's version with bookmarks, list again when
the version is too old, back off where the server is away or busy. One thread each; it can be stopped at once.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Generic, Literal, TypeVar

import msgspec

from mlconsole.errors import Problem
from mlconsole.evidence.base import now
from mlconsole.evidence.cluster import WatchState
from mlconsole.services.kubernetes.objects import Metadata, ObjectList, Status, Versioned, WatchEvent
from mlconsole.services.kubernetes.problems import (
    Expired,
    Forbidden,
    Invalid,
    NoCluster,
    ServerFailed,
    TooManyRequests,
    Unauthorized,
    Unreachable,
    decode,
    problem_of,
)

if TYPE_CHECKING:
    from mlconsole.services.kubernetes.connection import Connection, Stream
    from mlconsole.services.kubernetes.resources import Resource

PAGE = 500
FIRST_DELAY, LONGEST_DELAY = 0.8, 30.0
CALM_SECONDS = 120.0
"""After so long without a failure, delays start small again."""

FORBIDDEN_DELAY = 60.0
RELIST_AFTER_SECONDS = 30.0
"""Away for longer than this, the cluster may be another one at the same address: the version is not kept."""

ATTEMPTS_BEFORE_ANEW = 3
"""So many failures to reach the cluster, and the kubeconfig is read again: it may have moved."""

SHORT_WATCH_SECONDS = 1.0
BATCH_SECONDS = 0.1
STOP_SECONDS = 0.045


T = TypeVar("T", bound=msgspec.Struct)
StateName = Literal["connecting", "live", "stale", "reconnecting", "offline", "forbidden", "stopped"]


class _Backoff:
    """Delays that double, with jitter, and start small again after calm."""

    def __init__(self) -> None:
        self.attempt = 0
        self._delay = FIRST_DELAY
        self._last = 0.0

    def next(self) -> float:
        moment = time.monotonic()
        if moment - self._last > CALM_SECONDS + self._delay:
            self.attempt, self._delay = 0, FIRST_DELAY
        self._last = moment
        self.attempt += 1
        delay = self._delay * random.uniform(1, 1.5)
        self._delay = min(self._delay * 2, LONGEST_DELAY)
        return min(delay, LONGEST_DELAY)


class ResourceWatcher(Generic[T]):
    """Follows all objects of one resource that match a selector.

    Args:
        connect: opens the connection; called in the watcher's thread, again after the credentials were refused. What
            it raises becomes a state.
        resource: what to follow.
        kind: the Struct that its objects are decoded to; it has to have `metadata`.
        on_change: called, at most ten times a second, after objects or the state changed; in a thread of the
            watcher's. It must not raise.
        selector: a label selector.
        field_selector: a field selector.
    """

    def __init__(
        self,
        connect: Callable[[], Connection],
        resource: Resource,
        kind: type[T],
        on_change: Callable[[], None],
        *,
        selector: str = "",
        field_selector: str = "",
    ) -> None:
        self.connection: Connection | None = None
        self._connect = connect
        self._resource = resource
        self._kind = kind
        self._list_type: type[ObjectList[T]] = ObjectList[kind]  # type: ignore[valid-type]
        self._selection = {
            name: value for name, value in (("labelSelector", selector), ("fieldSelector", field_selector)) if value
        }
        self._notifier = _Notifier(on_change)
        self._objects: dict[str, T] = {}
        self._lock = threading.Lock()
        self._state = WatchState(state="connecting", sentence="Connecting to the cluster.", since=now())
        self._stopping = threading.Event()
        self._stream: Stream | None = None
        self._thread = threading.Thread(target=self._run, name=f"watch-{resource.plural}", daemon=True)
        self._version = ""
        self._listed = False
        self._lost_at: float | None = None
        self._backoff = _Backoff()

    def start(self) -> None:
        """Begin; returns at once."""
        self._thread.start()

    def stop(self) -> None:
        """End within 50 ms. A thread that still waits for a new connection then ends by itself and changes nothing."""
        self._stopping.set()
        self._notifier.stop()
        deadline = time.monotonic() + STOP_SECONDS
        while self._thread.ident is not None and self._thread.is_alive() and time.monotonic() < deadline:
            self._interrupt()
            self._thread.join(0.005)
        self._set_state("stopped", "Stopped.")

    @property
    def state(self) -> WatchState:
        """How far the objects can be trusted."""
        with self._lock:
            return self._state

    def objects(self) -> dict[str, T]:
        """All objects as they are known now, by uid; a copy."""
        with self._lock:
            return dict(self._objects)

    def _interrupt(self) -> None:
        stream, connection = self._stream, self.connection
        if stream is not None:
            stream.stop()
        if connection is not None and self._thread.ident is not None:
            connection.interrupt(self._thread.ident)

    def _run(self) -> None:
        while not self._stopping.is_set():
            delay = 0.0
            try:
                self._round()
            except Problem as problem:
                if self._stopping.is_set():
                    break
                delay = self._failed(problem)
            self._stopping.wait(delay)
        if self.connection is not None:
            self.connection.close()

    def _round(self) -> None:
        if self.connection is None:
            self.connection = self._connect()
        if not self._version:
            self._list(self.connection)
        self._watch(self.connection)

    def _failed(self, problem: Problem) -> float:
        """Note a failure in the state; returns for how many seconds to wait."""
        if self._lost_at is None:
            self._backoff.attempt = 0
        delay = self._backoff.next()
        moment = time.monotonic()
        self._lost_at = self._lost_at or moment
        if isinstance(problem, Expired):
            self._version = ""
            if self._backoff.attempt == 1:
                return 0
        if moment - self._lost_at > RELIST_AFTER_SECONDS:
            self._version = ""
        state: StateName = "reconnecting" if self._listed else "connecting"
        if isinstance(problem, (Forbidden, Unauthorized)):
            state, delay = "forbidden", FORBIDDEN_DELAY if isinstance(problem, Forbidden) else delay
            self._drop_connection()
        elif isinstance(problem, NoCluster):
            state = "offline"
            self._drop_connection()
        elif isinstance(problem, Invalid):
            state, delay = "offline", FORBIDDEN_DELAY
        elif isinstance(problem, TooManyRequests):
            delay = max(delay, problem.retry_after)
        elif isinstance(problem, Unreachable):
            state = "offline" if self._backoff.attempt > 1 or not self._listed else state
            if self._backoff.attempt % ATTEMPTS_BEFORE_ANEW == 0:
                self._drop_connection()
        elif self._backoff.attempt > 1:
            # The server is there but fails again and again: perhaps for the version that it is asked for.
            self._version = ""
            state = "stale" if self._listed else state
        again = f" Trying again in {delay:.0f} s." if delay >= 1 else ""
        self._set_state(state, f"{problem.sentence} {problem.next_step}".strip() + again, self._backoff.attempt)
        return delay

    def _drop_connection(self) -> None:
        """Ask for a new connection next time, so that credentials and addresses are read anew."""
        if self.connection is not None:
            self.connection.close()
        self.connection = None
        self._version = ""

    def _list(self, connection: Connection) -> None:
        """Fetch all pages, then put them in the place of what was known."""
        path = self._resource.path(connection.namespace)
        found: dict[str, T] = {}
        query = {**self._selection, "limit": str(PAGE)}
        while True:
            page = decode(connection.request("GET", path, query=query), self._list_type)
            found.update({_key(item): item for item in page.items or ()})
            if not page.metadata.continue_:
                break
            query["continue"] = page.metadata.continue_
            if self._stopping.is_set():
                return
        with self._lock:
            self._objects = found
        self._version = page.metadata.resource_version
        self._listed = True
        self._notifier.changed()

    def _watch(self, connection: Connection) -> None:
        query = {
            **self._selection,
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": self._version,
            "timeoutSeconds": str(random.randint(300, 600)),
        }
        started = time.monotonic()
        events = 0
        self._stream = connection.stream(self._resource.path(connection.namespace), query)
        try:
            self._set_state("live", "")
            for line in self._stream:
                if self._stopping.is_set():
                    return
                if line.strip():
                    self._take(line)
                    events += 1
                    self._lost_at = None
        finally:
            self._stream.close()
            self._stream = None
            if time.monotonic() - started > SHORT_WATCH_SECONDS:
                self._lost_at = None
        if self._stopping.is_set():
            return
        if not events and time.monotonic() - started < SHORT_WATCH_SECONDS:
            raise ServerFailed("The cluster ends each watch at once.", "Look at the API server, or a proxy before it.")

    def _take(self, line: bytes) -> None:
        event = decode(line, WatchEvent)
        if event.type == "ERROR":
            self._version = ""
            status = decode(bytes(event.object), Status)
            raise problem_of(status.code or 500, bytes(event.object), method="GET", path="watch", context="")
        if event.type == "BOOKMARK":
            self._version = decode(bytes(event.object), Versioned).metadata.resource_version or self._version
            return
        item = decode(bytes(event.object), self._kind)
        metadata: Metadata = item.metadata  # type: ignore[attr-defined]
        with self._lock:
            if event.type == "DELETED":
                self._objects.pop(_key(item), None)
            else:
                self._objects[_key(item)] = item
        self._version = metadata.resource_version or self._version
        self._notifier.changed()

    def _set_state(self, state: StateName, sentence: str, attempt: int = 0) -> None:
        with self._lock:
            if self._state.state == "stopped" or (self._stopping.is_set() and state != "stopped"):
                return
            since: datetime | None = self._state.since if self._state.state == state else now()
            changed = WatchState(state=state, sentence=sentence, attempt=attempt, since=since)
            same = changed == self._state
            self._state = changed
        if not same:
            self._notifier.changed()


def _key(item: msgspec.Struct) -> str:
    metadata: Metadata = item.metadata  # type: ignore[attr-defined]
    return metadata.uid or f"{metadata.namespace}/{metadata.name}"


class _Notifier:
    """Calls back at once, then not again before a tenth of a second, and never forgets the last change."""

    def __init__(self, on_change: Callable[[], None]) -> None:
        self._on_change = on_change
        self._lock = threading.Lock()
        self._last = 0.0
        self._timer: threading.Timer | None = None
        self._stopped = False

    def changed(self) -> None:
        """Something changed."""
        with self._lock:
            if self._stopped or self._timer is not None:
                return
            wait = self._last + BATCH_SECONDS - time.monotonic()
            if wait > 0:
                self._timer = threading.Timer(wait, self._late)
                self._timer.daemon = True
                self._timer.start()
                return
            self._last = time.monotonic()
        self._on_change()

    def stop(self) -> None:
        """Call no more."""
        with self._lock:
            self._stopped = True
            if self._timer is not None:
                self._timer.cancel()

    def _late(self) -> None:
        with self._lock:
            self._timer = None
            self._last = time.monotonic()
            if self._stopped:
                return
        self._on_change()
