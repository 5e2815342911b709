"""As much of SPDY/3.1 as kubectl speaks inside of a websocket, when it forwards ports: streams, their data, their end.

Source: https://www.chromium.org/spdy/spdy-protocol/spdy-protocol-draft3-1/. There is no flow control: client-go has
none either.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from typing import NamedTuple

SYN_STREAM, SYN_REPLY, RST_STREAM, PING = 1, 2, 3, 6
FIN = 0x01
MOST = 0xFFFFFF

_WORDS = (
    "options head post put delete trace accept accept-charset accept-encoding accept-language accept-ranges age allow "
    "authorization cache-control connection content-base content-encoding content-language content-length "
    "content-location content-md5 content-range content-type date etag expect expires from host if-match "
    "if-modified-since if-none-match if-range if-unmodified-since last-modified location max-forwards pragma "
    "proxy-authenticate proxy-authorization range referer retry-after server te trailer transfer-encoding upgrade "
    "user-agent vary via warning www-authenticate method get status"
)
_MORE_WORDS = ("200 OK", "version", "HTTP/1.1", "url", "public", "set-cookie", "keep-alive", "origin")
_REST = (
    "100101201202205206300302303304305306307402405406407408409410411412413414415416417502504505"
    "203 Non-Authoritative Information204 No Content301 Moved Permanently400 Bad Request401 Unauthorized403 Forbidden"
    "404 Not Found500 Internal Server Error501 Not Implemented503 Service Unavailable"
    "Jan Feb Mar Apr May Jun Jul Aug Sept Oct Nov Dec 00:00:00 Mon, Tue, Wed, Thu, Fri, Sat, Sun, GMT"
    "chunked,text/html,image/png,image/jpg,image/gif,application/xml,application/xhtml+xml,text/plain,text/javascript,"
    "publicprivatemax-age=gzip,deflate,sdchcharset=utf-8charset=iso-8859-1,utf-,*,enq=0."
)
DICTIONARY = (
    b"".join(struct.pack(">I", len(word)) + word.encode() for word in (*_WORDS.split(), *_MORE_WORDS)) + _REST.encode()
)
"""What both sides know beforehand of the headers that they compress."""


class Malformed(Exception):
    """The client does not speak SPDY."""


class Opened(NamedTuple):
    """The client opens a stream."""

    stream: int
    headers: dict[str, str]
    ended: bool


class Data(NamedTuple):
    """The client sends data on a stream, or ends its half of it."""

    stream: int
    data: bytes
    ended: bool


class Reset(NamedTuple):
    """The client gives a stream up."""

    stream: int


class Ping(NamedTuple):
    """The client wants to hear these bytes again."""

    content: bytes


class Session:
    """Bytes of a client in, what they mean out; and the other way round."""

    def __init__(self) -> None:
        self._rest = b""
        self._inflate = zlib.decompressobj(zdict=DICTIONARY)
        self._deflate = zlib.compressobj(zdict=DICTIONARY)

    def feed(self, data: bytes) -> Iterator[Opened | Data | Reset | Ping]:
        """What the client says, frame by frame. Raises Malformed."""
        self._rest += data
        while len(self._rest) >= 8:
            first, second = struct.unpack_from(">II", self._rest)
            flags, length = second >> 24, second & MOST
            if len(self._rest) < 8 + length:
                return
            body, self._rest = self._rest[8 : 8 + length], self._rest[8 + length :]
            if not first >> 31:
                yield Data(first, body, bool(flags & FIN))
                continue
            said = self._control(first & 0xFFFF, flags, body)
            if said is not None:
                yield said

    def _control(self, kind: int, flags: int, body: bytes) -> Opened | Reset | Ping | None:
        try:
            if kind == SYN_STREAM:
                (stream,) = struct.unpack_from(">I", body)
                return Opened(stream, self._headers(body[10:]), bool(flags & FIN))
            if kind == RST_STREAM:
                return Reset(struct.unpack_from(">I", body)[0])
        except (struct.error, zlib.error, UnicodeDecodeError) as error:
            raise Malformed(str(error)) from error
        return Ping(body) if kind == PING else None

    def _headers(self, block: bytes) -> dict[str, str]:
        data = self._inflate.decompress(block)
        (count,), place = struct.unpack_from(">I", data), 4
        words = []
        for _ in range(2 * count):
            (size,) = struct.unpack_from(">I", data, place)
            words.append(data[place + 4 : place + 4 + size].decode())
            place += 4 + size
        return dict(zip(words[::2], words[1::2], strict=True))

    def accept(self, stream: int) -> bytes:
        """The frame that takes a stream."""
        block = self._deflate.compress(struct.pack(">I", 0)) + self._deflate.flush(zlib.Z_SYNC_FLUSH)
        return _control(SYN_REPLY, struct.pack(">I", stream) + block)

    def data(self, stream: int, data: bytes, *, ended: bool = False) -> bytes:
        """The frame of data, the last one where `ended`."""
        return struct.pack(">II", stream, (FIN if ended else 0) << 24 | len(data)) + data

    def pong(self, ping: Ping) -> bytes:
        """The frame that answers a ping."""
        return _control(PING, ping.content)


def _control(kind: int, body: bytes) -> bytes:
    return struct.pack(">HHI", 0x8003, kind, len(body)) + body
