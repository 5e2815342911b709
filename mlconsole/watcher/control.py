"""Starts and stops a project's watcher as a process of its own."""

from __future__ import annotations

import os
import signal
import socket
import time

from mlconsole.errors import OutsideFailed, WrongUse
from mlconsole.evidence.watching import WatcherState
from mlconsole.journal import Journal
from mlconsole.project import Project
from mlconsole.release.launch import runner_process
from mlconsole.services import readonly
from mlconsole.trigger_queue import TriggerQueue

START_SECONDS, STOP_SECONDS = 60.0, 30.0
LOOK_SECONDS = 0.1


def start(project: Project) -> WatcherState:
    """Start the watcher, in a session of its own; return once it watches. One that watches already is left alone.

    Raises:
        OutsideFailed: it does not come up.
    """
    readonly.check("The watcher was not started")
    journal = Journal(project.journal_path)
    try:
        queue = TriggerQueue(journal)
        if (there := queue.watcher()) is not None:
            return there
        process = runner_process(project, ["watch"])
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and process.poll() is None:
            if (there := queue.watcher()) is not None:
                return there
            time.sleep(LOOK_SECONDS)
    finally:
        journal.close()
    raise OutsideFailed("The watcher does not come up.", "See why: mlconsole watch")


def stop(project: Project) -> WatcherState:
    """End the watcher; a release that is on its way goes on.

    Raises:
        WrongUse: nobody watches, or that is on another machine.
        OutsideFailed: it does not end.
    """
    readonly.check("The watcher was not stopped")
    journal = Journal(project.journal_path)
    try:
        queue = TriggerQueue(journal)
        there = queue.watcher()
        if there is None:
            raise WrongUse("Nobody watches this project.", "Start it: mlconsole watch")
        if there.runner.host != socket.gethostname():
            raise WrongUse(f"The watcher runs on {there.runner.host}.", "Stop it there.")
        os.kill(there.runner.pid, signal.SIGTERM)
        deadline = time.monotonic() + STOP_SECONDS
        while queue.watcher() is not None:
            if time.monotonic() > deadline:
                raise OutsideFailed(f"The watcher (process {there.runner.pid}) does not end.", "End it by hand.")
            time.sleep(LOOK_SECONDS)
    finally:
        journal.close()
    return there
