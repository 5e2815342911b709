"""Container logs: the last lines, or all that comes, without losing or doubling a line when the connection breaks."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec

from mlconsole.services.kubernetes.containers import default_container
from mlconsole.services.kubernetes.objects import ContainerStatus, Pod
from mlconsole.services.kubernetes.problems import Invalid, NotFound, ServerFailed, TooManyRequests, Unreachable, decode
from mlconsole.services.kubernetes.resources import PODS
from mlconsole.text import clean_line

if TYPE_CHECKING:
    from mlconsole.services.kubernetes.connection import Connection, Stream

FIRST_DELAY, LONGEST_DELAY = 0.5, 8.0
_PASSING = (Unreachable, ServerFailed, TooManyRequests)
Stamp = tuple[float, str]
"""When a line was written: whole seconds since 1970, and the fraction's nine digits; they sort by time."""

GAP = "── lines are missing here: the log was rotated before the connection came back"
NO_STAMP: Stamp = (0.0, "0" * 9)
_STAMP = re.compile(r"^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d+))?(Z|[+-]\d\d:\d\d) ?")


class Position(msgspec.Struct):
    """Up to where a log was read, so that reading can go on there, in another process too.

    Attributes:
        since: the last line's second, for `sinceTime`; empty at the start.
        last: the last line's moment.
        at_last: the lines of that moment: the server sends them again.
    """

    since: str = ""
    last: Stamp = (0.0, "")
    at_last: list[str] = []

    def move(self, stamp: Stamp, text: str) -> None:
        """A line of this moment was taken."""
        if stamp > self.last:
            self.last, self.at_last = stamp, []
            self.since = datetime.fromtimestamp(stamp[0], UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        self.at_last.append(text)


def tail(
    connection: Connection,
    namespace: str,
    pod: str,
    *,
    container: str = "",
    lines: int = 20,
    previous: bool = False,
    timestamps: bool = False,
) -> tuple[str, ...]:
    """Return the last lines of a container's log, cleaned.

    Args:
        connection: to the cluster.
        namespace: the pod's.
        pod: its name.
        container: the pod's default one where empty.
        lines: how many.
        previous: those of the run before the last restart.
        timestamps: begin each line with the moment at which it was written, and a blank.

    Returns:
        The lines; none where the container has not run yet, or not before.

    Raises:
        Problem: the log can't be had.
    """
    query = {"tailLines": str(lines), **({"container": container} if container else {})}
    if previous:
        query["previous"] = "true"
    if timestamps:
        query["timestamps"] = "true"
    path = _path(namespace, pod)
    try:
        data = connection.request("GET", path, query=query)
    except Invalid as problem:
        if "choose one of: [" not in problem.sentence:
            return ()
        named = default_container(decode(connection.request("GET", PODS.path(namespace, pod)), Pod))
        try:
            data = connection.request("GET", path, query={**query, "container": named})
        except Invalid:
            return ()
    return tuple(clean_line(line) for line in data.decode("utf-8", "replace").splitlines()[-lines:])


def follow(
    connection: Connection,
    namespace: str,
    pod: str,
    *,
    container: str = "",
    since_seconds: int | None = None,
    tail_lines: int | None = None,
    on_line: Callable[[str], None] | None = None,
    on_stamped: Callable[[Stamp, str], None] | None = None,
    cancelled: threading.Event,
    position: Position | None = None,
) -> None:
    """Hand over each line of a container's log, as it comes, until the container has ended for good.

    Args:
        connection: to the cluster.
        namespace: the pod's.
        pod: its name.
        container: the pod's default one where empty.
        since_seconds: begin with lines of so many seconds ago; with the first line where None.
        tail_lines: begin with so many lines from the end.
        on_line: called in this thread with each cleaned line.
        on_stamped: the same, with the moment at which the line was written.
        cancelled: once set, this returns within moments.
        position: where to go on; it is moved along with each line, after that was handed over.

    Raises:
        NotFound: there is no such pod.
        Problem: the log can't be had, and that will not pass.
    """

    def hand_over(stamp: Stamp, text: str) -> None:
        if on_line is not None:
            on_line(text)
        if on_stamped is not None:
            on_stamped(stamp, text)

    begin = {"sinceSeconds": str(max(since_seconds, 1))} if since_seconds is not None else {}
    if tail_lines is not None:
        begin["tailLines"] = str(tail_lines)
    _Follower(connection, namespace, pod, container, begin, hand_over, cancelled, position or Position()).run()


class _Seen:
    """Tells new lines from those that came before a reconnect, by their timestamps."""

    def __init__(self, position: Position) -> None:
        self._position = position
        self._again: list[str] = []

    def reconnect(self) -> None:
        """The server sends again what it has of the last second."""
        self._again = list(self._position.at_last)

    def new(self, stamp: Stamp, text: str) -> bool:
        """Whether a line was not handed over yet."""
        if stamp < self._position.last:
            return False
        if stamp == self._position.last and text in self._again:
            self._again.remove(text)
            return False
        return True

    def move(self, stamp: Stamp, text: str) -> None:
        """A line was handed over."""
        if stamp > self._position.last:
            self._again = []
        self._position.move(stamp, text)


class _Follower:
    def __init__(
        self,
        connection: Connection,
        namespace: str,
        pod: str,
        container: str,
        begin: dict[str, str],
        on_line: Callable[[Stamp, str], None],
        cancelled: threading.Event,
        position: Position,
    ) -> None:
        self._connection, self._namespace, self._pod = connection, namespace, pod
        self._container, self._begin = container, begin
        self._on_line, self._cancelled = on_line, cancelled
        self._position = position
        self._seen = _Seen(position)
        self._last_stamp = position.last if position.since else NO_STAMP
        self._restarts = 0
        self._run_of_last = -1
        self._awaits_last = False

    def run(self) -> None:
        self._status()
        delay = FIRST_DELAY
        while not self._cancelled.is_set():
            try:
                got, whole = self._once()
                delay = FIRST_DELAY if got else delay
                if self._ended() and whole:
                    return
            except NotFound:
                if not self._position.since:
                    raise
                return
            except _PASSING:
                # Asking how the pod stands failed; the log goes on where it was read up to.
                pass
            self._cancelled.wait(delay)
            delay = min(delay * 2, LONGEST_DELAY)

    def _once(self) -> tuple[bool, bool]:
        """Read until the stream ends; says whether a new line came, and whether the end was a clean one."""
        query = {"follow": "true", "timestamps": "true", "container": self._container}
        if self._position.since:
            query["sinceTime"] = self._position.since
        else:
            query.update(self._begin)
        self._seen.reconnect()
        got = False
        try:
            stream = self._connection.stream(_path(self._namespace, self._pod), query)
            with _stopped_by(self._cancelled, stream):
                if self._position.since:
                    self._catch_up()
                self._awaits_last = self._run_of_last == self._restarts
                for line in stream:
                    got = self._take(line) or got
                if stream.rest and not self._cancelled.is_set():
                    got = self._take(stream.rest) or got
        except Invalid:
            # The container has not started yet, or never will.
            return got, True
        except _PASSING:
            return got, False
        return got, True

    def _take(self, line: bytes) -> bool:
        text = line.decode("utf-8", "replace")
        stamp, rest, _ = split_stamp(text)
        rest = clean_line(rest)
        if stamp is not None:
            self._tell_gap(stamp)
            if not self._seen.new(stamp, rest):
                return False
            self._last_stamp = stamp
        if self._cancelled.is_set():
            return True
        self._on_line(self._last_stamp, rest)
        if stamp is not None:
            self._seen.move(stamp, rest)
            self._run_of_last = self._restarts
        return True

    def _tell_gap(self, stamp: Stamp) -> None:
        """Say that lines are missing where the last one does not come again: a node keeps the newest file only."""
        if self._awaits_last and stamp > self._position.last and not self._cancelled.is_set():
            self._on_line(stamp, GAP)
        self._awaits_last = False

    def _ended(self) -> bool:
        """Whether no more can come; where the container has restarted, its last words are fetched first."""
        if self._cancelled.is_set():
            return True
        restarts = self._restarts
        pod, status = self._status()
        if self._restarts > restarts:
            self._last_words()
            return False
        if pod.status.phase in ("Succeeded", "Failed"):
            return True
        terminated = status.state.terminated if status is not None else None
        if terminated is None:
            return False
        policy = pod.spec.restart_policy
        if any(entry.name == self._container and not entry.restart_policy for entry in pod.spec.init_containers or ()):
            # one that comes before the others is started again only where it fails
            policy = "OnFailure" if policy == "Always" else policy
        stays_so = policy == "Never" or (policy == "OnFailure" and terminated.exit_code == 0)
        return stays_so or pod.metadata.deletion_timestamp is not None

    def _catch_up(self) -> None:
        """Where the container has restarted since it was looked at, hand over its last words before the next run's."""
        restarts = self._restarts
        try:
            self._status()
        except NotFound:
            # it is deleted; the stream still has what it wrote
            return
        if self._restarts > restarts:
            self._last_words()
            self._seen.reconnect()

    def _last_words(self) -> None:
        query = {"timestamps": "true", "container": self._container, "previous": "true"}
        if self._position.since:
            query["sinceTime"] = self._position.since
        self._seen.reconnect()
        self._awaits_last = False
        try:
            data = self._connection.request("GET", _path(self._namespace, self._pod), query=query)
        except (Invalid, NotFound):
            return
        for line in data.splitlines():
            self._take(line)
        self._run_of_last = -1

    def _status(self) -> tuple[Pod, ContainerStatus | None]:
        pod = decode(self._connection.request("GET", PODS.path(self._namespace, self._pod)), Pod)
        if not self._container:
            self._container = default_container(pod)
        statuses = [*(pod.status.container_statuses or ()), *(pod.status.init_container_statuses or ())]
        status = next((entry for entry in statuses if entry.name == self._container), None)
        self._restarts = status.restart_count if status else 0
        return pod, status


@contextmanager
def _stopped_by(cancelled: threading.Event, stream: Stream) -> Iterator[None]:
    """End a stream once `cancelled` is set, while this thread waits in it."""
    done = threading.Event()

    def wait() -> None:
        while not done.is_set():
            if cancelled.wait(0.05):
                stream.stop()
                return

    thread = threading.Thread(target=wait, name="log-cancel", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        stream.close()
        thread.join()


def split_stamp(text: str) -> tuple[Stamp | None, str, str]:
    """Split a line into its timestamp (seconds, fraction), its text, and the second to go on from (RFC 3339)."""
    found = _STAMP.match(text)
    if found is None:
        return None, text, ""
    seconds, fraction, zone = found.groups()
    moment = datetime.fromisoformat(f"{seconds}{'+00:00' if zone == 'Z' else zone}")
    whole = moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return (moment.timestamp(), (fraction or "").ljust(9, "0")), text[found.end() :], whole


def _path(namespace: str, pod: str) -> str:
    return f"{PODS.path(namespace, pod)}/log"
