"""The logs of many pods as one, in order of time, followed through restarts and as pods come and go.

Lines that are there already are put in order whatever their number: those of one pod wait until the other pods have
come as far. Each later line is held for a moment, so that one of another pod that was written before it, but came
later, is put before it. Nothing is dropped: pods whose lines come faster than they are taken are read more slowly.
"""

from __future__ import annotations

import heapq
import itertools
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import TYPE_CHECKING, NamedTuple

from mlconsole.errors import Problem
from mlconsole.services.kubernetes import logs
from mlconsole.services.kubernetes.containers import ALL, chosen
from mlconsole.services.kubernetes.logs import NO_STAMP, Stamp
from mlconsole.services.kubernetes.objects import ObjectList, Pod
from mlconsole.services.kubernetes.problems import NotFound, decode
from mlconsole.services.kubernetes.resources import PODS
from mlconsole.services.kubernetes.watch import PodWatcher

if TYPE_CHECKING:
    from mlconsole.services.kubernetes.connection import Connection

HOLD_SECONDS = 0.5
FIRST_SECONDS = 3.0
"""A pod that has said nothing by then is no longer waited for."""
MOST_LINES = 20_000
MOST_PODS = 50
PUMP_SECONDS = 0.05


class LogLine(NamedTuple):
    """A line of a pod's log; `pod` is empty for what is said about the log itself."""

    pod: str
    text: str
    at: Stamp = NO_STAMP


def tail_all(
    connection: Connection, pods: Sequence[str], lines: int, *, previous: bool = False, container: str = ""
) -> tuple[LogLine, ...]:
    """Return the last lines of each pod's log, in order of time.

    Args:
        connection: to the cluster.
        pods: their names.
        lines: how many of each.
        previous: those of the runs before the pods' last restarts; of a pod without one, none.
        container: the pods' default ones where empty; or ALL, or those of this name.

    Raises:
        Problem: a log can't be had.
    """

    def one(pod: str) -> list[LogLine]:
        place = connection.namespace
        found: list[LogLine] = []
        try:
            every = [container]
            if container:
                every = list(chosen(decode(connection.request("GET", PODS.path(place, pod)), Pod), container))
            for name in every:
                last = NO_STAMP
                for text in logs.tail(
                    connection, place, pod, container=name, lines=lines, timestamps=True, previous=previous
                ):
                    stamp, rest, _ = logs.split_stamp(text)
                    last = stamp or last
                    found.append(LogLine(_label(pod, name, container), rest, last))
        except NotFound:
            # it went since it was listed
            pass
        return found

    with ThreadPoolExecutor(max_workers=8, thread_name_prefix="log-tail") as pool:
        every = [line for found in pool.map(one, pods) for line in found]
    return tuple(sorted(every, key=lambda line: line.at))


def pods_of(connection: Connection, selector: str) -> tuple[str, ...]:
    """Return the names of the pods with these labels, as they are now.

    Raises:
        Problem: they can't be listed.
    """
    data = connection.request("GET", PODS.path(connection.namespace), query={"labelSelector": selector})
    return tuple(pod.metadata.name for pod in decode(data, ObjectList[Pod]).items or ())


def _label(pod: str, name: str, container: str) -> str:
    """Whose a line is; where all containers are followed, that is one of them."""
    return f"{pod}/{name}" if container == ALL else pod


