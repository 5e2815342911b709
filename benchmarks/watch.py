"""A pod's change on our side beside `kubectl get pods -w`, and what the watcher costs a pod at 10,000 pods."""

from __future__ import annotations

import gc
import json
import multiprocessing
import os
import random
import statistics
import subprocess
import tempfile
import threading
import time
import tracemalloc
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing.connection import Connection as Pipe
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from mlconsole.localcluster import control
from mlconsole.services.kubernetes.connection import Connection
from mlconsole.services.kubernetes.watch import PodWatcher

CHANGES, CHANGED_PODS = 500, 20
PODS, PAGE, RUNS = 10_000, 500, 5
PATH = "/api/v1/namespaces/default/pods"


def percentile(values: Sequence[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


class Screen:
    """When each change was first to be had on our side, as a screen has it: `on_change`, then `snapshot`."""

    def __init__(self, kubeconfig: Path) -> None:
        self.at: dict[int, float] = {}
        self._shown: dict[str, int] = {}
        self._changed = threading.Event()
        self._over = threading.Event()
        self.watcher = PodWatcher(lambda: Connection.open(kubeconfig=kubeconfig), "", self._changed.set)
        self._thread = threading.Thread(target=self._draw, daemon=True)

    def start(self) -> None:
        self.watcher.start()
        self._thread.start()

    def _draw(self) -> None:
        while not self._over.is_set():
            self._changed.wait()
            self._changed.clear()
            rows = self.watcher.snapshot().rows
            moment = time.monotonic()
            for row in rows:
                if row.status.startswith("change-"):
                    self.at.setdefault(int(row.status.removeprefix("change-")), moment)

    def stop(self) -> None:
        self._over.set()
        self._changed.set()
        self._thread.join()
        self.watcher.stop()


class Kubectl:
    """When `kubectl get pods -w` printed each change."""

    def __init__(self, kubeconfig: Path) -> None:
        self.at: dict[int, float] = {}
        command = ["kubectl", "--kubeconfig", str(kubeconfig), "get", "pods", "-w", "--no-headers"]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self.lines = 0
        self._thread = threading.Thread(target=self._read, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            moment, status = time.monotonic(), line.split()[2]
            self.lines += 1
            if status.startswith("change-"):
                self.at.setdefault(int(status.removeprefix("change-")), moment)

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait()


def wait_for(what: str, holds: object, seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not holds():  # type: ignore[operator]
        if time.monotonic() > deadline:
            raise SystemExit(f"{what} did not come true within {seconds:.0f} s")
        time.sleep(0.02)


def latency(folder: Path) -> None:
    """Print how much later than kubectl each of 500 changes is handed to the screen."""
    info = control.start(folder, folder / "state")
    connection = Connection.open(kubeconfig=info.kubeconfig)
    screen, kubectl = Screen(info.kubeconfig), Kubectl(info.kubeconfig)
    try:
        for number in range(CHANGED_PODS):
            # No node fits, so that nothing but this program changes them.
            spec = {"nodeSelector": {"none": "such"}, "containers": [{"name": "m", "image": "m:1"}]}
            pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": f"pod-{number}"}, "spec": spec}
            connection.request("POST", PATH, body=json.dumps(pod).encode())
        screen.start()
        kubectl.start()
        wait_for("the first rows", lambda: len(screen.watcher.snapshot().rows) == CHANGED_PODS)
        wait_for("kubectl's first rows", lambda: kubectl.lines >= CHANGED_PODS)
        time.sleep(0.5)
        written = _change(connection)
        wait_for("the last change", lambda: CHANGES - 1 in screen.at and CHANGES - 1 in kubectl.at)
    finally:
        screen.stop()
        kubectl.stop()
        connection.close()
        control.stop(info.state)
    both = [number for number in range(CHANGES) if number in kubectl.at and number in screen.at]
    print(f"a pod's change on our side and in `kubectl get pods -w` ({CHANGES} changes, about ten a second)")
    for name, at in (("mlconsole", screen.at), ("kubectl get pods -w", kubectl.at)):
        took = [(at[number] - written[number]) * 1000 for number in both]
        print(f"  {name:<40} median {statistics.median(took):6.1f} ms   p95 {percentile(took, 0.95):6.1f} ms")
    later = [(screen.at[number] - kubectl.at[number]) * 1000 for number in both]
    print(
        f"  later than kubectl{'':<23}median {statistics.median(later):6.1f} ms   p95 {percentile(later, 0.95):6.1f} ms"
    )
    print(f"  target: at most 100 ms later at the 95th percentile; shown {len(both)} of {CHANGES}\n")


def _change(connection: Connection) -> list[float]:
    """Change a pod after the other, at irregular times; returns when each change was asked for."""
    written = []
    for number in range(CHANGES):
        time.sleep(random.uniform(0.0, 0.2))
        written.append(time.monotonic())
        body = json.dumps({"status": {"reason": f"change-{number}"}}).encode()
        path = f"{PATH}/pod-{number % CHANGED_PODS}/status"
        connection.request("PATCH", path, body=body, content_type="application/merge-patch+json")
    return written


def _pod(number: int) -> dict[str, object]:
    """A pod of 7.8 KB, as large as those of a real cluster: managed fields are most of it."""
    fields: dict[str, object] = {"f:name": {}, "f:value": {}, "f:state": {}}
    managed = {f"f:field-{entry}": fields for entry in range(85)}
    stamp = "2024-02-29T12:00:00Z"
    condition = {"status": "True", "lastProbeTime": None, "lastTransitionTime": stamp}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": f"ml-model-7c9d8f6b5-{number:05d}", "namespace": "default", "uid": f"uid-{number}",
            "resourceVersion": str(number + 1), "creationTimestamp": stamp,
            "labels": {"app": "ml-model", "pod-template-hash": "7c9d8f6b5"},
            "annotations": {"mlconsole.dev/model-version": "ml-model@v3"},
            "ownerReferences": [{"kind": "ReplicaSet", "name": "ml-model-7c9d8f6b5", "uid": "rs", "controller": True}],
            "managedFields": [{"manager": "kubelet", "operation": "Update", "fieldsV1": managed}],
        },
        "spec": {
            "nodeName": f"node-{number % 200:03d}", "restartPolicy": "Always", "schedulerName": "default-scheduler",
            "containers": [{
                "name": "model", "image": "registry.example.com/ml-model:1.4.2", "imagePullPolicy": "IfNotPresent",
                "env": [{"name": f"VARIABLE_{entry}", "value": "a value of some length"} for entry in range(20)],
                "ports": [{"name": "http", "containerPort": 8080}],
                "volumeMounts": [{"name": f"volume-{entry}", "mountPath": f"/data/{entry}"} for entry in range(10)],
            }],
            "volumes": [{"name": f"volume-{entry}", "emptyDir": {}} for entry in range(10)],
            "tolerations": [{"key": "a", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300}],
        },
        "status": {
            "phase": "Running", "podIP": "10.0.0.1", "startTime": stamp,
            "conditions": [{"type": kind, **condition} for kind in ("Initialized", "Ready", "PodScheduled")],
            "containerStatuses": [{
                "name": "model", "ready": True, "restartCount": 0, "image": "ml-model:1.4.2", "lastState": {},
                "state": {"running": {"startedAt": stamp}}, "containerID": "containerd://" + "a" * 64,
            }],
        },
    }  # fmt: skip


def serve_many(pipe: Pipe) -> None:
    """Serve the pods in pages, from a process of its own; sends its port and the mean size of a pod."""
    pods = [_pod(number) for number in range(PODS)]
    pages = []
    for start in range(0, PODS, PAGE):
        more = str(start + PAGE) if start + PAGE < PODS else ""
        metadata = {"resourceVersion": str(PODS), "continue": more}
        page = {"metadata": metadata, "items": pods[start : start + PAGE]}
        pages.append(json.dumps(page, separators=(",", ":")).encode())

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            query = parse_qs(urlsplit(self.path).query)
            if "watch" in query:
                self.send_response(200)
                self.send_header("Transfer-Encoding", "chunked")
                self.end_headers()
                self.wfile.flush()
                time.sleep(60)
                return
            body = pages[int(query.get("continue", ["0"])[0]) // PAGE]
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *words: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    pipe.send((server.server_address[1], sum(map(len, pages)) / PODS))
    server.serve_forever()


def cost(kubeconfig: Path, *, traced: bool) -> tuple[float, float, float]:
    """Watch once; CPU seconds until live, then those for all rows, then bytes where `traced`."""
    Connection.open(kubeconfig=kubeconfig).close()
    gc.collect()
    if traced:
        tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0] if traced else 0
    began = time.process_time()
    watcher = PodWatcher(lambda: Connection.open(kubeconfig=kubeconfig), "", lambda: None)
    watcher.start()
    wait_for("the list", lambda: watcher._watcher.state.state == "live")
    listed = time.process_time() - began
    assert len(watcher.pods()) == PODS
    gc.collect()
    used = tracemalloc.get_traced_memory()[0] - before if traced else 0
    tracemalloc.stop()
    began = time.process_time()
    watcher.snapshot()
    rows = time.process_time() - began
    watcher.stop()
    return listed, rows, used


def costs(folder: Path) -> None:
    """Print the watcher's time and memory a pod."""
    ours, theirs = multiprocessing.Pipe()
    server = multiprocessing.Process(target=serve_many, args=(theirs,), daemon=True)
    server.start()
    port, size = ours.recv()
    kubeconfig = folder / "kubeconfig"
    cluster = {"name": "c", "cluster": {"server": f"http://127.0.0.1:{port}"}}
    context = {"name": "many", "context": {"cluster": "c", "user": "u"}}
    user = {"name": "u", "user": {"token": "t"}}
    config = {"clusters": [cluster], "users": [user], "contexts": [context], "current-context": "many"}
    kubeconfig.write_text(json.dumps(config))
    try:
        runs = [cost(kubeconfig, traced=False) for _ in range(RUNS + 1)][1:]
        _, _, used = cost(kubeconfig, traced=True)
    finally:
        server.kill()
        server.join()
    print(f"the watcher at {PODS:,} pods of {size / 1000:.1f} KB, medians of {RUNS}, CPU time of the whole process")
    for name, values in (("list, decode, keep", [run[0] for run in runs]), ("make a row", [run[1] for run in runs])):
        micro = [value / PODS * 1e6 for value in values]
        print(f"  {name:<40} {statistics.median(micro):6.1f} µs a pod   {min(micro):.1f} … {max(micro):.1f}")
    print(f"  memory{'':<34} {used / PODS / 1024:6.1f} KiB a pod")
    print("  target: at most 20 µs and 8 KiB a pod for the watcher\n")


def main() -> None:
    os.environ.pop("KUBECONFIG", None)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        costs(folder)
        latency(folder)


if __name__ == "__main__":
    main()
