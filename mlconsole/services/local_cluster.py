"""The project's local cluster, started and stopped: the process itself is `mlconsole.localcluster`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mlconsole.errors import OutsideFailed
from mlconsole.localcluster import control
from mlconsole.localcluster.control import ClusterInfo
from mlconsole.services import readonly


class LocalClusterFailed(OutsideFailed):
    """The local cluster can't be started or stopped."""


@contextmanager
def _explained() -> Iterator[None]:
    try:
        yield
    except control.ClusterError as error:
        raise LocalClusterFailed(f"The local cluster: {error}.", error.hint) from error


def start(root: Path, state: Path, python: str) -> ClusterInfo:
    """Start the cluster of a project, or return the one that runs.

    Args:
        root: the project's folder, where the containers run.
        state: the cluster's own folder.
        python: the interpreter that `python` means in a container.

    Raises:
        LocalClusterFailed: it does not come up in time.
    """
    readonly.check("The local cluster was not started")
    # the server hands it on to the containers
    os.environ["MLCONSOLE_PYTHON"] = python
    with _explained():
        return control.start(root, state)


def stop(state: Path) -> bool:
    """Stop the cluster and all of its pods; return whether anything ran.

    Raises:
        LocalClusterFailed: something of it does not end.
    """
    readonly.check("The local cluster was not stopped")
    with _explained():
        return control.stop(state)


def status(state: Path) -> ClusterInfo | None:
    """The cluster of a state folder, running or not; None where there never was one."""
    with _explained():
        return control.status(state)
