"""An MLflow server in small: it answers as version 3.17 does (recorded), and remembers what it was told."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit


class FakeMlflow(BaseHTTPRequestHandler):
    """As much of the API as an export and an import need."""

    calls: list[tuple[str, Any]]
    versions: list[dict[str, Any]]
    files: dict[str, bytes]
    answers: dict[str, Any]
    refuse: dict[str, tuple[int, dict[str, str]]]
    headers_seen: list[str]

    def log_message(self, *words: Any) -> None:
        """Be quiet."""

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.headers.get("Transfer-Encoding") == "chunked":
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
        self.headers_seen.append(self.headers.get("Authorization", ""))
        parts = urlsplit(self.path)
        if "/mlflow-artifacts/" in parts.path:
            return self._artifacts(parts.path.partition("/artifacts/")[2], parts.query, body)
        path = parts.path.partition("/api/2.0/mlflow/")[2]
        given = json.loads(body) if body else None
        self.calls.append((path, given if body else parts.query))
        if path in self.refuse:
            return self._say(*self.refuse[path])
        return self._say(200, self.answers.get(path) or self._result(path, given))

    def _artifacts(self, name: str, query: str, body: bytes) -> None:
        if self.command == "PUT":
            self.files[name] = body
            return self._say(200, {})
        if name:
            data = self.files[name]
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)
            return None
        folder = parse_qs(query)["path"][0] + "/"
        below = [name.removeprefix(folder) for name in self.files if name.startswith(folder)]
        entries = {name.partition("/")[0]: "/" in name for name in sorted(below)}
        listed = [
            {"path": entry, "is_dir": is_dir} | ({} if is_dir else {"file_size": len(self.files[folder + entry])})
            for entry, is_dir in entries.items()
        ]
        return self._say(200, {"files": listed})

    def _result(self, path: str, given: Any) -> dict[str, Any]:
        match path:
            case "experiments/get-by-name":
                return {"experiment": {"experiment_id": "7"}}
            case "runs/create":
                return {"run": {"info": {"run_id": "r1", "artifact_uri": "mlflow-artifacts:/7/r1/artifacts"}}}
            case "model-versions/search":
                return {"model_versions": self.versions}
            case "model-versions/create":
                made = {"version": str(len(self.versions) + 1), "tags": given["tags"], "source": given["source"]}
                self.versions.append(made)
                return {"model_version": made}
            case _:
                return {}

    def _say(self, status: int, content: dict[str, Any]) -> None:
        data = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_POST = do_PUT = _answer


class MlflowBench:
    """A running server and a model file."""

    def __init__(self, folder: Path) -> None:
        self.handler = type("Handler", (FakeMlflow,), {})
        self.handler.calls, self.handler.versions, self.handler.files = [], [], {}
        self.handler.refuse, self.handler.headers_seen, self.handler.answers = {}, [], {}
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), self.handler)
        self.uri = f"http://127.0.0.1:{self.server.server_port}/"
        self.model = folder / "model.pkl"
        self.model.write_bytes(b"weights")
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def given(self, path: str) -> list[Any]:
        return [given for called, given in self.handler.calls if called == path]
