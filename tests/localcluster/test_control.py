"""Starting, finding and stopping a real cluster, also after everything was killed."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import pytest

from mlconsole.localcluster import control, records
from mlconsole.localcluster.control import ClusterError, ClusterInfo
from mlconsole.localcluster.records import ServerRecord, write_server
from tests.living import runs
from tests.waiting import removed, until

pytestmark = pytest.mark.end_to_end

POD = """
import os, signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
while True:
    time.sleep(60)
"""


class Cluster:
    """A project with a cluster that a test starts and stops."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "project"
        self.root.mkdir()
        self.state = self.root / ".mlconsole" / "cluster"

    def start(self) -> ClusterInfo:
        return control.start(self.root, self.state)

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        import http.client
        import ssl

        info = control.status(self.state)
        assert info is not None
        context = ssl.create_default_context(cafile=self.state / "ca.crt")
        port = int(info.url.rpartition(":")[2])
        connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=40, context=context)
        token = (self.state / "token").read_text().strip()
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        connection.request(method, path, json.dumps(body) if body is not None else None, headers)
        answer = json.loads(connection.getresponse().read())
        connection.close()
        return answer

    def run_pod(self, name: str) -> None:
        container = {"name": "c", "image": "i", "command": [sys.executable, "-c", POD]}
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": {"containers": [container]}}
        self.ask("POST", "/api/v1/namespaces/default/pods", pod)
        until(lambda: self.phase(name) == "Running")

    def phase(self, name: str) -> str:
        pod = self.ask("GET", f"/api/v1/namespaces/default/pods/{name}")
        return str(pod.get("status", {}).get("phase"))

    def processes(self) -> list[int]:
        """Shims and containers by their records, and the server."""
        found = []
        for path in self.state.glob("pods/*/*/*/shim.json"):
            record = json.loads(path.read_text())
            found += [record["pid"], record["container_pid"]]
        return [pid for pid in found if runs(pid)]


def alive(processes: list[int]) -> list[int]:
    return [pid for pid in processes if runs(pid)]


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    made = Cluster(tmp_path)
    yield made
    control.stop(made.state)


def test_a_started_cluster_is_found_answers_and_is_gone_after_stop(cluster: Cluster) -> None:
    assert control.status(cluster.state) is None
    assert control.stop(cluster.state) is False
    info = cluster.start()
    assert info.running and info == control.status(cluster.state) == cluster.start()
    assert cluster.ask("GET", "/version")["gitVersion"].startswith("v1.")
    for secret in ("kubeconfig", "token", "server.pem", "server.json"):
        assert stat.S_IMODE((cluster.state / secret).stat().st_mode) == 0o600
    assert control.stop(cluster.state) is True
    stopped = control.status(cluster.state)
    assert stopped is not None and not stopped.running and stopped.pid is None
    assert control.stop(cluster.state) is False


def test_objects_token_and_port_are_the_same_after_a_restart(cluster: Cluster) -> None:
    first = cluster.start()
    kubeconfig = first.kubeconfig.read_text()
    data = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "kept"}, "data": {"a": "b"}}
    made = cluster.ask("POST", "/api/v1/namespaces/default/configmaps", data)
    control.stop(cluster.state)
    second = cluster.start()
    assert (second.url, second.kubeconfig.read_text()) == (first.url, kubeconfig)
    assert cluster.ask("GET", "/api/v1/namespaces/default/configmaps/kept") == made


def test_two_starts_at_once_give_one_server(cluster: Cluster) -> None:
    script = (
        "import sys; from pathlib import Path; from mlconsole.localcluster import control; "
        "print(control.start(Path(sys.argv[1]), Path(sys.argv[2])).pid)"
    )
    command = [sys.executable, "-c", script, str(cluster.root), str(cluster.state)]
    with ThreadPoolExecutor() as pool:
        runs = [pool.submit(subprocess.run, command, capture_output=True, text=True, timeout=120) for _ in range(3)]
        pids = {run.result().stdout.strip() for run in runs}
    info = control.status(cluster.state)
    assert info is not None and pids == {str(info.pid)}


