"""Keeps the objects of one kind as the cluster has them: a list, then a watch, for ever.

The contract is that of client-go's reflector: list, watch on from the list's version with bookmarks, list again when
the version is too old, back off where the server is away or busy. One thread each; it can be stopped at once.

It calls itself live only while what it has is known to be what the cluster had at most `Pace.limit` seconds ago.
"""

from __future__ import annotations

import math
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
from mlconsole.services.kubernetes.pace import Backoff, Notifier, Pace
from mlconsole.services.kubernetes.pages import pages
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

ATTEMPTS_BEFORE_ANEW = 3
"""So many failures to reach the cluster, and the kubeconfig is read again: it may have moved."""

SHORT_WATCH_SECONDS = 1.0
STOP_SECONDS = 0.045
PACE = Pace()

T = TypeVar("T", bound=msgspec.Struct)
StateName = Literal["connecting", "live", "stale", "reconnecting", "offline", "forbidden", "stopped"]


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
        pace: how long it waits for what.
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
        pace: Pace | None = None,
    ) -> None:
        self._pace = pace or PACE
        self.connection: Connection | None = None
        self._connect = connect
        self._resource = resource
        self._kind = kind
        self._list_type: type[ObjectList[T]] = ObjectList[kind]  # type: ignore[valid-type]
        self._selection = {
            name: value for name, value in (("labelSelector", selector), ("fieldSelector", field_selector)) if value
        }
        self._notifier = Notifier(on_change, self._pace.batch)
        self._objects: dict[str, T] = {}
        self._lock = threading.Lock()
        self._state = WatchState(state="connecting", sentence="Connecting to the cluster.", since=now())
        self._stopping = threading.Event()
        self._stream: Stream | None = None
        self._thread = threading.Thread(target=self._run, name=f"watch-{resource.plural}", daemon=True)
        self._version = ""
        self._listed = False
        self._failing = False
        self._as_of = 0.0
        self._backoff = Backoff(self._pace)

    def start(self) -> None:
        """Begin; returns at once."""
        self._thread.start()

    def stop(self) -> None:
        """End within 50 ms. A thread that needs longer changes nothing any more, and is interrupted until it ends."""
        self._stopping.set()
        self._notifier.stop()
        self._end_thread(STOP_SECONDS, 0.005)
        if self._thread.is_alive():
            # It may send its next request only now, and would wait for the answer, however long that takes.
            ending = threading.Thread(target=self._end_thread, args=(math.inf, 0.05), daemon=True)
            ending.start()
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

    def _end_thread(self, seconds: float, pause: float) -> None:
        """Interrupt what the thread waits for again and again, until it has ended or the time is over."""
        deadline = time.monotonic() + seconds
        while self._thread.is_alive() and time.monotonic() < deadline:
            self._interrupt()
            self._thread.join(pause)

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
                delay = self._failed(problem)
            except Exception as error:  # noqa: BLE001 - a thread that dies would leave its last state for ever
                defect = f"Watching {self._resource.plural} failed ({type(error).__name__}: {error})."
                delay = self._failed(ServerFailed(defect, "Report this."))
            self._stopping.wait(delay)
        if self.connection is not None:
            self.connection.close()

    def _round(self) -> None:
        if self.connection is None:
            self.connection = self._connect()
        if not self._version or self._age() > self._pace.relist_after:
            if self._listed and self.state.state == "live":
                self._set_state("reconnecting", "Looking through all objects again.")
            self._list(self.connection)
        if not self._stopping.is_set():
            self._watch(self.connection)

    def _age(self) -> float:
        """How many seconds ago the objects were last known to be the cluster's."""
        return time.monotonic() - self._as_of

    def _failed(self, problem: Problem) -> float:
        """Note a failure in the state; returns for how many seconds to wait."""
        if self._stopping.is_set():
            return 0
        if not self._failing:
            self._backoff.attempt = 0
        self._failing = True
        delay = self._backoff.next()
        state: StateName = "reconnecting" if self._listed else "connecting"
        if isinstance(problem, Expired):
            self._version = ""
            if self._backoff.attempt == 1:
                return 0
        if isinstance(problem, (Forbidden, Unauthorized)):
            state, delay = "forbidden", self._pace.forbidden_delay if isinstance(problem, Forbidden) else delay
            self._drop_connection()
        elif isinstance(problem, NoCluster):
            state = "offline"
            self._drop_connection()
        elif isinstance(problem, Invalid):
            state, delay = "offline", self._pace.forbidden_delay
        elif isinstance(problem, TooManyRequests):
            delay = min(max(delay, problem.retry_after), self._pace.longest_delay)
        elif isinstance(problem, Unreachable):
            state = "offline" if self._backoff.attempt > 1 or not self._listed else state
            if self._backoff.attempt % ATTEMPTS_BEFORE_ANEW == 0:
                self._drop_connection()
        elif self._backoff.attempt > 1:
            # The server is there but fails again and again: perhaps for the version that it is asked for.
            self._version = ""
            state = "stale" if self._listed else state
        self._set_state(state, f"{problem.sentence} {problem.next_step}".strip(), self._backoff.attempt, delay)
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
        version = ""
        began = time.monotonic()
        for page in pages(connection, path, self._list_type, self._selection, self._pace.answer):
            version = page.metadata.resource_version
            if not version:
                # Any JSON object would do as a list of nothing.
                raise ServerFailed("What the cluster answers is not a list.", "Look at proxies on the way to it.")
            found.update({_key(item): item for item in page.items or ()})
            if self._stopping.is_set():
                return
        with self._lock:
            self._objects = found
        self._version = version
        self._as_of = began
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
        path = self._resource.path(connection.namespace)
        started = time.monotonic()
        self._stream = connection.stream(path, query, silence=self._pace.silence)
        try:
            said = self._follow(self._stream)
        finally:
            self._stream.close()
            self._stream = None
            if time.monotonic() - started > SHORT_WATCH_SECONDS:
                self._failing = False
        if self._stopping.is_set() or time.monotonic() - started > SHORT_WATCH_SECONDS:
            return
        if not said:
            raise ServerFailed("The cluster ends each watch at once.", "Look at the API server, or a proxy before it.")
        self._stopping.wait(self._pace.first_delay)

    def _follow(self, stream: Stream) -> bool:
        """Take in what a watch says until its end; returns whether it said anything."""
        opened, said, caught_up = time.monotonic(), False, False
        if self._age() <= self._pace.relist_after:
            self._set_state("live", "")
        for line in stream:
            if self._stopping.is_set():
                return said
            if not line.strip():
                continue
            bookmark = self._take(line)
            said, self._failing = True, False
            # What comes at once may be what was missed before; a bookmark follows all of that.
            caught_up = caught_up or bookmark or time.monotonic() - opened > self._pace.settle
            if caught_up:
                self._as_of = time.monotonic()
                self._set_state("live", "")
        if caught_up:
            self._as_of = time.monotonic()
        return said

    def _take(self, line: bytes) -> bool:
        """Take in one event; returns whether it is a bookmark."""
        event = decode(line, WatchEvent)
        if event.type == "ERROR":
            self._version = ""
            status = decode(bytes(event.object), Status)
            raise problem_of(status.code or 500, bytes(event.object), method="GET", path="watch", context="")
        if event.type == "BOOKMARK":
            self._advance(decode(bytes(event.object), Versioned).metadata.resource_version)
            return True
        item = decode(bytes(event.object), self._kind)
        metadata: Metadata = item.metadata  # type: ignore[attr-defined]
        self._advance(metadata.resource_version)
        with self._lock:
            if event.type == "DELETED":
                self._objects.pop(_key(item), None)
            else:
                self._objects[_key(item)] = item
        self._notifier.changed()
        return False

    def _advance(self, version: str) -> None:
        """Note the version that a watch has come to.

        Raises:
            Expired: it went back: the cluster was restored, or another one answers. What is known may never have been.
        """
        known = self._version
        if version.isdigit() and known.isdigit() and int(version) < int(known):
            raise Expired(f"The cluster went back from version {known} to {version}.", "List again.")
        self._version = version or known

    def _set_state(self, state: StateName, sentence: str, attempt: int = 0, again: float = 0) -> None:
        with self._lock:
            if self._state.state == "stopped" or (self._stopping.is_set() and state != "stopped"):
                return
            since: datetime | None = self._state.since if self._state.state == state else now()
            changed = WatchState(state=state, sentence=sentence, attempt=attempt, again=again, since=since)
            same = changed == self._state
            self._state = changed
        if not same:
            self._notifier.changed()


def _key(item: msgspec.Struct) -> str:
    metadata: Metadata = item.metadata  # type: ignore[attr-defined]
    return metadata.uid or f"{metadata.namespace}/{metadata.name}"
