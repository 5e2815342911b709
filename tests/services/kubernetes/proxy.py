"""Real proxies on loopback: HTTP with CONNECT, and SOCKS 5. They remember whom they were asked for."""

from __future__ import annotations

import base64
import contextlib
import select
import socket
import socketserver
import threading
from typing import Any


class Proxy:
    """Leads every host to its port of loopback.

    Args:
        socks: speak SOCKS 5, else HTTP.
        login: `name:password` that it wants to see; none where empty.
        refuse: answer each CONNECT with 403.
    """

    def __init__(self, *, socks: bool = False, login: str = "", refuse: bool = False) -> None:
        self.asked: list[str] = []
        outer = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                client: socket.socket = self.request
                with contextlib.suppress(OSError, ValueError):
                    port = outer.socks(client) if socks else outer.connect(client, login, refuse)
                    if port:
                        with socket.create_connection(("127.0.0.1", port)) as there:
                            pump(client, there)

        class Server(socketserver.ThreadingTCPServer):
            daemon_threads = True
            allow_reuse_address = True

        self._server = Server(("127.0.0.1", 0), Handler)
        self.port: int = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def connect(self, client: socket.socket, login: str, refuse: bool) -> int:
        """Answer a CONNECT; returns the port to lead to, 0 where it was refused."""
        head = b""
        while b"\r\n\r\n" not in head:
            head += client.recv(4096)
        words = head.decode("latin-1").splitlines()
        target = words[0].split()[1]
        self.asked.append(target)
        wanted = "basic " + base64.b64encode(login.encode()).decode().lower()
        shown = [line.partition(":")[2].strip().lower() for line in words if line.lower().startswith("proxy-auth")]
        if login and wanted not in shown:
            client.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
            return 0
        if refuse:
            client.sendall(b"HTTP/1.1 403 Forbidden by policy\r\nContent-Length: 0\r\n\r\n")
            return 0
        client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        return int(target.rpartition(":")[2])

    def socks(self, client: socket.socket) -> int:
        """Answer a SOCKS 5 request (RFC 1928); returns the port to lead to."""
        _, methods = client.recv(2)
        client.recv(methods)
        client.sendall(b"\x05\x00")
        _, _, _, kind = client.recv(4)
        host = client.recv(client.recv(1)[0]).decode() if kind == 3 else socket.inet_ntoa(client.recv(4))
        port = int.from_bytes(client.recv(2), "big")
        self.asked.append(f"{host}:{port}")
        client.sendall(b"\x05\x00\x00\x01\x7f\x00\x00\x01\x00\x00")
        return port

    def __enter__(self) -> Proxy:
        return self

    def __exit__(self, *_: Any) -> None:
        self._server.shutdown()
        self._server.server_close()


def pump(one: socket.socket, other: socket.socket) -> None:
    """Hand bytes on, both ways, until either side ends."""
    while True:
        ready, _, _ = select.select([one, other], [], [], 10)
        for source in ready:
            received = source.recv(65536)
            if not received:
                return
            (other if source is one else one).sendall(received)
        if not ready:
            return
