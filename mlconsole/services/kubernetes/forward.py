"""A port of a pod, brought to this machine through the API server: one websocket for each connection.

Protocol: `pods/portforward` by `v4.channel.k8s.io`. The first byte of each message is its channel, 0 for data and 1 for
errors; the first message of each channel is the port. A half-closed connection is none there: when the client here has
sent its last byte and closes, the connection ends.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from mlconsole.errors import OutsideFailed, Problem, WrongUse
from mlconsole.services.kubernetes.objects import Pod
from mlconsole.services.kubernetes.problems import decode
from mlconsole.services.kubernetes.resources import PODS
from mlconsole.services.kubernetes.tls import shut_down
from mlconsole.text import clean_line

if TYPE_CHECKING:
    from websocket import WebSocket

    from mlconsole.services.kubernetes.connection import Connection

DATA, ERRORS = 0, 1
CHUNK = 64 * 1024
LOOPBACK = "127.0.0.1"


class ForwardFailed(OutsideFailed):
    """A connection could not be brought to the pod."""


class PortForward:
    """Listens on a port of loopback and hands each connection on to a port of a pod.

    Args:
        connection: to the cluster.
        namespace: the pod's.
        pod: its name.
        port: a number, the name of a declared port, or the first declared one where empty.
        local_port: where to listen; any free port where 0.
        on_problem: called, in a thread of its own, with what keeps a single connection from the pod.

    Attributes:
        port: the pod's port, as a number, once it has started.
        local_port: where it listens, once it has started.
    """

    def __init__(
        self,
        connection: Connection,
        namespace: str,
        pod: str,
        port: int | str = "",
        *,
        local_port: int = 0,
        on_problem: Callable[[Problem], None] = lambda problem: None,
    ) -> None:
        self.port = 0
        self.local_port = local_port
        self._connection, self._namespace, self._pod, self._wanted = connection, namespace, pod, str(port)
        self._on_problem = on_problem
        self._lock = threading.Lock()
        self._open: set[_Tunnel] = set()
        self._stopped = False
        self._listener: socket.socket | None = None

    def start(self) -> None:
        """Begin to listen; returns at once.

        Raises:
            WrongUse: the pod declares no such port, or the local port is taken.
            Problem: the pod is not there, or can't be seen.
        """
        path = PODS.path(self._namespace, self._pod)
        self.port = port_of(decode(self._connection.request("GET", path), Pod), self._wanted)
        try:
            self._listener = socket.create_server((LOOPBACK, self.local_port))
        except OSError as error:
            raise WrongUse(f"Port {self.local_port} of this machine can't be used: {error.strerror}.") from error
        self.local_port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, args=(self._listener,), name="port-forward", daemon=True).start()

    def stop(self) -> None:
        """Listen no more, and end all connections."""
        with self._lock:
            self._stopped = True
            tunnels = list(self._open)
        if self._listener is not None:
            # Closing alone would leave the thread in accept().
            shut_down(self._listener)
            self._listener.close()
        for tunnel in tunnels:
            tunnel.end()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), name="port-forward-tunnel", daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        try:
            path = f"{PODS.path(self._namespace, self._pod)}/portforward"
            tunnel = _Tunnel(client, self._connection.websocket(path, {"ports": str(self.port)}))
        except Problem as problem:
            client.close()
            self._on_problem(problem)
            return
        with self._lock:
            self._open.add(tunnel)
            stopped = self._stopped
        try:
            words = "" if stopped else tunnel.run()
        finally:
            tunnel.end()
            with self._lock:
                self._open.discard(tunnel)
        if words and not self._stopped:
            self._on_problem(ForwardFailed(f"{self._pod} can't be reached on port {self.port}: {words}"))


class _Tunnel:
    """One connection: a client's socket here, a websocket to the pod there."""

    def __init__(self, client: socket.socket, there: WebSocket) -> None:
        self._client, self._there = client, there

    def run(self) -> str:
        """Hand bytes on both ways until either side ends; returns what the cluster says went wrong."""
        sender = threading.Thread(target=self._send, name="port-forward-send", daemon=True)
        sender.start()
        try:
            return self._receive()
        finally:
            self.end()
            sender.join(1)

    def end(self) -> None:
        """End it from any thread."""
        shut_down(self._client)
        self._client.close()
        there = self._there.sock
        if there is not None:
            shut_down(there)
        # The closing handshake would wait for an answer.
        close: Any = self._there.shutdown
        close()

    def _send(self) -> None:
        from websocket import WebSocketException

        try:
            while data := self._client.recv(CHUNK):
                self._there.send_binary(bytes([DATA]) + data)
        except (OSError, WebSocketException, AttributeError, ValueError):
            # Either side is gone, or `end` has taken the socket away.
            pass
        self.end()

    def _receive(self) -> str:
        from websocket import WebSocketException

        announced: set[int] = set()
        try:
            while message := self._there.recv():
                data = message if isinstance(message, bytes) else message.encode()
                channel, content = data[0], data[1:]
                if channel not in announced:
                    announced.add(channel)
                    content = content[2:]
                if channel == ERRORS and content:
                    return clean_line(content.decode("utf-8", "replace"))
                if channel == DATA and content:
                    self._client.sendall(content)
        except (OSError, WebSocketException, AttributeError, ValueError):
            # Either side is gone: the connection is over.
            return ""
        return ""


def first_port(connection: Connection, namespace: str, pod: str) -> int:
    """Return the first port that a pod declares.

    Raises:
        WrongUse: it declares none.
        Problem: the pod is not there, or can't be seen.
    """
    return port_of(decode(connection.request("GET", PODS.path(namespace, pod)), Pod), "")


def port_of(pod: Pod, wanted: str) -> int:
    """Return the number of a pod's port: by number, by name, or the first that it declares.

    Raises:
        WrongUse: it declares no such port.
    """
    declared = [port for container in pod.spec.containers or () for port in container.ports or ()]
    if wanted.isdecimal():
        if 0 < int(wanted) < 65536:
            return int(wanted)
        raise WrongUse(f"{wanted} is no port.", "Give a number from 1 to 65535.")
    found = next((port.container_port for port in declared if not wanted or port.name == wanted), 0)
    if not found:
        names = ", ".join(port.name or str(port.container_port) for port in declared)
        what = f"declares no port {wanted}" if wanted else "declares no port"
        raise WrongUse(f"{pod.metadata.name} {what}.", f"There are: {names}." if names else "Give its number.")
    return found
