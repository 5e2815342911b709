"""A watcher's rows are the cluster's, whatever happens to the connection."""

from __future__ import annotations

import json
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mlconsole.services.kubernetes import reflector
from mlconsole.services.kubernetes.connection import Connection
from mlconsole.services.kubernetes.pace import Pace
from mlconsole.services.kubernetes.problems import NoCluster
from mlconsole.services.kubernetes.watch import PodWatcher
from tests.services.kubernetes.fake_cluster import FakeCluster, Reply, Request, serving
from tests.waiting import until

KUBECONFIG = """
current-context: c
contexts: [{{name: c, context: {{cluster: c, user: u}}}}]
clusters: [{{name: c, cluster: {{server: "{server}"}}}}]
users: [{{name: u, user: {{token: t}}}}]
"""


def pod(name: str, version: int = 1, **status: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": name, "uid": f"uid-{name}", "resourceVersion": str(version)},
        "spec": {"containers": [{"name": "m"}]},
        "status": {"phase": "Running", **status},
    }


def event(kind: str, body: dict[str, Any]) -> bytes:
    return json.dumps({"type": kind, "object": body}).encode() + b"\n"


class Script:
    """A cluster whose lists and watches are told one after the other; the last of each stays."""

    def __init__(self, lists: list[Reply], watches: list[Callable[[], Reply]]) -> None:
        self.lists, self.watches = lists, watches
        self.versions: list[str] = []
        self.listed = 0
        self.open = threading.Event()

    def __call__(self, request: Request) -> Reply:
        if request.query.get("watch"):
            self.versions.append(request.query["resourceVersion"])
            return self.watches[min(len(self.versions), len(self.watches)) - 1]()
        self.listed += 1
        return self.lists[min(self.listed, len(self.lists)) - 1]


def listing(version: int, *pods: dict[str, Any], more: str = "") -> Reply:
    return Reply(body={"items": list(pods), "metadata": {"resourceVersion": str(version), "continue": more}})


def streaming(*lines: bytes, hold: float = 30) -> Callable[[], Reply]:
    def chunks() -> Iterator[bytes]:
        yield from lines
        if hold:
            threading.Event().wait(hold)

    return lambda: Reply(chunks=chunks())


class Watched:
    """A started watcher on a fake cluster."""

    def __init__(self, cluster: FakeCluster, connection: Connection, pace: Pace | None = None) -> None:
        self.changes = 0
        self.watcher = PodWatcher(lambda: connection, "app=m", self.changed, pace=pace)
        self.seen: list[tuple[str, set[str]]] = []
        self.watcher.start()

    def changed(self) -> None:
        self.changes += 1
        snapshot = self.watcher.snapshot()
        self.seen.append((snapshot.watch.state, {row.name for row in snapshot.rows}))

    @property
    def states(self) -> list[str]:
        return [state for state, _ in self.seen]

    def names(self) -> list[str]:
        return [row.name for row in self.watcher.snapshot().rows]

    def state(self) -> str:
        return self.watcher.snapshot().watch.state

    def wait(self, names: list[str], state: str = "live") -> None:
        until(lambda: self.names() == names and self.state() == state)


@pytest.fixture
def watching(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Any], Watched]]:
    """Start watchers on scripts; ends all of them."""
    monkeypatch.setattr(reflector, "PACE", Pace(first_delay=0.02))
    opened = []

    def start(respond: Any) -> Watched:
        context = serving(respond, tmp_path)
        cluster, connection = context.__enter__()
        watched = Watched(cluster, connection)
        opened.append((context, watched))
        return watched

    yield start
    for context, watched in opened:
        watched.watcher.stop()
        context.__exit__(None, None, None)


def test_pages_are_put_together_before_anything_is_called_live(watching: Any) -> None:
    pages = [listing(5, pod("a"), more="next"), listing(5, pod("b"))]
    watched = watching(Script(pages, [streaming(event("ADDED", pod("c", 6)))]))
    watched.wait(["a", "b", "c"])
    until(lambda: "live" in watched.states)
    assert all({"a", "b"} <= names for state, names in watched.seen if state == "live")


def test_changes_and_deletions_come_through(watching: Any) -> None:
    lines = [event("MODIFIED", pod("a", 6, phase="Failed")), event("DELETED", pod("b", 7))]
    watched = watching(Script([listing(5, pod("a"), pod("b"))], [streaming(*lines)]))
    watched.wait(["a"])
    assert watched.watcher.snapshot().rows[0].status == "Failed"


