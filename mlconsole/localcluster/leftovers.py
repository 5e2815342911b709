"""Ending containers whose server is gone: each left a record of its processes in the state folder."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import psutil

from mlconsole.localcluster.records import CREATE_TIME_SLACK

GRACE_SECONDS = 3.0
KILL_SECONDS = 2.0
_POLL = 0.02


class _Leftover(NamedTuple):
    directory: Path
    shim: psutil.Process | None
    container: psutil.Process | None


def end_leftovers(state: Path) -> bool:
    """Ends every recorded container that still runs, gently first; returns whether there were any."""
    found = list(_find(state))
    for leftover in found:
        if leftover.shim is not None:
            # The shim hands SIGTERM on, and kills what is left after the seconds in this file.
            with contextlib.suppress(OSError):
                (leftover.directory / "grace").write_text(str(GRACE_SECONDS))
            with contextlib.suppress(psutil.Error):
                leftover.shim.send_signal(signal.SIGTERM)
    trees = [process for leftover in found for process in _tree(leftover)]
    shims = [leftover.shim for leftover in found if leftover.shim is not None]
    wait_ended(shims, GRACE_SECONDS + KILL_SECONDS)
    for leftover in found:
        _kill_group(leftover.container)
    for process in trees:
        with contextlib.suppress(psutil.Error):
            process.kill()
    wait_ended(trees, KILL_SECONDS)
    return bool(found)


def wait_ended(processes: list[psutil.Process], seconds: float) -> bool:
    """Waits until the processes have ended; one that its parent has not collected yet has ended too."""
    deadline = time.monotonic() + seconds
    while any(_lives(process) for process in processes):
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL)
    return True


def _lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def _find(state: Path) -> Iterator[_Leftover]:
    for path in sorted((state / "pods").glob("*/*/*/shim.json")):
        try:
            record = json.loads(path.read_bytes())
            created = float(record["create_time"])
            shim = _process(int(record["pid"]), created)
            container = _process(int(record.get("container_pid") or 0), created)
        except (OSError, ValueError, KeyError, TypeError):
            continue
        if shim is not None or container is not None:
            yield _Leftover(path.parent, shim, container)


def _process(pid: int, created: float) -> psutil.Process | None:
    """The living process with this pid, where it was created at that time: a pid alone may be another's by now."""
    if pid <= 1:
        return None
    try:
        process = psutil.Process(pid)
        alive = process.status() != psutil.STATUS_ZOMBIE
        return process if alive and abs(process.create_time() - created) < CREATE_TIME_SLACK else None
    except psutil.Error:
        return None


def _tree(leftover: _Leftover) -> list[psutil.Process]:
    roots = [process for process in (leftover.shim, leftover.container) if process is not None]
    tree = list(roots)
    for process in roots:
        with contextlib.suppress(psutil.Error):
            tree += process.children(recursive=True)
    return tree


def _kill_group(container: psutil.Process | None) -> None:
    if container is None or not container.is_running():
        return
    with contextlib.suppress(OSError):
        if os.getpgid(container.pid) == container.pid:
            os.killpg(container.pid, signal.SIGKILL)
