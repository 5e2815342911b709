"""The pods that match a selector, as rows that are always as fresh as the cluster lets them be."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING

from mlconsole.evidence.base import now
from mlconsole.evidence.cluster import ClusterTarget, PodRow, PodsSnapshot
from mlconsole.services.kubernetes.objects import Pod
from mlconsole.services.kubernetes.pace import Pace
from mlconsole.services.kubernetes.reflector import ResourceWatcher
from mlconsole.services.kubernetes.resources import PODS
from mlconsole.services.kubernetes.rows import pod_row, with_restarts

if TYPE_CHECKING:
    from mlconsole.services.kubernetes.connection import Connection

__all__ = ["PodWatcher", "ResourceWatcher"]


class PodWatcher:
    """Follows pods; never raises: what goes wrong is in the snapshot's `watch`.

    Args:
        connect: opens the connection, whose context and namespace count; it may raise a Problem.
        selector: the pods' labels; all pods of the namespace where empty.
        on_change: called at most ten times a second, in a thread of the watcher's; it must not raise.
        pace: how long it waits for what.
    """

    def __init__(
        self,
        connect: Callable[[], Connection],
        selector: str,
        on_change: Callable[[], None],
        *,
        pace: Pace | None = None,
    ) -> None:
        self._selector = selector
        self._watcher = ResourceWatcher(connect, PODS, Pod, on_change, selector=selector, pace=pace)
        self._lock = threading.Lock()
        self._rows: dict[str, tuple[Pod, datetime, PodRow]] = {}
        self._target = ClusterTarget(context="", namespace="", selector=selector)

    def start(self) -> None:
        """Begin; returns at once."""
        self._watcher.start()

    def stop(self) -> None:
        """End within 50 ms."""
        self._watcher.stop()

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

    def _fresh_rows(self, moment: datetime) -> tuple[PodRow, ...]:
        fresh: dict[str, tuple[Pod, datetime, PodRow]] = {}
        for uid, pod in self._watcher.objects().items():
            kept = self._rows.get(uid)
            if kept is None or kept[0] is not pod:
                kept = (pod, moment, pod_row(pod, moment))
            elif kept[2].restart_count and kept[1] != moment:
                # `2 (5m ago)` grows old by itself; nothing else in a row does.
                kept = (pod, moment, with_restarts(kept[2], pod, moment))
            fresh[uid] = kept
        self._rows = fresh
        return tuple(sorted((row for _, _, row in fresh.values()), key=lambda row: (row.name, row.uid)))
