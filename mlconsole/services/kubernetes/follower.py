"""One workload that is rolled out, with all that tells how it gets on: its status, its new pods and their events."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec

from mlconsole.errors import Problem
from mlconsole.evidence.cluster import RolloutProgress, RolloutVerdict, WorkloadRef
from mlconsole.services.kubernetes import events as event_service
from mlconsole.services.kubernetes import logs
from mlconsole.services.kubernetes.diagnosis import (
    IMAGE_REASONS,
    START_REASONS,
    Diagnosis,
    refused_pods,
    why_not_ready,
    why_stuck,
)
from mlconsole.services.kubernetes.objects import Event, Pod, Workload
from mlconsole.services.kubernetes.problems import Forbidden, Unauthorized
from mlconsole.services.kubernetes.reflector import ResourceWatcher
from mlconsole.services.kubernetes.resources import EVENTS, PODS, REPLICA_SETS, WORKLOADS
from mlconsole.services.kubernetes.revisions import lacks_pods, newest_replica_set, pods_of_newest
from mlconsole.services.kubernetes.rollout_status import RolloutStatus, rollout_status

if TYPE_CHECKING:
    from mlconsole.services.kubernetes.connection import Connection

START_SECONDS = 3.0
"""That a container is not ready is told as a problem only after so long: at first none is."""

CAUSE_SECONDS = 2.0
"""For so long the cause of a failed rollout is waited for."""

LOG_LINES = 20
EVENT_LINES = 10

PATIENCE = {
    "InvalidImageName": 0.0,
    "ErrImageNeverPull": 0.0,
    **{reason: 8.0 for reason in IMAGE_REASONS if reason not in ("InvalidImageName", "ErrImageNeverPull")},
    "CreateContainerConfigError": 4.0,
    **dict.fromkeys(START_REASONS, 4.0),
    "QuotaExceeded": 5.0,
    "LimitRange": 5.0,
    "FailedCreate": 10.0,
    "Unschedulable": 20.0,
    "Paused": 2.0,
}
"""For how many seconds a cause has to last before a rollout is given up for it; others are waited for."""


class Follower:
    """One workload, with all that tells how it gets on."""

    def __init__(
        self, connection: Connection, workload: WorkloadRef, on_change: Callable[[], None], crash_limit: int
    ) -> None:
        self._connection = connection
        self._ref = workload
        self._crash_limit = crash_limit
        self._on_change = on_change
        self._started = time.monotonic()
        self._seen: dict[tuple[str, str], float] = {}
        self._reported: RolloutProgress | None = None
        self._known = False
        self._failed_at = 0.0
        self._workload: ResourceWatcher[Workload] = ResourceWatcher(
            lambda: connection,
            WORKLOADS[workload.kind],
            Workload,
            on_change,
            field_selector=f"metadata.name={workload.name}",
        )
        self._replica_sets: ResourceWatcher[Workload] | None = None
        self._pods: ResourceWatcher[Pod] | None = None
        self._events = ResourceWatcher(lambda: connection, EVENTS, Event, on_change)

    def start(self) -> None:
        self._workload.start()
        self._events.start()

    def stop(self) -> None:
        for watcher in (self._workload, self._replica_sets, self._pods, self._events):
            if watcher is not None:
                watcher.stop()

    def look(self, report: Callable[[RolloutProgress], None], late: bool, timeout: float) -> RolloutVerdict | None:
        """Judge the present state; None while the rollout goes on."""
        workload = self._present()
        if workload is None:
            return self._absent(report, late, timeout)
        self._known = True
        self._watch_pods(workload)
        status = rollout_status(workload)
        seen = self._workload.state
        if seen.state not in ("live", "connecting"):
            self._report(report, status, seen.sentence)
            return self._verdict(False, self._too_late(timeout), seen.sentence) if late else None
        if status.state == "done":
            self._report(report, status, "")
            return self._verdict(True, status.sentence)
        cause = self._cause(workload)
        self._report(report, status, cause.diagnosis.sentence if cause and self._worth_telling(cause) else "")
        if status.state == "failed":
            if cause is None and self._may_come():
                return None
            return self._failure(status.sentence, cause, workload)
        if cause is not None and self._final(cause):
            return self._failure(f"{self._title} will not roll out: {cause.diagnosis.sentence}", cause, workload)
        if late:
            return self._failure(self._too_late(timeout), cause, workload)
        return None

    def _may_come(self) -> bool:
        """Whether the cause of a failure may still be on its way: pods and events come by streams of their own."""
        moment = time.monotonic()
        self._failed_at = self._failed_at or moment
        return moment - self._failed_at < CAUSE_SECONDS

    @property
    def _title(self) -> str:
        return f"{self._ref.kind} {self._ref.name}"

    def _too_late(self, timeout: float) -> str:
        return f"{self._title} did not roll out within {timeout:.0f} s."

    def _present(self) -> Workload | None:
        found = next(iter(self._workload.objects().values()), None)
        if found is not None:
            found.kind = self._ref.kind
        return found

    def _absent(self, report: Callable[[RolloutProgress], None], late: bool, timeout: float) -> RolloutVerdict | None:
        state = self._workload.state
        if state.state == "forbidden":
            raise Forbidden(state.sentence)
        if state.state == "live" and (self._known or time.monotonic() - self._started > 2):
            return self._verdict(False, f"{self._title} is not there any more.", "It was deleted.")
        if late:
            return self._verdict(False, f"{self._title} could not be seen within {timeout:.0f} s.", state.sentence)
        if state.state not in ("connecting", "live"):
            self._report(report, RolloutStatus(sentence=f"Waiting for {self._title}."), state.sentence)
        return None

    def _watch_pods(self, workload: Workload) -> None:
        """Begin to watch replica sets and pods, once the selector is known."""
        if self._pods is not None or workload.spec.selector is None:
            return
        selector = workload.spec.selector.text()
        connect = self._same_connection
        if self._ref.kind in ("Deployment", "Rollout"):
            self._replica_sets = ResourceWatcher(connect, REPLICA_SETS, Workload, self._on_change, selector=selector)
            self._replica_sets.start()
        self._pods = ResourceWatcher(connect, PODS, Pod, self._on_change, selector=selector)
        self._pods.start()

    def _same_connection(self) -> Connection:
        return self._connection

    def _newest(self, workload: Workload) -> Workload | None:
        """The replica set of the present template."""
        sets = self._replica_sets.objects().values() if self._replica_sets is not None else ()
        return newest_replica_set(workload, sets)

    def _new_pods(self, workload: Workload) -> list[Pod]:
        """Pods of the newest revision."""
        pods = self._pods.objects().values() if self._pods is not None else ()
        return pods_of_newest(workload, self._newest(workload), pods)

    def _cause(self, workload: Workload) -> _Cause | None:
        """What keeps it from getting on: the gravest of what its new pods, and it itself, tell."""
        if workload.metadata.generation > workload.status.observed and self._ref.kind != "Job":
            return None
        events = list(self._events.objects().values())
        causes = []
        for pod in self._new_pods(workload):
            diagnosis = why_not_ready(pod, events)
            if diagnosis is not None:
                causes.append(_Cause(diagnosis=diagnosis, pod=pod))
        own = why_stuck(workload) or self._refused(workload, events)
        if own is not None and own.kind != "ProgressDeadlineExceeded":
            causes.append(_Cause(diagnosis=own, pod=None))
        self._remember(causes)
        return min(causes, key=lambda cause: (cause.diagnosis.heals, not cause.restarts), default=None)

    def _refused(self, workload: Workload, events: list[Event]) -> Diagnosis | None:
        """Why no pods are made, from the events of whatever makes them."""
        newest = self._newest(workload)
        maker = newest if newest is not None else workload
        if not lacks_pods(maker):
            return None
        own = [event for event in events if event.involved_object.uid == maker.metadata.uid]
        failed = [event for event in own if event.reason == "FailedCreate"]
        return refused_pods(event_service.in_time(failed)[-1].message) if failed else None

    def _remember(self, causes: list[_Cause]) -> None:
        """Keep since when each cause lasts; ErrImagePull and ImagePullBackOff take turns and count as one."""
        moment = time.monotonic()
        present = {cause.key for cause in causes}
        self._seen = {key: since for key, since in self._seen.items() if key in present}
        for key in present:
            self._seen.setdefault(key, moment)

    def _final(self, cause: _Cause) -> bool:
        """Whether a cause will not pass by itself."""
        kind = cause.diagnosis.kind
        if kind in ("CrashLoopBackOff", "OOMKilled", "Error"):
            return cause.restarts >= self._crash_limit and self._ref.kind != "Job"
        if kind not in PATIENCE:
            return False
        if kind == "Unschedulable" and self._scaling_up(cause.pod):
            return False
        return time.monotonic() - self._seen.get(cause.key, time.monotonic()) >= PATIENCE[kind]

    def _worth_telling(self, cause: _Cause) -> bool:
        """Whether a cause is more than a container that has just been started."""
        lasts = time.monotonic() - self._seen.get(cause.key, time.monotonic())
        return cause.diagnosis.kind != "Unhealthy" or lasts >= START_SECONDS

    def _scaling_up(self, pod: Pod | None) -> bool:
        """Whether an autoscaler has said that it adds a node for this pod."""
        return pod is not None and any(
            event.reason == "TriggeredScaleUp" and event.involved_object.uid == pod.metadata.uid
            for event in self._events.objects().values()
        )

    def _report(self, report: Callable[[RolloutProgress], None], status: RolloutStatus, problem: str) -> None:
        progress = RolloutProgress(
            workload=self._ref,
            sentence=status.sentence,
            wanted=status.wanted,
            updated=status.updated,
            ready=status.ready,
            available=status.available,
            problem=problem,
        )
        if progress != self._reported:
            self._reported = progress
            report(progress)

    def _failure(self, sentence: str, cause: _Cause | None, workload: Workload) -> RolloutVerdict:
        if cause is None:
            own = why_stuck(workload)
            return self._verdict(
                False,
                sentence,
                own.sentence if own else "The cluster gives no reason.",
                next_step=own.next_step if own else "Look at the pods of the new revision.",
                events=self._event_lines({workload.metadata.uid}),
            )
        pod = cause.pod
        where = f"{pod.metadata.name}: " if pod is not None else ""
        newest = self._newest(workload)
        about = {workload.metadata.uid, newest.metadata.uid if newest else ""}
        return self._verdict(
            False,
            sentence,
            where + cause.diagnosis.sentence,
            next_step=cause.diagnosis.next_step,
            log_tail=self._log_tail(pod, cause.diagnosis) if pod is not None else (),
            events=self._event_lines({pod.metadata.uid} if pod is not None else about),
        )

    def _verdict(
        self,
        succeeded: bool,
        sentence: str,
        reason: str = "",
        *,
        next_step: str = "",
        log_tail: tuple[str, ...] = (),
        events: tuple[str, ...] = (),
    ) -> RolloutVerdict:
        return RolloutVerdict(
            workload=self._ref,
            succeeded=succeeded,
            sentence=sentence,
            reason=reason,
            next_step=next_step,
            log_tail=log_tail,
            events=events,
            seconds=round(time.monotonic() - self._started, 3),
        )

    def _log_tail(self, pod: Pod, diagnosis: Diagnosis) -> tuple[str, ...]:
        """The last lines of the container that failed; of its previous run where that is the one that failed."""
        if not diagnosis.container or diagnosis.kind in IMAGE_REASONS or diagnosis.kind == "CreateContainerConfigError":
            return ()
        for previous in (True, False) if diagnosis.previous else (False, True):
            try:
                lines = logs.tail(
                    self._connection,
                    pod.metadata.namespace or self._connection.namespace,
                    pod.metadata.name,
                    container=diagnosis.container,
                    lines=LOG_LINES,
                    previous=previous,
                )
            except Unauthorized:
                raise
            except Problem:
                # The reason stands without the log: it may be forbidden, or gone with the pod.
                continue
            if lines:
                return lines
        return ()

    def _event_lines(self, uids: set[str]) -> tuple[str, ...]:
        found = [event for event in self._events.objects().values() if event.involved_object.uid in uids]
        warnings = [event for event in event_service.in_time(found) if event.type == "Warning"]
        return tuple(event_service.line(event_service.cluster_event(event)) for event in warnings[-EVENT_LINES:])


class _Cause(msgspec.Struct, frozen=True, kw_only=True):
    diagnosis: Diagnosis
    pod: Pod | None

    @property
    def key(self) -> tuple[str, str]:
        kind = "image" if self.diagnosis.kind in IMAGE_REASONS else self.diagnosis.kind
        return (self.pod.metadata.uid if self.pod is not None else "", kind)

    @property
    def restarts(self) -> int:
        if self.pod is None:
            return 0
        statuses = [*(self.pod.status.container_statuses or ()), *(self.pod.status.init_container_statuses or ())]
        return max((entry.restart_count for entry in statuses if entry.name == self.diagnosis.container), default=0)
