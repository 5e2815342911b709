"""A release that answers triggers: what it needs is brought here first, then it is begun; one of them at a time."""

from __future__ import annotations

import fcntl
import threading
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager

import msgspec

from mlconsole.errors import Problem, Refused
from mlconsole.evidence.release import ReleaseFinished
from mlconsole.evidence.watching import Trigger, TriggerOutcome
from mlconsole.journal import Journal
from mlconsole.project import Project
from mlconsole.release.engine import Engine, Order, Outcome
from mlconsole.services import git
from mlconsole.trigger_queue import TakenAlready, TriggerQueue, merged
from mlconsole.watcher.adding import (
    NotFit,
    add,
    data_folder,
    kept_content,
    open_additions,
    stopped_early,
    sweep,
    take_out,
)
from mlconsole.watcher.pace import MOST_TRIES, is_unfinished

LOCK = "answering.lock"
PATIENCE = 1.0


class AnotherAnswers(Refused):
    """Another process is about to begin, or carries out, a release that answers triggers."""


@contextmanager
def only_one(project: Project, patience: float = 0) -> Iterator[None]:
    """Be the only process of this project that answers triggers; the system ends that with the process.

    Args:
        project: the project.
        patience: for how many seconds to try: whoever only asks whether there is one has the lock for an instant.

    Raises:
        AnotherAnswers: there is one.
    """
    project.state.mkdir(exist_ok=True)
    deadline = time.monotonic() + patience
    with (project.state / LOCK).open("ab") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError as error:
                if time.monotonic() >= deadline:
                    raise AnotherAnswers("Another process is answering triggers.", "Wait for it.") from error
                time.sleep(0.02)
        yield


def is_answered(project: Project) -> bool:
    """Whether a process answers triggers right now."""
    try:
        with only_one(project):
            return False
    except AnotherAnswers:
        return True


def answer(project: Project, journal: Journal, engine: Engine, order: Order, numbers: Collection[int]) -> Outcome:
    """Carry out the release that answers some triggers.

    Args:
        project: the project.
        journal: its journal.
        engine: to carry it out with.
        order: what is asked of it besides.
        numbers: of the triggers.

    Raises:
        AnotherAnswers: one is at it already.
        TakenAlready: a trigger is answered already.
        Problem: what it needs can't be brought here, or what `Engine.run` says. The triggers wait on, with the reason.
    """
    queue = TriggerQueue(journal)
    with only_one(project, PATIENCE):
        settle_outcomes(project, journal)
        triggers = tuple(queue.trigger(number) for number in numbers)
        for trigger in triggers:
            if trigger.state not in {"waiting", "proposed"}:
                raise TakenAlready(f"Trigger {trigger.id} was answered already.", "See: mlconsole triggers")
        try:
            fit = _prepare(project, journal, triggers)
            if not fit:
                return Outcome(release=None, exit_code=1, sentence="Nothing of it fits the data.")
            outcome = engine.run(msgspec.structs.replace(order, trigger=merged(fit)))
        except Problem as problem:
            for trigger in triggers:
                present = queue.trigger(trigger.id)
                if present.state in {"waiting", "proposed"}:
                    queue.save(msgspec.structs.replace(present, sentence=str(problem)))
            raise
        if outcome.release is None:
            queue.end(fit, "unchanged", outcome.sentence)
        else:
            settle_outcomes(project, journal)
    return outcome


def _prepare(project: Project, journal: Journal, triggers: tuple[Trigger, ...]) -> tuple[Trigger, ...]:
    """Bring here what the triggers are about; returns those that can be released."""
    queue = TriggerQueue(journal)
    if any(trigger.adds for trigger in triggers):
        sweep(data_folder(project))
    for addition in open_additions(journal):
        take_out(project, queue, addition)
    if any(trigger.kind == "branch" for trigger in triggers):
        git.pull(project.root, report=lambda progress: None, cancelled=threading.Event())
    fit = []
    for trigger in sorted(triggers, key=lambda trigger: trigger.id):
        try:
            if trigger.adds:
                add(project, queue, trigger)
            fit.append(trigger)
        except NotFit as problem:
            queue.end([trigger], "refused", str(problem))
    return tuple(fit)


OUTCOMES: dict[str, TriggerOutcome] = {
    "done": "released",
    "refused": "refused",
    "failed": "failed",
    "cancelled": "cancelled",
}


def settle_outcomes(project: Project, journal: Journal) -> None:
    """Write down what became of the triggers whose release ended, or was replaced by a later one while it waited.

    A release that a person let go on after a gate had said no counts anew. Whoever is killed, the next one to ask does
    it: it follows from what the journal holds.
    """
    queue = TriggerQueue(journal)
    latest = journal.latest_release()
    if latest is None:
        return
    numbers = {trigger.release for trigger in queue.triggers({"taken"}, 1000)} | {latest.number}
    for number in sorted(number for number in numbers if number is not None):
        release = journal.release(number)
        outcome = OUTCOMES.get(release.state, "")
        if release.already and release.state == "paused":
            outcome = "elsewhere"
        if release.trigger is not None and is_unfinished(journal, release):
            given_up = all(found.tries >= MOST_TRIES for found in queue.taken_by(number))
            outcome = "failed" if given_up else ""
        sentence = end_words(journal, number)
        if not outcome and number != latest.number and release.state != "running":
            later = _replaced_by(journal, number)
            if later is None:
                _wait_again(queue, number, f"Release {number} was left for a rollback.")
                continue
            outcome, sentence = "replaced", f"Release {later} came after it."
        changed = [found for found in queue.taken_by(number) if outcome and found.outcome != outcome]
        changed = [found for found in changed if found.outcome != "dismissed"]
        if outcome in {"refused", "failed"}:
            changed = _judged_apart(journal, changed)
        if changed:
            queue.end(changed, outcome, sentence)
        for trigger in changed:
            if trigger.adds and outcome in {"released", "elsewhere"}:
                kept_content(project, trigger).unlink(missing_ok=True)


def _replaced_by(journal: Journal, number: int) -> int | None:
    """The release that came after one, and holds what it held; a rollback holds nothing of it."""
    later = (entry for entry in journal.releases(1000) if entry.number > number and entry.kind == "release")
    return max((entry.number for entry in later), default=None)


def _wait_again(queue: TriggerQueue, release: int, sentence: str) -> None:
    """Let the triggers of a release that can't go on any more be answered by the next."""
    for trigger in queue.taken_by(release):
        if trigger.state == "taken":
            queue.save(msgspec.structs.replace(trigger, state="waiting", release=None, sentence=sentence))


def _judged_apart(journal: Journal, answered: list[Trigger]) -> list[Trigger]:
    """Let contents that a gate refused together wait again, to be judged one by one; returns the others.

    One that is bad would otherwise take all that arrived with it along.
    """
    together = [trigger for trigger in answered if trigger.adds and not trigger.alone]
    if len(together) < 2 or not stopped_early(journal, together[0].release or 0):
        return answered
    queue = TriggerQueue(journal)
    sentence = f"Release {together[0].release} was refused with all of them together."
    with journal.transaction(durable=True):
        for trigger in together:
            again = msgspec.structs.replace(trigger, state="waiting", alone=True, release=None, sentence=sentence)
            queue.save(again)
    return [trigger for trigger in answered if trigger not in together]


def end_words(journal: Journal, release: int) -> str:
    """The sentence that a release ended with, for good or until a person decides; empty where it has not ended."""
    last = journal.last_event(release)
    return last.body.sentence if last and isinstance(last.body, ReleaseFinished) else ""
