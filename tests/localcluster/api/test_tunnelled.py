"""Ports of pods, forwarded as kubectl from 1.31 on asks for it: SPDY inside of a websocket."""

from __future__ import annotations

import asyncio
import struct
import zlib
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import WSMsgType

from mlconsole.localcluster.api.spdy import DICTIONARY, Data, Malformed, Opened, Ping, Session

PATH = "/api/v1/namespaces/default/pods/p/portforward"
PROTOCOL = "SPDY/3.1+portforward.k8s.io"


def test_the_dictionary_is_that_of_the_protocol() -> None:
    # Its length and check sum are in the specification.
    assert (len(DICTIONARY), zlib.adler32(DICTIONARY)) == (1423, 0xE3C6A7C2)


class Client:
    """The other side: makes frames as client-go does, and reads the answers."""

    def __init__(self, socket: Any = None) -> None:
        self.socket = socket
        self.deflate = zlib.compressobj(zdict=DICTIONARY)
        self.ended: set[int] = set()
        self.got: dict[int, bytes] = {}
        self.accepted: list[int] = []

    def open(self, stream: int, **headers: str) -> bytes:
        words = [word for pair in headers.items() for word in pair]
        block = struct.pack(">I", len(headers)) + b"".join(struct.pack(">I", len(w)) + w.encode() for w in words)
        body = struct.pack(">IIH", stream, 0, 0) + self.deflate.compress(block) + self.deflate.flush(zlib.Z_SYNC_FLUSH)
        return struct.pack(">HHI", 0x8003, 1, len(body)) + body

    def data(self, stream: int, data: bytes, *, ended: bool = False) -> bytes:
        return struct.pack(">II", stream, int(ended) << 24 | len(data)) + data

    async def receive_until(self, *streams: int) -> None:
        """Read frames until all of these streams are ended by the server."""
        while not set(streams) <= self.ended:
            frame = await self.socket.receive_bytes(timeout=40)
            first, second = struct.unpack_from(">II", frame)
            if first >> 31:
                self.accepted.append(struct.unpack_from(">I", frame, 8)[0])
                continue
            self.got[first] = self.got.get(first, b"") + frame[8:]
            if second >> 24:
                self.ended.add(first)


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_frames_are_read_however_they_are_cut(size: int) -> None:
    client, session = Client(), Session()
    wire = (
        client.open(1, streamtype="error", port="80", requestid="0")
        + client.open(3, streamtype="data", port="80", requestid="0")
        + client.data(1, b"", ended=True)
        + client.data(3, b"hello")
        + struct.pack(">HHII", 0x8003, 6, 4, 5)
    )
    said = [item for at in range(0, len(wire), size) for item in session.feed(wire[at : at + size])]
    assert said == [
        Opened(1, {"streamtype": "error", "port": "80", "requestid": "0"}, False),
        Opened(3, {"streamtype": "data", "port": "80", "requestid": "0"}, False),
        Data(1, b"", True),
        Data(3, b"hello", False),
        Ping(b"\x00\x00\x00\x05"),
    ]


def test_what_is_no_spdy_is_refused() -> None:
    with pytest.raises(Malformed):
        list(Session().feed(struct.pack(">HHI", 0x8003, 1, 12) + b"x" * 12))


@pytest.fixture
async def echo(api: Any, pod: Any) -> AsyncIterator[None]:
    """A pod ``p`` whose port sends back, in capitals, all that it got, when the client has ended its half."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write((await reader.read()).upper())
        await writer.drain()
        writer.close()

    await api.create("/api/v1/namespaces/default/pods", pod("p"))
    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    api.host.addresses["default/p"] = ("127.0.0.1", server.sockets[0].getsockname()[1])
    yield
    server.close()


def opening(api: Any) -> Any:
    headers = {"Authorization": f"Bearer {api.token}"}
    return api.session.ws_connect(f"{api.url}{PATH}", protocols=(PROTOCOL,), headers=headers)


async def test_connections_go_side_by_side_and_end_one_by_one(api: Any, echo: None) -> None:
    async with opening(api) as socket:
        assert socket.protocol == PROTOCOL
        client = Client(socket)
        large = b"x" * 300_000
        for number, data in enumerate((b"one", large)):
            error, stream = 4 * number + 1, 4 * number + 3
            named = {"port": "8080", "requestid": str(number)}
            await socket.send_bytes(client.open(error, streamtype="error", **named))
            await socket.send_bytes(client.open(stream, streamtype="data", **named))
            await socket.send_bytes(client.data(error, b"", ended=True) + client.data(stream, data))
        await socket.send_bytes(client.data(7, b"", ended=True))
        await client.receive_until(5, 7)
        assert client.got[7] == large.upper()
        assert 3 not in client.ended
        await socket.send_bytes(client.data(3, b"", ended=True))
        await client.receive_until(1, 3)
        assert (client.got[3], client.got[1], client.accepted) == (b"ONE", b"", [1, 3, 5, 7])


async def test_a_port_on_which_nothing_listens_is_told_on_the_error_stream(api: Any, echo: None) -> None:
    api.host.addresses["default/p"] = ("127.0.0.1", 1)
    async with opening(api) as socket:
        client = Client(socket)
        await socket.send_bytes(client.open(1, streamtype="error", port="8080", requestid="0"))
        await socket.send_bytes(client.open(3, streamtype="data", port="8080", requestid="0"))
        await client.receive_until(1, 3)
    assert client.got[1].startswith(b"error forwarding port 8080 to pod ")


async def test_a_client_that_speaks_something_else_is_left(api: Any, echo: None) -> None:
    async with opening(api) as socket:
        await socket.send_bytes(struct.pack(">HHI", 0x8003, 1, 12) + b"x" * 12)
        assert (await socket.receive(timeout=40)).type in (WSMsgType.CLOSE, WSMsgType.CLOSED)
