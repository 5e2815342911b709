"""The whole local cluster as a person meets it: its server as a process, driven by kubectl."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from mlconsole.localcluster import control
from tests.living import runs
from tests.localcluster.kubectls import installed, newest
from tests.waiting import until

MANIFEST = """
apiVersion: apps/v1
kind: Deployment
metadata: {{name: ml-model, labels: {{app: ml-model}}}}
spec:
  replicas: 3
  progressDeadlineSeconds: {deadline}
  selector: {{matchLabels: {{app: ml-model}}}}
  template:
    metadata: {{labels: {{app: ml-model}}}}
    spec:
      containers:
      - name: model
        image: ml-model:{version}
        command: ["{python}", server.py]
        env: [{{name: MODEL_VERSION, value: {version}}}]
        ports: [{{containerPort: 8080, name: http}}]
        readinessProbe: {{httpGet: {{path: {path}, port: http}}}}
---
apiVersion: v1
kind: Service
metadata: {{name: ml-model}}
spec:
  selector: {{app: ml-model}}
  ports: [{{port: 80, targetPort: http}}]
"""


pytestmark = [
    pytest.mark.end_to_end,
    pytest.mark.skipif(not installed(), reason="kubectl is not installed"),
]


class Site:
    """A running cluster and what a person types."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.state = root / ".state"
        self.info = control.start(root, self.state)
        self.kubectl = newest()

    def run(self, *words: str, stdin: str = "", check: bool = True) -> subprocess.CompletedProcess[str]:
        command = [str(self.kubectl), "--kubeconfig", str(self.info.kubeconfig), *words]
        done = subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0 or not check, f"{words}: {done.stdout}{done.stderr}"
        return done

    def apply(self, version: str, *, path: str = "/", deadline: int = 60) -> None:
        self.run(
            "apply",
            "-f",
            "-",
            stdin=MANIFEST.format(version=version, python=sys.executable, path=path, deadline=deadline),
        )

    def get(self, *words: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.run("get", *words, "-o", "json").stdout)
        return found

    def pods(self) -> list[dict[str, Any]]:
        return [
            pod for pod in self.get("pods", "-l", "app=ml-model")["items"] if "deletionTimestamp" not in pod["metadata"]
        ]

    def address(self) -> tuple[str, int]:
        text = self.get("service", "ml-model")["metadata"]["annotations"]["local.mlconsole.dev/address"]
        host, _, port = text.partition(":")
        return host, int(port)

    def container_pid(self, pod: dict[str, Any]) -> int:
        attempt = pod["status"]["containerStatuses"][0]["restartCount"]
        record = self.state / "pods" / pod["metadata"]["uid"] / "model" / str(attempt) / "shim.json"
        return int(json.loads(record.read_text())["container_pid"])


class Load(threading.Thread):
    """A client that asks the Service again and again, each time over a new connection."""

    def __init__(self, address: tuple[str, int]) -> None:
        super().__init__(daemon=True)
        self.address = address
        self.answers: Counter[str] = Counter()
        self.failures: list[str] = []
        self.going = True

    def run(self) -> None:
        while self.going:
            try:
                with socket.create_connection(self.address, timeout=40) as connection:
                    connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
                    reply = b"".join(iter(lambda: connection.recv(4096), b""))
                head, _, body = reply.partition(b"\r\n\r\n")
                if b" 200 " not in head:
                    self.failures.append(repr(reply))
                self.answers[body.decode()] += 1
            except OSError as error:
                self.failures.append(repr(error))

    def __enter__(self) -> Load:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.going = False
        self.join()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    root = tmp_path_factory.mktemp("cluster")
    server = Path(__file__).with_name("conftest.py").read_text().partition('SERVER = """')[2].partition('"""')[0]
    (root / "server.py").write_text(server)
    made = Site(root)
    made.apply("v0")
    made.run("rollout", "status", "deployment/ml-model", "--timeout=90s")
    yield made
    assert control.stop(made.state)
    left = [
        process for process in psutil.process_iter(["cmdline"]) if str(root) in " ".join(process.info["cmdline"] or [])
    ]
    assert not left