def follow_containers(
    connect: Callable[[], Connection],
    namespace: str,
    pod: str,
    containers: Sequence[str],
    on_lines: Callable[[Sequence[LogLine]], None],
    *,
    since_seconds: int | None = None,
    tail_lines: int | None = None,
    cancelled: threading.Event,
) -> None:
    """Hand over the lines of several containers of a pod in order of time, until all of them have ended for good.

    Args:
        connect: opens a connection for each.
        namespace: the pod's.
        pod: its name.
        containers: their names; each line's `pod` is one of them.
        on_lines: called in this thread.
        since_seconds: begin with lines of so many seconds ago; with the first line where None.
        tail_lines: begin with so many lines from the end of each.
        cancelled: once set, this returns within moments.
    """
    merger = Merger()

    def one(name: str) -> None:
        try:
            with closing(connect()) as connection:
                logs.follow(
                    connection,
                    namespace,
                    pod,
                    container=name,
                    since_seconds=since_seconds,
                    tail_lines=tail_lines,
                    on_stamped=lambda stamp, text: merger.add(LogLine(name, text, stamp), name),
                    cancelled=cancelled,
                )
        except Problem as problem:
            merger.add(LogLine(name, f"── {problem}", _now()), name)
        finally:
            merger.close(name)

    for name in containers:
        merger.open(name)
    threads = [threading.Thread(target=one, args=(name,), name=f"log-{name}", daemon=True) for name in containers]
    for thread in threads:
        thread.start()
    while not cancelled.is_set() and any(thread.is_alive() for thread in threads):
        merger.full.wait(PUMP_SECONDS)
        if lines := merger.take():
            on_lines(lines)
    merger.end()
    if not cancelled.is_set():
        on_lines(merger.take(everything=True))


class _Behind:
    """A source whose earlier lines are still coming: how far it is, and when it last said something."""

    __slots__ = ("at", "begun", "patience", "stamp")

    def __init__(self, at: float, begun: float) -> None:
        self.at, self.begun, self.patience, self.stamp = at, begun, FIRST_SECONDS, NO_STAMP


