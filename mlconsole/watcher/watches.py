"""Watches: each looks at one thing now and then, and puts what is new into the queue of triggers."""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path

import msgspec

from mlconsole.errors import Problem
from mlconsole.evidence.base import now
from mlconsole.evidence.data import DataEvidence
from mlconsole.evidence.training import Parameter, TrainEvidence
from mlconsole.evidence.watching import Sighting, WatchState
from mlconsole.journal import Journal
from mlconsole.project import Project
from mlconsole.project.settings import SettingsInvalid, WatchSettings, seconds
from mlconsole.release.acting import Monitor
from mlconsole.release.monitor_source import source_of
from mlconsole.release.monitor_words import point_words
from mlconsole.services.training import parameters
from mlconsole.services.triggers.branch import new_commits, remote_branch
from mlconsole.services.triggers.files import FileScan, Look, NotWhole, WholeFile, kept_path, read_digest
from mlconsole.services.triggers.objects import ObjectListing, is_address
from mlconsole.services.triggers.parameters import changed_words, digest_of_parameters
from mlconsole.services.triggers.schedule import Schedule
from mlconsole.text import clean, count, size
from mlconsole.trigger_queue import TriggerQueue

KEPT = "batches"
"""The folder below the project's state where contents are kept that are still to be added to the data."""

SLOWEST_LOOK = 3600.0
CLOCK_LOOK = 30.0
"""After how many seconds a schedule asks the clock again, which may have been set, or the machine asleep."""
WHILE_TRAINING = 1.0
"""After how many seconds parameters are looked at again that a training may be about to take."""


class Watch(ABC):
    """One `[[watch]]` of the settings.

    Args:
        settings: it.
        project: the project.
        journal: its journal.

    Attributes:
        due_at: when it has to look again, by `time.monotonic`.
        growing: how many files it sees that are still being written.
    """

    def __init__(self, settings: WatchSettings, project: Project, journal: Journal) -> None:
        self.settings, self.project, self.journal = settings, project, journal
        self.queue = TriggerQueue(journal)
        self.name = name_of(settings, project)
        self.due_at = 0.0
        self.growing = 0
        self._problem = ""
        self._every = seconds(settings.every, "watch.every") or 30.0

    @property
    def folder(self) -> tuple[Path, bool] | None:
        """A folder whose changes call for a look, and whether its subfolders count, too."""
        return None

    @property
    def state(self) -> WatchState:
        """How it stands."""
        return WatchState(
            name=self.name,
            kind=self.settings.kind,
            then=self.settings.then,
            words=self.words,
            problem=self._problem,
            next_at=None if self._problem else self.next_at,
        )

    @property
    def next_at(self) -> datetime | None:
        """The moment that it waits for, if it waits for one."""
        return None

    @property
    def words(self) -> str:
        """What it sees at the moment."""
        return f"{count(self.growing, 'file')} being written" if self.growing else ""

    def step(self) -> None:
        """Look, and say when to look again. A problem is kept for whoever asks; it is tried again later."""
        try:
            self.due_at = time.monotonic() + min(self.look(), SLOWEST_LOOK)
            self._problem = ""
        except Problem as problem:
            self._problem = str(problem)
            self.due_at = time.monotonic() + self._every

    @abstractmethod
    def look(self) -> float:
        """Look once; returns after how many seconds to look again, if nothing calls for it before.

        Raises:
            Problem: it can't be looked at.
        """

    def close(self) -> None:
        """Let go of what it holds."""
        return

    def put(self, digest: str, words: str, **what: object) -> None:
        """Put what was seen into the queue, unless it counted before."""
        self.queue.put(
            self.settings.kind,
            digest,
            words,
            then=self.settings.then,
            watch=self.name,
            **what,  # type: ignore[arg-type]
        )


