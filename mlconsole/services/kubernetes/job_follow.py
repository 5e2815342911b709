"""Follows a Job, JobSet or TrainJob to its end: how it stands, and every line that its pods print, as they print it.

The cluster may be out of reach for any time: watches and logs are taken up where they were.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from mlconsole.errors import Cancelled, OutsideFailed, Problem
from mlconsole.evidence.base import Record
from mlconsole.services.kubernetes import kueue, logs
from mlconsole.services.kubernetes.job_log import JobLog
from mlconsole.services.kubernetes.jobs import (
    POD_LABELS,
    Job,
    JobState,
    container_of,
    ended_of,
    has_begun,
    how_ended,
    in_order,
    state_of,
)
from mlconsole.services.kubernetes.logs import Position, Stamp
from mlconsole.services.kubernetes.objects import Event, ObjectList, Pod
from mlconsole.services.kubernetes.problems import (
    Forbidden,
    NotFound,
    ServerFailed,
    TooManyRequests,
    Unreachable,
    decode,
)
from mlconsole.services.kubernetes.reflector import ResourceWatcher
from mlconsole.services.kubernetes.resources import EVENTS, PODS, Resource

if TYPE_CHECKING:
    from mlconsole.services.kubernetes.connection import Connection

PASSING = (Unreachable, ServerFailed, TooManyRequests)
LOOK_SECONDS = 0.25
RETRY_SECONDS = 1.0
QUEUE_SECONDS = 5.0
ABSENT_SECONDS = 5.0
PATIENCE_SECONDS = 60.0
"""For so long a cause that will hardly pass, such as an image that can't be pulled, is waited for."""

READS = 2
"""A log is read once more when its container has ended: the first stream may have been cut off just before that."""

MOST_LINES = 10_000
MOST_PODS = 50


class JobRef(Record, frozen=True, kw_only=True):
    """A Job, JobSet or TrainJob of the cluster."""

    resource: Resource
    name: str
    uid: str
    queue: str = ""

    @property
    def title(self) -> str:
        """`Job ml-model-train-7-a1b2c3`."""
        return f"{self.resource.kind} {self.name}"

    @property
    def selector(self) -> str:
        """The labels of its pods."""
        return f"{POD_LABELS.get(self.resource.kind, 'job-name')}={self.name}"


class JobEnd(Record, frozen=True, kw_only=True):
    """How a Job ended.

    `exit_code` is that of the last pod's first container, where one ended, and `message` what it left as its
    termination message; `state` the Job's own last words, `cause` how its last pod ended, in a sentence.
    """

    succeeded: bool
    state: JobState
    reason: str = ""
    cause: str = ""
    exit_code: int | None = None
    message: str = ""


class JobGone(OutsideFailed):
    """A Job was deleted while it was followed."""


class JobStuck(OutsideFailed):
    """A Job's pods can't start, and that will not pass by itself."""


class _Line(NamedTuple):
    uid: str
    stamp: Stamp
    text: str


