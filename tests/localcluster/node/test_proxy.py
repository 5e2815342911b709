"""One listener of the Service proxy in front of plain TCP servers."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator

import pytest

from mlconsole.localcluster.node import proxy
from mlconsole.localcluster.node.proxy import Address, Listener


async def reverse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answers only when the client has said everything: needs the half-close to come through."""
    data = await reader.read()
    writer.write(data[::-1])
    await writer.drain()
    writer.close()


async def say(address: Address, text: bytes) -> bytes:
    reader, writer = await asyncio.open_connection(*address)
    writer.write(text)
    writer.write_eof()
    answer = await reader.read()
    writer.close()
    return answer


@pytest.fixture
async def backend() -> AsyncIterator[Address]:
    server = await asyncio.start_server(reverse, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()
    server.close()


@pytest.fixture
async def listener() -> AsyncIterator[Listener]:
    made = Listener(proxy._listen(0))
    yield made
    made.close()


@pytest.fixture
def dead() -> Iterator[Address]:
    """Where every connection is refused, and nobody else can begin to listen meanwhile."""
    with socket.socket() as mute:
        mute.bind(("127.0.0.1", 0))
        yield mute.getsockname()


async def test_both_directions_end_on_their_own(listener: Listener, backend: Address) -> None:
    listener.set_backends([backend])
    text = bytes(range(256)) * 4096
    assert await say(("127.0.0.1", listener.port), text) == text[::-1]


async def test_a_backend_that_refuses_is_passed_over(listener: Listener, backend: Address, dead: Address) -> None:
    listener.set_backends([dead, backend, dead])
    answers = [await say(("127.0.0.1", listener.port), b"abc") for _ in range(6)]
    assert answers == [b"cba"] * 6


async def test_a_connection_waits_for_somebody_to_be_ready(
    listener: Listener, backend: Address, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(proxy, "WAIT_FOR_READY", 40.0)
    waiting = asyncio.create_task(say(("127.0.0.1", listener.port), b"abc"))
    await asyncio.sleep(0)
    listener.set_backends([backend])
    assert await waiting == b"cba"


async def test_a_connection_that_nobody_takes_is_closed(listener: Listener, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proxy, "WAIT_FOR_READY", 0.05)
    reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
    assert await asyncio.wait_for(reader.read(), 20) == b""
    writer.close()


async def test_backends_take_turns(listener: Listener) -> None:
    counts = [0, 0, 0]
    servers = []
    for index in range(3):

        async def count(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, index: int = index) -> None:
            counts[index] += 1
            writer.close()

        servers.append(await asyncio.start_server(count, "127.0.0.1", 0))
    listener.set_backends([server.sockets[0].getsockname() for server in servers])
    for _ in range(9):
        await say(("127.0.0.1", listener.port), b"")
    assert counts == [3, 3, 3]
    for server in servers:
        server.close()
