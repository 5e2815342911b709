"""Serve a model over HTTP.

    MODEL_URI=models/model_v1.pkl MODEL_VERSION=v1 PORT=8080 python serve.py

    GET  /healthz   503 until the model is loaded, then 200
    POST /predict   {"rows": [{"hr": 8, …}, …]}  →  {"predictions": […], "model_version": "v1"}
    GET  /metrics   OpenMetrics text

Settings are environment variables: HOST, PORT, MODEL_URI (a path or a file:// URL), MODEL_VERSION, MODEL_DIGEST
(``sha256:…``; a file with another digest is not loaded), MODEL_REFERENCE (the bins that features are counted in) and
ACCESS_LOG=1 (a line per request).
"""

from __future__ import annotations

import os

# Requests are the unit of work here; threads within one would only fight over the pod's share of a core.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import hashlib
import json
import re
import signal
import socket
import sys
import threading
import time
import warnings
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import unquote, urlsplit

from monitor_client import Histogram, Monitor

DEFAULT_MODEL = "models/model_v1.pkl"
LARGEST_BODY = 16 * 1024 * 1024
# After SIGTERM the pod stays in the Service's endpoints for a moment: requests that still come are answered.
LINGER_SECONDS = 0.4
FINISH_SECONDS = 5.0
IDLE_SECONDS = 60.0
SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Unusable(Exception):
    """The settings or the model can't be served with; the message says why."""


class BadRequest(Exception):
    """The request can't be answered; the message says why."""

    def __init__(self, message: str, status: HTTPStatus = HTTPStatus.BAD_REQUEST) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class Settings:
    """What the environment says."""

    host: str
    port: int
    model_path: Path
    model_version: str
    model_digest: str
    access_log: bool

    @classmethod
    def read(cls, environment: Mapping[str, str]) -> Settings:
        """Settings from environment variables."""
        uri = environment.get("MODEL_URI") or DEFAULT_MODEL
        path = local_path(uri)
        named = re.search(r"v\d+$", path.stem)
        port = environment.get("PORT") or "8080"
        if not port.isdecimal() or int(port) > 65535:
            raise Unusable(f"PORT must be a number from 0 to 65535, not '{port}'")
        digest = environment.get("MODEL_DIGEST") or ""
        if digest and not re.fullmatch(r"sha256:[0-9a-f]{64}", digest):
            raise Unusable(f"MODEL_DIGEST must be sha256: and 64 hexadecimal digits, not '{digest}'")
        return cls(
            host=environment.get("HOST") or "0.0.0.0",
            port=int(port),
            model_path=path,
            model_version=environment.get("MODEL_VERSION") or (named.group() if named else "unknown"),
            model_digest=digest,
            access_log=environment.get("ACCESS_LOG", "0") not in ("", "0"),
        )


def local_path(uri: str) -> Path:
    """The file that a relative path, an absolute path or a file:// URL names."""
    parts = urlsplit(uri)
    if parts.scheme == "file" and parts.netloc in ("", "localhost"):
        return Path(unquote(parts.path))
    if "://" in uri:
        raise Unusable(f"MODEL_URI must be a path or a file:// URL, not '{uri}'")
    return Path(uri)


