"""``pods/portforward`` over a websocket: connections to a pod's ports, two channels for each.

Each message begins with the number of its channel: 2·i is the data of the i-th port asked for, 2·i+1 its errors. The
first message of each channel is its port, as two bytes, the lower one first (kubelet, ``portforward/websocket.go``).
kubectl from 1.31 on speaks SPDY inside of a websocket, see `tunnelled`; what older ones speak, SPDY alone, is not
offered.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from aiohttp import WSMsgType, web

from mlconsole.localcluster.api import tunnelled
from mlconsole.localcluster.api.errors import ApiError, bad_request
from mlconsole.localcluster.api.tunnelled import CHUNK, connect, failure

if TYPE_CHECKING:
    from mlconsole.localcluster.api.hosting import Host

PROTOCOLS = ("v4.channel.k8s.io", "portforward.k8s.io")


async def forward_ports(request: web.Request, host: Host, namespace: str, name: str, uid: str) -> web.StreamResponse:
    """Connects a client with ports of a pod until either side ends. Raises ApiError."""
    socket = web.WebSocketResponse(protocols=PROTOCOLS, heartbeat=None, max_msg_size=0, compress=False)
    asked = {word.strip() for word in request.headers.get("Sec-WebSocket-Protocol", "").split(",") if word.strip()}
    if tunnelled.PROTOCOL in asked and not asked & set(PROTOCOLS):
        return await tunnelled.forward_ports(request, host, namespace, name, uid)
    if not socket.can_prepare(request).ok or (asked and not asked & set(PROTOCOLS)):
        raise _no_spdy()
    ports = _ports(request)
    await socket.prepare(request)
    tunnels = [_Tunnel(socket, number, port, uid) for number, port in enumerate(ports)]
    for tunnel in tunnels:
        await tunnel.announce()
    async with asyncio.TaskGroup() as group:
        for tunnel in tunnels:
            group.create_task(tunnel.run(host.pod_address(namespace, name, tunnel.port)))
        await _hand_on(socket, tunnels)
        for tunnel in tunnels:
            tunnel.end()
    return socket


async def _hand_on(socket: web.WebSocketResponse, tunnels: list[_Tunnel]) -> None:
    """Gives what the client sends to its port, until the client is gone or every port is closed."""
    async for message in socket:
        if message.type is not WSMsgType.BINARY or not message.data:
            continue
        number, kind = divmod(message.data[0], 2)
        if kind == 0 and number < len(tunnels):
            await tunnels[number].send(message.data[1:])


class _Tunnel:
    """One connection to one port of the pod."""

    def __init__(self, socket: web.WebSocketResponse, number: int, port: int, uid: str) -> None:
        self.port = port
        self._socket = socket
        self._data, self._errors = bytes([2 * number]), bytes([2 * number + 1])
        self._uid = uid
        self._writer: asyncio.Future[asyncio.StreamWriter | None] = asyncio.get_running_loop().create_future()

    async def announce(self) -> None:
        """Says which port the two channels are of."""
        port = self.port.to_bytes(2, "little")
        await self._socket.send_bytes(self._data + port)
        await self._socket.send_bytes(self._errors + port)

    async def run(self, address: tuple[str, int] | None) -> None:
        """Connects, and hands on what the pod sends until it ends; then the websocket is closed."""
        try:
            reader, writer = await connect(address)
        except OSError as error:
            self._writer.set_result(None)
            await self._fail(f"{error.strerror or error}")
            return
        self._writer.set_result(writer)
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(CHUNK):
                await self._socket.send_bytes(self._data + data)
        writer.close()
        await self._socket.close()

    async def send(self, data: bytes) -> None:
        """Gives the pod what the client sent."""
        writer = await self._writer
        if writer is not None:
            writer.write(data)
            with contextlib.suppress(ConnectionError):
                await writer.drain()

    def end(self) -> None:
        """The client is gone: ends the connection."""
        if self._writer.done() and (writer := self._writer.result()) is not None:
            writer.close()

    async def _fail(self, why: str) -> None:
        message = f"an error occurred forwarding {self.port} -> {self.port}: {failure(self.port, self._uid, why)}"
        with contextlib.suppress(ConnectionError):
            await self._socket.send_bytes(self._errors + message.encode())
            await self._socket.close()


def _ports(request: web.Request) -> list[int]:
    words = [word for value in request.query.getall("ports", []) for word in value.split(",")]
    if not words:
        raise bad_request('query parameter "ports" is required')
    if not all(word.isdecimal() and 0 < int(word) < 65536 for word in words):
        raise bad_request(f"unable to parse {','.join(words)} as ports")
    return [int(word) for word in words]


def _no_spdy() -> ApiError:
    message = (
        "the local cluster forwards ports by websocket only, not by the SPDY that kubectl before 1.31 speaks: use a "
        "newer one, `mlconsole port-forward`, or the address in the annotation local.mlconsole.dev/address of its "
        "Service"
    )
    return ApiError(501, message, "NotImplemented")
