"""The files by which a running cluster is found: ``server.json``, ``kubeconfig``, ``ca.crt``, ``token``, ``port``."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from pathlib import Path
from typing import NamedTuple

SERVER = "server.json"
KUBECONFIG = "kubeconfig"
TOKEN = "token"
PORT = "port"
AUTHORITY = "ca.crt"
LOG = "server.log"
LOG_LIMIT = 5 * 1024 * 1024
CREATE_TIME_SLACK = 3.0
"""Seconds by which a process may seem to have been created at another moment than its record says, and is the same one.

It is told by the system's clock, which may be set right meanwhile, and of a container its shim's stands in the record.
"""

_KUBECONFIG = """\
apiVersion: v1
kind: Config
current-context: local
clusters:
- name: local
  cluster:
    server: {url}
    certificate-authority-data: {authority}
contexts:
- name: local
  context:
    cluster: local
    namespace: default
    user: local
users:
- name: local
  user:
    token: {token}
"""


class ServerRecord(NamedTuple):
    """Which process serves a state folder, and where."""

    pid: int
    create_time: float
    port: int
    root: str


def write_whole(path: Path, text: str, mode: int = 0o600) -> None:
    """Writes a file so that a reader sees all of it or none of it."""
    import tempfile

    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            os.fchmod(file.fileno(), mode)
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def ensure_token(state: Path) -> str:
    """The bearer token of this cluster, made at its first start."""
    import secrets

    path = state / TOKEN
    try:
        token = path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        token = ""
    if not token:
        token = secrets.token_urlsafe(32)
        write_whole(path, token + "\n")
    return token


def write_kubeconfig(state: Path, port: int, token: str) -> None:
    """Lets kubectl and others find the cluster."""
    import base64

    authority = base64.b64encode((state / AUTHORITY).read_bytes()).decode()
    write_whole(state / KUBECONFIG, _KUBECONFIG.format(url=url_of(port), authority=authority, token=token))


def url_of(port: int) -> str:
    """Where the API answers."""
    return f"https://127.0.0.1:{port}"


def read_server(state: Path) -> ServerRecord | None:
    """Who serves this state folder by the record that is left there; the process may be gone."""
    try:
        record = json.loads((state / SERVER).read_bytes())
        return ServerRecord(int(record["pid"]), float(record["create_time"]), int(record["port"]), str(record["root"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def write_server(state: Path, record: ServerRecord) -> None:
    """Leaves the record by which the server is found."""
    write_whole(state / SERVER, json.dumps(record._asdict()))


def remember_port(state: Path, port: int) -> None:
    """Keeps the port for the next start, so that kubeconfigs stay right."""
    write_whole(state / PORT, f"{port}\n")


def remembered_port(state: Path) -> int:
    """The port of the start before, 0 where there is none."""
    try:
        return int((state / PORT).read_text(encoding="ascii"))
    except (OSError, ValueError):
        return 0


def hold_log_short(state: Path) -> None:
    """Moves what a long log of the server holds to ``server.log.1``; a server that runs goes on in the same file."""
    path = state / LOG
    with contextlib.suppress(OSError):
        if path.stat().st_size > LOG_LIMIT:
            shutil.copyfile(path, path.with_suffix(".log.1"))
            os.truncate(path, 0)
