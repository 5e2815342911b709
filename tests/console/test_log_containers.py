"""A pod's log is that of one container, chosen from a list, or of all; the command log says which."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mlconsole.console.log_ask import PodAsk
from mlconsole.console.messages import PodsSeen
from mlconsole.console.operations import log
from mlconsole.services.kubernetes import containers, logs, merged_logs
from mlconsole.services.kubernetes.containers import ALL, PodContainer
from mlconsole.services.kubernetes.merged_logs import LogLine

from .builder import pod, snapshot
from .conftest import Build, Drive, Driven

CONTAINERS = (
    PodContainer("server", "container", "running", is_default=True),
    PodContainer("metrics", "sidecar", "running", restarts=2),
    PodContainer("fetch-model", "init container", "ended"),
)


@pytest.mark.parametrize(
    ("ask", "place", "command"),
    [
        (PodAsk(), {"pod": "m-1"}, "logs m-1 -f"),
        (PodAsk(300, container="a"), {"pod": "m-1", "stamps": True}, "logs m-1 -c a -f --since=300s --timestamps"),
        (PodAsk(previous=True, container="init"), {"pod": "m-1"}, "logs m-1 -c init --previous"),
        (PodAsk(container=ALL), {"pod": "m-1"}, "logs m-1 --all-containers --prefix -f"),
        (
            PodAsk(60, container=ALL),
            {"selector": "app in (a, b)"},
            "logs -l 'app in (a, b)' --prefix --max-log-requests=50 --tail=-1 --all-containers -f --since=60s",
        ),
    ],
)  # fmt: skip
def test_what_is_asked_is_told_as_kubectl_s_command(ask: PodAsk, place: dict[str, Any], command: str) -> None:
    assert ask.command("kubectl -n ml", **place) == f"kubectl -n ml {command}"


class NoConnection:
    """What connects to nothing."""

    def close(self) -> None:
        pass


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A cluster that tells the containers of any pod, and a line of each; the names that were asked for."""
    names: list[str] = []

    def follow(
        *_: object,
        container: str,
        on_stamped: Callable[[tuple[float, str], str], None],
        cancelled: threading.Event,
        **__: object,
    ) -> None:
        names.append(container)
        on_stamped((1.0, "0"), f"this is {container or 'the default one'}")
        cancelled.wait(60)

    def follow_all(
        connect: object,
        namespace: str,
        name: str,
        every: list[str],
        on_lines: Callable[[list[LogLine]], None],
        *,
        since_seconds: int | None,
        cancelled: threading.Event,
    ) -> None:
        names.append(ALL)
        on_lines([LogLine(one, f"this is {one}", (1.0, "0")) for one in every])
        cancelled.wait(60)

    monkeypatch.setattr(containers, "containers_of", lambda *_: CONTAINERS)
    monkeypatch.setattr(logs, "follow", follow)
    monkeypatch.setattr(merged_logs, "follow_containers", follow_all)
    return names


async def open_log(console: Driven, monkeypatch: pytest.MonkeyPatch) -> None:
    """Open the log of the only pod."""
    console.app.watching.pods.stop()
    monkeypatch.setattr(console.app, "connect", NoConnection)
    await console.press("6")
    console.app.post_message(PodsSeen(snapshot(pod(1))))
    await console.shows("1/1 ready")
    await console.press("enter", "l")


async def test_a_container_is_chosen_and_kept_for_the_run_before(
    build: Build, drive: Drive, asked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    before: list[str] = []

    def tail(*_: object, container: str, **__: object) -> tuple[LogLine, ...]:
        before.append(container)
        return ()

    monkeypatch.setattr(merged_logs, "tail_all", tail)
    async with drive(build().project.root, (100, 30)) as console:
        await open_log(console, monkeypatch)
        await console.shows("this is the default one", "server, 1 of 3 containers")
        await console.press("c")
        await console.shows("● server", "metrics sidecar, running, 2 restarts", "fetch-model init container, ended")
        await console.press(*"fetch", "enter")
        await console.shows("this is fetch-model", "fetch-model, 1 of 3 containers")
        await console.press("p")
        await console.shows("the run before", "There was no run before")
        await console.press("p", "c", *"all", "enter")
        await console.shows("all 3 containers", "fetch-model │ this is fetch-model", "metrics │ this is metrics")
        await console.press("c", "escape")
        await console.press("escape")
        assert asked == ["", "fetch-model", "fetch-model", ALL]
        assert before == ["fetch-model"]
        lines = [told.command.line for told in console.app.view.commands if " logs " in told.command.line]
        name = pod(1).name
        assert [line.partition(" logs ")[2] for line in lines[:3]] == [
            f"{name} -f",
            f"{name} -c fetch-model -f",
            f"{name} -c fetch-model --previous",
        ]
        assert lines[4].endswith(f"{name} --all-containers --prefix -f")


async def test_where_the_last_minutes_have_no_line_the_key_to_all_lines_is_named(
    build: Build, drive: Drive, asked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def follow(
        *_: object,
        since_seconds: int | None,
        on_stamped: Callable[[tuple[float, str], str], None],
        cancelled: threading.Event,
        **__: object,
    ) -> None:
        if since_seconds is None:
            on_stamped((1.0, "0"), "an old line")
        cancelled.wait(60)

    monkeypatch.setattr(logs, "follow", follow)
    async with drive(build().project.root, (100, 30)) as console:
        await open_log(console, monkeypatch)
        await console.shows("an old line")
        await console.press("2")
        await console.shows("No line of the last 5 min yet: 5 shows all.")
        await console.press("5")
        await console.shows("an old line")


async def test_what_comes_after_the_log_was_closed_opens_nothing_and_a_saved_file_is_told(
    build: Build, drive: Drive, asked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = threading.Event()
    closed.set()

    def slowly(*_: object) -> tuple[PodContainer, ...]:
        assert closed.wait(60)
        return CONTAINERS

    def save(*_: object, **__: object) -> Path:
        assert closed.wait(60)
        return Path("saved.log")

    monkeypatch.setattr(containers, "containers_of", slowly)
    monkeypatch.setattr(log, "save", save)
    builder = build()
    async with drive(builder.project.root, (100, 30)) as console:
        await open_log(console, monkeypatch)
        for key in ("c", "S"):
            await console.shows("this is the default one")
            closed.clear()
            await console.press(key, "escape")
            await console.until(lambda: console.app.screen is console.app.main)
            closed.set()
            await console.until(lambda: not console.app._under_way)
            assert console.app.screen is console.app.main
            await console.press("l")
        await console.press("escape")
        await console.shows("Saved to saved.log")
    assert not (builder.project.state / "console.log").exists()
