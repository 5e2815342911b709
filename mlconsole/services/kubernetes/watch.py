"""The pods that match a selector, as rows that are always as fresh as the cluster lets them be."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

from mlconsole.evidence.base import now
from mlconsole.evidence.cluster import ClusterTarget, PodRow, PodsSnapshot
from mlconsole.services.kubernetes.objects import Event, Pod
from mlconsole.services.kubernetes.pace import Pace
from mlconsole.services.kubernetes.problems import NoCluster
from mlconsole.services.kubernetes.reflector import ResourceWatcher
from mlconsole.services.kubernetes.resources import EVENTS, PODS
from mlconsole.services.kubernetes.rows import pod_row, with_restarts

if TYPE_CHECKING:
    from mlconsole.services.kubernetes.connection import Connection

__all__ = ["PodWatcher", "ResourceWatcher"]


WARNINGS = "type=Warning,involvedObject.kind=Pod"


class _Kept(NamedTuple):
    """A row, and what it was made from."""

    pod: Pod
    events: tuple[Event, ...]
    moment: datetime
    row: PodRow


class PodWatcher:
    """Follows pods; never raises: what goes wrong is in the snapshot's `watch`.

    Args:
        connect: opens the connection, whose context and namespace count; it may raise a Problem.
        selector: the pods' labels; all pods of the namespace where empty.
        on_change: called at most ten times a second, in a thread of the watcher's; it must not raise.
        pace: how long it waits for what.
        with_events: watch the pods' warnings, too, for the text of a failing health check in a row's reason. Where
            they may not be seen, rows do without.
    """

    def __init__(
        self,
        connect: Callable[[], Connection],
        selector: str,
        on_change: Callable[[], None],
        *,
        pace: Pace | None = None,
        with_events: bool = False,
    ) -> None:
        self._selector = selector
        self._on_change = on_change
        self._watcher = ResourceWatcher(connect, PODS, Pod, self._changed, selector=selector, pace=pace)
        self._events: ResourceWatcher[Event] | None = None
        if with_events:
            self._events = ResourceWatcher(
                self._same_connection, EVENTS, Event, on_change, field_selector=WARNINGS, pace=pace
            )
        self._has_events_started = False
        self._is_stopped = False
        self._lock = threading.Lock()
        self._rows: dict[str, _Kept] = {}
        self._target = ClusterTarget(context="", namespace="", selector=selector)

    def start(self) -> None:
        """Begin; returns at once."""
        self._watcher.start()

    def stop(self) -> None:
        """End within 50 ms."""
        with self._lock:
            self._is_stopped = True
            events = self._events if self._has_events_started else None
        self._watcher.stop()
        if events is not None:
            events.stop()

    def snapshot(self) -> PodsSnapshot:
        """All pods as they are known now. Cheap: only the rows of pods that changed are made anew."""
        watch = self._watcher.state
        moment = now().replace(microsecond=0)
        with self._lock:
            rows = self._fresh_rows(moment)
            connection = self._watcher.connection
            if connection is not None:
                self._target = connection.target(self._selector)
            return PodsSnapshot(target=self._target, rows=rows, watch=watch, at=moment)

    def pods(self) -> dict[str, Pod]:
        """The pods themselves, by uid."""
        return self._watcher.objects()

    def warnings(self) -> dict[str, Event] | None:
        """The pods' warnings by uid, or None as long as they can't be seen."""
        if self._events is None or self._events.state.state != "live":
            return None
        return self._events.objects()

    def _changed(self) -> None:
        """Begin with the events once there is a connection to share."""
        if self._events is not None and self._watcher.connection is not None:
            with self._lock:
                starts = not (self._has_events_started or self._is_stopped)
                self._has_events_started = self._has_events_started or starts
            if starts:
                self._events.start()
        self._on_change()

    def _same_connection(self) -> Connection:
        connection = self._watcher.connection
        if connection is None:
            raise NoCluster("There is no connection to the cluster at the moment.")
        return connection

    def _fresh_rows(self, moment: datetime) -> tuple[PodRow, ...]:
        fresh: dict[str, _Kept] = {}
        warnings = self._warnings_by_pod()
        for uid, pod in self._watcher.objects().items():
            kept = self._rows.get(uid)
            events = warnings.get(uid, ())
            if kept is None or kept.pod is not pod or kept.events != events:
                kept = _Kept(pod, events, moment, pod_row(pod, moment, events))
            elif kept.row.restart_count and kept.moment != moment:
                # `2 (5m ago)` grows old by itself; nothing else in a row does.
                kept = _Kept(pod, events, moment, with_restarts(kept.row, pod, moment))
            fresh[uid] = kept
        self._rows = fresh
        return tuple(sorted((kept.row for kept in fresh.values()), key=lambda row: (row.name, row.uid)))

    def _warnings_by_pod(self) -> dict[str, tuple[Event, ...]]:
        found: dict[str, tuple[Event, ...]] = {}
        if self._events is not None:
            for event in self._events.objects().values():
                uid = event.involved_object.uid
                found[uid] = (*found.get(uid, ()), event)
        return found
