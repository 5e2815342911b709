"""Sockets of the client's pool: kept alive, and known by the thread that waits for each.

A thread that waits for an answer can't be asked to stop. Shutting its socket down ends the wait at once; so that the
right one can be found, each connection of the pool notes who used it last.
"""

from __future__ import annotations

import socket
import threading
from typing import Any
from weakref import WeakKeyDictionary

from urllib3 import HTTPConnectionPool, HTTPSConnectionPool, PoolManager, Timeout
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import ConnectTimeoutError, NameResolutionError, NewConnectionError
from urllib3.util.connection import allowed_gai_family


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
        self._opening: WeakKeyDictionary[HTTPConnection, socket.socket] = WeakKeyDictionary()
        self._lock = threading.Lock()
        tracker = self

        class _Http(HTTPConnection):
            def request(self, *arguments: Any, **keywords: Any) -> None:
                tracker.note(self)
                super().request(*arguments, **keywords)

            def _new_conn(self) -> socket.socket:
                return tracker.connect(self)

        class _Https(HTTPSConnection):
            def request(self, *arguments: Any, **keywords: Any) -> None:
                tracker.note(self)
                super().request(*arguments, **keywords)

            def _new_conn(self) -> socket.socket:
                return tracker.connect(self)

        class _HttpPool(HTTPConnectionPool):
            ConnectionCls = _Http

        class _HttpsPool(HTTPSConnectionPool):
            ConnectionCls = _Https

        manager.pool_classes_by_scheme = {"http": _HttpPool, "https": _HttpsPool}

    def note(self, connection: HTTPConnection) -> None:
        """Remember that the calling thread uses this connection now."""
        with self._lock:
            self._users[connection] = threading.get_ident()

    def connect(self, connection: HTTPConnection) -> socket.socket:
        """Connect as urllib3 does, but with a socket that is known meanwhile, so that it can be shut down."""
        self.note(connection)
        host, port = connection._dns_host, connection.port
        try:
            addresses = socket.getaddrinfo(host.strip("[]"), port, allowed_gai_family(), socket.SOCK_STREAM)
        except socket.gaierror as error:
            raise NameResolutionError(connection.host, connection, error) from error
        failure = OSError("its name has no address")
        for family, kind, protocol, _, address in addresses:
            sock = socket.socket(family, kind, protocol)
            try:
                for option in connection.socket_options or ():
                    sock.setsockopt(*option)
                sock.settimeout(Timeout.resolve_default_timeout(connection.timeout))
                with self._lock:
                    self._opening[connection] = sock
                sock.connect(address)
                return sock
            except OSError as error:
                failure = error
                sock.close()
            finally:
                with self._lock:
                    self._opening.pop(connection, None)
        if isinstance(failure, TimeoutError):
            raise ConnectTimeoutError(connection, f"Connection to {connection.host} timed out") from failure
        raise NewConnectionError(connection, f"Failed to establish a new connection: {failure}") from failure

    def shut_down(self, thread: int) -> None:
        """Shut down the sockets that `thread` used last; what it waits for on them fails at once."""
        with self._lock:
            mine = [connection for connection, user in self._users.items() if user == thread]
            opening = dict(self._opening)
        for connection in mine:
            sock = opening.get(connection) or connection.sock
            if sock is None:
                continue
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                # It is closed already.
                continue
