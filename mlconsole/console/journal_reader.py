"""Follows the journal while a runner writes it, beside the screen."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from mlconsole.console.faults import as_record
from mlconsole.console.monitor_lines import LOOKS, Monitored
from mlconsole.console.related import Related, RelatedReader
from mlconsole.console.story import StoryTeller
from mlconsole.console.trigger_lines import Triggers
from mlconsole.console.view import JournalReading
from mlconsole.errors import Problem
from mlconsole.evidence.release import Release
from mlconsole.journal import Journal
from mlconsole.monitor_log import MonitorLog
from mlconsole.trigger_queue import TriggerQueue

if TYPE_CHECKING:
    from mlconsole.project import Project

INTERVAL = 0.08
"""What was written is to be on the screen well within a fifth of a second; a look that finds nothing is cheap."""
ALIVE_INTERVAL = 1.0
"""A runner that dies writes nothing: its process is looked for at least this often."""
WATCHER_INTERVAL = 5.0
"""The same of a process that watches for triggers; nobody waits for its end."""
RETRY_INTERVAL = 2.0


class JournalReader:
    """Reads the journal whenever it changed. Its methods are called by one thread, but for `show`.

    The journal is not made by looking: a folder that never had a release stays as it is.

    Args:
        project: whose journal.
        report: takes each reading.
    """

    def __init__(self, project: Project, report: Callable[[JournalReading], None]) -> None:
        self._project = project
        self._report = report
        self._journal: Journal | None = None
        self._wanted: int | None = None
        self._mark: tuple[object, ...] = ()
        self._read_at = 0.0
        self._running = False
        self._watched = False
        self._teller_of: int | None = None
        self._teller = StoryTeller()
        self._problem_until = 0.0
        self._related_reader = RelatedReader(project.settings.name)
        self._related: Related = Related()
        self._related_of: tuple[object, ...] = ()
        self._last: JournalReading | None = None
        self._monitor = Monitored()

    def show(self, number: int | None) -> None:
        """Read a past release from now on; None: the latest one."""
        self._wanted = number

    def step(self) -> None:
        """Look once, and report where something is new."""
        if time.monotonic() < self._problem_until:
            return
        try:
            reading = self._look()
        except Problem as problem:
            self._forget()
            self._problem_until = time.monotonic() + RETRY_INTERVAL
            reading = JournalReading(problem=as_record(problem))
        if reading is not None:
            self._report(reading)

    def close(self) -> None:
        """Let go of the journal."""
        if self._journal is not None:
            self._journal.close()
            self._journal = None

    def _forget(self) -> None:
        self.close()
        self._mark, self._teller_of, self._last = (), None, None

    def _look(self) -> JournalReading | None:
        if self._journal is None:
            if not self._project.journal_path.exists():
                mark: tuple[object, ...] = ("none",)
                fresh, self._mark = mark != self._mark, mark
                return JournalReading() if fresh else None
            self._journal = Journal(self._project.journal_path)
        mark = (*self._journal.change_mark(), self._wanted)
        patience = ALIVE_INTERVAL if self._running else WATCHER_INTERVAL
        due = (self._running or self._watched) and time.monotonic() - self._read_at > patience
        if mark == self._mark and not due:
            return self._with_related(self._journal)
        self._mark, self._read_at = mark, time.monotonic()
        self._last = self._read(self._journal)
        return self._last

    def _with_related(self, journal: Journal) -> JournalReading | None:
        """Once the reading itself is on the screen: what other releases say to the one that is shown."""
        last = self._last
        if last is None:
            return None
        states = tuple((release.number, release.state) for release in last.releases[:5])
        data = last.runs.get("data")
        wanted = (last.shown and last.shown.number, states, last.champion, data and data.finished_at)
        if wanted == self._related_of:
            return None
        self._related = self._related_reader.read(journal, last.shown, last.runs)
        self._related_of = wanted
        self._last = replace(last, related=self._related)
        return self._last

    def _read(self, journal: Journal) -> JournalReading:
        releases = journal.releases()
        queue = TriggerQueue(journal)
        triggers = Triggers(tuple(reversed(queue.triggers({"proposed", "waiting"}))), queue.watcher())
        self._running = any(release.state == "running" for release in releases[:1])
        self._watched = triggers.watcher is not None
        shown = self._shown(journal, releases)
        name = self._project.settings.name
        champion, previous = journal.alias(name, "champion"), journal.alias(name, "previous")
        if shown is not None:
            if self._teller_of != shown.number:
                self._teller_of, self._teller = shown.number, StoryTeller()
            self._teller.tell(journal.events(shown.number, after=self._teller.last_id))
        return JournalReading(
            releases=releases,
            shown=shown,
            triggers=triggers,
            monitored=self._monitored(journal),
            runs={run.stage: run for run in journal.stage_runs(shown.number)} if shown else {},
            story=self._teller.story() if shown else StoryTeller().story(),
            related=self._related if shown is not None and self._related_of[:1] == (shown.number,) else Related(),
            champion=champion.label if champion else "",
            previous=previous.label if previous else "",
        )

    def _monitored(self, journal: Journal) -> Monitored:
        """What the monitor sees; the looks are read again only where there is a new one."""
        log = MonitorLog(journal)
        state = log.state()
        if state == self._monitor.state:
            return self._monitor
        self._monitor = Monitored(state, log.points(LOOKS))
        return self._monitor

    def _shown(self, journal: Journal, releases: tuple[Release, ...]) -> Release | None:
        if self._wanted is None:
            return releases[0] if releases else None
        found = next((release for release in releases if release.number == self._wanted), None)
        return found or journal.release(self._wanted)
