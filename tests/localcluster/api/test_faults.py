"""What can be made to go wrong on the way between a client and the API, over real sockets."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import aiohttp
import pytest

from mlconsole.localcluster.api import errors, faults

PODS = "/api/v1/namespaces/default/pods"
WATCH = PODS + "?watch=true"


@pytest.fixture
def befall(api: Any) -> Any:
    """Has a fault befall every request from now on."""

    def choose(fault: faults.Fault | None) -> None:
        api.server._faults = lambda request: fault

    return choose


@pytest.mark.parametrize(
    ("fault", "code", "reason"),
    [
        (faults.Refuse(errors.expired(5, 90)), 410, "Expired"),
        (faults.Refuse(errors.unauthorized()), 401, "Unauthorized"),
        (faults.forbidden(), 403, "Forbidden"),
        (faults.failed(), 500, "InternalError"),
        (faults.too_large(90, 5), 504, "Timeout"),
    ],
)
async def test_a_request_is_refused_as_a_real_server_refuses(
    api: Any, befall: Any, fault: faults.Fault, code: int, reason: str
) -> None:
    befall(fault)
    answer = await api.get(PODS)
    assert (answer.status, answer.body["reason"], answer.body["code"]) == (code, reason, code)
    befall(None)
    assert (await api.get(PODS)).status == 200


async def test_a_busy_server_says_when_to_come_back(api: Any, befall: Any) -> None:
    befall(faults.too_many_requests(7))
    answer = await api.get(PODS)
    assert (answer.status, answer.headers["Retry-After"]) == (429, "7")
    assert answer.body["details"]["retryAfterSeconds"] == 7


async def test_a_watch_gets_an_error_event_under_200(api: Any, befall: Any) -> None:
    befall(faults.ErrorEvent(errors.expired(5, 90)))
    answer = await api.get(WATCH)
    event = json.loads(answer.content)
    assert (answer.status, event["type"], event["object"]["code"]) == (200, "ERROR", 410)


@pytest.mark.parametrize("after", [0, 100, 400])
async def test_a_half_open_connection_says_nothing_more(api: Any, befall: Any, pod: Any, after: int) -> None:
    for name in "ab":
        await api.create(PODS, pod(name))
    befall(faults.Broken(after, "silence"))
    reader, writer = await _raw(api, WATCH)
    assert len(await reader.readexactly(after)) == after
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(reader.read(1), 0.1)
    writer.close()


async def test_a_line_is_cut_in_the_middle(api: Any, befall: Any, pod: Any) -> None:
    await api.create(PODS, pod("a"))
    befall(faults.Broken(400, "end"))
    reader, _ = await _raw(api, WATCH)
    head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    assert len(head) + 4 + len(body) == 400
    assert body and not body.endswith(b"\n")


async def test_a_connection_is_reset_or_closed_before_it_answers(api: Any, befall: Any) -> None:
    for how in ("reset", "end"):
        befall(faults.Broken(0, how))
        with pytest.raises(aiohttp.ClientConnectionError):
            await api.get(PODS)


async def test_an_answer_begins_late(api: Any, befall: Any) -> None:
    befall(faults.Slow(0.1))
    began = asyncio.get_running_loop().time()
    assert (await api.get(PODS)).status == 200
    assert asyncio.get_running_loop().time() - began >= 0.1


async def test_bookmarks_come_twice_and_in_the_wrong_order(api: Any, befall: Any, pod: Any) -> None:
    befall(faults.Echo([9, 9, 7]))
    async with api.watch(WATCH) as response:
        for name in "ab":
            api.store.create("pods", pod(name) | {"metadata": {"name": name, "namespace": "default"}})
            await asyncio.sleep(0)
        lines = [json.loads(await asyncio.wait_for(response.content.readline(), 40)) for _ in range(3)]
    assert [line["type"] for line in lines].count("BOOKMARK") >= 1
    assert {line["object"]["metadata"]["resourceVersion"] for line in lines if line["type"] == "BOOKMARK"} <= {"9", "7"}


async def test_no_request_can_ask_for_a_fault(api: Any) -> None:
    for path in ("/_faults", "/faults"):
        assert (await api.ask("POST", path, {"fault": "500"})).status == 404
    assert (await api.get(PODS)).status == 200


async def _raw(api: Any, path: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    host, port = api.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(f"GET {path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {api.token}\r\n\r\n".encode())
    return reader, writer
