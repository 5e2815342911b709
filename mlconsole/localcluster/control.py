"""Starting, finding and stopping the local cluster of a project. Light to import: no server code is loaded.

The server is a process of its own session, so that it outlives the terminal that started it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mlconsole.localcluster.records import (
    AUTHORITY,
    CREATE_TIME_SLACK,
    KUBECONFIG,
    LOG,
    SERVER,
    ServerRecord,
    hold_log_short,
    read_server,
    remembered_port,
    url_of,
)

LOCK = "start.lock"

STOP_SECONDS = 20.0
_POLL = 0.02
_LOG_TAIL = 2_000


class ClusterError(Exception):
    """The local cluster could not be started or stopped; ``hint`` is what to do next."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


@dataclass(frozen=True, slots=True)
class ClusterInfo:
    """A local cluster: where it answers, and the process that serves it (None where it is stopped)."""

    url: str
    kubeconfig: Path
    pid: int | None
    root: Path
    state: Path
    running: bool


def start(root: Path, state: Path, *, timeout: float = 60) -> ClusterInfo:
    """Starts the cluster of a project, or returns the one that runs already.

    Args:
        root: the project's folder; containers run there.
        state: the cluster's own folder.
        timeout: seconds to wait until the API answers; a server that ends before is told at once.

    Raises:
        ClusterError: where it does not answer in time.
    """
    root, state = root.resolve(), state.resolve()
    deadline = time.monotonic() + timeout
    state.mkdir(parents=True, exist_ok=True, mode=0o700)
    with _locked(state, deadline):
        running = _running(state)
        if running is None:
            process = _spawn(root, state)
            return _wait_ready(state, process, deadline)
        _wait_answering(state, running, deadline)
        return _info(state, running)


def status(state: Path) -> ClusterInfo | None:
    """The cluster of a state folder: running, stopped (``running`` False), or None where there never was one."""
    state = state.resolve()
    record = _running(state)
    if record is not None:
        return _info(state, record)
    port = remembered_port(state)
    if not port:
        return None
    left = read_server(state)
    root = Path(left.root) if left else state.parent.parent
    return ClusterInfo(url_of(port), state / KUBECONFIG, None, root, state, running=False)


def stop(state: Path) -> bool:
    """Ends the server and every container, also those that a killed server left; returns whether anything ran."""
    state = state.resolve()
    if not state.is_dir():
        return False
    with _locked(state, time.monotonic() + STOP_SECONDS):
        record = _running(state)
        if record is not None:
            _end_server(record)
        from mlconsole.localcluster.leftovers import end_leftovers

        left = end_leftovers(state)
        (state / SERVER).unlink(missing_ok=True)
        return record is not None or left


@contextlib.contextmanager
def _locked(state: Path, deadline: float) -> Iterator[None]:
    """Only one process at a time starts or stops the cluster of a folder."""
    with (state / LOCK).open("a") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError:
                if time.monotonic() > deadline:
                    raise ClusterError(
                        "another process has been starting or stopping this cluster for too long",
                        "wait until it is done, then try again",
                    ) from None
                time.sleep(_POLL)
        yield


def _running(state: Path) -> ServerRecord | None:
    """The server of this folder if its process lives; a record of another process with that pid does not count."""
    record = read_server(state)
    if record is None:
        return None
    import psutil

    try:
        process = psutil.Process(record.pid)
        alive = process.status() != psutil.STATUS_ZOMBIE
        same = abs(process.create_time() - record.create_time) < CREATE_TIME_SLACK
    except psutil.Error:
        return None
    return record if alive and same else None


def _info(state: Path, record: ServerRecord) -> ClusterInfo:
    return ClusterInfo(url_of(record.port), state / KUBECONFIG, record.pid, Path(record.root), state, running=True)


def _spawn(root: Path, state: Path) -> subprocess.Popen[bytes]:
    (state / SERVER).unlink(missing_ok=True)
    path = state / LOG
    hold_log_short(state)
    # -P: a file of the project must not take the place of a module of the server.
    command = [sys.executable, "-P", "-m", "mlconsole.localcluster", "serve"]
    with path.open("ab") as log:
        os.fchmod(log.fileno(), 0o600)
        return subprocess.Popen(
            [*command, "--root", str(root), "--state", str(state)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=state,
            start_new_session=True,
        )


def _wait_ready(state: Path, process: subprocess.Popen[bytes], deadline: float) -> ClusterInfo:
    while time.monotonic() < deadline:
        record = read_server(state)
        if record is not None and record.pid == process.pid and _answers(state, record.port):
            return _info(state, record)
        if process.poll() is not None:
            raise ClusterError(f"the local cluster ended while it started: {_last_line(state)}", f"see {state / LOG}")
        time.sleep(_POLL)
    process.kill()
    process.wait()
    raise ClusterError("the local cluster did not answer in time", f"see {state / LOG}")


def _wait_answering(state: Path, record: ServerRecord, deadline: float) -> None:
    while not _answers(state, record.port):
        if time.monotonic() > deadline:
            raise ClusterError(
                f"the local cluster (process {record.pid}) runs but does not answer",
                f"stop it and start it again; its log is {state / LOG}",
            )
        time.sleep(_POLL)


def _answers(state: Path, port: int) -> bool:
    import http.client
    import ssl

    try:
        context = ssl.create_default_context(cafile=state / AUTHORITY)
    except (OSError, ssl.SSLError):
        return False
    connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=2, context=context)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _last_line(state: Path) -> str:
    try:
        lines = (state / LOG).read_bytes()[-_LOG_TAIL:].decode(errors="replace").splitlines()
    except OSError:
        return "it left no log"
    said = [line for line in lines if line.strip()]
    return said[-1].strip() if said else "it left no log"


def _end_server(record: ServerRecord) -> None:
    """Asks the server to stop with all its pods; kills it where it does not."""
    import psutil

    from mlconsole.localcluster.leftovers import wait_ended

    try:
        process = psutil.Process(record.pid)
        process.terminate()
        if not wait_ended([process], STOP_SECONDS):
            process.kill()
            wait_ended([process], STOP_SECONDS)
    except psutil.NoSuchProcess:
        return