def test_a_rollout_and_its_undo_lose_no_request(site: Site) -> None:
    version = "v1"
    before = site.get("deployment", "ml-model")["spec"]["template"]["spec"]["containers"][0]["env"][0]["value"]
    with Load(site.address()) as load:
        site.apply(version)
        said = site.run("rollout", "status", "deployment/ml-model", "--timeout=90s").stdout
        assert said.splitlines()[-1] == 'deployment "ml-model" successfully rolled out'
        until(lambda: load.answers[version] > 10)
        site.run("rollout", "undo", "deployment/ml-model")
        site.run("rollout", "status", "deployment/ml-model", "--timeout=90s")
        seen = load.answers[before]
        until(lambda: load.answers[before] > seen + 10)
    assert not load.failures


def test_a_killed_process_is_restarted_and_counted(site: Site) -> None:
    pod = site.pods()[0]
    os.kill(site.container_pid(pod), signal.SIGKILL)
    name = pod["metadata"]["name"]
    restarted = until(
        lambda: [item for item in site.pods() if item["status"]["containerStatuses"][0]["restartCount"] == 1]
    )
    assert [item["metadata"]["name"] for item in restarted] == [name]
    site.run("wait", "--for=condition=ready", f"pod/{name}", "--timeout=90s")
    assert "Terminated" in site.run("describe", "pod", name).stdout


def test_a_server_that_was_killed_is_followed_by_one_that_knows_its_containers(site: Site) -> None:
    site.run("rollout", "status", "deployment/ml-model", "--timeout=90s")
    before = {
        pod["metadata"]["name"]: (site.container_pid(pod), pod["status"]["containerStatuses"][0]["restartCount"])
        for pod in site.pods()
    }
    address = site.address()
    assert site.info.pid is not None
    os.kill(site.info.pid, signal.SIGKILL)
    until(lambda: control.status(site.state) is None or not control.status(site.state).running)  # type: ignore[union-attr]
    assert all(runs(pid) for pid, _ in before.values())
    site.info = control.start(site.root, site.state)
    until(lambda: site.get("deployment", "ml-model")["status"].get("readyReplicas") == 3)
    after = {
        pod["metadata"]["name"]: (site.container_pid(pod), pod["status"]["containerStatuses"][0]["restartCount"])
        for pod in site.pods()
    }
    assert after == before
    assert site.address() == address
    with Load(address) as load:
        until(lambda: sum(load.answers.values()) > 10)
    assert not load.failures


def test_a_version_that_never_gets_ready_takes_nothing_away(site: Site) -> None:
    with Load(site.address()) as load:
        site.apply("never", path="/absent", deadline=2)
        done = site.run("rollout", "status", "deployment/ml-model", "--timeout=90s", check=False)
        assert (done.returncode, done.stderr.strip()) == (
            1,
            'error: deployment "ml-model" exceeded its progress deadline',
        )
        site.run("rollout", "undo", "deployment/ml-model")
        site.run("rollout", "status", "deployment/ml-model", "--timeout=90s")
    assert not load.failures and not load.answers["never"]


def test_jobs_complete_and_fail(site: Site) -> None:
    for name, code in (("train", "print('loss=0.5')"), ("broken", "raise SystemExit(3)")):
        template = {
            "spec": {
                "restartPolicy": "Never",
                "containers": [{"name": "train", "image": "x", "command": [sys.executable, "-c", code]}],
            }
        }
        job = {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {"name": name},
            "spec": {"backoffLimit": 0, "template": template},
        }
        site.run("apply", "-f", "-", stdin=json.dumps(job))
    site.run("wait", "--for=condition=complete", "job/train", "--timeout=90s")
    site.run("wait", "--for=condition=failed", "job/broken", "--timeout=90s")
    assert site.run("logs", "job/train").stdout == "loss=0.5\n"
    site.run("delete", "job", "train", "broken")


def test_scaling_and_deleting_leave_no_process(site: Site) -> None:
    site.run("scale", "deployment/ml-model", "--replicas=5")
    site.run("rollout", "status", "deployment/ml-model", "--timeout=90s")
    pids = [site.container_pid(pod) for pod in site.pods()]
    assert len(pids) == 5
    site.run("delete", "deployment", "ml-model")
    until(lambda: not any(runs(pid) for pid in pids))
    until(lambda: not site.get("pods")["items"])
