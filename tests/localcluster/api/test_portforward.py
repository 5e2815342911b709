"""Ports of pods, forwarded over a websocket."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import WSMsgType

PATH = "/api/v1/namespaces/default/pods/p/portforward"
V4 = ("v4.channel.k8s.io",)


@pytest.fixture
async def echo(api: Any, pod: Any) -> AsyncIterator[int]:
    """A pod ``p`` whose port 8080 sends back, in capitals, one line."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write((await reader.readline()).upper())
        writer.close()

    await api.create("/api/v1/namespaces/default/pods", pod("p"))
    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port: int = server.sockets[0].getsockname()[1]
    api.host.addresses["default/p"] = ("127.0.0.1", port)
    yield port
    server.close()


def opening(api: Any, query: str, protocols: tuple[str, ...] = V4) -> Any:
    headers = {"Authorization": f"Bearer {api.token}"}
    return api.session.ws_connect(f"{api.url}{PATH}?{query}", protocols=protocols, headers=headers)


async def test_bytes_go_forth_and_back(api: Any, echo: int) -> None:
    async with opening(api, "ports=8080") as socket:
        assert socket.protocol == "v4.channel.k8s.io"
        assert [await socket.receive_bytes(timeout=40) for _ in range(2)] == [b"\x00\x90\x1f", b"\x01\x90\x1f"]
        await socket.send_bytes(b"\x00hello ")
        await socket.send_bytes(b"\x00there\n")
        assert await socket.receive_bytes(timeout=40) == b"\x00HELLO THERE\n"
        assert (await socket.receive(timeout=40)).type is WSMsgType.CLOSE


async def test_a_port_on_which_nothing_listens_is_told_on_the_error_channel(api: Any, echo: int) -> None:
    api.host.addresses["default/p"] = ("127.0.0.1", 1)
    async with opening(api, "ports=8080") as socket:
        said = [await socket.receive_bytes(timeout=40) for _ in range(3)][-1]
    assert said.startswith(b"\x01an error occurred forwarding 8080 -> 8080")


@pytest.mark.parametrize(
    ("query", "headers", "code"),
    [
        ("ports=8080", {"Upgrade": "SPDY/3.1", "Connection": "Upgrade"}, 501),
        ("ports=8080", {}, 501),
    ],
)
async def test_what_can_not_be_had_is_told(api: Any, echo: int, query: str, headers: Any, code: int) -> None:
    answer = await api.ask("POST", f"{PATH}?{query}", **headers)
    assert (answer.status, answer.body["reason"]) == (code, "NotImplemented")
    assert "by websocket only" in answer.body["message"]


async def test_a_pod_that_is_not_there_is_named(api: Any) -> None:
    answer = await api.get(f"{PATH}?ports=80")
    assert (answer.status, answer.body["message"]) == (404, 'pods "p" not found')


async def test_the_official_client_forwards(api: Any, echo: int) -> None:
    def ask() -> bytes:
        from kubernetes import client
        from kubernetes.stream import portforward

        configuration = client.Configuration(host=api.url)
        configuration.api_key = {"authorization": f"Bearer {api.token}"}
        core = client.CoreV1Api(client.ApiClient(configuration))
        forward = portforward(core.connect_get_namespaced_pod_portforward, "p", "default", ports="8080")
        connection = forward.socket(8080)
        connection.sendall(b"hello\n")
        connection.settimeout(40)
        data: bytes = connection.recv(100)
        forward.close()
        return data

    assert await asyncio.to_thread(ask) == b"HELLO\n"