def test_a_clean_end_goes_on_from_the_bookmark(watching: Any) -> None:
    bookmark = event("BOOKMARK", {"metadata": {"resourceVersion": "99"}, "spec": {"containers": None}})
    script = Script([listing(5, pod("a"))], [streaming(bookmark, hold=0), streaming()])
    watched = watching(script)
    until(lambda: len(script.versions) == 2)
    assert script.versions == ["5", "99"]
    assert script.listed == 1
    watched.wait(["a"])


@pytest.mark.parametrize("form", ["event", "status"])
def test_a_version_that_is_too_old_makes_it_list_again_and_forget_what_is_gone(watching: Any, form: str) -> None:
    status = {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old"}
    gone = streaming(event("ERROR", status), hold=0) if form == "event" else lambda: Reply(410, status)
    script = Script([listing(5, pod("a"), pod("b")), listing(50, pod("b"))], [gone, streaming()])
    watched = watching(script)
    watched.wait(["b"])
    assert script.versions == ["5", "50"]


def test_a_partial_line_at_the_end_is_dropped(watching: Any) -> None:
    whole = event("ADDED", pod("b", 6))
    script = Script([listing(5, pod("a"))], [streaming(whole, event("ADDED", pod("c", 7))[:-9], hold=0), streaming()])
    watched = watching(script)
    until(lambda: len(script.versions) == 2)
    assert script.versions == ["5", "6"]
    watched.wait(["a", "b"])


def test_a_server_that_ends_each_watch_at_once_is_not_asked_without_pause(watching: Any) -> None:
    script = Script([listing(5, pod("a"))], [streaming(hold=0)])
    watched = watching(script)
    until(lambda: len(script.versions) >= 4)
    began, count = time.monotonic(), len(script.versions)
    until(lambda: "stale" in watched.states or watched.state() == "stale")
    assert len(script.versions) - count <= 3 + (time.monotonic() - began) / 0.02


def test_a_busy_server_is_given_the_time_that_it_asks_for(watching: Any) -> None:
    busy = {"kind": "Status", "code": 429, "message": "slow down", "details": {"retryAfterSeconds": 1}}
    asked = []

    def answer() -> Reply:
        asked.append(time.monotonic())
        return Reply(429, busy) if len(asked) == 1 else streaming()()

    script = Script([listing(5, pod("a"))], [answer])
    watched = watching(script)
    until(lambda: len(script.versions) == 2)
    assert asked[1] - asked[0] > 0.99
    assert script.versions == ["5", "5"]
    watched.wait(["a"])


def test_what_the_flow_control_asks_for_in_a_header_is_kept_too(watching: Any) -> None:
    busy = Reply(429, b"Too many requests, please try again later.", headers={"Retry-After": "7"})
    watched = watching(Script([busy], []))
    until(lambda: "asks to come back in 7 s" in watched.watcher.snapshot().watch.sentence)
    assert watched.watcher.snapshot().watch.again == 7


def test_forbidden_is_shown_in_words_and_not_asked_again_at_once(watching: Any) -> None:
    script = Script(
        [Reply(403, {"kind": "Status", "code": 403, "message": 'User "ada" cannot list resource "pods"'})], []
    )
    watched = watching(script)
    until(lambda: watched.state() == "forbidden")
    assert "ada may not list pods" in watched.watcher.snapshot().watch.sentence
    time.sleep(0.1)
    assert script.listed == 1


def test_a_selector_that_is_none_is_shown_in_words(watching: Any) -> None:
    message = "unable to parse requirement: found '=', expected: identifier"
    watched = watching(Script([Reply(400, {"kind": "Status", "code": 400, "message": message})], []))
    until(lambda: watched.state() == "offline")
    assert "unable to parse requirement" in watched.watcher.snapshot().watch.sentence


def test_no_cluster_is_a_state_and_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reflector, "PACE", Pace(first_delay=0.02))
    attempts = []

    def connect() -> Connection:
        attempts.append(1)
        if len(attempts) < 3:
            raise NoCluster("There is no kubeconfig.")
        return connection

    with serving(Script([listing(5, pod("a"))], [streaming()]), tmp_path) as (_, connection):
        watcher = PodWatcher(connect, "", lambda: None)
        watcher.start()
        try:
            until(lambda: watcher.snapshot().watch.state == "offline")
            assert watcher.snapshot().target.context == ""
            until(lambda: watcher.snapshot().watch.state == "live")
            assert watcher.snapshot().target.context == "lab"
        finally:
            watcher.stop()


