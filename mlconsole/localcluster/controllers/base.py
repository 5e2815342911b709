"""The loop that every controller runs: changed objects give keys, keys are reconciled, failures are tried again."""

from __future__ import annotations

import asyncio
import logging
from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import ClassVar

from mlconsole.localcluster.controllers.events import EventRecorder
from mlconsole.localcluster.controllers.objects import controller_of
from mlconsole.localcluster.store import Conflict, Event, Key, NotFound, Object, Store, Subscription

log = logging.getLogger(__name__)

FIRST_RETRY = 0.2
LONGEST_RETRY = 30.0
MANAGER = "kube-controller-manager"
"""Who is told to have written what controllers write."""


class WorkQueue:
    """Keys that wait to be reconciled, each at most once, each from its own moment on."""

    def __init__(self) -> None:
        self._due: dict[Key, float] = {}
        self._wake = asyncio.Event()

    def add(self, key: Key, delay: float = 0.0) -> None:
        """Asks for a key in ``delay`` seconds; the earlier of two wishes counts."""
        due = asyncio.get_running_loop().time() + delay
        if due < self._due.get(key, float("inf")):
            self._due[key] = due
            self._wake.set()

    async def take(self) -> Key:
        """Waits for the next key whose moment has come."""
        while True:
            now = asyncio.get_running_loop().time()
            key = min(self._due, key=self._due.__getitem__, default=None)
            if key is not None and self._due[key] <= now:
                del self._due[key]
                return key
            self._wake.clear()
            timeout = None if key is None else self._due[key] - now
            try:
                async with asyncio.timeout(timeout):
                    await self._wake.wait()
            except TimeoutError:
                continue


class Controller(ABC):
    """Brings the world nearer to what objects of one kind ask for.

    `reconcile` is plain synchronous code: nothing else acts on the store while it runs.
    """

    watches: ClassVar[tuple[str, ...]] = ()

    def __init__(self, store: Store, events: EventRecorder) -> None:
        self.store = store
        self.events = events
        self.queue = WorkQueue()
        self._failures: dict[Key, int] = {}

    @abstractmethod
    def keys(self, resource: str, event: Event) -> Iterable[Key]:
        """The keys (namespace, name) that a write to a watched resource concerns."""

    @abstractmethod
    def reconcile(self, key: Key) -> float | None:
        """Does what is missing for one key; returns in how many seconds to look again, None for no such wish."""

    async def run(self) -> None:
        """Runs until cancelled."""
        async with asyncio.TaskGroup() as group:
            for resource in self.watches:
                subscription = self.store.watch(resource)
                for obj in list(self.store.scan(resource)):
                    self._enqueue(resource, Event("ADDED", obj, None, self.store.version))
                group.create_task(self._follow(resource, subscription))
            while True:
                key = await self.queue.take()
                self._reconcile_safely(key)
                await asyncio.sleep(0)

    async def _follow(self, resource: str, subscription: Subscription) -> None:
        async for event in subscription:
            self._enqueue(resource, event)

    def _enqueue(self, resource: str, event: Event) -> None:
        try:
            for key in self.keys(resource, event):
                self.queue.add(key)
        except Exception:
            log.exception("%s can't read a changed object of %s", type(self).__name__, resource)

    def _reconcile_safely(self, key: Key) -> None:
        try:
            again = self.reconcile(key)
        except (Conflict, NotFound):
            again = self._retry_delay(key)
        except Exception:
            again = self._retry_delay(key)
            log.exception("%s failed for %s; trying again in %.1f s", type(self).__name__, "/".join(key), again)
        else:
            self._failures.pop(key, None)
        if again is not None:
            self.queue.add(key, again)

    def _retry_delay(self, key: Key) -> float:
        failures = self._failures[key] = self._failures.get(key, 0) + 1
        return float(min(LONGEST_RETRY, FIRST_RETRY * 2 ** min(failures - 1, 12)))

    def write_status(self, resource: str, obj: Object) -> Object:
        """Stores the status of `obj`; raises NotFound, and Conflict where the object was changed meanwhile."""
        return self.store.update(resource, obj, status=True, manager=MANAGER)

    def find(self, resource: str, key: Key) -> Object | None:
        """A copy of the object, None where it is gone."""
        try:
            return self.store.get(resource, *key)
        except NotFound:
            return None


def owner_key(obj: Object, kind: str) -> list[Key]:
    """The key of the managing controller of ``obj``, where that is of this kind."""
    reference = controller_of(obj)
    if reference is None or reference["kind"] != kind:
        return []
    return [(obj["metadata"].get("namespace") or "", reference["name"])]
