"""A version brought to an MLflow server: here one that answers as MLflow does, and remembers what it was told."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from mlconsole.evidence.training import MetricPoint, ModelFile, ModelVersion, Parameter
from mlconsole.services.models.mlflow import MlflowFailed, MlflowNotNamed, MlflowServer

VERSION = ModelVersion(
    name="m",
    number=2,
    model=ModelFile(digest=f"sha256:{'a' * 64}", size=7, filename="model.pkl"),
    release=3,
    created_at=datetime(2024, 2, 29, tzinfo=UTC),
    commit="c" * 40,
    data_digest="sha256:d",
    parameters=tuple(Parameter(name=f"p{n}", value=str(n)) for n in range(150)),
    metrics=(MetricPoint(name="mae", value=22.5), MetricPoint(name="loss", value=0.5, step=4)),
)


class FakeMlflow(BaseHTTPRequestHandler):
    """As much of the API as an export needs."""

    calls: list[tuple[str, Any]]
    versions: list[dict[str, Any]]
    files: dict[str, bytes]
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
        if "/mlflow-artifacts/" in self.path:
            self.files[self.path.partition("/artifacts/")[2]] = body
            return self._say(200, {})
        path = self.path.partition("/api/2.0/mlflow/")[2].partition("?")[0]
        given = json.loads(body) if body else None
        self.calls.append((path, given))
        if path in self.refuse:
            return self._say(*self.refuse[path])
        return self._say(200, self._result(path, given))

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


class Bench:
    """A running server and a model file."""

    def __init__(self, folder: Path) -> None:
        self.handler = type("Handler", (FakeMlflow,), {})
        self.handler.calls, self.handler.versions, self.handler.files = [], [], {}
        self.handler.refuse, self.handler.headers_seen = {}, []
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), self.handler)
        self.uri = f"http://127.0.0.1:{self.server.server_port}/"
        self.model = folder / "model.pkl"
        self.model.write_bytes(b"weights")
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def given(self, path: str) -> list[Any]:
        return [given for called, given in self.handler.calls if called == path]


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    made.server.shutdown()
    made.server.server_close()


def test_a_version_comes_with_parameters_metrics_file_and_alias(bench: Bench) -> None:
    done = MlflowServer(bench.uri, {}).export(VERSION, bench.model, ["champion"])
    assert (done.version, done.was_there) == ("1", False)
    assert bench.handler.files == {"7/r1/artifacts/model/model.pkl": b"weights"}
    batches = bench.given("runs/log-batch")
    assert [entry["key"] for batch in batches for entry in batch["params"]] == [f"p{n}" for n in range(150)]
    assert all(len(batch["params"]) <= 100 for batch in batches)
    assert [(m["key"], m["value"], m["step"]) for batch in batches for m in batch["metrics"]] == [
        ("mae", 22.5, 0),
        ("loss", 0.5, 4),
    ]
    (run,) = bench.given("runs/create")
    assert {"key": "mlflow.source.git.commit", "value": "c" * 40} in run["tags"]
    assert bench.given("registered-models/alias") == [{"name": "m", "alias": "champion", "version": "1"}]
    assert bench.handler.calls[-2][0] == "model-versions/create"


def test_a_version_is_brought_there_once(bench: Bench) -> None:
    server = MlflowServer(bench.uri, {})
    server.export(VERSION, bench.model, [])
    again = server.export(VERSION, bench.model, ["candidate"])
    assert (again.version, again.was_there) == ("1", True)
    assert len(bench.given("runs/create")) == len(bench.handler.versions) == 1
    assert len(bench.given("registered-models/alias")) == 1


def test_what_exists_already_is_no_failure(bench: Bench) -> None:
    exists = (400, {"error_code": "RESOURCE_ALREADY_EXISTS", "message": "exists"})
    bench.handler.refuse = {"registered-models/create": exists, "experiments/create": exists}
    assert MlflowServer(bench.uri, {}).export(VERSION, bench.model, []).version == "1"


def test_a_refusal_is_a_sentence_and_registers_nothing(bench: Bench) -> None:
    bench.handler.refuse = {"runs/log-batch": (400, {"error_code": "INVALID", "message": "too \x1b[31mlong"})}
    with pytest.raises(MlflowFailed, match=r"refuses: too long\."):
        MlflowServer(bench.uri, {}).export(VERSION, bench.model, [])
    assert bench.handler.versions == []


def test_credentials_come_from_mlflows_variables(bench: Bench) -> None:
    variables = {"MLFLOW_TRACKING_USERNAME": "ada", "MLFLOW_TRACKING_PASSWORD": "secret"}
    MlflowServer(bench.uri, variables).export(VERSION, bench.model, [])
    assert set(bench.handler.headers_seen) == {"Basic " + base64.b64encode(b"ada:secret").decode()}
    bench.handler.headers_seen.clear()
    MlflowServer(bench.uri, {"MLFLOW_TRACKING_TOKEN": "t"}).export(VERSION, bench.model, [])
    assert set(bench.handler.headers_seen) == {"Bearer t"}


def test_a_server_that_is_not_there_is_told(bench: Bench) -> None:
    bench.server.shutdown()
    bench.server.server_close()
    with pytest.raises(MlflowFailed, match="can't be reached"):
        MlflowServer(bench.uri, {}).export(VERSION, bench.model, [])


@pytest.mark.parametrize("uri", ["", "./mlruns", "sqlite:///mlflow.db"])
def test_without_a_servers_address_it_is_said_what_to_set(uri: str) -> None:
    with pytest.raises(MlflowNotNamed) as caught:
        MlflowServer(uri, {})
    assert "MLFLOW_TRACKING_URI=http" in caught.value.next_step
