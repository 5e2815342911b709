"""Sockets of the client's pool: kept alive, and known by the thread that waits for each.

A thread that waits for an answer can't be asked to stop. Shutting its socket down ends the wait at once; so that the
right one can be found, each connection of the pool notes who used it last.
"""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, quote, urlsplit
from weakref import WeakKeyDictionary

from urllib3 import HTTPConnectionPool, PoolManager, Timeout
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import ConnectTimeoutError, NameResolutionError, NewConnectionError, ProxyError
from urllib3.util import make_headers
from urllib3.util.connection import allowed_gai_family

from mlconsole.services.kubernetes.problems import NoCluster, unreachable
from mlconsole.services.kubernetes.proxies import Proxy
from mlconsole.services.kubernetes.tls import shut_down
from mlconsole.services.kubernetes.transport import problem_of_transport

if TYPE_CHECKING:
    from websocket import WebSocket

_PLAIN = (HTTPConnection, HTTPSConnection)


def keep_alive_options() -> list[tuple[int, int, int | bytes]]:
    """Socket options by which a dead peer is noticed within about a minute."""
    options = [*HTTPConnection.default_socket_options, (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)]
    for names, value in ((("TCP_KEEPIDLE", "TCP_KEEPALIVE"), 30), (("TCP_KEEPINTVL",), 10), (("TCP_KEEPCNT",), 3)):
        option = next((getattr(socket, name) for name in names if hasattr(socket, name)), None)
        if option is not None:
            options.append((socket.IPPROTO_TCP, option, value))
    return options


def lead_through(configuration: Any, proxy: Proxy | None) -> None:
    """Set the proxy in the official client's configuration, so that it looks for none by itself.

    Raises:
        NoCluster: it is a SOCKS proxy, and what speaks with such is not installed.
    """
    configuration.proxy, configuration.no_proxy = None, None
    if proxy is None:
        return
    configuration.proxy = proxy.url
    if proxy.is_socks:
        try:
            import socks  # noqa: F401
        except ImportError as error:
            raise NoCluster(
                f"{proxy.named_by} is a SOCKS proxy, which takes the package PySocks.", "Run `pip install pysocks`."
            ) from error
        if proxy.user:
            scheme, _, rest = proxy.url.partition("://")
            configuration.proxy = f"{scheme}://{quote(proxy.user)}:{quote(proxy.password)}@{rest}"
        return
    if proxy.user:
        configuration.proxy_headers = make_headers(proxy_basic_auth=f"{proxy.user}:{proxy.password}")
    if proxy.url.startswith("https"):
        # The cluster's authority says nothing of the proxy.
        configuration.proxy_ssl_context = ssl.create_default_context()


def use_tls(manager: PoolManager, context: ssl.SSLContext | None) -> None:
    """Have a pool use this context for all of its connections."""
    if context is None:
        return
    for name in ("ca_certs", "ca_cert_data", "cert_file", "key_file"):
        manager.connection_pool_kw.pop(name, None)
    manager.connection_pool_kw["ssl_context"] = context
    if context.verify_mode == ssl.CERT_NONE:
        manager.connection_pool_kw["cert_reqs"] = ssl.CERT_NONE


def open_websocket(
    url: str,
    headers: Sequence[tuple[str, str]],
    context: ssl.SSLContext | None,
    server_name: str,
    proxy: Proxy | None,
    seconds: float,
) -> WebSocket | tuple[int, bytes]:
    """Open a websocket, or return with which status and body the server refused it.

    Args:
        url: `ws://…` or `wss://…`.
        headers: to send with the request.
        context: for TLS.
        server_name: the name that the server's certificate has to be for; that of `url` where empty.
        proxy: the one on the way.
        seconds: how long each step of opening it may take.

    Raises:
        Unreachable: no answer came.
    """
    import websocket

    parts = urlsplit(url)
    host = f"{parts.hostname}:{parts.port or (443 if parts.scheme == 'wss' else 80)}"
    options: dict[str, Any] = {"context": context} if context is not None else {}
    if server_name:
        options["server_hostname"] = server_name
    # Left to itself, it looks into the environment; and it passes a proxy by for loopback.
    way: dict[str, Any] = {"http_no_proxy": ["*"]}
    try:
        if proxy is not None and proxy.is_socks:
            way["socket"] = _by_socks(parts, context, server_name, proxy, seconds)
    except OSError as error:
        raise problem_of_transport(ProxyError("no way by SOCKS", error), host, proxy) from error
    if proxy is not None and not proxy.is_socks:
        at = urlsplit(proxy.url)
        way = {
            "http_no_proxy": ["-"],
            "http_proxy_host": at.hostname,
            "http_proxy_port": at.port,
            "proxy_type": at.scheme,
        }
        if proxy.user:
            way["http_proxy_auth"] = (proxy.user, proxy.password)
    try:
        return websocket.create_connection(
            url, timeout=seconds, header=[f"{name}: {value}" for name, value in headers], sslopt=options, **way
        )
    except websocket.WebSocketBadStatusException as refused:
        return refused.status_code, refused.resp_body or b""
    except websocket.WebSocketProxyException as error:
        raise problem_of_transport(ProxyError("the proxy refuses", error), host, proxy) from error
    except websocket.WebSocketTimeoutException as error:
        raise unreachable(host, f"no answer within {seconds:.0f} s") from error
    except (websocket.WebSocketException, OSError, ValueError) as error:
        raise problem_of_transport(error, host, proxy) from error


def _by_socks(
    parts: SplitResult, context: ssl.SSLContext | None, server_name: str, proxy: Proxy, seconds: float
) -> socket.socket:
    """A socket to the host of a websocket's address, through a SOCKS proxy, with TLS."""
    import socks

    at, host = urlsplit(proxy.url), parts.hostname or ""
    connect: Any = socks.create_connection
    opened: socket.socket = connect(
        (host, parts.port or (443 if parts.scheme == "wss" else 80)),
        timeout=seconds,
        proxy_type=socks.SOCKS5,
        proxy_addr=at.hostname,
        proxy_port=at.port,
        proxy_rdns=at.scheme == "socks5h",
        proxy_username=proxy.user or None,
        proxy_password=proxy.password or None,
    )
    return context.wrap_socket(opened, server_hostname=server_name or host) if context is not None else opened


class Tracker:
    """Knows which thread uses which connection of one pool."""

    def __init__(self, manager: PoolManager) -> None:
        self._users: WeakKeyDictionary[HTTPConnection, int] = WeakKeyDictionary()
        self._opening: WeakKeyDictionary[HTTPConnection, socket.socket] = WeakKeyDictionary()
        self._lock = threading.Lock()
        classes = manager.pool_classes_by_scheme
        manager.pool_classes_by_scheme = {scheme: self._tracked(pool) for scheme, pool in classes.items()}

    def _tracked(self, pool: type[HTTPConnectionPool]) -> type[HTTPConnectionPool]:
        """The same kind of pool, whose connections tell who uses them."""
        base: Any = pool.ConnectionCls
        tracker = self

        class Tracked(base):  # type: ignore[misc]
            def request(self, *arguments: Any, **keywords: Any) -> None:
                tracker.note(self)
                super().request(*arguments, **keywords)

            def _new_conn(self) -> socket.socket:
                # A SOCKS proxy is spoken with before there is a connection.
                found: socket.socket = tracker.connect(self) if base in _PLAIN else super()._new_conn()
                return found

        return type(pool.__name__, (pool,), {"ConnectionCls": Tracked})

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
            shut_down(sock)
