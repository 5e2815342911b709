"""Where logs come from: a file, one pod, all pods, or what a release says of a stage. Each works beside the screen."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Protocol

from textual.message import Message

from mlconsole.console.background import Post, Ticker
from mlconsole.console.log_ask import PodAsk
from mlconsole.console.log_feed import told_lines
from mlconsole.console.log_file import FileLines
from mlconsole.console.log_lines import Buffer, Line, LogLines
from mlconsole.console.log_spool import Spool
from mlconsole.console.messages import Faulted
from mlconsole.console.story import Story
from mlconsole.evidence.base import StageName
from mlconsole.services.kubernetes.containers import ALL

if TYPE_CHECKING:
    from mlconsole.services.kubernetes.connection import Connection
    from mlconsole.services.kubernetes.logs import Stamp
    from mlconsole.services.kubernetes.merged_logs import LogLine, MergedLogs

FILE_SECONDS = 0.2
BATCH_SECONDS = 0.05
MOST_WAITING = 2_000
MOST_BEFORE = 1_000_000
"""Of a run before the last restart, so many lines at most."""
ENDED = "── The log has ended."


class LogMoved(Message):
    """A log has more lines; `fresh`: those before are of another log."""

    def __init__(self, source: LogSource, fresh: bool = False) -> None:
        super().__init__()
        self.source = source
        self.fresh = fresh


class LogSource(Protocol):
    """A log that is followed from `start` to `stop`."""

    is_of_pods: ClassVar[bool]
    """Whether since, previous, container and timestamps say anything to it."""

    @property
    def part(self) -> str:
        """Which of a pod's containers it is, where there are several: `server, 1 of 3 containers`."""

    @property
    def lines(self) -> LogLines:
        """The lines that are known so far."""

    def start(self, post: Post) -> None:
        """Begin to follow; messages go to `post`."""

    def stop(self) -> None:
        """End; waits for nothing."""


class FileLog:
    """A file as it grows, all of it."""

    is_of_pods: ClassVar[bool] = False
    part = ""

    def __init__(self, path: Path) -> None:
        self.lines = FileLines(path)
        self._fresh = 0
        self._end = -1
        self._stopped = threading.Event()

    def start(self, post: Post) -> None:
        """Begin to count its lines."""

        def told() -> None:
            fresh, end = self.lines.fresh, self.lines.end
            if (fresh, end) != (self._fresh, self._end):
                post(LogMoved(self, fresh=fresh != self._fresh))
                self._fresh, self._end = fresh, end

        self._ticker = Ticker(
            "log-file", lambda: self.lines.index(told, self._stopped), FILE_SECONDS, lambda e: _fault(post, e)
        )
        self._ticker.start()

    def stop(self) -> None:
        """End following."""
        self._stopped.set()
        self._ticker.stop()


class StoryLog:
    """What a release says of one of its stages, for stages whose work prints nothing itself."""

    is_of_pods: ClassVar[bool] = False
    part = ""

    def __init__(self, stage: StageName, story: Callable[[], Story]) -> None:
        self.lines = Buffer()
        self._stage: StageName = stage
        self._story = story
        self._seen: datetime | None = None

    def start(self, post: Post) -> None:
        """Begin to look at what is told."""
        self._post = post
        self._ticker = Ticker("story", self._step, FILE_SECONDS, lambda error: _fault(post, error))
        self._ticker.start()

    def _step(self) -> None:
        found = [told for told in self._story().happenings if told.stage == self._stage]
        fresh = [told for told in found if self._seen is None or told.at > self._seen]
        if fresh:
            self._seen = fresh[-1].at
            self.lines.add(Line(text, at=told.at.timestamp()) for told in fresh for text in told_lines(told))
            self._post(LogMoved(self))

    def stop(self) -> None:
        """End following."""
        self._ticker.stop()


