"""Pods of a running cluster: their rows, logs, ports and answers, and what is done to them."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from mlconsole.errors import Problem, WrongUse
from mlconsole.services.kubernetes import actions, logs
from mlconsole.services.kubernetes.connection import Connection, NotFound
from mlconsole.services.kubernetes.events import recent
from mlconsole.services.kubernetes.forward import PortForward
from mlconsole.services.kubernetes.merged_logs import LogLine, MergedLogs
from mlconsole.services.kubernetes.rollout import workloads_of
from mlconsole.services.kubernetes.smoke import SmokeTest, ask_all
from mlconsole.services.kubernetes.watch import PodWatcher
from tests.services.kubernetes.conftest import deployment
from tests.services.kubernetes.releasing import deploy, die, ready_pod, release, roll_out, settled
from tests.waiting import until

pytestmark = pytest.mark.end_to_end


def test_logs_and_events_of_a_pod(connection: Connection) -> None:
    manifests = release(deployment(replicas=1), connection, 1)
    deploy(connection, manifests)
    roll_out(connection, manifests)
    (row,) = settled(connection, "ml-model@v1", 1, 0).rows
    assert logs.tail(connection, connection.namespace, row.name) == ("starting v1",)
    assert logs.tail(connection, connection.namespace, row.name, previous=True) == ()
    assert "Started" in {event.reason for event in recent(connection, [row.uid])}
    with pytest.raises(NotFound):
        logs.tail(connection, connection.namespace, "absent")


def test_a_log_is_followed_over_a_restart_and_ends_with_its_pod(connection: Connection) -> None:
    manifests = release(deployment(replicas=1), connection, 1)
    deploy(connection, manifests)
    roll_out(connection, manifests)
    (row,) = settled(connection, "ml-model@v1", 1, 0).rows
    lines: list[str] = []
    cancelled = threading.Event()
    thread = threading.Thread(
        target=logs.follow,
        args=(connection, connection.namespace, row.name),
        kwargs={"on_line": lines.append, "cancelled": cancelled},
    )
    thread.start()
    until(lambda: lines == ["starting v1"])
    die(connection)
    until(lambda: lines == ["starting v1", "dying", "starting v1"])
    began = time.monotonic()
    cancelled.set()
    thread.join(60)
    assert time.monotonic() - began < 12
    assert lines == ["starting v1", "dying", "starting v1"]


def test_a_deleted_pod_and_a_restart_make_new_ones(connect: Callable[[], Connection]) -> None:
    connection = connect()
    manifests = release(deployment(replicas=1), connection, 1)
    deploy(connection, manifests)
    roll_out(connection, manifests)
    watcher = PodWatcher(connect, "app=ml-model", lambda: None)
    watcher.start()
    try:
        first = wait_for_one(watcher, set())
        actions.delete_pod(connection, connection.namespace, first)
        second = wait_for_one(watcher, {first})
        actions.restart(connection, workloads_of(manifests)[0])
        assert roll_out(connection, manifests).succeeded
        assert wait_for_one(watcher, {first, second})
    finally:
        watcher.stop()


def wait_for_one(watcher: PodWatcher, gone: set[str]) -> str:
    """Wait until one pod alone is ready that is not among those that are to go; returns its name."""

    def names() -> list[str]:
        return [row.name for row in watcher.snapshot().rows]

    until(lambda: len(names()) == 1 and names()[0] not in gone and watcher.snapshot().rows[0].is_ready)
    return names()[0]


def test_a_watcher_over_tls_stops_within_50_ms(connect: Callable[[], Connection]) -> None:
    took = [1.0]
    while min(took) >= 0.05 and len(took) < 20:  # others may be at work
        watcher = PodWatcher(connect, "", lambda: None)
        watcher.start()
        until(lambda watcher=watcher: watcher.snapshot().watch.state == "live")
        began = time.monotonic()
        watcher.stop()
        took.append(time.monotonic() - began)
        assert not watcher._watcher._thread.is_alive()
    assert min(took) < 0.05


def test_rows_are_those_that_kubectl_prints(connect: Callable[[], Connection], kubectl: Callable[..., str]) -> None:
    connection = connect()
    manifests = release(deployment(replicas=2), connection, 1)
    deploy(connection, manifests)
    roll_out(connection, manifests)
    rows = settled(connection, "ml-model@v1", 2, 0).rows
    printed = [line.split()[:4] for line in kubectl("get", "pods", "--no-headers").splitlines()]
    assert [[row.name, row.ready, row.status, row.restarts] for row in rows] == printed


def test_a_port_of_a_pod_is_brought_here_for_several_connections(connection: Connection) -> None:
    pod = ready_pod(connection)
    problems: list[Problem] = []
    forward = PortForward(connection, connection.namespace, pod, on_problem=problems.append)
    forward.start()
    try:
        assert forward.port == 8080
        url = f"http://127.0.0.1:{forward.local_port}/"
        with ThreadPoolExecutor(4) as pool:
            answers = list(pool.map(lambda _: urllib.request.urlopen(url, timeout=40).read(), range(12)))
        assert answers == [b"v1"] * 12
        idle = socket.create_connection(("127.0.0.1", forward.local_port), timeout=5)
    finally:
        forward.stop()
    # One that was not accepted yet is reset.
    with contextlib.suppress(ConnectionResetError), idle:
        assert idle.recv(1) == b""
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", forward.local_port), timeout=5)
    until(lambda: not [thread for thread in threading.enumerate() if thread.name.startswith("port-forward")])
    assert problems == []


def test_a_port_on_which_nothing_listens_is_told(connection: Connection) -> None:
    pod = ready_pod(connection)
    problems: list[Problem] = []
    forward = PortForward(connection, connection.namespace, pod, 9, on_problem=problems.append)
    forward.start()
    try:
        with socket.create_connection(("127.0.0.1", forward.local_port), timeout=5) as client:
            assert client.recv(1) == b""
        until(lambda: bool(problems))
    finally:
        forward.stop()
    assert problems[0].sentence.startswith(f"{pod} can't be reached on port 9: an error occurred forwarding 9")


def test_a_pod_or_port_that_is_not_there_is_told_at_once(connection: Connection) -> None:
    with pytest.raises(NotFound, match="no absent among"):
        PortForward(connection, connection.namespace, "absent").start()
    pod = ready_pod(connection)
    with pytest.raises(WrongUse, match="declares no port metrics"):
        PortForward(connection, connection.namespace, pod, "metrics").start()


def test_every_ready_pod_answers_the_smoke_test_through_the_api_server(connection: Connection) -> None:
    pod = ready_pod(connection)
    asked = [SmokeTest(path="/", contains=wanted) for wanted in ("v1", "v2")]
    answers = [ask_all(connection, [pod], test, cancelled=threading.Event())[0] for test in asked]
    assert [(answer.passed, answer.status, answer.sentence) for answer in answers] == [
        (True, 200, "v1"),
        (False, 200, "answered without 'v2': v1"),
    ]


def test_the_logs_of_all_pods_are_followed_as_they_come_and_go(connect: Callable[[], Connection]) -> None:
    connection = connect()
    first = ready_pod(connection)
    got: list[LogLine] = []
    merged = MergedLogs(connect, "app=ml-model", got.extend)
    merged.start()
    try:
        until(lambda: [line.pod for line in got] == [first])
        actions.delete_pod(connection, connection.namespace, first)
        until(lambda: len({line.pod for line in got if line.text == "starting v1"}) == 2)
    finally:
        merged.stop()
    assert [line.at for line in got] == sorted(line.at for line in got)
