"""What can go wrong between a client and an API server, for tests: handed to `ApiServer` by whoever makes one.

The server that `serve` starts is given none, and no request can ask for any.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, Literal

from aiohttp import web

from mlconsole.localcluster.api import errors
from mlconsole.localcluster.api.errors import ApiError
from mlconsole.localcluster.api.rendering import encode

Proceed = Callable[[], Awaitable[web.StreamResponse]]


class Fault(ABC):
    """Something that befalls one request."""

    @abstractmethod
    async def answer(self, request: web.Request, proceed: Proceed) -> web.StreamResponse:
        """Answers in place of the server, which `proceed` lets do its work."""


Choose = Callable[[web.Request], Fault | None]
"""Says what befalls a request; None for nothing."""


class Refuse(Fault):
    """A refusal by HTTP status, such as `Refuse(errors.expired(5, 90))`."""

    def __init__(self, error: ApiError, headers: Mapping[str, str] = {}) -> None:
        self._error = error
        self._headers = headers

    async def answer(self, request: web.Request, proceed: Proceed) -> web.StreamResponse:
        """Refuses."""
        return web.json_response(body=encode(self._error.status), status=self._error.code, headers=self._headers)


class ErrorEvent(Fault):
    """A watch that answers 200 and then only an ERROR event."""

    def __init__(self, error: ApiError) -> None:
        self._error = error

    async def answer(self, request: web.Request, proceed: Proceed) -> web.StreamResponse:
        """Sends the event and ends the watch."""
        return web.Response(
            body=encode({"type": "ERROR", "object": self._error.status}) + b"\n", content_type="application/json"
        )


class Slow(Fault):
    """An answer that begins late.

    Args:
        seconds: until it begins.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    async def answer(self, request: web.Request, proceed: Proceed) -> web.StreamResponse:
        """Waits, then lets the server answer."""
        await asyncio.sleep(self._seconds)
        return await proceed()


class Broken(Fault):
    """An answer of which only the first bytes arrive.

    Args:
        after: so many bytes of it are sent, headers included.
        then: `silence` keeps the connection open (half-open), `end` closes it as if all were well, `reset` breaks it.
    """

    def __init__(self, after: int, then: Literal["silence", "end", "reset"]) -> None:
        self._after = after
        self._then = then

    async def answer(self, request: web.Request, proceed: Proceed) -> web.StreamResponse:
        """Lets the server answer through a transport that lets no more through."""
        protocol, transport = request.protocol, request.transport
        if transport is not None:
            protocol.transport = _Valve(transport, self._after, self._then)  # type: ignore[assignment]
        if self._after <= 0 and self._then != "silence":
            _break(transport, self._then)
        return await proceed()


class Echo(Fault):
    """A watch in which bookmarks come twice and in the wrong order.

    Args:
        versions: those of the bookmarks that are put between the events, one after each, then again from the first.
        kind: what is watched.
    """

    def __init__(self, versions: Iterable[int], kind: str = "Pod") -> None:
        self._lines = [_bookmark(version, kind) for version in versions]

    async def answer(self, request: web.Request, proceed: Proceed) -> web.StreamResponse:
        """Lets the server answer through a transport that adds bookmarks."""
        protocol, transport = request.protocol, request.transport
        if transport is not None:
            protocol.transport = _Adding(transport, self._lines)  # type: ignore[assignment]
        return await proceed()


def too_many_requests(seconds: int = 1) -> Refuse:
    """429, as the server's flow control answers it."""
    message = "the server has received too many requests and has asked us to try again later"
    error = ApiError(429, message, "TooManyRequests", {"retryAfterSeconds": seconds})
    return Refuse(error, {"Retry-After": str(seconds)})


def forbidden(resource: str = "pods") -> Refuse:
    """403 for a list or a watch."""
    message = f'{resource} is forbidden: User "ada" cannot list resource "{resource}" in API group "" in the namespace'
    return Refuse(ApiError(403, message + ' "default"', "Forbidden", {"kind": resource}))


def failed() -> Refuse:
    """500."""
    return Refuse(ApiError(500, "Internal error occurred: etcdserver: leader changed", "InternalError"))


def too_large(wanted: int, current: int) -> Refuse:
    """504 for a list at a version that the server has not reached."""
    return Refuse(errors.version_too_large(wanted, current))


class _Transport:
    """Stands in for a connection's transport; everything but writing is the real one's."""

    def __init__(self, real: asyncio.Transport) -> None:
        self._real = real

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def writelines(self, chunks: Iterable[bytes]) -> None:
        """Writes several pieces in one."""
        self.write(b"".join(chunks))

    def write(self, data: bytes) -> None:
        """Writes one piece."""
        self._real.write(data)


class _Valve(_Transport):
    def __init__(self, real: asyncio.Transport, after: int, then: str) -> None:
        super().__init__(real)
        self._left = after
        self._then = then

    def write(self, data: bytes) -> None:
        if self._left > 0:
            self._real.write(bytes(data[: self._left]))
        self._left -= len(data)
        if self._left <= 0:
            _break(self._real, self._then)


class _Adding(_Transport):
    def __init__(self, real: asyncio.Transport, lines: list[bytes]) -> None:
        super().__init__(real)
        self._lines = lines
        self._count = 0

    def write(self, data: bytes) -> None:
        self._real.write(data)
        if not data.endswith(b"0\r\n\r\n"):
            line = self._lines[self._count % len(self._lines)]
            self._count += 1
            self._real.write(f"{len(line):x}\r\n".encode() + line + b"\r\n")


def _break(transport: asyncio.Transport | None, how: str) -> None:
    if transport is None or how == "silence":
        return
    if how == "reset":
        transport.abort()
    else:
        transport.close()


def _bookmark(version: int, kind: str) -> bytes:
    metadata = {"resourceVersion": str(version), "creationTimestamp": None}
    return encode({"type": "BOOKMARK", "object": {"kind": kind, "apiVersion": "v1", "metadata": metadata}}) + b"\n"