@dataclass
class Metrics:
    """What has been served since the start."""

    requests: Counter[tuple[str, int]] = field(default_factory=Counter)
    latency: Histogram = field(default_factory=lambda: Histogram((0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5)))
    monitor: Monitor = field(
        default_factory=lambda: Monitor.from_environment((10, 25, 50, 100, 150, 200, 300, 400, 600))
    )
    lock: threading.Lock = field(default_factory=threading.Lock)

    def answered(self, path: str, code: int, seconds: float) -> None:
        """Count one request; the latency is that of /predict alone, which probes would drown."""
        with self.lock:
            self.requests[path, code] += 1
            if path == "/predict":
                self.latency.add(seconds)

    def predicted(self, rows: list[Any], values: list[float]) -> None:
        """Count rows and their predictions."""
        for row, value in zip(rows, values, strict=True):
            self.monitor.count(row, value)

    def text(self, model: Model | None) -> str:
        """All of it in OpenMetrics text format 1.0."""
        with self.lock:
            requests = sorted(self.requests.items())
            latency = self.latency.lines("http_request_duration_seconds")
        lines = ["# TYPE model info", "# HELP model The model that is loaded."]
        if model:
            lines.append(f'model_info{{version="{escape(model.version)}",digest="{model.digest}"}} 1')
        lines += ["# TYPE http_requests counter", "# HELP http_requests Requests by path and status code."]
        lines += [f'http_requests_total{{path="{path}",code="{code}"}} {count}' for (path, code), count in requests]
        failed = sum(count for (path, code), count in requests if path == "/predict" and code >= 400)
        lines += ["# TYPE predict_errors counter", "# HELP predict_errors Requests to /predict that were not answered."]
        lines += [f"predict_errors_total {failed}"]
        lines += ["# TYPE http_request_duration_seconds histogram", "# UNIT http_request_duration_seconds seconds"]
        lines += ["# HELP http_request_duration_seconds Time to answer /predict.", *latency]
        return "\n".join([*lines, *self.monitor.lines(), "# EOF", ""])


def escape(value: str) -> str:
    """A label's value as OpenMetrics wants it."""
    return value.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')


class Model:
    """A loaded pipeline, and what it needs to know of a row."""

    def __init__(self, file: BinaryIO, version: str, digest: str) -> None:
        # Imported here, so that the server listens and answers its probes while the libraries load.
        import joblib
        import pandas

        warnings.filterwarnings("ignore", "Found unknown categories")
        self.version, self.digest = version, digest
        self._frame = pandas.DataFrame
        self._pipeline = joblib.load(file)
        self._columns = [str(name) for name in self._pipeline.feature_names_in_]
        columns = self._pipeline.named_steps["columns"]
        encoder = columns.named_transformers_["categories"]
        named = {kind: names for kind, _, names in columns.transformers_}
        known = zip(named["categories"], encoder.categories_, strict=True)
        self._texts = {name for name, values in known if values.dtype.kind not in "biuf"}

    def predict(self, rows: list[Any]) -> list[float]:
        """A prediction for each row.

        Raises:
            BadRequest: a row lacks a column or holds something else than its column does.
        """
        for index, row in enumerate(rows):
            self._check(index, row)
        if not rows:
            return []
        frame = self._frame([[row[name] for name in self._columns] for row in rows], columns=self._columns)
        try:
            return [round(float(value), 3) for value in self._pipeline.predict(frame)]
        except (TypeError, ValueError) as error:
            raise BadRequest(f"the model cannot take these rows: {' '.join(str(error).split())}") from None

    def _check(self, index: int, row: Any) -> None:
        if not isinstance(row, dict):
            raise BadRequest(f"row {index} is not an object")
        missing = [name for name in self._columns if name not in row]
        if missing:
            raise BadRequest(f"row {index} has no {', '.join(missing)}")
        for name in self._columns:
            value = row[name]
            if name in self._texts:
                if not isinstance(value, str):
                    raise BadRequest(f"row {index}: {name} must be a text")
            elif not isinstance(value, int | float) or isinstance(value, bool) or not abs(value) < 1e15:
                raise BadRequest(f"row {index}: {name} must be a number")


