"""What follows next from the triggers that wait: nothing yet, a release that goes on, or a new one."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec

from mlconsole.evidence.base import Record, now
from mlconsole.evidence.release import Release
from mlconsole.evidence.watching import Trigger
from mlconsole.journal import Journal
from mlconsole.monitor_log import MonitorLog
from mlconsole.release.acting import WHO as MONITOR
from mlconsole.trigger_queue import TriggerQueue

MOST_TRIES = 8
FIRST_PAUSE, LONGEST_PAUSE = 5.0, 900.0
OUTSIDE_FAILED = 3
PERSON_SECONDS = 600.0
"""A release that a person began and left open is replaced once it was left alone for so long."""
ROLLBACK_SECONDS = 120.0
"""A monitor that looked for the last time so long ago rolls nothing back."""


class Begin(Record, frozen=True, kw_only=True):
    """Begin a release that answers these triggers."""

    triggers: tuple[int, ...]
    to_the_end: bool
    words: str = ""
    """Why it is not carried through to the end, where that does not follow from the triggers."""


class GoOn(Record, frozen=True, kw_only=True):
    """Go on with a release whose runner died, or that something outside has stopped."""

    release: int


class Wait(Record, frozen=True, kw_only=True):
    """There is nothing to do now. `why` says what is waited for; `seconds` is when to ask again, if that is known."""

    why: str = ""
    seconds: float | None = None


def next_move(journal: Journal, moment: datetime | None = None) -> Begin | GoOn | Wait:
    """Say what to do, from what the journal holds alone: whoever asks, and after whatever, the answer is the same."""
    moment = moment or now()
    latest = journal.latest_release()
    if latest is not None and latest.state == "running":
        return Wait(why=f"release {latest.number} is running")
    if taken_back := _to_be_rolled_back(journal, moment):
        return Wait(why=f"{taken_back} is to be rolled back first")
    if latest is not None and (left := _left_to_a_person(latest, moment)) > 0:
        return Wait(why=f"release {latest.number}, which {latest.started_by} began, is open", seconds=left)
    if latest is not None and (wait_or_go := _unfinished(journal, latest, moment)) is not None:
        return wait_or_go
    waiting = TriggerQueue(journal).triggers({"waiting"}, 10_000)
    due = tuple(trigger for trigger in waiting if trigger.not_before is None or trigger.not_before <= moment)
    if not due:
        return _until([trigger.not_before for trigger in waiting], moment)
    due = next(((trigger,) for trigger in reversed(due) if trigger.alone), due)
    asked = all(trigger.then == "release" for trigger in due)
    open_release = _unapproved(journal) if asked else None
    words = f"what came with release {open_release} was not approved yet: the release waits" if open_release else ""
    return Begin(
        triggers=tuple(sorted(trigger.id for trigger in due)), to_the_end=asked and not open_release, words=words
    )


def _to_be_rolled_back(journal: Journal, moment: datetime) -> str:
    """The version that a monitor is about to roll back; empty where there is none, or the monitor is gone."""
    state = MonitorLog(journal).state()
    is_fresh = state is not None and (moment - state.at).total_seconds() < ROLLBACK_SECONDS
    return state.asked_back if state is not None and is_fresh else ""


def _unapproved(journal: Journal) -> int | None:
    """The latest release that was to stop before the cluster, and whose commits or parameters are still in the tree.

    Whatever is released next has them, too: it has to stop there as well, until one was carried through.
    """
    queue = TriggerQueue(journal)
    for release in journal.releases():
        if release.kind != "release":
            continue
        if release.state == "done" or release.already:
            return None
        for number in release.trigger.ids if release.trigger is not None else ():
            trigger = queue.trigger(number)
            stays = trigger.kind in {"branch", "parameters"} or release.state == "waiting"
            if trigger.then != "release" and stays:
                return release.number
    return None


def _left_to_a_person(latest: Release, moment: datetime) -> float:
    """For how many seconds a release that a person goes through step by step is not replaced by a new one."""
    if latest.trigger is not None or latest.already or latest.state not in {"waiting", "paused"}:
        return 0
    if latest.finished_at is None:
        return 0
    return PERSON_SECONDS - (moment - latest.finished_at).total_seconds()


def _unfinished(journal: Journal, latest: Release, moment: datetime) -> GoOn | Wait | None:
    """Whether the latest release goes on by itself: only one that a trigger set off, and that no person stopped."""
    if latest.trigger is None or not is_unfinished(journal, latest):
        return None
    answered = TriggerQueue(journal).taken_by(latest.number)
    tries = max((trigger.tries for trigger in answered), default=MOST_TRIES)
    if tries >= MOST_TRIES:
        return None
    not_before = max((trigger.not_before for trigger in answered if trigger.not_before), default=moment)
    if not_before > moment:
        return Wait(
            why=f"release {latest.number} is tried again in a while", seconds=(not_before - moment).total_seconds()
        )
    return GoOn(release=latest.number)


def is_unfinished(journal: Journal, release: Release) -> bool:
    """Whether a release stopped for what neither a gate, nor the project, nor a person has to do with.

    Its runner died, or was ended together with the machine, or lost its turn, or gave way to a rollback of the
    monitor's; or what it needs was out of reach.
    """
    if release.state == "cancelled":
        decisions = journal.decisions(release.number)
        return not any(decision.kind == "cancel" and decision.who != MONITOR for decision in decisions)
    return release.state == "interrupted" or (release.state == "failed" and _failed_outside(journal, release.number))


def _failed_outside(journal: Journal, release: int) -> bool:
    """Whether a deploy failed for what is not the project's fault, such as a cluster out of reach."""
    failed = (run for run in journal.stage_runs(release) if run.state == "failed" and run.problem is not None)
    return any(
        run.stage in {"deploy", "pods"} and run.problem.exit_code == OUTSIDE_FAILED for run in failed if run.problem
    )


def _until(moments: Sequence[datetime | None], moment: datetime) -> Wait:
    times = [found for found in moments if found is not None]
    if not times:
        return Wait()
    return Wait(why="triggers are tried again in a while", seconds=(min(times) - moment).total_seconds())


def count_try(queue: TriggerQueue, triggers: Sequence[Trigger]) -> None:
    """Write down that these triggers were tried; each time the next try comes later, and the last one is the end."""
    for trigger in triggers:
        tries = trigger.tries + 1
        if tries >= MOST_TRIES and trigger.state == "waiting":
            queue.save(msgspec.structs.replace(trigger, tries=tries))
            queue.end([trigger], "failed", trigger.sentence)
            continue
        pause = min(FIRST_PAUSE * 4 ** (tries - 1), LONGEST_PAUSE)
        queue.save(msgspec.structs.replace(trigger, tries=tries, not_before=now() + timedelta(seconds=pause)))