class _Files(Watch):
    """What data and parameters have in common: files that have to be whole."""

    def __init__(self, settings: WatchSettings, project: Project, journal: Journal, path: str) -> None:
        super().__init__(settings, project, journal)
        if not path:
            raise SettingsInvalid(f"[[watch]] {settings.kind}: nothing says which file.", "Name it: path = …")
        settle = seconds(settings.settle, "watch.settle") or 0.0
        self._listing = ObjectListing(path, settle) if is_address(path) else None
        self._files = FileScan(project.root, path, settle)
        self._known = self.queue.sightings(self.name)

    @property
    def folder(self) -> tuple[Path, bool] | None:
        return None if self._listing else (self._files.folder, self._files.reaches_down)

    def look(self) -> float:
        seen: Look = (self._listing or self._files).look(self._known)
        self.growing = seen.growing
        for file in seen.whole:
            try:
                digest = self.take(file)
            except NotWhole:
                self.growing += 1
                continue
            self._known[file.place] = Sighting(stamp=file.stamp, digest=digest)
            self.queue.remember(self.name, file.place, self._known[file.place])
        if seen.gone:
            self.queue.forget(self.name, seen.gone)
            self._known = {place: found for place, found in self._known.items() if place not in seen.gone}
        waits = [self._every] if seen.next_in is None else [self._every, seen.next_in + 0.01]
        return min(waits)

    def read(self, file: WholeFile, copy_to: Path | None = None) -> str:
        """The digest of a whole file, and where a folder is given, a copy there."""
        return self._listing.read_digest(file, copy_to) if self._listing is not None else read_digest(file, copy_to)

    @abstractmethod
    def take(self, file: WholeFile) -> str:
        """Count a whole file's content; returns its digest.

        Raises:
            NotWhole: it changed meanwhile.
        """


class DataWatch(_Files):
    """New data: what counts is the content of each file."""

    def __init__(self, settings: WatchSettings, project: Project, journal: Journal) -> None:
        super().__init__(settings, project, journal, settings.path or project.settings.data.path)

    def take(self, file: WholeFile) -> str:
        kept = self.project.state / KEPT if self.settings.add else None
        digest = self.read(file, kept)
        if digest not in self._released():
            words = f"{file.place} ({size(file.size)})"
            self.put(digest, words, place=file.place, size=file.size, adds=self.settings.add)
        if kept is not None and not self._is_still_to_be_added(digest):
            kept_path(kept, digest).unlink(missing_ok=True)
        return digest

    def _is_still_to_be_added(self, digest: str) -> bool:
        """Whether a content may yet be added to the data; what was released once, or is in it, needs no copy."""
        trigger = self.queue.find("data", digest)
        return trigger is not None and trigger.adds and trigger.outcome not in {"released", "elsewhere"}

    def _released(self) -> frozenset[str]:
        """The files of the data that was released last."""
        last = self.journal.done_stage("data")
        evidence = last.evidence if last else None
        if not isinstance(evidence, DataEvidence):
            return frozenset()
        return frozenset(file.digest for file in evidence.profile.identity.files)


class ParametersWatch(_Files):
    """Parameters of the training: what counts is what they say."""

    def __init__(self, settings: WatchSettings, project: Project, journal: Journal) -> None:
        super().__init__(settings, project, journal, settings.path or project.settings.train.parameters)

    def look(self) -> float:
        if self._is_training_to_come():
            return min(self._every, WHILE_TRAINING)
        return super().look()

    def _is_training_to_come(self) -> bool:
        """Whether a release is on its way whose training may have just these parameters: then they count no more."""
        latest = self.journal.latest_release()
        if latest is None or latest.state != "running":
            return False
        trainings = [run.state for run in self.journal.stage_runs(latest.number) if run.stage == "train"]
        return not trainings or "running" in trainings

    def take(self, file: WholeFile) -> str:
        digest = self.read(file)
        found = parameters.read(Path(file.path))
        before = self._trained_with()
        content = digest_of_parameters(found)
        if before is None or content != digest_of_parameters(before):
            self.put(content, f"{file.place}: {changed_words(found, before or ())}", place=file.place)
        return digest

    def _trained_with(self) -> tuple[Parameter, ...] | None:
        """The parameters of the last training here; a model that was imported has some of its own."""
        for run in self.journal.done_stages("train", most=20):
            if isinstance(run.evidence, TrainEvidence) and run.evidence.environment.found != "elsewhere":
                return run.evidence.parameters
        return None