def test_a_server_that_goes_away_and_comes_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reflector, "PACE", Pace(first_delay=0.02))
    alive = threading.Event()
    alive.set()

    def respond(request: Request) -> Reply:
        if not alive.is_set():
            raise ConnectionError
        return script(request)

    def chunks() -> Iterator[bytes]:
        while alive.is_set():
            yield b"\n"
            time.sleep(0.01)
        raise ConnectionError

    script = Script([listing(5, pod("a"))], [lambda: Reply(chunks=chunks())])
    with serving(respond, tmp_path) as (cluster, connection):
        monkeypatch.setattr(cluster._server, "handle_error", lambda *arguments: None)
        watched = Watched(cluster, connection)
        try:
            watched.wait(["a"])
            alive.clear()
            until(lambda: watched.state() == "offline")
            assert watched.names() == ["a"]
            alive.set()
            watched.wait(["a"])
        finally:
            watched.watcher.stop()


@pytest.mark.parametrize("phase", ["list", "watch", "back-off"])
def test_it_stops_within_50_ms_whatever_it_waits_for(tmp_path: Path, phase: str) -> None:
    asked, over = threading.Event(), threading.Event()

    def respond(request: Request) -> Reply:
        asked.set()
        if phase == "back-off":
            return Reply(500, {"kind": "Status", "code": 500})
        if phase == "list":
            over.wait(90)
        return streaming()() if request.query.get("watch") else listing(5, pod("a"))

    with serving(respond, tmp_path) as (cluster, connection):
        watched = Watched(cluster, connection)
        assert asked.wait(90)
        if phase == "watch":
            watched.wait(["a"])
        began = time.monotonic()
        watched.watcher.stop()
        assert time.monotonic() - began < 10
        assert watched.state() == "stopped"
        until(lambda: not watched.watcher._watcher._thread.is_alive(), 60)
        over.set()


def test_a_thread_that_does_not_end_within_50_ms_is_interrupted_until_it_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reflector, "STOP_SECONDS", 0.0)
    asked, over = threading.Event(), threading.Event()

    def respond(request: Request) -> Reply:
        asked.set()
        over.wait(90)
        return listing(5, pod("a"))

    with serving(respond, tmp_path) as (cluster, connection):
        watched = Watched(cluster, connection)
        assert asked.wait(90)
        watched.watcher.stop()
        until(lambda: not watched.watcher._watcher._thread.is_alive(), 60)
        over.set()


@pytest.fixture
def deaf_port() -> Iterator[int]:
    """A port at which a connection is never accepted and never refused: its queue is full."""
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    listening.listen(0)
    waiting = []
    for _ in range(8):
        waiting.append(socket.socket())
        waiting[-1].setblocking(False)
        waiting[-1].connect_ex(listening.getsockname())
    yield listening.getsockname()[1]
    for one in (*waiting, listening):
        one.close()


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a connection that is being made can't be broken off")
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_it_stops_while_it_connects_and_its_thread_ends_at_once(tmp_path: Path, deaf_port: int, scheme: str) -> None:
    path = tmp_path / "kubeconfig"
    path.write_text(KUBECONFIG.format(server=f"{scheme}://127.0.0.1:{deaf_port}"))
    watcher = PodWatcher(lambda: Connection.open(kubeconfig=path), "", lambda: None)
    watcher.start()
    until(lambda: watcher._watcher.connection is not None)
    until(lambda: watcher._watcher.connection._tracker._opening)
    began = time.monotonic()
    watcher.stop()
    assert time.monotonic() - began < 8
    until(lambda: not watcher._watcher._thread.is_alive(), 8)