class JobFollower:
    """Follows one Job.

    Args:
        connection: to its cluster and namespace.
        ref: the Job.
        log: takes the lines.
        report: called with each state that differs from the one before.
        note: called with a sentence where the cluster is out of reach, and is back.
        cancelled: once set, `run` raises Cancelled within moments.
        look: called a few times a second, after the lines that came meanwhile.
        together: its pods run at the same time: their lines are taken as they come, and the first one's are read on.
    """

    def __init__(
        self,
        connection: Connection,
        ref: JobRef,
        log: JobLog,
        *,
        report: Callable[[JobState], None],
        note: Callable[[str], None],
        cancelled: threading.Event,
        look: Callable[[], None] = lambda: None,
        together: bool = False,
    ) -> None:
        self._connection, self._ref, self._log = connection, ref, log
        self._report, self._note, self._cancelled, self._together = report, note, cancelled, together
        self._on_look = look
        self._lines: queue.Queue[_Line | None] = queue.Queue(MOST_LINES)
        self._stopping = threading.Event()
        self._readers: dict[str, threading.Thread] = {}
        self._state: JobState | None = None
        self._queued, self._asked_at = "", 0.0
        self._lasting, self._lasts_since = "", 0.0
        self._began, self._seen = time.monotonic(), False
        self._away = ""
        connect = self._same_connection
        self._jobs: ResourceWatcher[Job] = ResourceWatcher(
            connect, ref.resource, Job, self._wake, field_selector=f"metadata.name={ref.name}"
        )
        self._pods: ResourceWatcher[Pod] = ResourceWatcher(connect, PODS, Pod, self._wake, selector=ref.selector)
        self._events: ResourceWatcher[Event] = ResourceWatcher(connect, EVENTS, Event, self._wake)

    def run(self) -> JobEnd:
        """Follow it to its end.

        Raises:
            Cancelled: `cancelled` was set; the Job goes on.
            JobGone: somebody deleted it.
            JobStuck: its pods can't start.
            Forbidden: it may not be looked at.
        """
        watchers = (self._jobs, self._pods, self._events)
        try:
            for watcher in watchers:
                watcher.start()
            while True:
                if self._cancelled.is_set():
                    raise Cancelled("The training is no longer followed.")
                self._drain()
                self._on_look()
                end = self._look()
                if end is not None:
                    return end
        finally:
            self._stopping.set()
            for watcher in watchers:
                watcher.stop()

    def _same_connection(self) -> Connection:
        return self._connection

    def _wake(self) -> None:
        try:
            self._lines.put_nowait(None)
        except queue.Full:
            return

    def _drain(self) -> None:
        """Take the lines that are there; wait a moment where there are none."""
        until = time.monotonic() + LOOK_SECONDS
        while (left := until - time.monotonic()) > 0 and not self._cancelled.is_set():
            try:
                line = self._lines.get(timeout=min(left, 0.05))
            except queue.Empty:
                self._log.flush()
                continue
            if line is None:
                return
            self._log.take(*line)

    def _look(self) -> JobEnd | None:
        self._tell_reach()
        job = next((found for found in self._jobs.objects().values() if found.metadata.uid == self._ref.uid), None)
        if job is None:
            self._absent()
            return None
        self._seen = True
        pods = self._all_pods() if job.is_final else list(self._pods.objects().values())
        if pods is None:
            return None
        unread = self._read(pods)
        state = state_of(job, pods, list(self._events.objects().values()), self._ask_queue(job))
        if state != self._state:
            self._state = state
            self._report(state)
        self._lose_patience(state)
        if not job.is_final or unread or not self._lines.empty():
            return None
        return _end_of(job, pods, state)

    def _absent(self) -> None:
        state = self._jobs.state
        if state.state == "forbidden" and not self._seen:
            raise Forbidden(state.sentence)
        live = state.state == "live"
        if live and (self._seen or time.monotonic() - self._began > ABSENT_SECONDS):
            raise JobGone(f"{self._ref.title} was deleted.", "Release again, or find out who deleted it.")

    def _tell_reach(self) -> None:
        """Say once that the cluster is out of reach, and once that it is back."""
        state = self._jobs.state
        away = state.sentence if state.state in ("offline", "stale", "forbidden") else ""
        if away and not self._away:
            self._note(f"{away} The training goes on there.")
            self._away = away
        elif self._away and state.state == "live":
            self._note("The cluster answers again.")
            self._away = ""

    def _ask_queue(self, job: Job) -> str:
        """What the queue says, asked now and then while it holds the Job back."""
        if not job.is_suspended or job.is_final:
            self._queued = ""
        elif time.monotonic() - self._asked_at > QUEUE_SECONDS or not self._queued:
            self._asked_at = time.monotonic()
            try:
                self._queued = kueue.look(self._connection, self._ref.uid, self._ref.queue)
            except PASSING:
                return self._queued
        return self._queued

    def _lose_patience(self, state: JobState) -> None:
        moment = time.monotonic()
        if state.lasting != self._lasting or not state.lasting:
            self._lasting, self._lasts_since = state.lasting, moment
        elif moment - self._lasts_since > PATIENCE_SECONDS:
            raise JobStuck(f"{self._ref.title} can't start: {state.sentence}", state.next_step)

    def _all_pods(self) -> list[Pod] | None:
        """The pods as the cluster has them now, None where it can't be asked: their watch may be behind the Job's."""
        query = {"labelSelector": self._ref.selector}
        try:
            answer = self._connection.request("GET", PODS.path(self._connection.namespace), query=query)
        except PASSING:
            return None
        return list(decode(answer, ObjectList[Pod]).items or ())

    def _read(self, pods: Sequence[Pod]) -> bool:
        """Begin to read pods that have something to say; says whether one is not read to its end."""
        unread = False
        for pod in in_order(pods):
            uid = pod.metadata.uid
            known = self._log.pods.get(uid)
            if known is not None and known.is_done:
                continue
            reader = self._readers.get(uid)
            if reader is None and has_begun(pod) and len(self._readers) < MOST_PODS:
                reader = self._start(pod)
            if reader is None:
                continue
            if not reader.is_alive() and self._lines.empty():
                self._log.end(uid)
                continue
            unread = True
            if not self._together:
                # the lines of the next one come after all of this one's
                break
        return unread

    def _start(self, pod: Pod) -> threading.Thread:
        uid, name = pod.metadata.uid, pod.metadata.name
        begun = self._log.begin(uid, name)
        position = msgspec.json.decode(msgspec.json.encode(begun.position), type=Position)
        reader = threading.Thread(target=self._follow, args=(uid, name, position), name=f"log-{name}", daemon=True)
        self._readers[uid] = reader
        reader.start()
        return reader

    def _follow(self, uid: str, name: str, position: Position) -> None:
        """Read a pod's log to its end, however often the cluster goes away meanwhile; in a thread of its own."""
        times = 0
        while times < READS and not self._stopping.is_set():
            try:
                logs.follow(
                    self._connection,
                    self._connection.namespace,
                    name,
                    on_stamped=lambda stamp, text: self._hand_over(_Line(uid, stamp, text)),
                    cancelled=self._stopping,
                    position=position,
                )
                times += 1
            except NotFound:
                return
            except PASSING:
                self._stopping.wait(RETRY_SECONDS)
            except Problem as problem:
                self._hand_over(_Line(uid, position.last, f"── {problem.sentence}"))
                return

    def _hand_over(self, line: _Line) -> None:
        while not self._stopping.is_set():
            try:
                self._lines.put(line, timeout=0.1)
                return
            except queue.Full:
                continue


def _end_of(job: Job, pods: Sequence[Pod], state: JobState) -> JobEnd:
    last = next((pod for pod in reversed(in_order(pods)) if has_begun(pod) or pod.status.phase == "Failed"), None)
    ended = ended_of(container_of(last)) if last is not None else None
    failed = job.holds("Failed")
    return JobEnd(
        succeeded=job.is_complete,
        state=state,
        reason=failed.reason if failed is not None else "",
        cause=how_ended(last) if last is not None else "",
        exit_code=ended.exit_code if ended is not None else None,
        message=ended.message if ended is not None else "",
    )
