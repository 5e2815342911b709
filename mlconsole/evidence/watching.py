"""What sets releases off by itself: contents that count as triggers, and the process that watches for them."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from mlconsole.evidence.base import Record
from mlconsole.evidence.release import Runner, TriggerKind

Then = Literal["propose", "run", "release"]
"""What follows a trigger: it is told; a release up to the approval; a release to the end."""

TriggerState = Literal["proposed", "waiting", "taken", "ended"]
"""`proposed` to a person, `waiting` for its turn, `taken` by a release, `ended` with an outcome."""

TriggerOutcome = Literal[
    "", "released", "elsewhere", "refused", "failed", "cancelled", "unchanged", "replaced", "dismissed"
]
"""What became of it: `elsewhere` where another machine had released it already, `unchanged` where no stage had anything
to do, `replaced` by a later release that holds it too, `dismissed` by a person."""


class Trigger(Record, frozen=True, kw_only=True):
    """A content that was seen for the first time: it sets off one release at most.

    `kind` and `digest` tell it from all others, for ever; `words` say it to people.
    """

    id: int
    kind: TriggerKind
    digest: str
    """Of a file's bytes, a commit, a moment of a schedule, parameters; of a monitor's verdict, whatever names it."""
    words: str
    then: Then
    seen_at: datetime
    watch: str = ""
    """The watch that saw it, as the settings name it; empty where another part of the console put it in."""
    place: str = ""
    """Where it was seen: a file, an address, a branch."""
    size: int = 0
    adds: bool = False
    """Its bytes are kept aside, and become part of the training data with its release."""
    alone: bool = False
    """A gate refused it together with others: now each is judged by itself."""
    state: TriggerState = "waiting"
    release: int | None = None
    outcome: TriggerOutcome = ""
    sentence: str = ""
    tries: int = 0
    """How often its release was begun or gone on with, and came to no end."""
    not_before: datetime | None = None
    """When it is tried again."""
    told: str = ""
    """What of it was notified last, so that it is not notified twice."""


class Sighting(Record, frozen=True, kw_only=True):
    """A file whose content counted: its `stamp` tells, without reading it, that it is still the same."""

    stamp: str
    digest: str


class Addition(Record, frozen=True, kw_only=True):
    """A content that was put into the training data: `path` is the file, below the project's folder.

    Where rows were appended to a file, `size_before` is how long that was, and `digest_before` and `digest_after` are
    those of the whole file; a file of its own has none before. Both are the same where the data had it already.
    """

    trigger: int
    path: str
    digest_after: str
    digest_before: str = ""
    size_before: int = 0
    state: Literal["intended", "added", "taken out"] = "intended"


class WatchState(Record, frozen=True, kw_only=True):
    """One watch as it stands."""

    name: str
    kind: TriggerKind
    then: Then
    words: str = ""
    """What it looks at, and how that went."""
    problem: str = ""
    next_at: datetime | None = None


class WatcherState(Record, frozen=True, kw_only=True):
    """The process that watches: it writes this down again whenever something changes, and every few seconds."""

    runner: Runner
    started_at: datetime
    beat_at: datetime
    watches: tuple[WatchState, ...] = ()
    holder: str = ""
    """Who watches in its stead, where the target is shared and another has the lease."""
    busy: str = ""
    """What it does at the moment, or waits for."""
