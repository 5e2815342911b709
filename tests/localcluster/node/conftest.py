"""A cluster without its API: the store, the controllers and the node, with small Python servers as containers."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from mlconsole.localcluster.node import Cluster, Timing
from mlconsole.localcluster.store import NotFound, Store

QUICK = Timing(
    crash_backoff=0.4,
    crash_backoff_cap=1.0,
    image_backoff=0.4,
    config_retry=0.1,
    settle=0.1,
    drain=0.2,
    stop_grace=1.0,
    job_backoff=0.1,
    memory_check=0.1,
)

SERVER = """
import http.server, os, sys, time
print("serving", os.environ.get("MODEL_VERSION", ""), flush=True)
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        code = 200 if self.path != "/absent" else 404
        if self.path == "/health" and os.path.exists("sick-" + os.environ["HOSTNAME"]):
            code = 503
        body = os.environ.get("MODEL_VERSION", "").encode()
        self.send_response(code)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *args):
        pass
http.server.ThreadingHTTPServer((os.environ["HOST"], int(os.environ["PORT"])), Handler).serve_forever()
"""


class World:
    """One cluster in one folder, with the questions that tests ask of it."""

    def __init__(self, root: Path, store: Store | None = None, timing: Timing = QUICK) -> None:
        self.root = root
        self.state = root / ".state"
        self.store = store or Store(None)
        self.cluster = Cluster(self.store, root, self.state, timing)

    async def until(self, holds: Callable[[], Any], seconds: float = 40) -> Any:
        """Waits until ``holds`` gives something true, and returns it; objects that are not there yet count as false."""
        end = time.monotonic() + seconds
        while True:
            with contextlib.suppress(NotFound, KeyError, IndexError):
                if result := holds():
                    return result
            if time.monotonic() > end:
                pods = [pod.get("status") for pod in self.store.list("pods")]
                pytest.fail(f"did not come true within {seconds} s; the pods: {pods}; events: {self.reasons()}")
            await asyncio.sleep(0.01)

    def create(self, resource: str, name: str, spec: dict[str, Any] | None = None, **fields: Any) -> dict[str, Any]:
        kinds = {"pods": "Pod", "deployments": "Deployment", "jobs": "Job", "services": "Service",
                 "configmaps": "ConfigMap", "secrets": "Secret"}  # fmt: skip
        metadata = {"name": name, "namespace": "default", **fields.pop("metadata", {})}
        obj = {"kind": kinds[resource], "metadata": metadata, **fields}
        return self.store.create(resource, obj | ({"spec": spec} if spec is not None else {}))

    def pod(self, name: str) -> dict[str, Any]:
        return self.store.get("pods", "default", name)

    def status(self, name: str) -> dict[str, Any]:
        """The status of a pod's first container."""
        return self.pod(name)["status"]["containerStatuses"][0]

    def pods(self) -> list[dict[str, Any]]:
        return self.store.list("pods")

    def ready(self) -> list[dict[str, Any]]:
        return [pod for pod in self.pods() if self.condition(pod, "Ready") == "True" and not self.going(pod)]

    @staticmethod
    def going(pod: dict[str, Any]) -> bool:
        return "deletionTimestamp" in pod["metadata"]

    @staticmethod
    def condition(obj: dict[str, Any], kind: str) -> str:
        conditions = obj.get("status", {}).get("conditions") or []
        return next((item["status"] for item in conditions if item["type"] == kind), "")

    def reasons(self) -> list[str]:
        return [event["reason"] for event in self.store.scan("events")]

    def messages(self, reason: str) -> list[str]:
        return [event["message"] for event in self.store.scan("events") if event["reason"] == reason]

    def log(self, pod: str, container: str = "model", previous: bool = False) -> str:
        text = self.cluster.log_path("default", pod, container, previous).read_text()
        return "\n".join(line.partition(" ")[2] for line in text.splitlines())

    def container_pid(self, pod: str, container: str = "model") -> int:
        import json

        uid = self.pod(pod)["metadata"]["uid"]
        attempt = self.status(pod)["restartCount"]
        record = self.state / "pods" / uid / container / str(attempt) / "shim.json"
        return int(json.loads(record.read_text())["container_pid"])

    def shims(self) -> list[psutil.Process]:
        """Every shim that works for this world."""
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if any(str(self.state) in word for word in process.cmdline()):
                    found.append(process)
        return found


def container(*command: str, **fields: Any) -> dict[str, Any]:
    """A container that runs this command; without one, the test server."""
    words = list(command) or [sys.executable, "server.py"]
    return {"name": "model", "image": "ml-model:v1", "command": words, **fields}


def python(code: str, **fields: Any) -> dict[str, Any]:
    """A container that runs Python code."""
    return container(sys.executable, "-c", code, **fields)


@pytest.fixture
def timing() -> Timing:
    """How long the node of a test waits for what."""
    return QUICK


@pytest.fixture
async def world(tmp_path: Path, timing: Timing) -> AsyncIterator[World]:
    """A running cluster; nothing of it is left afterwards."""
    (tmp_path / "server.py").write_text(SERVER)
    made = World(tmp_path, timing=timing)
    await made.cluster.start()
    yield made
    await made.cluster.stop(kill_pods=True)
    left = made.shims()
    for process in left:
        with contextlib.suppress(psutil.Error):
            os.kill(process.pid, signal.SIGUSR1)
    assert not left, f"processes left behind: {left}"


@pytest.fixture
def make_world() -> type[World]:
    """Another server for the same folder and store."""
    return World


@pytest.fixture
def box() -> Callable[..., dict[str, Any]]:
    """Makes container specs."""
    return container


@pytest.fixture
def py() -> Callable[..., dict[str, Any]]:
    """Makes container specs from Python code."""
    return python
