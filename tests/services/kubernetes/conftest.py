"""A local cluster for the tests that need a real one: started once, each test in a namespace of its own."""

from __future__ import annotations

import itertools
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mlconsole.localcluster import control
from mlconsole.services.kubernetes.connection import Connection
from tests.services.kubernetes.authority import Authority

SERVER = """
import http.server, os, sys

print("starting", os.environ.get("MODEL_VERSION"), flush=True)
if os.environ.get("CRASH"):
    print("Traceback: bad model file", flush=True)
    sys.exit(3)


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/die":
            print("dying", flush=True)
            os._exit(1)
        self.send_response(500 if os.environ.get("SICK") else 200)
        self.end_headers()
        self.wfile.write(os.environ.get("MODEL_VERSION", "none").encode())

    def log_message(self, *arguments):
        pass


address = (os.environ.get("HOST", "127.0.0.1"), int(os.environ["PORT"]))
http.server.ThreadingHTTPServer(address, Handler).serve_forever()
"""
_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def local_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[control.ClusterInfo]:
    """A running local cluster; nothing of it is left afterwards."""
    folder = tmp_path_factory.mktemp("cluster")
    root = folder / "project"
    root.mkdir()
    (root / "serve.py").write_text(SERVER)
    info = control.start(root, folder / "state")
    yield info
    control.stop(info.state)


@pytest.fixture
def connect(local_cluster: control.ClusterInfo) -> Iterator[Callable[[], Connection]]:
    """Opens connections to one new namespace of the local cluster, which is deleted afterwards."""
    namespace = f"test-{next(_numbers)}"
    opened: list[Connection] = []

    def open_one() -> Connection:
        opened.append(Connection.open(kubeconfig=local_cluster.kubeconfig, namespace=namespace))
        return opened[-1]

    body = f'{{"apiVersion": "v1", "kind": "Namespace", "metadata": {{"name": "{namespace}"}}}}'.encode()
    open_one().request("POST", "/api/v1/namespaces", body=body)
    yield open_one
    opened[0].request("DELETE", f"/api/v1/namespaces/{namespace}")
    for connection in opened:
        connection.close()


@pytest.fixture
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of this machine's environment leads to, or on the way to, a cluster."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "KUBECONFIG"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture(scope="session")
def authority() -> Authority:
    """An authority that tests trust."""
    return Authority()


@pytest.fixture
def connection(connect: Callable[[], Connection]) -> Connection:
    """A connection to a new namespace of the local cluster."""
    return connect()


@pytest.fixture
def kubectl(local_cluster: control.ClusterInfo, connection: Connection, tmp_path: Path) -> Callable[..., str]:
    """Runs kubectl in the test's namespace and returns what it printed; skips where it is not installed."""
    import shutil

    from mlconsole.services.processes import capture

    if shutil.which("kubectl") is None:
        pytest.skip("kubectl is not installed")

    def run(*arguments: str, text: str = "") -> str:
        line = ["kubectl", "--kubeconfig", str(local_cluster.kubeconfig), "-n", connection.namespace, *arguments]
        return capture(line, cwd=tmp_path, input_text=text)

    return run


def deployment(*, replicas: int = 2, environment: str = "", deadline: int = 30) -> str:
    """A Deployment of the test server, and its Service."""
    variables = f", {environment}" if environment else ""
    return textwrap.dedent(
        f"""\
        apiVersion: apps/v1
        kind: Deployment
        metadata: {{name: ml-model-deployment, labels: {{app: ml-model}}}}
        spec:
          replicas: {replicas}
          progressDeadlineSeconds: {deadline}
          selector: {{matchLabels: {{app: ml-model}}}}
          template:
            metadata: {{labels: {{app: ml-model}}}}
            spec:
              terminationGracePeriodSeconds: 1
              containers:
              - name: model
                image: ml-model:latest
                command: [python, serve.py]
                env: [{{name: MODEL_VERSION, value: none}}{variables}]
                ports: [{{containerPort: 8080}}]
                readinessProbe: {{httpGet: {{path: /healthz, port: 8080}}, periodSeconds: 1}}
        ---
        apiVersion: v1
        kind: Service
        metadata: {{name: ml-model}}
        spec: {{selector: {{app: ml-model}}, ports: [{{port: 80, targetPort: 8080}}]}}
        """
    )
