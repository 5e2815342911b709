"""The monitor as lines: what serves, drift, quality, rules, and what was done."""

from __future__ import annotations

import threading
import time
from datetime import datetime
from pathlib import Path

from mlconsole.errors import Exit, Problem
from mlconsole.headless.output import narrate, say, say_json, styled
from mlconsole.headless.release import ended_by_signals
from mlconsole.headless.reports import journal_of
from mlconsole.journal import Journal
from mlconsole.monitor_log import MonitorLog
from mlconsole.project import Project
from mlconsole.project.settings import seconds
from mlconsole.release.acting import Monitor
from mlconsole.release.monitor_source import source_of
from mlconsole.release.monitor_words import point_words, state_lines
from mlconsole.trigger_queue import TriggerQueue
from mlconsole.watcher.posting import Poster

LOOK_SECONDS = 2.0
"""How often it is looked whether the project is still there."""


def monitor(project: Project, *, once: bool, as_json: bool) -> int:
    """Look every so often until a signal ends it, and act as the rules say; `once`, look and change nothing.

    Raises:
        Problem: with `once`, what serves can't be read.
    """
    every = seconds(project.settings.monitor.every, "monitor.every") or 15.0
    with (
        journal_of(project) as journal,
        source_of(project) as read,
        ended_by_signals("Monitoring no more …") as stopped,
    ):
        watcher = TriggerQueue(journal).watcher()
        watched = watcher is not None and any(found.kind == "monitor" for found in watcher.watches)
        if watched and not once:
            narrate("The watcher monitors already: this one only shows what it sees.")
        looking = Monitor(project, journal, read, say=lambda words: narrate(words))
        log = MonitorLog(journal)
        # what the watcher does not post, since nobody watches, is posted here
        poster = Poster(project, journal, say=lambda words: narrate(words)) if watcher is None and not once else None
        lines: tuple[str, ...] = ()
        while not stopped.is_set():
            journal.check_there()
            try:
                point = log.points(1)[-1] if watched and log.points(1) else looking.step(acts=not once)
                said = point_words(point)
            except Problem as problem:
                if once:
                    raise
                said, point = str(problem), None
            state = log.state()
            if as_json and point is not None:
                say_json(point)
            elif not as_json:
                say(f"{styled(f'{datetime.now():%H:%M:%S}', fg='bright_black')}  {said}")
                fresh = state_lines(state) if state is not None else ()
                for line in fresh if fresh != lines else ():
                    say(f"          {line}")
                lines = fresh
            if poster is not None:
                poster.wake()
            if once or _waits(journal, stopped, every):
                break
        if poster is not None:
            poster.close()
    return Exit.DONE


def _waits(journal: Journal, stopped: threading.Event, seconds: float) -> bool:
    """Wait for so long, or until the end; returns whether that has come. A project that is removed is seen soon."""
    deadline = time.monotonic() + seconds
    while (left := deadline - time.monotonic()) > 0 and not journal.is_gone:
        if stopped.wait(min(left, LOOK_SECONDS)):
            return True
    return stopped.is_set()


def print_client() -> int:
    """Print the module that a server imports."""
    from mlconsole import monitor_client

    say(Path(monitor_client.__file__).read_text(encoding="utf-8").rstrip("\n"))
    return Exit.DONE
