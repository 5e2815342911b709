"""What tests share that reach a cluster over TLS: a server, a kubeconfig that leads to it, one request."""

from __future__ import annotations

import json
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from mlconsole.services.kubernetes.connection import Connection
from tests.services.kubernetes.authority import Authority, data
from tests.services.kubernetes.fake_cluster import FakeCluster, Reply

OK = Reply(body={"ok": True})
REFUSED = Reply(401, {"kind": "Status", "message": "Unauthorized", "reason": "Unauthorized", "code": 401})


@contextmanager
def cluster_of(tls: ssl.SSLContext, answer: Any = OK) -> Iterator[FakeCluster]:
    cluster = FakeCluster(answer if callable(answer) else lambda request: answer, tls)
    try:
        yield cluster
    finally:
        cluster.close()


def write(
    path: Path, cluster: dict[str, Any], user: dict[str, Any] | None = None, *, name: str = "lab", context: bool = True
) -> Path:
    content: dict[str, Any] = {
        "clusters": [{"name": name, "cluster": cluster}] if cluster else [],
        "users": [{"name": name, "user": user}] if user is not None else [],
    }
    if context:
        content |= {
            "current-context": name,
            "contexts": [{"name": name, "context": {"cluster": name, "user": name if user is not None else ""}}],
        }
    path.write_text(yaml.safe_dump(content))
    return path


def ask(path: Path, context: str = "") -> dict[str, Any]:
    connection = Connection.open(kubeconfig=path, context=context)
    try:
        found: dict[str, Any] = json.loads(connection.request("GET", "/version"))
        return found
    finally:
        connection.close()


def at(cluster: FakeCluster, authority: Authority | None = None, host: str = "127.0.0.1") -> dict[str, Any]:
    section = {"server": f"https://{host}:{cluster.port}"}
    return section | ({"certificate-authority-data": data(authority.pem)} if authority else {})
