"""Of a pod with several containers, one is chosen, or all are read as one, those that come before the others too."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from mlconsole.services.kubernetes import logs
from mlconsole.services.kubernetes.connection import Connection
from mlconsole.services.kubernetes.containers import ALL, PodContainer, containers_of, containers_of_all
from mlconsole.services.kubernetes.merged_logs import LogLine, MergedLogs, follow_containers, tail_all
from tests.services.kubernetes.several import run_several
from tests.waiting import until

pytestmark = pytest.mark.end_to_end
WORDS = {("fetch", "fetched"), ("metrics", "scraped"), ("server", "served")}


@pytest.fixture
def several(connection: Connection) -> Connection:
    """A namespace with a pod of three containers, all of which have ended."""
    run_several(connection, {"fetch": "echo fetched", "metrics": "echo scraped", "server": "echo served; exit 3"})
    return connection


def test_containers_are_told_with_how_they_stand_and_the_default_one(several: Connection) -> None:
    found = containers_of(several, several.namespace, "several")
    assert found == (
        PodContainer("metrics", "container", "ended"),
        PodContainer("server", "container", "ended with exit code 3", is_default=True),
        PodContainer("fetch", "init container", "ended"),
    )
    assert containers_of_all(several, "app=several") == found


def test_one_container_is_followed_or_the_default_one(several: Connection) -> None:
    for name, word in [*WORDS, ("", "served")]:
        lines: list[str] = []
        logs.follow(
            several, several.namespace, "several", container=name, on_line=lines.append, cancelled=threading.Event()
        )
        assert lines == [word]


def test_all_containers_of_a_pod_are_followed_until_all_have_ended(
    several: Connection, connect: Callable[[], Connection]
) -> None:
    lines: list[LogLine] = []
    names = [one.name for one in containers_of(several, several.namespace, "several")]
    follow_containers(connect, several.namespace, "several", names, lines.extend, cancelled=threading.Event())
    assert {(line.pod, line.text) for line in lines} == WORDS
    assert lines[0].pod == "fetch"


@pytest.mark.parametrize(("container", "wanted"), [(ALL, WORDS), ("fetch", {("fetch", "fetched")}), ("other", set())])
def test_the_last_lines_of_one_container_or_of_all(
    several: Connection, container: str, wanted: set[tuple[str, str]]
) -> None:
    found = tail_all(several, ["several"], 20, container=container)
    assert {line.text for line in found} == {text for _, text in wanted}
    assert {line.pod for line in found} == {f"several/{name}" if container == ALL else "several" for name, _ in wanted}


def test_all_containers_of_all_pods_are_followed(several: Connection, connect: Callable[[], Connection]) -> None:
    lines: list[LogLine] = []
    merged = MergedLogs(connect, "app=several", lines.extend, tail=None, container=ALL)
    merged.start()
    try:
        wanted = {(f"several/{name}", text) for name, text in WORDS}
        until(lambda: {(line.pod, line.text) for line in lines} == wanted)
    finally:
        merged.stop()
