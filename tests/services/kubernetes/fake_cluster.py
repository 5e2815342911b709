"""A real HTTP server on a free port that answers as a test says, and one that plays a recorded cluster."""

from __future__ import annotations

import json
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from mlconsole.services.kubernetes.connection import Connection
from tests.services.kubernetes import recordings


@dataclass
class Request:
    """What the server was asked."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes
    client: str = ""
    """The common name of the certificate that the client showed."""


@dataclass
class Reply:
    """What it answers: a body at once, or chunks as they are made (a stream)."""

    status: int = 200
    body: Any = None
    chunks: Iterator[bytes] | None = None
    headers: dict[str, str] = field(default_factory=dict)

    def data(self) -> bytes:
        return self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()


class QuietServer(ThreadingHTTPServer):
    """Says nothing of clients that don't trust it, or go away."""

    def handle_error(self, request: object, client_address: object) -> None:
        return


class FakeCluster:
    """Serves `respond` on loopback, by TLS where a context is given; remembers all requests."""

    def __init__(self, respond: Callable[[Request], Reply], tls: ssl.SSLContext | None = None) -> None:
        self.requests: list[Request] = []
        self.closing = threading.Event()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *arguments: object) -> None:
                return

            def setup(self) -> None:
                if tls is not None:
                    self.request = tls.wrap_socket(self.request, server_side=True)
                super().setup()

            def client_name(self) -> str:
                shown = self.connection.getpeercert() if isinstance(self.connection, ssl.SSLSocket) else None
                return next((value for part in (shown or {}).get("subject", ()) for _, value in part), "")

            def serve(self) -> None:
                parts = urlsplit(self.path)
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                request = Request(
                    self.command,
                    parts.path,
                    dict(parse_qsl(parts.query)),
                    dict(self.headers.items()),
                    body,
                    self.client_name(),
                )
                if outer.closing.is_set():
                    self.close_connection = True
                    return
                outer.requests.append(request)
                reply = respond(request)
                try:
                    self.send(reply)
                except OSError:
                    self.close_connection = True

            def send(self, reply: Reply) -> None:
                self.send_response(reply.status)
                self.send_header("Content-Type", "application/json")
                for name, value in reply.headers.items():
                    self.send_header(name, value)
                if reply.chunks is None:
                    data = reply.data()
                    self.send_header("Content-Length", str(len(data)))
                    self.end_headers()
                    self.wfile.write(data)
                    return
                self.send_header("Transfer-Encoding", "chunked")
                self.end_headers()
                self.wfile.flush()
                for chunk in reply.chunks:
                    self.wfile.write(b"%x\r\n%s\r\n" % (len(chunk), chunk))
                    self.wfile.flush()
                self.wfile.write(b"0\r\n\r\n")

            do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = serve

        self._server = QuietServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()

    def kubeconfig(self, folder: Path, *, user: dict[str, Any] | None = None, namespace: str = "lab") -> Path:
        """Write a kubeconfig that leads here."""
        path = folder / "kubeconfig"
        content = {
            "current-context": "lab",
            "contexts": [{"name": "lab", "context": {"cluster": "c", "user": "u", "namespace": namespace}}],
            "clusters": [{"name": "c", "cluster": {"server": f"http://127.0.0.1:{self.port}"}}],
            "users": [{"name": "u", "user": user or {"token": "secret-token"}}],
        }
        path.write_text(json.dumps(content))
        return path

    def close(self) -> None:
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()


@contextmanager
def serving(respond: Callable[[Request], Reply], folder: Path) -> Iterator[tuple[FakeCluster, Connection]]:
    """A fake cluster and a connection to it."""
    cluster = FakeCluster(respond)
    connection = Connection.open(kubeconfig=cluster.kubeconfig(folder))
    try:
        yield cluster, connection
    finally:
        connection.close()
        cluster.close()


KINDS = {"pods": "Pod", "deployments": "Deployment", "replicasets": "ReplicaSet", "events": "Event", "jobs": "Job"}