class Server(ThreadingHTTPServer):
    """The state that requests share: the model once it is loaded, the metrics, and whether the end has begun."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, settings: Settings) -> None:
        super().__init__((settings.host, settings.port), Handler)
        self.access_log = settings.access_log
        self.metrics = Metrics()
        self.model: Model | None = None
        self.draining = self.closing = False
        self.connections: dict[socket.socket, bool] = {}
        self._connections_changed = threading.Condition()
        self._queue_empty = False

    def server_bind(self) -> None:
        """Bind without the reverse look-up of the standard library, which can take seconds without a network."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_name, self.server_port = self.socket.getsockname()[:2]

    def track(self, connection: socket.socket, busy: bool | None) -> None:
        """Note that a connection waits, works, or is gone (None)."""
        with self._connections_changed:
            if busy is None:
                self.connections.pop(connection, None)
            else:
                self.connections[connection] = busy
            self._connections_changed.notify_all()

    def drain(self) -> None:
        """Stop: keep accepting for a moment, finish what is running, close the connections that wait."""
        self.draining = True
        time.sleep(LINGER_SECONDS)
        self.shutdown()
        self._take_the_last()
        self.server_close()
        with self._connections_changed:
            self.closing = True
            for connection, busy in self.connections.items():
                if not busy:
                    shut(connection)
            self._connections_changed.wait_for(lambda: not self.connections, FINISH_SECONDS)

    def _take_the_last(self) -> None:
        """Accept what the system has already taken for us; closing the socket would reset it."""
        self.timeout, self._queue_empty = 0, False
        deadline = time.monotonic() + LINGER_SECONDS
        while not self._queue_empty and time.monotonic() < deadline:
            self.handle_request()

    def handle_timeout(self) -> None:
        """Nobody waits to be accepted."""
        self._queue_empty = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say in one line what ended a connection; a client that went away is no fault."""
        error = sys.exc_info()[1]
        if not isinstance(error, ConnectionError | TimeoutError):
            print(f"serve.py: a connection ended with {type(error).__name__}: {error}", file=sys.stderr, flush=True)


def shut(connection: socket.socket) -> None:
    """End the reading side: a thread that waits for the next request sees the end of the stream."""
    try:
        connection.shutdown(socket.SHUT_RD)
    except OSError:
        return


class Handler(BaseHTTPRequestHandler):
    """One connection, with as many requests as the client sends."""

    server: Server
    protocol_version = "HTTP/1.1"
    timeout = IDLE_SECONDS
    # Head and body leave in one packet, at once: two small ones would wait for each other (Nagle, delayed ACK).
    wbufsize = -1
    disable_nagle_algorithm = True

    def setup(self) -> None:
        super().setup()
        self.server.track(self.connection, False)

    def finish(self) -> None:
        try:
            super().finish()
        finally:
            self.server.track(self.connection, None)

    def parse_request(self) -> bool:
        self.server.track(self.connection, True)
        return super().parse_request()

    def handle_one_request(self) -> None:
        super().handle_one_request()
        self.server.track(self.connection, False)
        # Not before: a client that was told to keep the connection may already be sending on it.
        if self.server.closing:
            self.close_connection = True

    def do_GET(self) -> None:
        path = urlsplit(self.path).path
        if path == "/healthz":
            self._health()
        elif path == "/metrics":
            kind = "application/openmetrics-text; version=1.0.0; charset=utf-8"
            self._answer(HTTPStatus.OK, self.server.metrics.text(self.server.model).encode(), kind)
        elif path == "/predict":
            self._answer_json(HTTPStatus.METHOD_NOT_ALLOWED, {"error": "send rows to /predict with POST"}, Allow="POST")
        else:
            self._answer_json(HTTPStatus.NOT_FOUND, {"error": "there are /healthz, /predict and /metrics"})

    def do_POST(self) -> None:
        started = time.perf_counter()
        try:
            body = self._body()
            if urlsplit(self.path).path != "/predict":
                raise BadRequest("only /predict takes POST", HTTPStatus.NOT_FOUND)
            model = self.server.model
            if model is None:
                raise BadRequest("the model is still loading", HTTPStatus.SERVICE_UNAVAILABLE)
            rows = read_rows(body)
            predictions = model.predict(rows)
        except BadRequest as error:
            self._answer_json(error.status, {"error": str(error)}, started)
            return
        self.server.metrics.predicted(rows, predictions)
        self._answer_json(HTTPStatus.OK, {"predictions": predictions, "model_version": model.version}, started)

    def _body(self) -> bytes:
        length = self.headers.get("Content-Length", "")
        # What is not read of a body would be taken for the next request.
        if not re.fullmatch(r"[0-9]{1,12}", length):
            self.close_connection = True
            raise BadRequest("a body with a Content-Length is needed", HTTPStatus.LENGTH_REQUIRED)
        if int(length) > LARGEST_BODY:
            self.close_connection = True
            raise BadRequest(f"a body may have {LARGEST_BODY} bytes", HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        body = self.rfile.read(int(length))
        if len(body) < int(length):
            self.close_connection = True
            raise BadRequest("the body is shorter than its Content-Length")
        return body

    def _health(self) -> None:
        model = self.server.model
        state = "stopping" if self.server.draining else "ready" if model else "loading"
        status = HTTPStatus.OK if state == "ready" else HTTPStatus.SERVICE_UNAVAILABLE
        self._answer_json(status, {"status": state, "model_version": model.version if model else None})

    def _answer_json(self, status: HTTPStatus, value: object, started: float | None = None, **headers: str) -> None:
        body = json.dumps(value, separators=(",", ":")).encode() + b"\n"
        self._answer(status, body, "application/json", started, **headers)

    def _answer(self, status: HTTPStatus, body: bytes, kind: str, started: float | None = None, **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": kind, "Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        if self.server.draining or self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)
        path = urlsplit(self.path).path
        known = path if path in ("/healthz", "/predict", "/metrics") else "other"
        self.server.metrics.answered(known, status, time.perf_counter() - started if started else 0.0)

    def version_string(self) -> str:
        return "ml-model"

    def log_request(self, code: Any = "-", size: Any = "-") -> None:
        if self.server.access_log:
            super().log_request(code, size)

    def log_error(self, format: str, *args: Any) -> None:
        if self.server.access_log:
            super().log_error(format, *args)


def read_rows(body: bytes) -> list[Any]:
    """The rows of a request: a list, or an object that holds one as ``rows``."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        raise BadRequest("the body is not JSON") from None
    rows = value.get("rows") if isinstance(value, dict) else value
    if not isinstance(rows, list):
        raise BadRequest('the body must be a list of rows or {"rows": [...]}')
    return rows


