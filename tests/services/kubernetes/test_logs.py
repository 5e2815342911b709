"""No line of a log is lost or doubled, whatever happens to the connection."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlconsole.services.kubernetes import logs
from mlconsole.services.kubernetes.containers import DEFAULT
from mlconsole.services.kubernetes.logs import Position, _Seen, follow, split_stamp, tail
from mlconsole.services.kubernetes.problems import NotFound
from tests.services.kubernetes.fake_cluster import Reply, Request, serving


def stamp(second: int, part: int = 0) -> str:
    return f"2026-11-23T05:00:{second:02d}.{part:09d}Z"


class Container:
    """A pod's log: what each request for it answers, then how the pod stands."""

    def __init__(self, *answers: Callable[[], Reply]) -> None:
        self.answers = list(answers)
        self.previous = b""
        self.restarts = 0
        self.phase = "Running"
        self.asked: list[dict[str, str]] = []
        self.gone = False

    def __call__(self, request: Request) -> Reply:
        if not request.path.endswith("/log"):
            if self.gone:
                return Reply(404, {"kind": "Status", "details": {"name": "p", "kind": "pods"}})
            return Reply(body=self.pod())
        self.asked.append(request.query)
        if request.query.get("previous"):
            return Reply(body=self.previous)
        if len(self.answers) == 1:
            self.phase = "Succeeded"
        return self.answers.pop(0)()

    def pod(self) -> dict[str, Any]:
        status = {"name": "m", "restartCount": self.restarts, "state": {"running": {}}}
        return {
            "metadata": {"name": "p"},
            "spec": {"containers": [{"name": "m"}]},
            "status": {"phase": self.phase, "containerStatuses": [status]},
        }


def lines(*texts: str, end: bytes = b"\n", breaks: bool = False) -> Callable[[], Reply]:
    def chunks() -> Iterator[bytes]:
        data = "\n".join(texts).encode() + end
        yield data[:7]
        yield data[7:]
        if breaks:
            raise ConnectionError

    return lambda: Reply(chunks=chunks())


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "FIRST_DELAY", 0.01)


def followed(container: Container, folder: Path, **keywords: Any) -> list[str]:
    got: list[str] = []
    with serving(container, folder) as (_, connection):
        follow(connection, "lab", "p", on_line=got.append, cancelled=threading.Event(), **keywords)
    return got


def test_a_broken_log_goes_on_where_it_was(tmp_path: Path) -> None:
    container = Container(
        lines(f"{stamp(1)} one", f"{stamp(2)} two", f"{stamp(2)} two", breaks=True),
        lines(f"{stamp(2)} two", f"{stamp(2)} two", f"{stamp(2)} two", f"{stamp(3)} three"),
    )
    assert followed(container, tmp_path) == ["one", "two", "two", "two", "three"]
    assert [query.get("sinceTime") for query in container.asked] == [None, "2026-11-23T05:00:02Z"]


def test_a_last_line_without_a_newline_is_not_lost(tmp_path: Path) -> None:
    assert followed(Container(lines(f"{stamp(1)} one", f"{stamp(2)} two", end=b"")), tmp_path) == ["one", "two"]


def test_a_restart_in_between_loses_nothing(tmp_path: Path) -> None:
    container = Container(lines(f"{stamp(1)} one", breaks=True), lines(f"{stamp(5)} again"))
    container.previous = f"{stamp(1)} one\n{stamp(2)} dying\n".encode()
    first = container.answers[0]

    def restarting() -> Reply:
        container.restarts = 1
        return first()

    container.answers[0] = restarting
    assert followed(container, tmp_path) == ["one", "dying", "again"]


def test_a_restart_that_is_only_seen_with_the_next_run_loses_nothing(tmp_path: Path) -> None:
    container = Container(lines(f"{stamp(1)} one", breaks=True), lines(f"{stamp(5)} again", f"{stamp(6)} more"))
    container.previous = f"{stamp(1)} one\n{stamp(2)} dying\n".encode()
    second = container.answers[1]

    def restarted() -> Reply:
        container.restarts = 1
        return second()

    container.answers[1] = restarted
    assert followed(container, tmp_path) == ["one", "dying", "again", "more"]


def test_a_container_that_has_not_started_is_waited_for(tmp_path: Path) -> None:
    waiting = {"kind": "Status", "code": 400, "message": 'container "m" in pod "p" is waiting to start'}
    container = Container(lambda: Reply(400, waiting), lines(f"{stamp(1)} one"))
    assert followed(container, tmp_path) == ["one"]


