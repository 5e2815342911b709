"""Logs of many pods come as one, in order of time, and nothing is dropped without a word."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlconsole.services.kubernetes.merged_logs import LogLine, MergedLogs, Merger, tail_all
from tests.services.kubernetes.fake_cluster import Reply, Request, serving


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


def test_what_is_dropped_is_said() -> None:
    merger = Merger(most=3, hold=0)
    for second in range(10):
        merger.add(line(second))
    taken = merger.take(everything=True)
    assert taken[0].text == "── 7 lines dropped: they came faster than they could be shown"
    assert [entry.text for entry in taken[1:]] == ["at 7", "at 8", "at 9"]


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
        self.end.wait(20)

    def watched(self) -> Iterator[bytes]:
        import json

        self.arrive.wait(20)
        yield json.dumps({"type": "ADDED", "object": self.pod("c")}).encode() + b"\n"
        self.end.wait(20)


def test_the_last_lines_of_all_pods_are_in_order_of_time(tmp_path: Path) -> None:
    with serving(TwoPods(), tmp_path) as (_, connection):
        found = tail_all(connection, ["a", "b"], 20)
    assert [(entry.pod, entry.text) for entry in found] == [
        ("a", "a one"),
        ("b", "b one"),
        ("b", "b two"),
        ("a", "a two"),
    ]


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.01)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_pods_that_come_later_are_followed_from_their_first_line(tmp_path: Path) -> None:
    got: list[LogLine] = []
    cluster = TwoPods()
    with serving(cluster, tmp_path) as (_, connection):
        merged = MergedLogs(lambda: connection, "app=m", got.extend, tail=7)
        merged.start()
        try:
            wait_for(lambda: len(got) == 4)
            assert [entry.text for entry in got] == ["a one", "b one", "b two", "a two"]
            cluster.arrive.set()
            wait_for(lambda: len(got) == 5)
            assert (got[4].pod, got[4].text) == ("c", "c one")
            assert (cluster.asked["a"]["tailLines"], "tailLines" in cluster.asked["c"]) == ("7", False)
        finally:
            merged.stop()
            cluster.end.set()
