"""Watches on after a rollout: "successfully rolled out" is also said of a pod that is killed a second later."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from mlconsole.errors import Cancelled
from mlconsole.evidence.base import now
from mlconsole.evidence.cluster import (
    ClusterEvent,
    ClusterTarget,
    PodRow,
    PodsEvidence,
    PodsSnapshot,
    ServiceAddress,
)
from mlconsole.services.kubernetes.diagnosis import Diagnosis, why_not_ready, why_restarted
from mlconsole.services.kubernetes.events import cluster_event, in_time, times
from mlconsole.services.kubernetes.objects import ObjectList, Pod, Service
from mlconsole.services.kubernetes.problems import Forbidden, NotFound, Unreachable, decode
from mlconsole.services.kubernetes.resources import SERVICES
from mlconsole.services.kubernetes.rows import model_of
from mlconsole.services.kubernetes.watch import PodWatcher
from mlconsole.text import clean_line

if TYPE_CHECKING:
    from mlconsole.services.kubernetes.connection import Connection

ADDRESS_ANNOTATION = "local.mlconsole.dev/address"
ARRIVAL_SECONDS = 120.0
YOUNG = timedelta(minutes=10)
"""A pod no older than this was made for this release: all of its restarts count."""

TICK_SECONDS = 0.2
ANSWER_SECONDS = 1.0


def settle(
    connection: Connection,
    target: ClusterTarget,
    *,
    version: str,
    wanted: int,
    seconds: float,
    report: Callable[[PodsSnapshot], None],
    cancelled: threading.Event,
    arrival: float = ARRIVAL_SECONDS,
) -> PodsEvidence:
    """Wait until only pods of `version` are left and `wanted` of them are ready, then watch on for `seconds`.

    Args:
        connection: to the target's cluster and namespace.
        target: its selector says which pods.
        version: the model version, as the pods' annotation has it.
        wanted: how many pods have to serve.
        seconds: how long to watch on.
        report: called in this thread with each new snapshot.
        cancelled: once set, this raises Cancelled.
        arrival: seconds after which the waiting ends without them.

    Returns:
        What was seen. `serving` is the lowest number of pods that served while it settled; `restarts` are those
        while it settled, and earlier ones of pods that were made for this release; `settled` is 0 where the pods
        never got ready.

    Raises:
        Cancelled: see above.
        Forbidden: pods may not be listed.
        Unreachable: the cluster could not be seen at the end.
    """
    return _Settling(connection, target, version, wanted, report, cancelled).run(seconds, arrival)


class _Settling:
    def __init__(
        self,
        connection: Connection,
        target: ClusterTarget,
        version: str,
        wanted: int,
        report: Callable[[PodsSnapshot], None],
        cancelled: threading.Event,
    ) -> None:
        self._connection, self._target = connection, target
        self._version, self._wanted = version, wanted
        self._report, self._cancelled = report, cancelled
        self._changed = threading.Event()
        self._watcher = PodWatcher(self._connect, target.selector, self._changed.set, with_events=True)
        self._started_at = now()
        self._first_restarts: dict[str, int] = {}
        self._restarts: dict[str, int] = {}
        self._told: dict[tuple[str, str], ClusterEvent] = {}
        self._counted: dict[str, int] | None = None
        self._reported: PodsSnapshot | None = None
        self._settling = False
        # Pods of Jobs, and evicted ones, stay listed for long; they serve nothing and need not go.
        self._finished: set[str] = set()

    def run(self, seconds: float, arrival: float) -> PodsEvidence:
        self._watcher.start()
        try:
            snapshot = self._arrive(seconds, arrival)
            if not self._arrived(snapshot):
                return self._evidence(snapshot, self._serving(snapshot), 0)
            lowest = self._serving(snapshot)
            began = time.monotonic()
            # What can't be seen at the end is waited for, as long as for the arrival: silence is no health.
            while (waited := time.monotonic() - began) < seconds or not _live(snapshot):
                if waited > seconds + arrival:
                    raise Unreachable(snapshot.watch.sentence, "What the pods do is not known; look again later.")
                snapshot = self._next()
                if _live(snapshot):
                    lowest = min(lowest, self._serving(snapshot))
            return self._evidence(snapshot, lowest, time.monotonic() - began)
        finally:
            self._watcher.stop()

    def _arrive(self, seconds: float, arrival: float) -> PodsSnapshot:
        """Wait for the pods; gives up after `arrival` seconds, or sooner where they restart."""
        began = time.monotonic()
        snapshot = self._look()
        while not self._arrived(snapshot):
            waited = time.monotonic() - began
            if waited > arrival or (any(self._restarts.values()) and waited > seconds):
                if not _live(snapshot):
                    raise Unreachable(snapshot.watch.sentence, "What the pods do is not known; look again later.")
                break
            snapshot = self._next()
        self._settling = True
        return self._look()

    def _connect(self) -> Connection:
        return self._connection

    def _next(self) -> PodsSnapshot:
        until = time.monotonic() + TICK_SECONDS
        while not self._changed.wait(0.05) and time.monotonic() < until:
            if self._cancelled.is_set():
                raise Cancelled("The pods are no longer watched.", "They go on in the cluster.")
        self._changed.clear()
        if self._cancelled.is_set():
            raise Cancelled("The pods are no longer watched.", "They go on in the cluster.")
        return self._look()

    def _look(self) -> PodsSnapshot:
        snapshot = self._watcher.snapshot()
        if snapshot.watch.state == "forbidden":
            raise Forbidden(snapshot.watch.sentence)
        self._note_pods(self._watcher.pods().values())
        self._note_events()
        if self._reported is None or (snapshot.rows, snapshot.watch) != (self._reported.rows, self._reported.watch):
            self._reported = snapshot
            self._report(snapshot)
        return snapshot

    def _note_pods(self, pods: Iterable[Pod]) -> None:
        self._finished = set()
        for pod in pods:
            if pod.status.phase in ("Succeeded", "Failed"):
                self._finished.add(pod.metadata.uid)
            if not self._ours(model_of(pod)[0]) or pod.metadata.deletion_timestamp is not None:
                continue
            uid = pod.metadata.uid
            made = pod.metadata.creation_timestamp
            young = made is not None and self._started_at - made < YOUNG
            first = self._first_restarts.setdefault(uid, 0 if young else pod.restart_count)
            self._restarts[uid] = max(pod.restart_count - first, 0)
            if self._restarts[uid]:
                self._tell(pod, why_restarted(pod))
            diagnosis = why_not_ready(pod)
            if diagnosis is not None and (self._settling or not diagnosis.heals):
                self._tell(pod, diagnosis)

    def _tell(self, pod: Pod, diagnosis: Diagnosis | None) -> None:
        """Keep what a pod has suffered, as an event: the cluster itself makes none of an OOM kill, for one."""
        if diagnosis is None:
            return
        found = ClusterEvent(
            type="Warning",
            reason=diagnosis.kind,
            message=diagnosis.sentence,
            object=f"pod/{clean_line(pod.metadata.name)}",
            at=now().replace(microsecond=0),
        )
        self._told.setdefault((pod.metadata.uid, diagnosis.kind), found)

    def _note_events(self) -> None:
        """Remember how often each event had been seen at the start: only what comes on top counts."""
        found = self._watcher.warnings() if self._counted is None else None
        if found is not None:
            self._counted = {uid: times(event) for uid, event in found.items()}

    def _ours(self, version: str) -> bool:
        """An annotation has the whole label; the environment variable has only the tag."""
        return version == self._version or (bool(version) and version == self._version.rpartition("@")[2])

    def _serves(self, row: PodRow) -> bool:
        return row.is_ready and self._ours(row.version)

    def _serving(self, snapshot: PodsSnapshot) -> int:
        return sum(self._serves(row) for row in snapshot.rows)

    def _arrived(self, snapshot: PodsSnapshot) -> bool:
        return (
            _live(snapshot)
            and all(
                self._ours(row.version) and not row.deleting for row in snapshot.rows if row.uid not in self._finished
            )
            and self._serving(snapshot) >= self._wanted
        )

    def _evidence(self, snapshot: PodsSnapshot, serving: int, settled: float) -> PodsEvidence:
        return PodsEvidence(
            target=self._target,
            version=self._version,
            rows=snapshot.rows,
            wanted=self._wanted,
            serving=serving,
            settled=round(settled, 3),
            restarts=sum(self._restarts.values()),
            events=self._new_events(),
            services=addresses(self._connection, self._watcher.pods().values()),
        )

    def _new_events(self) -> tuple[ClusterEvent, ...]:
        counted = self._counted or {}
        found = [
            event
            for uid, event in (self._watcher.warnings() or {}).items()
            if event.type == "Warning"
            and event.involved_object.uid in self._first_restarts
            and times(event) > counted.get(uid, 0)
        ]
        # A probe that fails while a container starts is no finding; what lasts is in `_told`.
        unready = {uid for uid, kind in self._told if kind == "Unhealthy"}
        kept = [event for event in found if event.reason != "Unhealthy" or event.involved_object.uid in unready]
        return (*self._told.values(), *(cluster_event(event) for event in in_time(kept)))


def _live(snapshot: PodsSnapshot) -> bool:
    return snapshot.watch.state == "live"


def addresses(connection: Connection, pods: Iterable[Pod]) -> tuple[ServiceAddress, ...]:
    """Return where services that send to these pods answer from this machine; others are left out."""
    labels = [pod.metadata.labels or {} for pod in pods]
    try:
        data = connection.request("GET", SERVICES.path(connection.namespace), query={"limit": "500"})
    except (Forbidden, NotFound):
        return ()
    found = []
    for service in decode(data, ObjectList[Service]).items or ():
        selector = service.spec.selector
        if not selector or not any(selector.items() <= own.items() for own in labels):
            continue
        url = next((url for url in _urls(service) if _answers(url)), "")
        if url:
            found.append(ServiceAddress(name=clean_line(service.metadata.name), url=url))
    return tuple(found)


def _urls(service: Service) -> list[str]:
    local = (service.metadata.annotations or {}).get(ADDRESS_ANNOTATION, "")
    urls = [f"http://{local}"] if local else []
    ports = service.spec.ports or []
    for ingress in service.status.load_balancer.ingress or ():
        host = ingress.hostname or ingress.ip
        host = f"[{host}]" if ":" in host else host
        urls.extend(f"{'https' if port.port == 443 else 'http'}://{host}:{port.port}" for port in ports if host)
    return urls


def _answers(url: str) -> bool:
    try:
        parts = urlsplit(url)
        with socket.create_connection((parts.hostname or "", parts.port or 80), timeout=ANSWER_SECONDS):
            return True
    except (OSError, ValueError):
        return False
