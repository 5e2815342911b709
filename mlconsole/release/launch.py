"""Start a runner as a process of its own, so that a release does not end with the terminal that asked for it."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from mlconsole.errors import OutsideFailed
from mlconsole.project import Project
from mlconsole.services import readonly

LOG = "runner.log"
MOST_LOG_BYTES = 2 * 1024 * 1024


def launch(project: Project, arguments: Sequence[str]) -> int:
    """Run `mlconsole ARGUMENTS` in a session of its own; what it prints goes to `.mlconsole/runner.log`.

    Returns:
        Its process id. Whether it has taken the release is to be seen in the journal.

    Raises:
        OutsideFailed: the process can't be started.
        ReadOnly: this process changes nothing.
    """
    return runner_process(project, arguments).pid


def runner_process(project: Project, arguments: Sequence[str]) -> subprocess.Popen[bytes]:
    """As `launch`, for those who want to see it end."""
    readonly.check("No release was started")
    project.state.mkdir(exist_ok=True)
    # -P: the project's folder must not come before our own modules
    command = [sys.executable, "-P", "-m", "mlconsole", *arguments]
    try:
        hold_short(project.state / LOG)
        with (project.state / LOG).open("ab") as log:
            return subprocess.Popen(
                command,
                cwd=project.root,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
    except OSError as error:
        raise OutsideFailed(f"Can't start a runner: {error.strerror}.") from error


def hold_short(log: Path) -> None:
    """Move what a long log holds to `….1`, in the place of what was there; processes that append to it go on in it."""
    try:
        with log.open("r+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(file.fileno()).st_size > MOST_LOG_BYTES:
                shutil.copyfile(log, log.with_name(f"{log.name}.1"))
                file.truncate(0)
    except OSError:
        # not there yet, held by another who does the same, or a full disk: the next one to look tries again
        return
