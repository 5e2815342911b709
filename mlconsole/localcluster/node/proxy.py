"""The Service proxy: a loopback listener for each port of each Service, connected to the pods that are ready."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import Iterable

from mlconsole.localcluster.controllers.addresses import ADDRESS, LOOPBACK
from mlconsole.localcluster.controllers.base import Controller
from mlconsole.localcluster.controllers.events import EventRecorder
from mlconsole.localcluster.controllers.objects import annotations_of
from mlconsole.localcluster.node.ports import PortBook, is_free
from mlconsole.localcluster.store import Event, Key, Object, Store, clone, key_of

log = logging.getLogger(__name__)

NODE_PORTS = range(30000, 32768)
CHUNK = 64 * 1024
WAIT_FOR_READY = 2.0
CONNECT_TIMEOUT = 1.0
RETRY_SECONDS = 5.0

Address = tuple[str, int]


class Listener:
    """Accepts connections at one port and hands each to a ready endpoint, one after the other in turn."""

    def __init__(self, listening: socket.socket) -> None:
        self.port = int(listening.getsockname()[1])
        self._backends: list[Address] = []
        self._turn = 0
        self._changed = asyncio.Event()
        self._connections: set[asyncio.Task[None]] = set()
        self._socket = listening
        self._server = asyncio.create_task(self._serve())

    def set_backends(self, backends: list[Address]) -> None:
        """Says where new connections go from now on."""
        if backends != self._backends:
            self._backends = backends
            self._changed.set()

    async def _serve(self) -> None:
        server = await asyncio.start_server(self._accept, sock=self._socket)
        try:
            await asyncio.Event().wait()
        finally:
            server.close()

    def close(self) -> None:
        """Stops to listen and cuts what is connected."""
        self._server.add_done_callback(lambda _: self._socket.close())
        self._server.cancel()
        for connection in self._connections:
            connection.cancel()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._connections.add(task)
            task.add_done_callback(self._connections.discard)
        backend = None
        try:
            backend = await self._connect()
            if backend is not None:
                await asyncio.gather(_pump(reader, backend[1]), _pump(backend[0], writer))
        except (OSError, asyncio.CancelledError):
            writer.transport.abort()
        finally:
            writer.close()
            if backend is not None:
                backend[1].close()

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
        loop = asyncio.get_running_loop()
        end = loop.time() + WAIT_FOR_READY
        while True:
            self._changed.clear()
            for address in self._in_turn():
                with contextlib.suppress(OSError):
                    async with asyncio.timeout(CONNECT_TIMEOUT):
                        return await asyncio.open_connection(*address)
            try:
                async with asyncio.timeout_at(end):
                    await self._changed.wait()
            except TimeoutError:
                return None

    def _in_turn(self) -> list[Address]:
        backends = self._backends
        if not backends:
            return []
        self._turn = (self._turn + 1) % len(backends)
        return backends[self._turn :] + backends[: self._turn]


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Copies one direction; its end is passed on while the other direction goes on."""
    while data := await reader.read(CHUNK):
        writer.write(data)
        await writer.drain()
    if writer.can_write_eof():
        writer.write_eof()