def test_the_record_of_another_process_is_not_taken_for_the_server(cluster: Cluster) -> None:
    cluster.state.mkdir(parents=True)
    write_server(cluster.state, ServerRecord(os.getpid(), psutil.Process().create_time() - 1000, 1, str(cluster.root)))
    info = cluster.start()
    assert info.running and info.pid != os.getpid()


def test_pods_live_on_when_the_server_is_killed_and_the_next_server_has_them(cluster: Cluster) -> None:
    first = cluster.start()
    cluster.run_pod("p")
    containers = cluster.processes()
    assert len(containers) == 2 and first.pid is not None
    pid = first.pid
    os.kill(pid, signal.SIGKILL)
    until(lambda: not runs(pid))
    dead = control.status(cluster.state)
    assert dead is not None and not dead.running
    assert len(alive(containers)) == 2
    second = cluster.start()
    assert second.pid != first.pid
    until(lambda: cluster.phase("p") == "Running")
    pod = cluster.ask("GET", "/api/v1/namespaces/default/pods/p")
    assert pod["status"]["containerStatuses"][0]["restartCount"] == 0
    assert len(alive(containers)) == 2


def left_by_a_killed_server(cluster: Cluster) -> tuple[int, list[int]]:
    """The server's process, which was killed, and those of its pod."""
    info = cluster.start()
    cluster.run_pod("p")
    left = cluster.processes()
    assert info.pid is not None
    os.kill(info.pid, signal.SIGKILL)
    return info.pid, left


def test_stop_ends_what_a_killed_server_left(cluster: Cluster) -> None:
    _, left = left_by_a_killed_server(cluster)
    assert control.stop(cluster.state) is True
    assert alive(left) == []


def test_stop_ends_a_container_whose_shim_was_killed_too(cluster: Cluster) -> None:
    _, left = left_by_a_killed_server(cluster)
    record = json.loads(next(cluster.state.glob("pods/*/*/*/shim.json")).read_text())
    os.kill(record["pid"], signal.SIGKILL)
    assert control.stop(cluster.state) is True
    assert alive(left) == []


def test_stop_ends_three_pods_gracefully_and_fast(cluster: Cluster) -> None:
    cluster.start()
    for name in ("a", "b", "c"):
        cluster.run_pod(name)
    left = cluster.processes()
    began = time.monotonic()
    assert control.stop(cluster.state) is True
    assert time.monotonic() - began < 20, "each has 30 s to end"
    assert alive(left) == []


def test_a_cluster_ends_with_its_folder_and_does_not_make_it_anew(cluster: Cluster) -> None:
    info = cluster.start()
    cluster.run_pod("a")
    assert info.pid is not None
    left = [info.pid, *cluster.processes()]
    until(lambda: removed(cluster.root))
    until(lambda: alive(left) == [])
    assert not cluster.root.exists()


def test_pods_whose_server_was_killed_end_with_their_folder_too(cluster: Cluster) -> None:
    server, left = left_by_a_killed_server(cluster)
    until(lambda: control.status(cluster.state) is None or alive([server]) == [])
    assert len(alive(left)) == 2
    until(lambda: removed(cluster.root))
    until(lambda: alive(left) == [])


def test_a_log_that_became_long_is_begun_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "LOG_LIMIT", 5)
    (tmp_path / "server.log").write_text("short")
    records.hold_log_short(tmp_path)
    assert (tmp_path / "server.log").read_text() == "short"
    with (tmp_path / "server.log").open("a") as server:
        server.write(", but no more")
        server.flush()
        records.hold_log_short(tmp_path)
        server.write("new")
    assert (tmp_path / "server.log").read_text() == "new"
    assert (tmp_path / "server.log.1").read_text() == "short, but no more"


def test_a_server_that_can_not_start_says_why(cluster: Cluster) -> None:
    cluster.state.mkdir(parents=True)
    (cluster.state / "objects.db").mkdir()
    with pytest.raises(ClusterError, match=r"ended while it started: .*the stored objects can't be used") as failed:
        cluster.start()
    assert "server.log" in failed.value.hint
    (cluster.state / "objects.db").rmdir()


def test_looking_at_a_cluster_loads_no_server() -> None:
    script = "import sys, mlconsole.localcluster.control; print('aiohttp' in sys.modules, 'psutil' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert run.stdout.split() == ["False", "False"]
