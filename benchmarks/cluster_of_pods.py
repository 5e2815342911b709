"""A server that speaks as much of the Kubernetes API as a watch of many pods needs: a list in pages, and changes."""

from __future__ import annotations

import itertools
import json
import random
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

KUBECONFIG = """\
apiVersion: v1
kind: Config
current-context: many
contexts: [{{name: many, context: {{cluster: many, user: many, namespace: default}}}}]
clusters: [{{name: many, cluster: {{server: "http://127.0.0.1:{port}"}}}}]
users: [{{name: many, user: {{token: none}}}}]
"""
BATCH_SECONDS = 0.02


class Pods:
    """Pods whose readiness and restarts change."""

    def __init__(self, number: int) -> None:
        self.version = itertools.count(number + 1)
        self.started = datetime.now(UTC).replace(microsecond=0)
        self.pods = [self._pod(place) for place in range(number)]

    def _pod(self, place: int) -> dict[str, object]:
        name = f"ml-model-7c9d8f6b5-{place:05d}"
        created = self.started - timedelta(seconds=place * 7 % 900_000)
        return {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": name, "namespace": "default", "uid": f"uid-{place}", "resourceVersion": str(place + 1),
                "creationTimestamp": _stamp(created), "labels": {"app": "ml-model"},
                "annotations": {"mlconsole.dev/model-version": f"ml-model@v{place % 3 + 1}"},
                "ownerReferences": [
                    {"kind": "ReplicaSet", "name": "ml-model-7c9d8f6b5", "uid": "rs", "controller": True}
                ],
            },
            "spec": {
                "nodeName": f"node-{place % 200:03d}",
                "containers": [{"name": "ml-model", "image": "registry.example.com/ml-model:1.4.2"}],
            },
            "status": self._status(True, 0, created),
        }  # fmt: skip

    def _status(self, ready: bool, restarts: int, at: datetime) -> dict[str, object]:
        ended = {"terminated": {"exitCode": 1, "reason": "Error", "finishedAt": _stamp(at)}} if restarts else {}
        return {
            "phase": "Running",
            "conditions": [
                {"type": "PodScheduled", "status": "True"},
                {"type": "Initialized", "status": "True"},
                {"type": "Ready", "status": "True" if ready else "False"},
            ],
            "containerStatuses": [
                {"name": "ml-model", "ready": ready, "restartCount": restarts, "image": "ml-model:1.4.2",
                 "state": {"running": {"startedAt": _stamp(at)}}, "lastState": ended},
            ],
            "podIP": "10.0.0.1",
        }  # fmt: skip

    def change(self) -> bytes:
        """Change any pod; the line of the watch that says so."""
        pod = random.choice(self.pods)
        pod["status"] = self._status(random.random() < 0.9, int(random.random() < 0.05), datetime.now(UTC))
        pod["metadata"]["resourceVersion"] = str(next(self.version))  # type: ignore[index]
        return json.dumps({"type": "MODIFIED", "object": pod}).encode() + b"\n"


def _stamp(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def handler(pods: Pods, rate: int) -> type[BaseHTTPRequestHandler]:
    """A handler of requests for these pods, with `rate` changes a second in a watch."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: object) -> None:
            """Be quiet."""

        def do_GET(self) -> None:
            url = urlsplit(self.path)
            query = {name: values[0] for name, values in parse_qs(url.query).items()}
            if not url.path.endswith("/namespaces/default/pods") or "metrics" in url.path:
                self._answer(404, {"kind": "Status", "status": "Failure", "reason": "NotFound", "code": 404})
            elif query.get("watch"):
                self._watch()
            else:
                self._list(query)

        def _list(self, query: dict[str, str]) -> None:
            start = int(query.get("continue") or 0)
            end = start + int(query.get("limit") or len(pods.pods))
            rest = str(end) if end < len(pods.pods) else ""
            metadata = {"resourceVersion": str(len(pods.pods) + 1), "continue": rest}
            self._answer(
                200, {"kind": "PodList", "apiVersion": "v1", "metadata": metadata, "items": pods.pods[start:end]}
            )

        def _answer(self, code: int, body: dict[str, object]) -> None:
            data = json.dumps(body).encode()
            self.send_response(code)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def _watch(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            due, started = 0, time.monotonic()
            try:
                while True:
                    wanted = int((time.monotonic() - started) * rate)
                    data = b"".join(pods.change() for _ in range(wanted - due))
                    due = wanted
                    if data:
                        self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
                        self.wfile.flush()
                    time.sleep(BATCH_SECONDS)
            except OSError:
                self.close_connection = True

    return Handler


def main(kubeconfig: str, number: str, rate: str) -> None:
    """Serve until the process is ended; the kubeconfig is written once it answers."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler(Pods(int(number)), int(rate)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    Path(kubeconfig).write_text(KUBECONFIG.format(port=server.server_address[1]))
    threading.Event().wait()


if __name__ == "__main__":
    main(*sys.argv[1:])
