"""Logs of containers, and requests that are handed on to pods and services."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

Object = dict[str, Any]

LOG = "/api/v1/namespaces/default/pods/p/log"


def stamp(seconds_ago: float) -> str:
    return (datetime.now(UTC) - timedelta(seconds=seconds_ago)).strftime("%Y-%m-%dT%H:%M:%S.%f") + "000Z"


class Running:
    """A pod ``p`` with one container and a log file."""

    def __init__(self, api: Any, log: Path) -> None:
        self.api = api
        self.log = log
        self.ages = [300.0, 200.0, 100.0, 1.0]
        self.log.write_text("".join(f"{stamp(age)} line {i}\n" for i, age in enumerate(self.ages)))
        api.host.logs[("default", "p", "model", False)] = log
        self.state({"running": {"startedAt": stamp(300)}})

    def state(self, state: Object, last: Object | None = None, restarts: int = 0) -> None:
        pod = self.api.store.get("pods", "default", "p")
        if "nodeName" not in pod["spec"]:
            pod["spec"]["nodeName"] = "local"
            self.api.store.update("pods", pod)
        status = {"name": "model", "state": state, "lastState": last or {}, "restartCount": restarts}
        self.api.store.update(
            "pods",
            pod | {"status": {"containerStatuses": [status]}, "metadata": pod["metadata"] | {"resourceVersion": ""}},
            status=True,
        )


@pytest.fixture
async def running(api: Any, pod: Any, tmp_path: Path) -> Running:
    await api.create("/api/v1/namespaces/default/pods", pod("p"))
    return Running(api, tmp_path / "log")


@pytest.mark.parametrize(
    ("query", "lines"),
    [
        ("", [0, 1, 2, 3]),
        ("container=model", [0, 1, 2, 3]),
        ("tailLines=2", [2, 3]),
        ("tailLines=0", []),
        ("tailLines=99", [0, 1, 2, 3]),
        ("sinceSeconds=150", [2, 3]),
        ("sinceSeconds=0", []),
        ("limitBytes=14", [0, 1]),
    ],
)
async def test_the_wanted_lines_come_without_their_timestamps(running: Running, query: str, lines: list[int]) -> None:
    answer = await running.api.get(f"{LOG}?{query}")
    assert answer.headers["Content-Type"].startswith("text/plain")
    assert answer.text == "".join(f"line {index}\n" for index in lines)


async def test_timestamps_and_a_start_time_can_be_asked_for(running: Running) -> None:
    whole = running.log.read_text().splitlines()
    since = whole[2].split()[0].replace(":", "%3A")
    answer = await running.api.get(f"{LOG}?timestamps=true&sinceTime={since}")
    assert answer.text.splitlines() == whole[2:]


async def test_a_followed_log_goes_on_until_the_container_ends(running: Running) -> None:
    async with running.api.watch(f"{LOG}?follow=true&tailLines=1") as response:
        assert await response.content.readline() == b"line 3\n"
        with running.log.open("a") as file:
            file.write(f"{stamp(0)} more\n{stamp(0)} unfinis")
        assert await asyncio.wait_for(response.content.readline(), 40) == b"more\n"
        with running.log.open("a") as file:
            file.write("hed\n")
        running.state({"terminated": {"exitCode": 0}})
        assert await asyncio.wait_for(response.content.read(), 40) == b"unfinished\n"


async def test_a_followed_log_goes_on_in_the_new_file_when_it_is_rotated(running: Running) -> None:
    async with running.api.watch(f"{LOG}?follow=true&tailLines=1") as response:
        assert await response.content.readline() == b"line 3\n"
        running.log.rename(running.log.with_suffix(".1"))
        running.log.write_text(f"{stamp(0)} in the new file\n")
        assert await asyncio.wait_for(response.content.readline(), 40) == b"in the new file\n"
        running.api.store.delete("pods", "default", "p")
        assert await asyncio.wait_for(response.content.read(), 40) == b""


async def test_a_rotation_right_before_the_end_loses_no_line(running: Running) -> None:
    async with running.api.watch(f"{LOG}?follow=true&tailLines=1") as response:
        assert await response.content.readline() == b"line 3\n"
        with running.log.open("a") as file:
            file.write(f"{stamp(0)} last of the old file\n")
        running.log.rename(running.log.with_suffix(".1"))
        running.log.write_text(f"{stamp(0)} first of the new one\n")
        running.state({"terminated": {"exitCode": 0}})
        said = await asyncio.wait_for(response.content.read(), 40)
    assert said == b"last of the old file\nfirst of the new one\n"


@pytest.mark.parametrize(
    ("state", "query", "text"),
    [
        (
            {"waiting": {"reason": "ContainerCreating"}},
            "",
            'container "model" in pod "p" is waiting to start: ContainerCreating',
        ),
        (
            {"waiting": {"reason": "ImagePullBackOff"}},
            "",
            'container "model" in pod "p" is waiting to start: trying and failing to pull image',
        ),
        ({"running": {}}, "previous=true", 'previous terminated container "model" in pod "p" not found'),
        ({"running": {}}, "container=other", "container other is not valid for pod p"),
    ],
)
async def test_a_log_that_is_not_there_is_explained(running: Running, state: Object, query: str, text: str) -> None:
    running.state(state)
    answer = await running.api.get(f"{LOG}?{query}")
    assert (answer.status, answer.body["message"]) == (400, text)


async def test_the_previous_run_has_a_log_of_its_own(running: Running, tmp_path: Path) -> None:
    earlier = tmp_path / "earlier"
    earlier.write_text(f"{stamp(900)} from before\n")
    running.api.host.logs[("default", "p", "model", True)] = earlier
    running.state({"running": {}}, {"terminated": {"exitCode": 1}}, restarts=1)
    assert (await running.api.get(f"{LOG}?previous=true")).text == "from before\n"


async def test_a_pod_of_several_containers_asks_which(api: Any, pod: Any) -> None:
    several = pod("q")
    several["spec"]["containers"].append({"name": "proxy", "image": "x"})
    await api.create("/api/v1/namespaces/default/pods", several)
    answer = await api.get("/api/v1/namespaces/default/pods/q/log")
    assert answer.body["message"] == "a container name must be specified for pod q, choose one of: [model proxy]"


@pytest.fixture
async def backend(api: Any) -> Any:
    """A server behind the service ``s`` that tells what it was asked."""

    async def answer(request: web.Request) -> web.Response:
        told = [
            request.method,
            request.raw_path,
            (await request.read()).decode(),
            str("Authorization" in request.headers),
        ]
        return web.Response(text=" ".join(told), status=203, headers={"X-Model": "v1"})

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    api.host.addresses["default/s"] = runner.addresses[0]
    yield api
    await runner.cleanup()


async def test_a_request_is_handed_on_without_the_token(backend: Any) -> None:
    path = "/api/v1/namespaces/default/services/http:s:80/proxy/predict/a%20b?x=1%2F2"
    answer = await backend.ask("POST", path, b"rows")
    assert (answer.status, answer.headers["X-Model"]) == (203, "v1")
    assert answer.text == "POST /predict/a%20b?x=1%2F2 rows False"


async def test_what_does_not_answer_is_unavailable(backend: Any) -> None:
    missing = await backend.get("/api/v1/namespaces/default/services/none:80/proxy/")
    assert (missing.status, missing.body["reason"]) == (503, "ServiceUnavailable")
    backend.host.addresses["default/gone"] = ("127.0.0.1", 1)
    refused = await backend.get("/api/v1/namespaces/default/pods/gone/proxy/")
    assert (refused.status, refused.body["reason"]) == (503, "ServiceUnavailable")
