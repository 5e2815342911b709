"""Logs of many pods come as one, in order of time, and nothing is dropped without a word."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlconsole.services.kubernetes import merged_logs
from mlconsole.services.kubernetes.connection import Connection
from mlconsole.services.kubernetes.merged_logs import LogLine, MergedLogs, Merger, pods_of, tail_all
from tests.services.kubernetes.fake_cluster import Reply, Request, serving
from tests.waiting import until


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def line(second: float, pod: str = "a") -> LogLine:
    return LogLine(pod, f"at {second}", (float(second), "0" * 9))


def test_a_line_that_comes_later_but_was_written_before_is_put_before() -> None:
    clock = Clock()
    merger = Merger(hold=0.5, clock=clock)
    merger.add(line(2, "a"))
    clock.now = 0.4
    merger.add(line(1, "b"))
    assert merger.take() == []
    clock.now = 0.6
    assert [found.text for found in merger.take()] == ["at 1", "at 2"]


def test_no_line_is_held_longer_than_the_hold_however_many_older_ones_come() -> None:
    clock = Clock()
    merger = Merger(hold=0.5, clock=clock)
    merger.add(line(100))
    for step in range(10):
        clock.now = step / 10
        merger.add(line(step, "late"))
    taken = merger.take()
    assert taken[-1] == line(100)


@given(st.lists(st.tuples(st.integers(0, 5), st.sampled_from("abc")), max_size=30))
def test_all_lines_come_out_once_and_in_order(given_lines: list[tuple[int, str]]) -> None:
    merger = Merger(hold=0)
    lines = [line(second, pod) for second, pod in given_lines]
    for entry in lines:
        merger.add(entry)
    taken = merger.take(everything=True)
    assert [entry.at for entry in taken] == sorted(entry.at for entry in lines)
    assert sorted(taken) == sorted(lines)


def test_lines_that_are_there_already_wait_for_pods_that_are_slower() -> None:
    clock = Clock()
    merger = Merger(hold=0.5, clock=clock)
    merger.open("fast")
    merger.open("slow")
    for second in range(1, 10):
        merger.add(line(second, "fast"), "fast")
    clock.now = 2
    assert merger.take() == [], "the slow one has not said anything"
    merger.add(line(4.5, "slow"), "slow")
    assert [found.at[0] for found in merger.take()] == [1, 2, 3, 4, 4.5]
    clock.now = 2.6
    assert [found.at[0] for found in merger.take()] == [5, 6, 7, 8, 9], "it has been silent for the hold"


def test_a_pod_that_never_says_anything_is_not_waited_for() -> None:
    clock = Clock()
    merger = Merger(hold=0.5, clock=clock)
    merger.open("silent")
    merger.add(line(1))
    clock.now = 2.9
    assert merger.take() == []
    clock.now = 3.1
    assert len(merger.take()) == 1


def test_nothing_is_dropped_however_fast_lines_come_and_they_stay_in_order() -> None:
    merger, got = Merger(most=100, hold=10), []
    for pod in "abc":
        merger.open(pod)

    def bring(pod: str) -> None:
        for second in range(2_000):
            merger.add(line(second, pod), pod)
        merger.close(pod)

    threads = [threading.Thread(target=bring, args=(pod,)) for pod in "abc"]
    for thread in threads:
        thread.start()
    longest = 0
    while any(thread.is_alive() for thread in threads):
        merger.full.wait(0.01)
        longest = max(longest, len(merger._waiting))
        got += merger.take()
    got += merger.take(everything=True)
    assert [found.at for found in got] == sorted(found.at for found in got)
    assert len(got) == 6_000
    assert longest <= 110


def test_whoever_waits_for_room_is_let_go_at_the_end() -> None:
    merger = Merger(most=1)
    merger.add(line(1))
    waiting = threading.Thread(target=merger.add, args=(line(2),))
    waiting.start()
    merger.end()
    waiting.join(10)
    assert not waiting.is_alive()


def stamped(second: int, text: str) -> bytes:
    return f"2026-11-23T05:00:{second:02d}.000000000Z {text}\n".encode()


class TwoPods:
    """Pods a and b have a log each; c comes with the watch, once the test says so."""

    def __init__(self) -> None:
        self.logs = {
            "a": stamped(1, "a one") + stamped(4, "a two"),
            "b": stamped(2, "b one") + stamped(3, "b two"),
            "c": stamped(5, "c one"),
        }
        self.arrive, self.end = threading.Event(), threading.Event()
        self.asked: dict[str, dict[str, str]] = {}

    def pod(self, name: str) -> dict[str, Any]:
        return {
            "metadata": {"name": name, "uid": name, "resourceVersion": "2"},
            "spec": {"containers": [{"name": "m"}]},
            "status": {"phase": "Running"},
        }

    def __call__(self, request: Request) -> Reply:
        *_, before, last = request.path.split("/")
        if last == "log":
            self.asked[before] = request.query
            data = self.logs[before]
            return Reply(chunks=self.held(data)) if request.query.get("follow") else Reply(body=data)
        if before == "pods":
            return Reply(body=self.pod(last))
        if request.query.get("watch"):
            return Reply(chunks=self.watched() if last == "pods" else self.held(b"\n"))
        items = [self.pod("a"), self.pod("b")] if last == "pods" else []
        return Reply(body={"items": items, "metadata": {"resourceVersion": "1"}})

    def held(self, data: bytes) -> Iterator[bytes]:
        yield data
        self.end.wait(90)

    def watched(self) -> Iterator[bytes]:
        import json

        self.arrive.wait(90)
        yield json.dumps({"type": "ADDED", "object": self.pod("c")}).encode() + b"\n"
        self.end.wait(90)


def test_what_is_ended_before_it_has_begun_asks_nothing() -> None:
    asked: list[str] = []

    def connect() -> Connection:
        asked.append("connection")
        raise AssertionError("nobody waits for it any more")

    merged = MergedLogs(connect, "app=m", lambda lines: asked.append("lines"))
    merged.stop()
    merged.start()
    until(lambda: not any(worker.is_alive() for worker in merged._workers))
    assert asked == []


def test_the_last_lines_of_all_pods_are_in_order_of_time(tmp_path: Path) -> None:
    with serving(TwoPods(), tmp_path) as (_, connection):
        found = tail_all(connection, ["a", "b"], 20)
    assert [(entry.pod, entry.text) for entry in found] == [
        ("a", "a one"),
        ("b", "b one"),
        ("b", "b two"),
        ("a", "a two"),
    ]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_pods_that_come_later_are_followed_from_their_first_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(merged_logs, "FIRST_SECONDS", 60.0)
    got: list[LogLine] = []
    cluster = TwoPods()
    with serving(cluster, tmp_path) as (_, connection):
        merged = MergedLogs(lambda: connection, "app=m", got.extend, tail=7)
        merged.start()
        try:
            until(lambda: len(got) == 4)
            assert [entry.text for entry in got] == ["a one", "b one", "b two", "a two"]
            cluster.arrive.set()
            until(lambda: len(got) == 5)
            assert (got[4].pod, got[4].text) == ("c", "c one")
            assert (cluster.asked["a"]["tailLines"], "tailLines" in cluster.asked["c"]) == ("7", False)
        finally:
            merged.stop()
            cluster.end.set()


def test_all_pods_are_asked_for_the_same_stretch_of_time(tmp_path: Path) -> None:
    got: list[LogLine] = []
    cluster = TwoPods()
    with serving(cluster, tmp_path) as (_, connection):
        merged = MergedLogs(lambda: connection, "app=m", got.extend, tail=None, since_seconds=60)
        merged.start()
        try:
            until(lambda: len(got) == 4)
            cluster.arrive.set()
            until(lambda: len(got) == 5)
        finally:
            merged.stop()
            cluster.end.set()
    assert {name: query.get("sinceSeconds") for name, query in cluster.asked.items()} == {
        "a": "60",
        "b": "60",
        "c": None,
    }
    assert all("tailLines" not in query for query in cluster.asked.values())


def test_the_runs_before_of_all_pods_are_in_order_of_time(tmp_path: Path) -> None:
    cluster = TwoPods()
    with serving(cluster, tmp_path) as (_, connection):
        pods = pods_of(connection, "app=m")
        found = tail_all(connection, pods, 20, previous=True)
    assert pods == ("a", "b")
    assert [entry.text for entry in found] == ["a one", "b one", "b two", "a two"]
    assert all(query["previous"] == "true" for query in cluster.asked.values())
