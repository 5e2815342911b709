"""Triggers in the journal: what counted, what waits for its turn, and which release took it.

Anybody may put one in: the watcher what it saw, the monitor its verdict. A content counts once for ever, by its kind
and digest. It is taken in the transaction that begins its release, so that whoever is killed, and whenever, it is
taken by one release or by none.
"""

from __future__ import annotations

import socket
from collections.abc import Collection, Iterable
from datetime import datetime
from typing import TypeVar

import msgspec

from mlconsole.errors import Refused, WrongUse
from mlconsole.evidence.base import Record, now
from mlconsole.evidence.release import ReleaseTrigger, Runner, TriggerKind
from mlconsole.evidence.watching import (
    Addition,
    Sighting,
    Then,
    Trigger,
    TriggerOutcome,
    TriggerState,
    WatcherState,
)
from mlconsole.journal import Journal, is_alive
from mlconsole.text import clean_line, listed

SILENT_SECONDS = 60.0
"""A watcher of another machine that wrote nothing for so long is gone."""
TABLES_SINCE = 2
"""The version of the journal's file that brought these tables; a read-only look at an older one finds none."""

_R = TypeVar("_R", bound=Record)


class TakenAlready(Refused):
    """A trigger's release has begun already."""


class TriggerQueue:
    """The triggers of a project's journal. Like the journal, it may be used from several threads."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    # triggers

    def put(
        self,
        kind: TriggerKind,
        digest: str,
        words: str,
        *,
        then: Then,
        watch: str = "",
        place: str = "",
        size: int = 0,
        adds: bool = False,
    ) -> Trigger | None:
        """Write down that a content was seen.

        Args:
            kind: what it is.
            digest: what tells it from every other of its kind.
            words: what it is, for people, such as `data/inbox/2011-05.csv (744 rows)`.
            then: what follows.
            watch: the name of the watch that saw it.
            place: where.
            size: its bytes.
            adds: see `Trigger`.

        Returns:
            The trigger; None where this content counted before.
        """
        with self._journal.transaction(durable=True):
            if self.find(kind, digest) is not None:
                return None
            number = int(self._journal.kept("SELECT coalesce(max(id), 0) FROM triggers")[0][0]) + 1
            trigger = Trigger(
                id=number,
                kind=kind,
                digest=digest,
                words=clean_line(words),
                then=then,
                seen_at=now(),
                watch=watch,
                place=clean_line(place),
                size=size,
                adds=adds,
                state="proposed" if then == "propose" else "waiting",
            )
            self._journal.keep(
                "INSERT INTO triggers VALUES (?, ?, ?, ?, ?, ?)",
                number,
                kind,
                digest,
                trigger.state,
                None,
                msgspec.json.encode(trigger),
            )
        return trigger

    def find(self, kind: TriggerKind, digest: str) -> Trigger | None:
        """The trigger of a content, if it counted."""
        found = self._records(Trigger, "SELECT body FROM triggers WHERE kind = ? AND digest = ?", kind, digest)
        return next(iter(found), None)

    def triggers(self, states: Collection[TriggerState] = (), most: int = 100) -> tuple[Trigger, ...]:
        """The latest triggers, newest first; with states, only those in one of them."""
        where = f"WHERE state IN ({', '.join('?' * len(states))})" if states else ""
        return self._records(Trigger, f"SELECT body FROM triggers {where} ORDER BY id DESC LIMIT ?", *states, most)

    def trigger(self, number: int) -> Trigger:
        """One trigger.

        Raises:
            WrongUse: there is none of this number.
        """
        for trigger in self._records(Trigger, "SELECT body FROM triggers WHERE id = ?", number):
            return trigger
        raise WrongUse(f"There is no trigger {number}.", "See: mlconsole triggers")

    def save(self, trigger: Trigger) -> None:
        """Write a trigger's present state."""
        self._journal.keep(
            "UPDATE triggers SET state = ?, release = ?, body = ? WHERE id = ?",
            trigger.state,
            trigger.release,
            msgspec.json.encode(trigger),
            trigger.id,
        )

    def take(self, release: int, asked: ReleaseTrigger | None) -> None:
        """Let a release answer triggers: in the transaction that begins it.

        It also answers every proposal that needs nothing added: what was proposed is in the tree that it releases.

        Raises:
            TakenAlready: another release has taken one of them.
        """
        with self._journal.transaction():
            for number in asked.ids if asked else ():
                trigger = self.trigger(number)
                if trigger.state not in {"waiting", "proposed"}:
                    by = f"by release {trigger.release}" if trigger.release else f"({trigger.outcome})"
                    raise TakenAlready(f"Trigger {number} was answered already {by}.", "See: mlconsole triggers")
                self.save(msgspec.structs.replace(trigger, state="taken", release=release))
            for trigger in self.triggers({"proposed"}):
                if not trigger.adds:
                    self.save(msgspec.structs.replace(trigger, state="taken", release=release))

    def taken_by(self, release: int) -> tuple[Trigger, ...]:
        """The triggers that a release answers."""
        return self._records(Trigger, "SELECT body FROM triggers WHERE release = ? ORDER BY id", release)

    def end(self, triggers: Iterable[Trigger], outcome: TriggerOutcome, sentence: str = "") -> None:
        """Write down what became of triggers."""
        with self._journal.transaction(durable=True):
            for trigger in triggers:
                # as it is now: somebody may have been told of it meanwhile
                present = self.trigger(trigger.id)
                self.save(msgspec.structs.replace(present, state="ended", outcome=outcome, sentence=sentence))

    # what people decide

    def accept(self, numbers: Collection[int] = ()) -> tuple[Trigger, ...]:
        """Let proposals be released, up to the approval; without numbers all of them.

        Raises:
            WrongUse: one of them is no proposal, or there is none.
        """
        return self._decide(numbers, "waiting")

    def dismiss(self, numbers: Collection[int] = ()) -> tuple[Trigger, ...]:
        """Let nothing follow from triggers that wait or are proposed; without numbers, from all that are proposed.

        Raises:
            WrongUse: one of them is past that, or there is none.
        """
        return self._decide(numbers, "ended")

    def again(self, numbers: Collection[int]) -> tuple[Trigger, ...]:
        """Let triggers that ended be released after all, up to the approval: a person's decision, as if they were new.

        Raises:
            WrongUse: one of them has not ended.
        """
        with self._journal.transaction(durable=True):
            chosen = tuple(self.trigger(number) for number in numbers)
            if early := [str(trigger.id) for trigger in chosen if trigger.state != "ended"]:
                raise WrongUse(f"Trigger {listed(early)} has not ended yet.", "See: mlconsole triggers")
            made = tuple(
                msgspec.structs.replace(
                    trigger,
                    state="waiting",
                    then="run",
                    alone=False,
                    release=None,
                    outcome="",
                    sentence="",
                    tries=0,
                    not_before=None,
                    told="",
                )
                for trigger in chosen
            )
            for trigger in made:
                self.save(trigger)
        return made

    def _decide(self, numbers: Collection[int], state: TriggerState) -> tuple[Trigger, ...]:
        with self._journal.transaction(durable=True):
            chosen = [self.trigger(number) for number in numbers] or list(reversed(self.triggers({"proposed"})))
            open_states = {"proposed"} if state == "waiting" else {"proposed", "waiting"}
            late = [str(trigger.id) for trigger in chosen if trigger.state not in open_states]
            if late or not chosen:
                what = f"{listed(late)}: no longer open." if late else "Nothing is proposed."
                raise WrongUse(f"Trigger {what}" if late else what, "See: mlconsole triggers")
            made = tuple(
                msgspec.structs.replace(
                    trigger,
                    state=state,
                    then="run" if trigger.then == "propose" else trigger.then,
                    outcome="dismissed" if state == "ended" else "",
                )
                for trigger in chosen
            )
            for trigger in made:
                self.save(trigger)
        return made

    # what the watcher remembers

    def since(self, watch: str) -> tuple[datetime, bool]:
        """When a watch began, and whether that is now: it is written down when it is asked for first."""
        with self._journal.transaction(durable=True):
            rows = self._journal.kept("SELECT since FROM watches WHERE name = ?", watch)
            if rows:
                return datetime.fromisoformat(rows[0][0]), False
            begun = now()
            self._journal.keep("INSERT INTO watches VALUES (?, ?)", watch, begun.isoformat())
        return begun, True

    def sightings(self, watch: str) -> dict[str, Sighting]:
        """The files of a watch whose content counted, by their place."""
        rows = self._journal.kept("SELECT place, body FROM sightings WHERE watch = ?", watch)
        return {place: msgspec.json.decode(body, type=Sighting) for place, body in rows}

    def remember(self, watch: str, place: str, sighting: Sighting) -> None:
        """Keep that the content of a file counted."""
        statement = "INSERT INTO sightings VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET body = excluded.body"
        self._journal.keep(statement, watch, place, msgspec.json.encode(sighting))

    def forget(self, watch: str, places: Iterable[str]) -> None:
        """Keep files no longer that are gone."""
        with self._journal.transaction():
            for place in places:
                self._journal.keep("DELETE FROM sightings WHERE watch = ? AND place = ?", watch, place)

    # what was added to the data

    def save_addition(self, addition: Addition) -> None:
        """Write an addition's present state; it is on the disk when this returns."""
        with self._journal.transaction(durable=True):
            statement = "INSERT INTO additions VALUES (?, ?) ON CONFLICT DO UPDATE SET body = excluded.body"
            self._journal.keep(statement, addition.trigger, msgspec.json.encode(addition))

    def addition(self, trigger: int) -> Addition | None:
        """What was added for a trigger."""
        return next(iter(self._records(Addition, "SELECT body FROM additions WHERE trigger_id = ?", trigger)), None)

    def additions(self) -> tuple[Addition, ...]:
        """All additions, in the order of their triggers."""
        return self._records(Addition, "SELECT body FROM additions ORDER BY trigger_id")

    def forget_addition(self, numbers: Collection[int]) -> tuple[Trigger, ...]:
        """Leave what was added for these triggers to people: it is taken out of the data no more.

        Raises:
            WrongUse: nothing was added for one of them.
        """
        with self._journal.transaction(durable=True):
            for number in numbers:
                addition = self.addition(number)
                if addition is None:
                    raise WrongUse(f"Nothing was added to the data for trigger {number}.", "See: mlconsole triggers")
                self.save_addition(msgspec.structs.replace(addition, state="taken out"))
        return tuple(self.trigger(number) for number in numbers)

    # who watches

    def watcher(self) -> WatcherState | None:
        """The process that watches, if one is alive: of another machine's, only that it was written down tells."""
        found = self._records(WatcherState, "SELECT body FROM watcher")
        if not found or not is_alive(found[0].runner):
            return None
        is_here = found[0].runner.host == socket.gethostname()
        return found[0] if is_here or (now() - found[0].beat_at).total_seconds() < SILENT_SECONDS else None

    def save_watcher(self, state: WatcherState) -> None:
        """Write down how the watcher stands.

        Raises:
            Refused: another process watches this project.
        """
        with self._journal.transaction():
            other = self.watcher()
            if other is not None and other.runner != state.runner:
                raise Refused(
                    f"This project is watched already (process {other.runner.pid} on {other.runner.host}).",
                    "Stop it first, or let it be.",
                )
            self._journal.keep(
                "INSERT INTO watcher VALUES (1, ?) ON CONFLICT DO UPDATE SET body = excluded.body",
                msgspec.json.encode(state),
            )

    def no_watcher(self, runner: Runner) -> None:
        """Write down that this process watches no more; what another one has written stays."""
        with self._journal.transaction():
            if any(found.runner == runner for found in self._records(WatcherState, "SELECT body FROM watcher")):
                self._journal.keep("DELETE FROM watcher")

    def _records(self, kind: type[_R], query: str, *values: object) -> tuple[_R, ...]:
        return self._journal.kept_records("a trigger", kind, TABLES_SINCE, query, *values)


def merged(triggers: Iterable[Trigger]) -> ReleaseTrigger:
    """Say several triggers as the one that sets a release off."""
    found = sorted(triggers, key=lambda trigger: trigger.id)
    words = [trigger.words for trigger in found]
    return ReleaseTrigger(
        kinds=tuple(dict.fromkeys(trigger.kind for trigger in found)),
        words=listed(words),
        ids=tuple(trigger.id for trigger in found),
    )