class Recorded:
    """Plays a scenario: lists are empty, then the recorded events come at `speed` times their pace.

    Nothing of after `end` happens. `logs` is what every log is.
    """

    def __init__(self, name: str, speed: float, *, start: float = 0, end: float = 1e9, logs: bytes = b"") -> None:
        self.scenario = recordings.scenario(name)
        self.scenario["stream"] = [event for event in self.scenario["stream"] if event["at"] <= end]
        self.speed = speed
        self.start = start
        self.began = time.monotonic()
        self.logs = logs
        self.stopped = threading.Event()

    def now(self) -> float:
        """The scenario's time."""
        return self.start + (time.monotonic() - self.began) * self.speed

    def respond(self, request: Request) -> Reply:
        resource = request.path.rsplit("/", 1)[-1]
        if resource == "log":
            return Reply(body=self.logs)
        if resource == "services":
            return Reply(body={"items": [], "metadata": {}})
        kind = KINDS.get(resource)
        if kind is None:
            return Reply(404, {"kind": "Status", "code": 404, "message": "not found"})
        if request.query.get("watch"):
            return Reply(chunks=self.events(kind, int(request.query["resourceVersion"])))
        return Reply(body=self.list(kind))

    def list(self, kind: str) -> dict[str, Any]:
        objects: dict[str, Any] = {}
        version = 1
        for event in self.scenario["stream"]:
            if event["at"] > self.now() or event["kind"] != kind:
                continue
            version = max(version, int(event["object"]["metadata"]["resourceVersion"]))
            if event["type"] == "BOOKMARK":
                continue
            uid = event["object"]["metadata"]["uid"]
            objects[uid] = event["object"]
            if event["type"] == "DELETED":
                del objects[uid]
        return {"items": list(objects.values()), "metadata": {"resourceVersion": str(version)}}

    def events(self, kind: str, version: int) -> Iterator[bytes]:
        for event in self.scenario["stream"]:
            if event["kind"] != kind or int(event["object"]["metadata"]["resourceVersion"]) <= version:
                continue
            wait = (event["at"] - self.now()) / self.speed
            if wait > 0 and self.stopped.wait(wait):
                return
            yield json.dumps({"type": event["type"], "object": event["object"]}).encode() + b"\n"
        self.stopped.wait(60)


class Held(Recorded):
    """Stands still at its start until a test has looked at that and lets it go on."""

    def __init__(self, name: str, speed: float, *, start: float = 0, end: float = 1e9) -> None:
        super().__init__(name, speed, start=start, end=end)
        self._going = threading.Event()

    def go(self) -> None:
        """Let the scenario's clock run from now on."""
        if not self._going.is_set():
            self.began = time.monotonic()
            self._going.set()

    def now(self) -> float:
        return super().now() if self._going.is_set() else self.start

    def events(self, kind: str, version: int) -> Iterator[bytes]:
        while not self._going.wait(0.05):
            if self.stopped.is_set():
                return
        yield from super().events(kind, version)


class Stepped(Recorded):
    """Plays a scenario up to the moment that a test has let it come to, and waits there."""

    def __init__(self, name: str) -> None:
        super().__init__(name, 1)
        self._allowed = 0.0
        self._moved = threading.Condition()

    def now(self) -> float:
        return self._allowed

    def advance(self, moment: float) -> None:
        """Let all happen up to this moment of the scenario."""
        with self._moved:
            self._allowed = moment
            self._moved.notify_all()

    def events(self, kind: str, version: int) -> Iterator[bytes]:
        for event in self.scenario["stream"]:
            if event["kind"] != kind or int(event["object"]["metadata"]["resourceVersion"]) <= version:
                continue
            with self._moved:
                while self._allowed < event["at"] and not self.stopped.is_set():
                    self._moved.wait(0.1)
            if self.stopped.is_set():
                return
            yield json.dumps({"type": event["type"], "object": event["object"]}).encode() + b"\n"
        self.stopped.wait(60)

    def pods(self) -> dict[str, str]:
        """The version of each pod at this moment, by uid."""
        items = self.list("Pod")["items"]
        return {item["metadata"]["uid"]: item["metadata"]["resourceVersion"] for item in items}


@contextmanager
def playing(recorded: Recorded, folder: Path) -> Iterator[tuple[FakeCluster, Connection]]:
    """A recorded scenario as a cluster, and a connection to it."""
    with serving(recorded.respond, folder) as (cluster, connection):
        # The scenario's clock starts only now: the first connection of a process has the client to import.
        recorded.began = time.monotonic()
        try:
            yield cluster, connection
        finally:
            recorded.stopped.set()
