"""The logs of many pods as one, in order of time, followed through restarts and as pods come and go.

Each line is held for a moment, so that one of another pod that was written before it, but came later, is put before
it. What comes faster than it is taken is dropped, the oldest first, and it is said how much.
"""

from __future__ import annotations

import heapq
import itertools
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, NamedTuple

from mlconsole.errors import Problem
from mlconsole.services.kubernetes import logs
from mlconsole.services.kubernetes.logs import NO_STAMP, Stamp
from mlconsole.services.kubernetes.watch import PodWatcher
from mlconsole.text import count

if TYPE_CHECKING:
    from mlconsole.services.kubernetes.connection import Connection

HOLD_SECONDS = 0.5
MOST_LINES = 20_000
MOST_PODS = 50
PUMP_SECONDS = 0.05


class LogLine(NamedTuple):
    """A line of a pod's log; `pod` is empty for what is said about the log itself."""

    pod: str
    text: str
    at: Stamp = NO_STAMP


def tail_all(connection: Connection, pods: Sequence[str], lines: int) -> tuple[LogLine, ...]:
    """Return the last lines of each pod's log, in order of time.

    Raises:
        Problem: a log can't be had.
    """

    def one(pod: str) -> list[LogLine]:
        last = NO_STAMP
        found = []
        for text in logs.tail(connection, connection.namespace, pod, lines=lines, timestamps=True):
            stamp, rest, _ = logs.split_stamp(text)
            last = stamp or last
            found.append(LogLine(pod, rest, last))
        return found

    with ThreadPoolExecutor(max_workers=8, thread_name_prefix="log-tail") as pool:
        every = [line for found in pool.map(one, pods) for line in found]
    return tuple(sorted(every, key=lambda line: line.at))


class Merger:
    """Puts lines of several sources in order of time, and keeps at most `most` of those that nobody has taken yet.

    Args:
        most: lines that may wait.
        hold: seconds for which a line is held back.
        clock: the present moment in seconds.
    """

    def __init__(
        self, *, most: int = MOST_LINES, hold: float = HOLD_SECONDS, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._most, self._hold, self._clock = most, hold, clock
        self._lock = threading.Lock()
        self._numbers = itertools.count()
        self._waiting: list[tuple[Stamp, int, float, LogLine]] = []
        self._dropped = 0

    def add(self, line: LogLine) -> None:
        """Take a line in; from any thread."""
        with self._lock:
            heapq.heappush(self._waiting, (line.at, next(self._numbers), self._clock(), line))
            if len(self._waiting) > self._most:
                heapq.heappop(self._waiting)
                self._dropped += 1

    def take(self, *, everything: bool = False) -> list[LogLine]:
        """Return the lines that were held long enough, and those before them, in order of time."""
        with self._lock:
            due = self._clock() - self._hold
            ripe = [key for key, _, came, _ in self._waiting if everything or came <= due]
            found: list[LogLine] = []
            if not ripe:
                return found
            if self._dropped:
                words = f"── {count(self._dropped, 'line')} dropped: they came faster than they could be shown"
                found.append(LogLine("", words))
                self._dropped = 0
            until = max(ripe)
            while self._waiting and self._waiting[0][0] <= until:
                found.append(heapq.heappop(self._waiting)[3])
            return found


class MergedLogs:
    """Follows the logs of all pods that match a selector, also of those that come later.

    Args:
        connect: opens the connection; may raise a Problem, which is then said in the log.
        selector: the pods' labels.
        on_lines: called in a thread of its own with lines in order of time; it must not raise.
        tail: so many lines of each pod that is there at the start; of later ones, all.
        most: lines that may wait; more are dropped, and that is said.
    """

    def __init__(
        self,
        connect: Callable[[], Connection],
        selector: str,
        on_lines: Callable[[Sequence[LogLine]], None],
        *,
        tail: int = 20,
        most: int = MOST_LINES,
    ) -> None:
        self._connect, self._tail = connect, tail
        self._on_lines = on_lines
        self._merger = Merger(most=most)
        self._changed = threading.Event()
        self._ended = threading.Event()
        self._watcher = PodWatcher(connect, selector, self._changed.set)
        self._followed: set[str] = set()
        self._started = False
        self._workers = [
            threading.Thread(target=work, name="merged-logs", daemon=True) for work in (self._watch, self._pump)
        ]
        self._followers: list[threading.Thread] = []

    def start(self) -> None:
        """Begin; returns at once."""
        self._watcher.start()
        for worker in self._workers:
            worker.start()

    def stop(self) -> None:
        """End; after it, no line is handed over any more."""
        self._ended.set()
        self._changed.set()
        self._watcher.stop()
        for worker in self._workers:
            if worker is not threading.current_thread():
                worker.join(1)

    def _watch(self) -> None:
        told = ""
        while not self._ended.is_set():
            snapshot = self._watcher.snapshot()
            if snapshot.watch.state == "live":
                for pod in self._watcher.pods().values():
                    self._begin(pod.metadata.uid, pod.metadata.name)
                self._started = True
            elif snapshot.watch.sentence not in ("", told) and snapshot.watch.state != "connecting":
                told = snapshot.watch.sentence
                self._merger.add(LogLine("", f"── {told}", _now()))
            self._changed.wait(1)
            self._changed.clear()

    def _begin(self, uid: str, name: str) -> None:
        """Follow a pod that is not followed yet; of one that came later, from its first line on."""
        if uid in self._followed:
            return
        self._followed.add(uid)
        self._followers = [follower for follower in self._followers if follower.is_alive()]
        if len(self._followers) >= MOST_PODS:
            self._merger.add(LogLine(name, f"── not followed: more than {MOST_PODS} pods at once", _now()))
            return
        tail = None if self._started else self._tail
        thread = threading.Thread(target=self._follow, args=(name, tail), name=f"log-{name}", daemon=True)
        self._followers.append(thread)
        thread.start()

    def _follow(self, name: str, tail: int | None) -> None:
        try:
            connection = self._connect()
            try:
                logs.follow(
                    connection,
                    connection.namespace,
                    name,
                    tail_lines=tail,
                    on_stamped=lambda stamp, text: self._merger.add(LogLine(name, text, stamp)),
                    cancelled=self._ended,
                )
            finally:
                connection.close()
        except Problem as problem:
            if not self._ended.is_set():
                self._merger.add(LogLine(name, f"── {problem}", _now()))

    def _pump(self) -> None:
        while not self._ended.wait(PUMP_SECONDS):
            lines = self._merger.take()
            if lines:
                self._on_lines(lines)


def _now() -> Stamp:
    return (float(int(time.time())), "0" * 9)