class ServiceProxy(Controller):
    """Opens and closes listeners, and writes into each Service where it answers."""

    watches = ("services", "endpoints")

    def __init__(self, store: Store, events: EventRecorder, ports: PortBook) -> None:
        super().__init__(store, events)
        self._ports = ports
        self._listeners: dict[tuple[str, str, str], Listener] = {}

    def keys(self, resource: str, event: Event) -> Iterable[Key]:
        """The Service; its Endpoints have the same name."""
        return [key_of(event.object)]

    def reconcile(self, key: Key) -> float | None:
        """Makes the listeners of one Service what its ports ask for, and tells them the ready endpoints."""
        service = self.find("services", key)
        spec = service["spec"] if service else {}
        entries = [] if spec.get("type") == "ExternalName" else spec.get("ports") or []
        wanted = {(*key, port_name(entry)): entry for entry in entries}
        for known in [item for item in self._listeners if item[:2] == key and item not in wanted]:
            self._close(known)
        if service is None:
            return None
        opened = [self._ensure(service, place, entry) for place, entry in wanted.items()]
        endpoints = self.find("endpoints", key)
        for place, entry in wanted.items():
            if place in self._listeners:
                self._listeners[place].set_backends(_backends(endpoints, entry))
        self._describe(service)
        return None if all(opened) else RETRY_SECONDS

    def close(self) -> None:
        """Closes every listener."""
        for place in list(self._listeners):
            self._close(place)

    def address(self, namespace: str, service: str, port: str | int) -> Address | None:
        """Where a port of a Service, given by name or number, answers; None where it does not."""
        obj = self.find("services", (namespace, service))
        for entry in (obj or {"spec": {}})["spec"].get("ports") or []:
            if str(port) in (str(entry["port"]), entry.get("name")):
                listener = self._listeners.get((namespace, service, port_name(entry)))
                return (LOOPBACK, listener.port) if listener else None
        return None

    def _close(self, place: tuple[str, str, str]) -> None:
        listener = self._listeners.pop(place)
        listener.close()
        self._ports.give_back(listener.port)

    def _ensure(self, service: Object, place: tuple[str, str, str], entry: Object) -> bool:
        """Opens the listener of one port; False where a port that was asked for is not free."""
        node_port = entry.get("nodePort")
        listener = self._listeners.get(place)
        if listener is not None and node_port in (None, listener.port):
            return True
        if listener is not None:
            self._close(place)
        wants_node_port = service["spec"].get("type") in ("NodePort", "LoadBalancer")
        before = annotations_of(service).get(_annotation(service, entry), "").rpartition(":")[2]
        if node_port is None and wants_node_port:
            node_port = next((port for port in NODE_PORTS if is_free(port)), None)
        try:
            listening = _listen(node_port or self._ports.take(int(before) if before.isdigit() else None))
        except OSError as error:
            message = f"port {node_port} of this machine can't be used: {error.strerror or error}"
            self.events.record("service-proxy", "Service", service, "PortNotFree", message, warning=True)
            return False
        self._listeners[place] = Listener(listening)
        return True

    def _describe(self, service: Object) -> None:
        """Writes the addresses into the Service: annotations, nodePort, clusterIP, load balancer status."""
        wanted, key = clone(service), key_of(service)
        spec = wanted["spec"]
        annotations = wanted["metadata"].setdefault("annotations", {})
        for entry in spec.get("ports") or []:
            listener = self._listeners.get((*key, port_name(entry)))
            if listener is None:
                continue
            annotations[_annotation(service, entry)] = f"{LOOPBACK}:{listener.port}"
            if spec.get("type") in ("NodePort", "LoadBalancer"):
                entry["nodePort"] = listener.port
        if spec.get("type") != "ExternalName":
            spec["clusterIP"] = "None" if spec.get("clusterIP") == "None" else LOOPBACK
            spec["clusterIPs"] = [spec["clusterIP"]]
        balancer = {"ingress": [{"ip": LOOPBACK}]} if spec.get("type") == "LoadBalancer" else {}
        wanted["status"] = (wanted.get("status") or {}) | {"loadBalancer": balancer}
        self.store.replace("services", wanted)


def port_name(entry: Object) -> str:
    """What tells the ports of one Service apart."""
    return str(entry.get("name") or entry["port"])


def _annotation(service: Object, entry: Object) -> str:
    first = service["spec"]["ports"][0]
    return ADDRESS if port_name(entry) == port_name(first) else f"{ADDRESS}.{port_name(entry)}"


def _backends(endpoints: Object | None, entry: Object) -> list[Address]:
    return [
        (address["ip"], port["port"])
        for subset in (endpoints or {}).get("subsets") or []
        for address in subset.get("addresses") or []
        for port in subset.get("ports") or []
        if port.get("name") == entry.get("name")
    ]


def _listen(port: int) -> socket.socket:
    listening = socket.socket()
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((LOOPBACK, port))
        listening.listen(256)
        listening.setblocking(False)
    except OSError:
        listening.close()
        raise
    return listening