def test_a_busy_server_is_asked_again(tmp_path: Path) -> None:
    busy = {"kind": "Status", "code": 429, "message": "slow down"}
    container = Container(lambda: Reply(429, busy), lambda: Reply(500, b"oops"), lines(f"{stamp(1)} one"))
    assert followed(container, tmp_path) == ["one"]


def test_no_such_pod_is_told_and_one_that_goes_is_the_end(tmp_path: Path) -> None:
    container = Container()
    container.gone = True
    with pytest.raises(NotFound):
        followed(container, tmp_path)
    container = Container(lines(f"{stamp(1)} one"), lines())
    first = container.answers[0]

    def going() -> Reply:
        container.gone = True
        return first()

    container.answers[0] = going
    assert followed(container, tmp_path) == ["one"]


def test_escapes_in_a_log_do_not_reach_the_screen(tmp_path: Path) -> None:
    assert followed(Container(lines(f"{stamp(1)} \x1b[31mred\x1b]52;c;x\x07")), tmp_path) == ["red"]


def test_the_beginning_is_asked_for_by_seconds(tmp_path: Path) -> None:
    container = Container(lines(f"{stamp(1)} one"))
    followed(container, tmp_path, since_seconds=30)
    assert container.asked[0]["sinceSeconds"] == "30"


@pytest.mark.parametrize(("annotations", "name"), [({}, "m"), ({DEFAULT: "side"}, "side")])
def test_the_tail_of_a_pod_of_several_containers_is_that_of_its_default_one(
    tmp_path: Path, annotations: dict[str, str], name: str
) -> None:
    message = "a container name must be specified for pod p, choose one of: [m side]"
    containers = [{"name": "m"}, {"name": "side"}]
    pod = {"metadata": {"name": "p", "annotations": annotations}, "spec": {"containers": containers}}

    def respond(request: Request) -> Reply:
        if not request.path.endswith("/log"):
            return Reply(body=pod)
        if "container" not in request.query:
            return Reply(400, {"kind": "Status", "code": 400, "message": message})
        return Reply(body=f"log of {request.query['container']}\n".encode())

    with serving(respond, tmp_path) as (_, connection):
        assert tail(connection, "lab", "p") == (f"log of {name}",)


def test_the_tail_of_what_has_not_run_is_empty(tmp_path: Path) -> None:
    refusal = Reply(400, {"kind": "Status", "code": 400, "message": "previous terminated container not found"})
    with serving(lambda request: refusal, tmp_path) as (_, connection):
        assert tail(connection, "lab", "p", previous=True) == ()


@given(
    st.lists(st.tuples(st.integers(0, 3), st.sampled_from("ab")), max_size=12), st.lists(st.integers(0, 12), max_size=4)
)
def test_any_log_read_in_any_pieces_comes_out_once(entries: list[tuple[int, str]], cuts: list[int]) -> None:
    """Each reconnect begins with the whole second of the last line, as `sinceTime` does."""
    log = [f"{stamp(second)} {text}" for second, text in sorted(entries, key=lambda entry: entry[0])]
    position, got = Position(), []
    for end in [*sorted(min(cut, len(log)) for cut in cuts), len(log)]:
        # as another process goes on, from what this one wrote down
        position = msgspec.json.decode(msgspec.json.encode(position), type=Position)
        since, seen = position.since, _Seen(position)
        seen.reconnect()
        for line in log[:end]:
            moment, text, second = split_stamp(line)
            assert moment is not None
            if second >= since and seen.new(moment, text):
                got.append(text)
                seen.move(moment, text)
    assert got == [line.split(" ", 1)[1] for line in log]


def test_timestamps_of_any_zone_are_put_in_order() -> None:
    utc, plus = split_stamp("2026-11-23T05:00:00Z a"), split_stamp("2026-11-23T06:00:00.5+01:00 b")
    assert utc[0] is not None
    assert plus[0] is not None
    assert utc[0] < plus[0]
    assert (plus[1], plus[2]) == ("b", "2026-11-23T05:00:00Z")
    assert split_stamp("no stamp")[0] is None


def test_lines_that_the_cluster_no_longer_has_are_told(tmp_path: Path) -> None:
    """A node sends of the newest file only: what was rotated away while the connection was down is gone."""
    container = Container(lines(f"{stamp(1)} one", breaks=True), lines(f"{stamp(9)} nine", f"{stamp(9, 1)} ten"))
    assert followed(container, tmp_path) == ["one", logs.GAP, "nine", "ten"]