class PodLog:
    """One pod's log, or that of one of its containers or of all, followed through restarts; or, `previous`, that of the
    run before the last restart."""

    is_of_pods: ClassVar[bool] = True

    def __init__(self, connect: Callable[[], Connection], namespace: str, pod: str, ask: PodAsk) -> None:
        self.lines = Spool()
        self.part = ""
        self._connect, self._namespace, self._pod, self._ask = connect, namespace, pod, ask
        self._cancelled = threading.Event()
        self._batch = _Batch(self)

    def start(self, post: Post) -> None:
        """Begin to follow."""
        self._batch.start(post)
        threading.Thread(target=self._work, args=(post,), name=f"console-log-{self._pod}", daemon=True).start()

    def _work(self, post: Post) -> None:
        try:
            with contextlib.closing(self._connect()) as connection:
                names = self._find_containers(connection, post)
                said = self._before(connection) if self._ask.previous else self._follow(connection, names)
            self._batch.take([Line(said)])
        except Exception as error:  # noqa: BLE001 - the reason is shown in place of the log
            if not self._cancelled.is_set():
                _fault(post, error)

    def _find_containers(self, connection: Connection, post: Post) -> Sequence[str]:
        """The names of all containers; where there are several, the screen is told."""
        from mlconsole.services.kubernetes.containers import containers_of

        found = containers_of(connection, self._namespace, self._pod)
        if len(found) > 1 and not self._cancelled.is_set():
            name = self._ask.container or next((one.name for one in found if one.is_default), "")
            self.part = f"all {len(found)} containers" if name == ALL else f"{name}, 1 of {len(found)} containers"
            post(LogMoved(self))
        return [one.name for one in found]

    def _follow(self, connection: Connection, names: Sequence[str]) -> str:
        if self._ask.container == ALL:
            from mlconsole.services.kubernetes.merged_logs import follow_containers

            follow_containers(
                self._connect,
                self._namespace,
                self._pod,
                names,
                self._take,
                since_seconds=self._ask.since,
                cancelled=self._cancelled,
            )
            return ENDED
        from mlconsole.services.kubernetes import logs

        logs.follow(
            connection,
            self._namespace,
            self._pod,
            container=self._ask.container,
            since_seconds=self._ask.since,
            on_stamped=lambda stamp, text: self._batch.take([Line(text, at=_seconds(stamp))]),
            cancelled=self._cancelled,
        )
        return ENDED

    def _before(self, connection: Connection) -> str:
        from mlconsole.services.kubernetes.merged_logs import tail_all

        found = tail_all(connection, [self._pod], MOST_BEFORE, previous=True, container=self._ask.container)
        whole = len(f"{self._pod}/")
        several = self._ask.container == ALL
        self._take([entry._replace(pod=entry.pod[whole:] if several else "") for entry in found])
        return ENDED if found else "── There was no run before."

    def _take(self, lines: Sequence[LogLine]) -> None:
        self._batch.take([Line(entry.text, entry.pod, _seconds(entry.at)) for entry in lines])

    def stop(self) -> None:
        """End following; does not wait for the connection."""
        self._cancelled.set()
        self._batch.stop()


class PodsLog:
    """The logs of all pods of a selector as one, in order of time; or, `previous`, those of the runs before."""

    is_of_pods: ClassVar[bool] = True

    def __init__(self, connect: Callable[[], Connection], selector: str, ask: PodAsk) -> None:
        self.lines = Spool()
        self.part = "all containers" if ask.container == ALL else ask.container
        self._connect, self._selector, self._ask = connect, selector, ask
        self._merged: MergedLogs | None = None
        self._stopped = threading.Event()
        self._batch = _Batch(self)

    def start(self, post: Post) -> None:
        """Begin to follow; what is imported for it is imported in a thread."""
        self._batch.start(post)
        threading.Thread(target=self._work, args=(post,), name="console-logs", daemon=True).start()

    def _work(self, post: Post) -> None:
        try:
            if self._ask.previous:
                self._before()
            else:
                self._follow()
        except Exception as error:  # noqa: BLE001 - the reason is shown in place of the log
            if not self._stopped.is_set():
                _fault(post, error)

    def _follow(self) -> None:
        from mlconsole.services.kubernetes.merged_logs import MergedLogs

        merged = MergedLogs(
            self._connect,
            self._selector,
            self._take,
            tail=None,
            since_seconds=self._ask.since,
            container=self._ask.container,
        )
        self._merged = merged
        if not self._stopped.is_set():
            merged.start()

    def _before(self) -> None:
        from mlconsole.services.kubernetes.merged_logs import pods_of, tail_all

        connection = self._connect()
        try:
            pods = pods_of(connection, self._selector)
            found = tail_all(connection, pods, MOST_BEFORE, previous=True, container=self._ask.container)
        finally:
            connection.close()
        self._take(found)
        self._batch.take([Line(ENDED if found else "── No pod had a run before.")])

    def _take(self, lines: Sequence[LogLine]) -> None:
        self._batch.take([Line(entry.text, entry.pod, _seconds(entry.at)) for entry in lines])

    def stop(self) -> None:
        """End following."""
        self._stopped.set()
        self._batch.stop()
        if self._merged is not None:
            threading.Thread(target=self._merged.stop, name="console-logs-end", daemon=True).start()


class _Batch:
    """Takes lines in a thread, and tells the screen a few times a second that there are more.

    Whoever brings lines writes them away where many wait: then it is read no faster than they are written, and none is
    dropped.
    """

    def __init__(self, source: PodLog | PodsLog) -> None:
        self._source = source
        self._lock = threading.Lock()
        self._waiting: list[Line] = []
        self._told = 0

    def start(self, post: Post) -> None:
        self._post = post
        self._ticker = Ticker("pod-log", self._tell, BATCH_SECONDS, lambda error: _fault(post, error))
        self._ticker.start()

    def take(self, lines: Sequence[Line]) -> None:
        with self._lock:
            self._waiting += lines
            if len(self._waiting) >= MOST_WAITING:
                self._write()

    def _write(self) -> None:
        lines, self._waiting = self._waiting, []
        self._source.lines.add(lines)

    def _tell(self) -> None:
        with self._lock:
            self._write()
        if self._source.lines.end != self._told:
            self._told = self._source.lines.end
            self._post(LogMoved(self._source))

    def stop(self) -> None:
        self._ticker.stop()


def _seconds(stamp: Stamp) -> float:
    return stamp[0] + float(f"0.{stamp[1]}") if stamp[1].isdigit() else stamp[0]


def _fault(post: Post, error: BaseException) -> None:
    with contextlib.suppress(RuntimeError):  # the loop is closed: nobody is there to be told
        post(Faulted("log", error))
