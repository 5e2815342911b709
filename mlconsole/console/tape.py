"""A release as it went: what the journal said of it at any moment of its past, for the panels to show again."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path

import msgspec

from mlconsole.console.related import Related
from mlconsole.console.story import StoryTeller
from mlconsole.console.view import JournalReading
from mlconsole.evidence.base import StageName
from mlconsole.evidence.release import (
    CommandNoted,
    Event,
    Release,
    ReleaseFinished,
    ReleaseStarted,
    StageFinished,
    StageReused,
    StageRun,
    StageStarted,
    VersionMade,
)
from mlconsole.journal import Journal

LONGEST_GAP = 4.0
"""Seconds of a replay in which nothing happens: a release may have waited for its approval for days."""


@dataclass(frozen=True)
class Tape:
    """The events of a release and how its stages ended. `offsets` are the events' seconds on the tape."""

    release: Release
    events: tuple[Event, ...]
    runs: tuple[StageRun, ...]
    offsets: tuple[float, ...] = ()
    related: Related = field(default_factory=Related)

    @property
    def length(self) -> float:
        """Seconds from the first event to the last, waiting cut short."""
        return self.offsets[-1] if self.offsets else 0.0

    def place(self, seconds: float) -> int:
        """How many events there were until a moment of the tape."""
        return bisect_right(self.offsets, seconds)

    def moment(self, seconds: float) -> datetime:
        """The time of day at a moment of the tape."""
        place = self.place(seconds)
        if not place:
            return self.release.started_at
        return self.events[place - 1].at + timedelta(seconds=seconds - self.offsets[place - 1])

    def turn(self, seconds: float, by: int) -> float:
        """The moment of the next (1) or the last (-1) event that changed a stage or the release."""
        turns = [
            at
            for at, event in zip(self.offsets, self.events, strict=True)
            if isinstance(event.body, StageStarted | StageFinished | StageReused | ReleaseFinished)
        ]
        if by > 0:
            return next((at for at in turns if at > seconds + 0.001), self.length)
        return next((at for at in reversed(turns) if at < seconds - 0.3), 0.0)


def make_tape(
    release: Release, events: Sequence[Event], runs: Sequence[StageRun], related: Related | None = None
) -> Tape:
    """Put a release's events on a tape."""
    offsets: list[float] = []
    for place, event in enumerate(events):
        gap = (event.at - events[place - 1].at).total_seconds() if place else 0.0
        offsets.append((offsets[-1] if offsets else 0.0) + min(max(gap, 0.0), LONGEST_GAP))
    return Tape(release, tuple(events), tuple(runs), tuple(offsets), related or Related())


def read_tape(journal_path: Path, number: int) -> Tape:
    """Read a release from the journal.

    Raises:
        NoSuchRelease: there is none of this number.
    """
    journal = Journal(journal_path)
    try:
        return make_tape(journal.release(number), journal.events(number), journal.stage_runs(number))
    finally:
        journal.close()


class Player:
    """Gives what the journal said at a moment of a tape: forwards by folding on, backwards from the start."""

    def __init__(self, tape: Tape) -> None:
        self._tape = tape
        self._last = {
            event.stage: event.id
            for event in tape.events
            if isinstance(event.body, StageFinished | StageReused) and event.stage is not None
        }
        self._ended = {run.stage: run for run in tape.runs}
        self._rewind()

    def _rewind(self) -> None:
        self._place = 0
        self._teller = StoryTeller()
        self._runs: dict[StageName, StageRun] = {}
        self._reading: JournalReading | None = None
        self._release = msgspec.structs.replace(self._tape.release, state="running", finished_at=None, version="")

    def reading(self, seconds: float) -> JournalReading:
        """What was known at a moment of the tape."""
        place = self._tape.place(seconds)
        if place < self._place:
            self._rewind()
        fresh = self._tape.events[self._place : place]
        if not fresh and self._reading is not None:
            return self._reading
        self._place = place
        self._teller.tell(fresh)
        for event in fresh:
            self._take(event)
        self._reading = JournalReading(
            releases=(self._release,),
            shown=self._release,
            runs=dict(self._runs),
            story=self._teller.story(),
            related=self._tape.related,
        )
        return self._reading

    def _take(self, event: Event) -> None:
        stage, body = event.stage, event.body
        match body:
            case ReleaseStarted():
                self._release = msgspec.structs.replace(self._release, state="running", finished_at=None)
            case ReleaseFinished(state=state):
                self._release = msgspec.structs.replace(self._release, state=state, finished_at=event.at)
            case VersionMade(version=version):
                self._release = msgspec.structs.replace(self._release, version=version.label)
            case _ if stage is not None:
                self._take_of(stage, event)
            case _:
                pass

    def _take_of(self, stage: StageName, event: Event) -> None:
        run = self._runs.get(stage)
        match event.body:
            case StageStarted(because=because):
                attempt = run.attempt + 1 if run is not None else 1
                self._runs[stage] = StageRun(
                    release=event.release,
                    stage=stage,
                    attempt=attempt,
                    state="running",
                    started_at=event.at,
                    because=because,
                )
            case CommandNoted(command=command) if run is not None:
                self._runs[stage] = msgspec.structs.replace(run, commands=(*run.commands, command))
            case StageFinished() | StageReused() if event.id == self._last.get(stage) and stage in self._ended:
                self._runs[stage] = self._ended[stage]
            case StageFinished(state=state, verdict=verdict, problem=problem) if run is not None:
                self._runs[stage] = msgspec.structs.replace(
                    run, state=state, verdict=verdict, problem=problem, finished_at=event.at
                )
            case _:
                pass


def with_related(tape: Tape, related: Related) -> Tape:
    """The same tape, with what other releases say to it."""
    return replace(tape, related=related)
