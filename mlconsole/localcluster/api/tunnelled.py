"""``pods/portforward`` as kubectl from 1.31 on asks for it: SPDY inside of a websocket (KEP-4006).

Each connection to a port is two streams of the same ``requestid``: one for its data, one for what went wrong with it.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from aiohttp import WSMsgType, web

from mlconsole.localcluster.api.spdy import Data, Malformed, Opened, Ping, Session

if TYPE_CHECKING:
    from mlconsole.localcluster.api.hosting import Host

PROTOCOL = "SPDY/3.1+portforward.k8s.io"
CHUNK = 64 * 1024
CONNECT_SECONDS = 5.0


async def forward_ports(request: web.Request, host: Host, namespace: str, name: str, uid: str) -> web.StreamResponse:
    """Connects a client with ports of a pod until the client ends."""
    socket = web.WebSocketResponse(protocols=(PROTOCOL,), heartbeat=None, max_msg_size=0, compress=False)
    await socket.prepare(request)
    forwarding = _Forwarding(socket, host, namespace, name, uid)
    try:
        async for message in socket:
            if message.type is WSMsgType.BINARY:
                await forwarding.take(message.data)
    except (Malformed, ConnectionError):
        # Whoever speaks something else, or is gone, has no use for an answer.
        return socket
    finally:
        await forwarding.end()
    return socket


class _Forwarding:
    """All connections of one client."""

    def __init__(self, socket: web.WebSocketResponse, host: Host, namespace: str, name: str, uid: str) -> None:
        self._socket, self._host = socket, host
        self._place, self._uid = (namespace, name), uid
        self._session = Session()
        self._errors: dict[str, int] = {}
        self._received: dict[int, asyncio.Queue[bytes]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def take(self, data: bytes) -> None:
        """Acts on what a message says. Raises Malformed."""
        for said in self._session.feed(data):
            if isinstance(said, Opened):
                await self._open(said)
            elif isinstance(said, Ping):
                await self._socket.send_bytes(self._session.pong(said))
            elif said.stream in self._received:
                queue = self._received[said.stream]
                if isinstance(said, Data) and said.data:
                    queue.put_nowait(said.data)
                if not isinstance(said, Data) or said.ended:
                    queue.put_nowait(b"")

    async def end(self) -> None:
        """Ends every connection."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _open(self, opened: Opened) -> None:
        await self._socket.send_bytes(self._session.accept(opened.stream))
        connection, port = opened.headers.get("requestid", ""), opened.headers.get("port", "")
        if opened.headers.get("streamtype") != "data" or not port.isdecimal():
            self._errors[connection] = opened.stream
            return
        self._received[opened.stream] = asyncio.Queue()
        task = asyncio.create_task(self._run(opened.stream, self._errors.pop(connection, 0), int(port)))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self, stream: int, errors: int, port: int) -> None:
        """One connection, from its first byte to its last."""
        why = b""
        try:
            reader, writer = await connect(self._host.pod_address(*self._place, port))
        except OSError as error:
            why = failure(port, self._uid, error.strerror or str(error)).encode()
        else:
            sending = asyncio.create_task(_send(self._received[stream], writer))
            try:
                with contextlib.suppress(ConnectionError):
                    while data := await reader.read(CHUNK):
                        await self._socket.send_bytes(self._session.data(stream, data))
            finally:
                sending.cancel()
                writer.close()
        del self._received[stream]
        with contextlib.suppress(ConnectionError):
            if errors:
                await self._socket.send_bytes(self._session.data(errors, why, ended=True))
            await self._socket.send_bytes(self._session.data(stream, b"", ended=True))


async def _send(received: asyncio.Queue[bytes], writer: asyncio.StreamWriter) -> None:
    """Gives the pod what the client sends; an empty piece is the end of it."""
    with contextlib.suppress(ConnectionError):
        while data := await received.get():
            writer.write(data)
            await writer.drain()
        writer.write_eof()


async def connect(address: tuple[str, int] | None) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Connects to a port of a pod. Raises OSError."""
    if address is None:
        raise OSError("the pod has no such port")
    try:
        return await asyncio.wait_for(asyncio.open_connection(*address), CONNECT_SECONDS)
    except TimeoutError:
        raise OSError("no answer in time") from None


def failure(port: int, uid: str, why: str) -> str:
    """That a port can't be reached, in the kubelet's words."""
    return f"error forwarding port {port} to pod {uid}: failed to connect to localhost:{port}: {why}"