def test_it_stops_while_a_name_is_resolved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked, answer = threading.Event(), threading.Event()

    def resolve(*arguments: Any) -> Any:
        asked.set()
        answer.wait(90)
        raise socket.gaierror("no such name")

    path = tmp_path / "kubeconfig"
    path.write_text(KUBECONFIG.format(server="https://cluster.example"))
    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    watcher = PodWatcher(lambda: Connection.open(kubeconfig=path), "", lambda: None)
    watcher.start()
    assert asked.wait(90)
    began = time.monotonic()
    watcher.stop()
    assert time.monotonic() - began < 10
    assert watcher.snapshot().watch.state == "stopped"
    answer.set()
    until(lambda: not watcher._watcher._thread.is_alive())


def test_a_version_that_goes_back_makes_it_list_again(watching: Any) -> None:
    """As after a restore: what a client knows may never have been."""
    back = streaming(event("BOOKMARK", {"metadata": {"resourceVersion": "3"}}))
    script = Script([listing(5, pod("a")), listing(3, pod("b"))], [back, streaming()])
    watched = watching(script)
    watched.wait(["b"])
    assert script.versions == ["5", "3"]


def test_objects_that_nothing_vouches_for_are_listed_again(tmp_path: Path) -> None:
    """What a watch says at once may be long ago: a connection that is cut again and again must not pass for live."""
    versions = iter(range(6, 10_000))
    script = Script([listing(5, pod("a"))], [lambda: streaming(event("MODIFIED", pod("a", next(versions))), hold=0)()])
    pace = Pace(first_delay=0.01, longest_delay=0.01, relist_after=0.8, settle=60)
    with serving(script, tmp_path) as (cluster, connection):
        watched = Watched(cluster, connection, pace)
        until(lambda: script.listed >= 2)
        watched.watcher.stop()
    assert len(script.versions) > 3


def test_an_answer_that_is_no_list_is_not_taken_for_an_empty_one(watching: Any) -> None:
    lists = [listing(5, pod("a")), Reply(body={"message": "Sign in to the network"}), listing(9, pod("a"))]
    expired = event("ERROR", {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old"})
    watched = watching(Script(lists, [streaming(expired, hold=0), streaming()]))
    until(lambda: "stale" in watched.states or watched.state() == "live")
    watched.wait(["a"])
    assert all("a" in names for state, names in watched.seen if state == "live")


def test_a_storm_of_changes_is_told_ten_times_a_second(watching: Any) -> None:
    began = time.monotonic()
    lines = [event("MODIFIED", pod("a", number)) for number in range(6, 3006)]
    watched = watching(Script([listing(5, pod("a"))], [streaming(*lines)]))
    until(lambda: next(iter(watched.watcher.pods().values()), None) is not None)
    until(lambda: next(iter(watched.watcher.pods().values())).metadata.resource_version == "3005")
    time.sleep(0.15)
    assert watched.changes < 40 + 10 * (time.monotonic() - began)
    assert watched.state() == "live"


def test_a_cluster_that_moved_is_found_by_its_kubeconfig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reflector, "PACE", Pace(first_delay=0.02))
    gone = FakeCluster(Script([listing(5, pod("a"))], [streaming(hold=0)]))
    path = gone.kubeconfig(tmp_path)
    watcher = PodWatcher(lambda: Connection.open(kubeconfig=path), "", lambda: None)
    watcher.start()
    try:
        until(lambda: [row.name for row in watcher.snapshot().rows] == ["a"])
        gone.close()
        until(lambda: watcher.snapshot().watch.state == "offline")
        moved = FakeCluster(Script([listing(5, pod("b"))], [streaming()]))
        moved.kubeconfig(tmp_path)
        until(lambda: [row.name for row in watcher.snapshot().rows] == ["b"])
        assert str(moved.port) in watcher.snapshot().target.server
        moved.close()
    finally:
        watcher.stop()


@pytest.mark.end_to_end
def test_a_local_cluster_that_is_stopped_and_started_again(tmp_path: Path) -> None:
    from mlconsole.localcluster import control

    info = control.start(tmp_path, tmp_path / "state")
    watcher = PodWatcher(lambda: Connection.open(kubeconfig=info.kubeconfig), "", lambda: None)
    watcher.start()
    try:
        until(lambda: watcher.snapshot().watch.state == "live")
        control.stop(info.state)
        until(lambda: watcher.snapshot().watch.state == "offline")
        control.start(tmp_path, info.state)
        until(lambda: watcher.snapshot().watch.state == "live")
    finally:
        watcher.stop()
        control.stop(info.state)