class Merger:
    """Puts lines of several sources in order of time; `add` waits where many lines have not been taken yet.

    Args:
        most: about so many lines wait to be taken.
        hold: seconds for which a line is held back, and after which a silent source has no earlier lines.
        clock: the present moment in seconds.
    """

    def __init__(
        self, *, most: int = MOST_LINES, hold: float = HOLD_SECONDS, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._most, self._hold, self._clock = most, hold, clock
        self._room = threading.Condition()
        self._numbers = itertools.count()
        self._waiting: list[tuple[Stamp, int, float, LogLine]] = []
        self._behind: dict[str, _Behind] = {}
        self._ended = False
        self.full = threading.Event()
        """Set when lines had better be taken now."""

    def open(self, source: str) -> None:
        """A source begins, with lines that were written before now: those of others wait for them."""
        with self._room:
            self._behind[source] = _Behind(self._clock(), time.time())

    def close(self, source: str) -> None:
        """A source has no more lines."""
        with self._room:
            self._behind.pop(source, None)

    def end(self) -> None:
        """Take no more lines, and let go whoever waits to add one."""
        with self._room:
            self._ended = True
            self._room.notify_all()

    def add(self, line: LogLine, source: str = "") -> None:
        """Take a line in; from any thread. Waits for room, but for the source that the others wait for."""
        with self._room:
            while len(self._waiting) >= self._most and not self._ended and not self._is_wanted(source):
                if (waits := self._behind.get(source)) is not None:
                    # it is held back here: that is not silence
                    waits.at = self._clock()
                self.full.set()
                self._room.wait(0.1)
            if self._ended:
                return
            found = self._behind.get(source)
            if found is not None:
                found.at, found.stamp, found.patience = self._clock(), line.at, self._hold
                if line.at[0] >= found.begun:
                    del self._behind[source]
            heapq.heappush(self._waiting, (line.at, next(self._numbers), self._clock(), line))

    def _is_wanted(self, source: str) -> bool:
        """Whether nothing can be taken before this source goes on."""
        low = self._low()
        if low is None or self._waiting[0][0] <= low:
            return False
        return source in self._behind and self._behind[source].stamp <= low

    def _low(self) -> Stamp | None:
        """How far all sources are that are behind; None where none is."""
        now = self._clock()
        for source in [name for name, found in self._behind.items() if now - found.at > found.patience]:
            del self._behind[source]
        return min((found.stamp for found in self._behind.values()), default=None)

    def take(self, *, everything: bool = False) -> list[LogLine]:
        """Return the lines before which no other comes any more, in order of time."""
        with self._room:
            self.full.clear()
            low = self._low()
            if everything:
                low = max((key for key, *_ in self._waiting), default=low)
            elif low is None:
                due = self._clock() - self._hold
                low = max((key for key, _, came, _ in self._waiting if came <= due), default=None)
            over = len(self._waiting) - self._most // 2 if len(self._waiting) >= self._most else 0
            found: list[LogLine] = []
            held = bool(self._behind)
            while self._waiting and (
                (low is not None and self._waiting[0][0] <= low) or (not held and len(found) < over)
            ):
                found.append(heapq.heappop(self._waiting)[3])
            if found:
                self._room.notify_all()
            return found


class MergedLogs:
    """Follows the logs of all pods that match a selector, also of those that come later.

    Args:
        connect: opens the connection; may raise a Problem, which is then said in the log.
        selector: the pods' labels.
        on_lines: called in a thread of its own with lines in order of time; it must not raise.
        tail: so many lines of each pod that is there at the start, None: all; of later ones, all.
        most: about so many lines wait to be handed over; more are not read until there is room.
        since_seconds: of pods that are there at the start, only lines of so many seconds ago and later.
        container: the pods' default ones where empty; or ALL, or those of this name.
    """

    def __init__(
        self,
        connect: Callable[[], Connection],
        selector: str,
        on_lines: Callable[[Sequence[LogLine]], None],
        *,
        tail: int | None = 20,
        most: int = MOST_LINES,
        since_seconds: int | None = None,
        container: str = "",
    ) -> None:
        self._connect, self._tail, self._since, self._container = connect, tail, since_seconds, container
        self._on_lines = on_lines
        self._merger = Merger(most=most)
        self._changed = threading.Event()
        self._ended = threading.Event()
        self._watcher = PodWatcher(connect, selector, self._changed.set)
        self._followed: set[str] = set()
        self._refused: set[str] = set()
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
        """End; after it, no line is handed over any more, also where it is just being started."""
        self._ended.set()
        self._changed.set()
        self._merger.end()
        self._merger.full.set()
        self._watcher.stop()
        for worker in self._workers:
            # one that is not started yet, by whoever starts it at this moment, will find that it has ended
            if worker.is_alive() and worker is not threading.current_thread():
                worker.join(1)

    def _watch(self) -> None:
        told = ""
        while not self._ended.is_set():
            snapshot = self._watcher.snapshot()
            if snapshot.watch.state == "live":
                for pod in self._watcher.pods().values():
                    for name in chosen(pod, self._container):
                        self._begin(f"{pod.metadata.uid}/{name}", pod.metadata.name, name)
                self._started = True
            elif snapshot.watch.sentence not in ("", told) and snapshot.watch.state != "connecting":
                told = snapshot.watch.sentence
                self._merger.add(LogLine("", f"── {told}", _now()))
            self._changed.wait(1)
            self._changed.clear()

    def _begin(self, key: str, pod: str, container: str) -> None:
        """Follow a container that is not followed yet; of a pod that came later, from its first line on."""
        if key in self._followed:
            return
        label = _label(pod, container, self._container)
        self._followers = [follower for follower in self._followers if follower.is_alive()]
        if len(self._followers) >= MOST_PODS:
            if key not in self._refused:
                self._refused.add(key)
                self._merger.add(LogLine(label, f"── not followed: more than {MOST_PODS} logs at once", _now()))
            return
        self._followed.add(key)
        begin = (None, None) if self._started else (self._tail, self._since)
        self._merger.open(key)
        thread = threading.Thread(
            target=self._follow, args=(key, pod, container, label, *begin), name=f"log-{label}", daemon=True
        )
        self._followers.append(thread)
        thread.start()

    def _follow(self, key: str, pod: str, container: str, label: str, tail: int | None, since: int | None) -> None:
        try:
            with closing(self._connect()) as connection:
                logs.follow(
                    connection,
                    connection.namespace,
                    pod,
                    container=container,
                    tail_lines=tail,
                    since_seconds=since,
                    on_stamped=lambda stamp, text: self._merger.add(LogLine(label, text, stamp), key),
                    cancelled=self._ended,
                )
        except Problem as problem:
            if not self._ended.is_set():
                self._merger.add(LogLine(label, f"── {problem}", _now()))
        finally:
            self._merger.close(key)

    def _pump(self) -> None:
        while not self._ended.is_set():
            self._merger.full.wait(PUMP_SECONDS)
            lines = self._merger.take()
            if lines and not self._ended.is_set():
                self._on_lines(lines)


def _now() -> Stamp:
    return (float(int(time.time())), "0" * 9)
