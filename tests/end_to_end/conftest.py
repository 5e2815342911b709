"""A whole project in small, real git, real processes, a real local cluster; nothing is left behind."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from mlconsole.localcluster import control

TRAIN = """\
import argparse, csv, json, os, time
TARGET = "y"
parser = argparse.ArgumentParser()
parser.add_argument("--data")
parser.add_argument("--output")
options = parser.parse_args()
rows = list(csv.DictReader(open(options.data)))
for epoch in range(1, 4):
    print(f"epoch {epoch}/3 loss={1 / epoch:.3f}", flush=True)
    time.sleep(float(os.environ.get("EPOCH_SECONDS", "0.01")))
while "HOLD" in os.environ and not os.path.exists(os.environ["HOLD"]):
    time.sleep(0.02)
mean = sum(float(row["y"]) for row in rows) / len(rows)
json.dump({"mean": mean}, open(options.output, "w"))
print(f"mean: {mean}")
"""
TESTS = """\
import json, os
def test_mean_is_positive():
    assert json.load(open(os.environ["MODEL_PATH"]))["mean"] > 0
"""
SERVE = """\
import json, os, signal, sys, threading, urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
model = json.load(open(urllib.parse.urlparse(os.environ["MODEL_URI"]).path))
class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        body = json.dumps({"version": os.environ["MODEL_VERSION"], "mean": model["mean"]}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *words):
        pass
server = ThreadingHTTPServer((os.environ["HOST"], int(os.environ["PORT"])), Handler)
signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
print("serving", os.environ["MODEL_VERSION"], flush=True)
server.serve_forever()
"""
DEPLOYMENT = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: tiny}
spec:
  replicas: 2
  progressDeadlineSeconds: 60
  selector: {matchLabels: {app: tiny}}
  strategy: {rollingUpdate: {maxSurge: 1, maxUnavailable: 0}}
  template:
    metadata: {labels: {app: tiny}}
    spec:
      terminationGracePeriodSeconds: 2
      containers:
      - name: tiny
        image: tiny:v1
        command: [python, serve.py]
        env: [{name: MODEL_URI, value: model.json}, {name: MODEL_VERSION, value: v0}]
        ports: [{name: http, containerPort: 8080}]
        readinessProbe: {httpGet: {path: /, port: http}, periodSeconds: 1}
---
apiVersion: v1
kind: Service
metadata: {name: tiny}
spec: {selector: {app: tiny}, ports: [{name: http, port: 80, targetPort: http}]}
"""
FILES = {
    "data/training.csv": "x,y\n" + "".join(f"{n},{n * 2}\n" for n in range(50)),
    "train_model.py": TRAIN,
    "serve.py": SERVE,
    "tests/test_model_quality.py": TESTS,
    "deployment.yaml": DEPLOYMENT,
    "mlconsole.toml": '[deploy]\ncontext = "local"\nsettle = "1s"\n',
    ".gitignore": "__pycache__\n",
}


class Workbench:
    """A project's folder, and `mlconsole` to be typed in it."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def write(self, name: str, text: str) -> None:
        """Write a file of the project."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    def git(self, *arguments: str) -> None:
        """Run git in it."""
        identity = ("-c", "user.name=Ada", "-c", "user.email=ada@example.com")
        subprocess.run(["git", *identity, *arguments], cwd=self.root, check=True, capture_output=True, timeout=30)

    def commit(self, message: str) -> None:
        """Commit everything."""
        self.git("add", "-A")
        self.git("commit", "--allow-empty", "-m", message)

    def type(self, *arguments: str, timeout: float = 100, **environment: str) -> subprocess.CompletedProcess[str]:
        """Type a command and wait for its end."""
        return subprocess.run(
            [sys.executable, "-m", "mlconsole", *arguments],
            cwd=self.root,
            env=self.environment(**environment),
            capture_output=True,
            text=True,
            timeout=timeout,
        )

    def start(self, *arguments: str, **environment: str) -> subprocess.Popen[str]:
        """Type a command and don't wait."""
        return subprocess.Popen(
            [sys.executable, "-m", "mlconsole", *arguments],
            cwd=self.root,
            env=self.environment(**environment),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def environment(self, **extra: str) -> dict[str, str]:
        """The shell's environment: without a cluster of the user's own."""
        return {**os.environ, "KUBECONFIG": str(self.root / "no-kubeconfig"), **extra}

    @property
    def kubeconfig(self) -> str:
        """The local cluster's kubeconfig."""
        return str(self.root / ".mlconsole" / "cluster" / "kubeconfig")


@pytest.fixture(scope="session")
def workbench() -> type[Workbench]:
    """What makes a workbench of a folder, for tests that need several or other ones than `bench`."""
    return Workbench


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Workbench]:
    """A tiny project, committed; its cluster is stopped at the end, whatever happened."""
    made = Workbench(tmp_path / "tiny")
    for name, text in FILES.items():
        made.write(name, text)
    made.git("init", "-q")
    made.commit("A tiny model")
    yield made
    control.stop(made.root / ".mlconsole" / "cluster")