class BranchWatch(Watch):
    """A branch of a remote: what counts is each commit that it comes to."""

    def look(self) -> float:
        branch = remote_branch(self.project.root, self.settings.branch)
        commits = new_commits(self.project.root, branch, cancelled=threading.Event())
        if commits:
            words = f"{branch}: {count(len(commits), 'commit')}, the last is {commits[0].sha[:8]} {commits[0].subject}"
            self.put(commits[0].sha, words, place=branch)
        return self._every


class ScheduleWatch(Watch):
    """Moments of a schedule. Several that passed while nobody watched are one."""

    def __init__(self, settings: WatchSettings, project: Project, journal: Journal) -> None:
        super().__init__(settings, project, journal)
        self._schedule = Schedule(settings.cron, settings.zone)
        self._next: datetime | None = None

    @property
    def next_at(self) -> datetime | None:
        return self._next

    def look(self) -> float:
        begun, _ = self.queue.since(self.name)
        moment = now()
        last = self._schedule.last_until(moment)
        if last > begun:
            local = last.astimezone()
            self.put(f"{self.settings.cron} {last.isoformat()}", f"schedule {self.settings.cron}, {local:%d %b %H:%M}")
        self._next = self._schedule.next_after(moment)
        return min((self._next - moment).total_seconds() + 0.01, CLOCK_LOOK)


class MonitorWatch(Watch):
    """What serves, read every so often: its verdicts are put into the queue, or acted on, as `[monitor]` says.

    Attributes:
        acts: whether this process is the one that acts.
    """

    def __init__(self, settings: WatchSettings, project: Project, journal: Journal) -> None:
        super().__init__(settings, project, journal)
        self.acts = False
        self._every = seconds(project.settings.monitor.every, "monitor.every") or 15.0
        self._open = ExitStack()
        self._monitor: Monitor | None = None
        self._say: Callable[[str], None] = lambda words: None
        self._target: Sequence[str] = ()
        self._words = ""

    def attend(self, say: Callable[[str], None], target: Sequence[str]) -> None:
        """Say what is done, and lead releases to this target."""
        self._say, self._target = say, target

    @property
    def words(self) -> str:
        return self._words

    def look(self) -> float:
        if self._monitor is None:
            read = self._open.enter_context(source_of(self.project))
            self._monitor = Monitor(self.project, self.journal, read, say=self._say, target=self._target)
        self._words = point_words(self._monitor.step(acts=self.acts))
        return self._every

    def close(self) -> None:
        self._open.close()


KINDS: dict[str, type[Watch]] = {
    "data": DataWatch,
    "branch": BranchWatch,
    "schedule": ScheduleWatch,
    "parameters": ParametersWatch,
    "monitor": MonitorWatch,
}


def name_of(settings: WatchSettings, project: Project) -> str:
    """What people call a watch."""
    if settings.name:
        return clean(settings.name)
    found = {
        "data": settings.path or project.settings.data.path,
        "parameters": settings.path or project.settings.train.parameters,
        "branch": settings.branch,
        "schedule": settings.cron,
        "monitor": "",
    }
    return f"{settings.kind} {clean(found[settings.kind])}".strip()


def follows(settings: WatchSettings) -> str:
    """What follows from what a watch sees, in words."""
    return "as [monitor] says" if settings.kind == "monitor" else settings.then


def watches_of(project: Project, journal: Journal) -> tuple[Watch, ...]:
    """Everything that the settings say to watch.

    Raises:
        SettingsInvalid: there is nothing, or two have the same name.
        Problem: one of them can't be watched as it is described.
    """
    if not project.settings.watch:
        raise SettingsInvalid(
            "The settings name nothing to watch.",
            'Write into mlconsole.toml, for example: [[watch]] kind = "data" then = "propose"',
        )
    made = tuple(KINDS[entry.kind](entry, project, journal) for entry in project.settings.watch)
    names = [watch.name for watch in made]
    twice = next((name for name in names if names.count(name) > 1), "")
    if twice:
        raise SettingsInvalid(f"Two watches are called {twice!r}.", 'Give one of them another: name = "…"')
    return made


def with_defaults(project: Project) -> Project:
    """A project that names nothing to watch: its data is, and what is new is proposed."""
    if project.settings.watch or not project.settings.data.path:
        return project
    from dataclasses import replace

    settings = msgspec.structs.replace(project.settings, watch=(WatchSettings(kind="data"),))
    return replace(project, settings=settings)
