"""Sockets of the client's pool: kept alive, and known by the thread that waits for each.

A thread that waits for an answer can't be asked to stop. Shutting its socket down ends the wait at once; so that the
right one can be found, each connection of the pool notes who used it last.
"""

from __future__ import annotations

import socket
import threading
from typing import Any
from weakref import WeakKeyDictionary

from urllib3 import HTTPConnectionPool, HTTPSConnectionPool, PoolManager
from urllib3.connection import HTTPConnection, HTTPSConnection


def keep_alive_options() -> list[tuple[int, int, int | bytes]]:
    """Socket options by which a dead peer is noticed within about a minute."""
    options = [*HTTPConnection.default_socket_options, (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)]
    for names, value in ((("TCP_KEEPIDLE", "TCP_KEEPALIVE"), 30), (("TCP_KEEPINTVL",), 10), (("TCP_KEEPCNT",), 3)):
        option = next((getattr(socket, name) for name in names if hasattr(socket, name)), None)
        if option is not None:
            options.append((socket.IPPROTO_TCP, option, value))
    return options


class Tracker:
    """Knows which thread uses which connection of one pool."""

    def __init__(self, manager: PoolManager) -> None:
        self._users: WeakKeyDictionary[HTTPConnection, int] = WeakKeyDictionary()
        self._lock = threading.Lock()
        tracker = self

        class _Http(HTTPConnection):
            def request(self, *arguments: Any, **keywords: Any) -> None:
                tracker.note(self)
                super().request(*arguments, **keywords)

        class _Https(HTTPSConnection):
            def request(self, *arguments: Any, **keywords: Any) -> None:
                tracker.note(self)
                super().request(*arguments, **keywords)

        class _HttpPool(HTTPConnectionPool):
            ConnectionCls = _Http

        class _HttpsPool(HTTPSConnectionPool):
            ConnectionCls = _Https

        manager.pool_classes_by_scheme = {"http": _HttpPool, "https": _HttpsPool}

    def note(self, connection: HTTPConnection) -> None:
        """Remember that the calling thread uses this connection now."""
        with self._lock:
            self._users[connection] = threading.get_ident()

    def shut_down(self, thread: int) -> None:
        """Shut down the sockets that `thread` used last; what it waits for on them fails at once."""
        with self._lock:
            mine = [connection for connection, user in self._users.items() if user == thread]
        for connection in mine:
            sock = connection.sock
            if sock is None:
                continue
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                # It is closed already.
                continue