def open_model(settings: Settings) -> tuple[BinaryIO, str]:
    """The model file, opened once so that what is checked is what is loaded, and its digest."""
    try:
        file = settings.model_path.open("rb")
    except OSError as error:
        raise Unusable(f"the model {settings.model_path} cannot be read: {error.strerror}") from None
    digest = f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
    if settings.model_digest not in ("", digest):
        file.close()
        raise Unusable(f"{settings.model_path} is not the model that MODEL_DIGEST names: it is {digest}")
    file.seek(0)
    return file, digest


class Loader(threading.Thread):
    """Loads the model while the server already listens; a model that can't be loaded ends the server."""

    def __init__(self, server: Server, settings: Settings, file: BinaryIO, digest: str) -> None:
        super().__init__(daemon=True)
        self._server, self._settings, self._file, self._digest = server, settings, file, digest
        self.failure = ""

    def run(self) -> None:
        started = time.perf_counter()
        try:
            with self._file:
                model = Model(self._file, self._settings.model_version, self._digest)
        except Exception as error:  # noqa: BLE001 - a broken pickle can raise anything
            reason = " ".join(str(error).split())
            self.failure = f"{self._settings.model_path} cannot be loaded: {type(error).__name__}: {reason}"
            os.kill(os.getpid(), signal.SIGTERM)
            return
        self._server.model = model
        seconds = time.perf_counter() - started
        print(f"serving model {model.version} ({model.digest[:19]}), loaded in {seconds:.1f} s", flush=True)


def main() -> int:
    # Blocked in every thread, so that sigwait below is the one place where they arrive.
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        settings = Settings.read(os.environ)
        file, digest = open_model(settings)
        server = Server(settings)
    except Unusable as problem:
        print(f"serve.py: {problem}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"serve.py: {settings.host}:{settings.port} cannot be listened on: {error.strerror}", file=sys.stderr)
        return 1
    print(f"listening on http://{server.server_name}:{server.server_port}", flush=True)
    loader = Loader(server, settings, file, digest)
    loader.start()
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True).start()
    signal.sigwait(SIGNALS)
    if loader.failure:
        print(f"serve.py: {loader.failure}", file=sys.stderr)
        return 1
    server.drain()
    print("stopped", flush=True)
    return 0


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    # A thread that is still loading native libraries must not turn a clean end into a crash.
    os._exit(code)
