"""The server process: the store, the node and its controllers, and the API, put together and taken apart."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import logging
import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Protocol

from mlconsole.localcluster.certificates import ensure_certificate
from mlconsole.localcluster.records import (
    SERVER,
    ServerRecord,
    ensure_token,
    hold_log_short,
    read_server,
    remember_port,
    remembered_port,
    write_kubeconfig,
    write_server,
)
from mlconsole.localcluster.store import AlreadyExists, Store

if TYPE_CHECKING:
    from mlconsole.localcluster.api.hosting import Host

log = logging.getLogger(__name__)

LOOK_SECONDS = 1.0

NAMESPACES = ("default", "kube-system", "kube-public", "kube-node-lease")


class AlreadyServed(Exception):
    """Another server has this state folder."""


class Machinery(Protocol):
    """What acts on the store: controllers, node, service proxies."""

    async def start(self) -> None:
        """Begins to act."""

    async def stop(self, *, kill_pods: bool) -> None:
        """Ends, with or without the containers."""


async def serve(root: Path, state: Path) -> None:
    """Serves a cluster until SIGTERM or SIGINT, then ends its pods and itself.

    Raises:
        AlreadyServed: where another server has the state folder.
    """
    state.mkdir(parents=True, exist_ok=True)
    state.chmod(0o700)
    with _owned(state):
        stopped = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stopped.set)
        await _run(root, state, stopped)


async def _run(root: Path, state: Path, stopped: asyncio.Event) -> None:
    from mlconsole.localcluster.api.server import ApiServer
    from mlconsole.localcluster.node import Cluster

    token, tls = ensure_token(state), ensure_certificate(state)
    store = Store(state / "objects.db")
    _seed(store)
    cluster = Cluster(store, root, state)
    host: Host = cluster
    machinery: Machinery = cluster
    server = ApiServer(store, host, token)
    try:
        await machinery.start()
        listening = _listen(state)
        # before it answers: whoever is answered then finds the record that it runs
        _announce(root, state, listening.getsockname()[1], token)
        await server.start(listening, tls)
        log.info("serving %s on port %d", root, listening.getsockname()[1])
        await _until(stopped, state)
        log.info("stopping")
    finally:
        await machinery.stop(kill_pods=True)
        await server.stop()
        store.close()
        _withdraw(state)


async def _until(stopped: asyncio.Event, state: Path) -> None:
    """Waits until the server is told to end, or its folder is removed; holds its log short meanwhile."""
    folder = _inode(state)
    while not stopped.is_set():
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stopped.wait(), LOOK_SECONDS)
        if _inode(state) != folder:
            log.error("%s is not there any more: the cluster ends, with its pods", state)
            return
        hold_log_short(state)


def _inode(folder: Path) -> int:
    try:
        return folder.stat().st_ino
    except (FileNotFoundError, NotADirectoryError):
        return 0


@contextlib.contextmanager
def _owned(state: Path) -> Iterator[None]:
    file: IO[str] = (state / "server.lock").open("a")
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise AlreadyServed(f"another server has {state}") from None
        yield


def _listen(state: Path) -> socket.socket:
    """A listening socket on loopback, on the port of the start before where that is free."""
    for port in (remembered_port(state), 0):
        listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind(("127.0.0.1", port))
            listening.listen(128)
        except OSError:
            listening.close()
            if port == 0:
                raise
            continue
        return listening
    raise OSError("no free port")


def _announce(root: Path, state: Path, port: int, token: str) -> None:
    import psutil

    remember_port(state, port)
    write_kubeconfig(state, port, token)
    write_server(state, ServerRecord(os.getpid(), psutil.Process().create_time(), port, str(root)))


def _withdraw(state: Path) -> None:
    record = read_server(state)
    if record is not None and record.pid == os.getpid():
        (state / SERVER).unlink(missing_ok=True)


def _seed(store: Store) -> None:
    for name in NAMESPACES:
        labels = {"kubernetes.io/metadata.name": name}
        namespace = {"kind": "Namespace", "apiVersion": "v1", "metadata": {"name": name, "labels": labels}}
        with contextlib.suppress(AlreadyExists):
            store.create(
                "namespaces", namespace | {"spec": {"finalizers": ["kubernetes"]}, "status": {"phase": "Active"}}
            )
