"""The watcher as lines, and the triggers as a table."""

from __future__ import annotations

import threading
from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Literal

import click

from mlconsole.errors import Exit, Problem, Refused
from mlconsole.evidence.base import now
from mlconsole.evidence.release import Release
from mlconsole.evidence.watching import Trigger, WatcherState
from mlconsole.headless.output import narrate, say, say_json, styled, table_lines
from mlconsole.headless.release import ended_by_signals
from mlconsole.headless.reports import journal_of
from mlconsole.journal import Journal
from mlconsole.present import Table, age, word
from mlconsole.project import Project, open_project
from mlconsole.text import duration, listed
from mlconsole.trigger_queue import TriggerQueue
from mlconsole.watcher import control
from mlconsole.watcher.answering import end_words
from mlconsole.watcher.loop import Stamps, Watcher, stamps_of
from mlconsole.watcher.pace import MOST_TRIES
from mlconsole.watcher.place import standing_of
from mlconsole.watcher.telling import Teller
from mlconsole.watcher.watches import follows, name_of, with_defaults

HALTED = "the settings can't be read: no release is begun until they can"


def watch(project: Project, *, context: str = "", namespace: str = "") -> int:
    """Watch until a signal ends it; each thing that happens is a line. Settings that change are read again."""
    with journal_of(project) as journal, ended_by_signals("Watching no more …") as stopped:
        stamps = stamps_of(project.root)
        project = open_project(project.root)
        watcher = _watcher_of(project, journal, stopped, context, namespace, stamps)
        while watcher.run():
            halted = HALTED
            # whoever saves them may be in the middle of it: what is written after this moment calls for another look
            stamps = stamps_of(project.root)
            try:
                fresh = open_project(project.root)
                halted = ""
                watcher = _watcher_of(fresh, journal, stopped, context, namespace, stamps)
                project = fresh
            except Refused:
                raise
            except Problem as problem:
                journal.check_there()
                waits = " What arrives waits: no release can be begun." if halted else ""
                _say_line(f"the settings have changed: {problem} Until then, those of before hold.{waits}")
                watcher = _watcher_of(project, journal, stopped, context, namespace, stamps, halted)
    return Exit.DONE


def _watcher_of(
    project: Project,
    journal: Journal,
    stopped: threading.Event,
    context: str,
    namespace: str,
    stamps: Stamps,
    halted: str = "",
) -> Watcher:
    aimed = with_defaults(project.aimed_at(context, namespace))
    watcher = Watcher(
        aimed,
        journal,
        stopped=stopped,
        say=_say_line,
        teller=Teller(aimed, journal, say=_say_line),
        standing=standing_of(aimed, say=_say_line),
        target=[*(["--context", context] if context else []), *(["--namespace", namespace] if namespace else [])],
        halted=halted,
        stamps=stamps,
    )
    for entry in aimed.settings.watch:
        _say_line(f"watching {name_of(entry, aimed)}: {follows(entry)}")
    return watcher


def _say_line(words: str) -> None:
    say(f"{styled(f'{datetime.now():%H:%M:%S}', fg='bright_black')}  {words}")


def start(project: Project) -> int:
    """Start the watcher as a process of its own."""
    there = control.start(project)
    narrate(f"Watching, process {there.runner.pid}.")
    return Exit.DONE


def stop(project: Project) -> int:
    """End the watcher's process."""
    there = control.stop(project)
    narrate(f"The watcher, process {there.runner.pid}, has ended.")
    return Exit.DONE


def print_manifest(project: Project, *, image: str, namespace: str) -> int:
    """Print what runs the watcher in the cluster."""
    from mlconsole.watcher.manifest import manifest

    click.echo(manifest(project, image=image, namespace=namespace), nl=False)
    return Exit.DONE


def show_triggers(project: Project, most: int, *, as_json: bool) -> None:
    """Print the latest triggers, newest first, and who watches."""
    with journal_of(project) as journal:
        queue = TriggerQueue(journal)
        found, watcher = queue.triggers(most=most), queue.watcher()
        taken = {entry.release for entry in found if entry.state == "taken" and entry.release is not None}
        releases = {number: journal.release(number) for number in taken}
        ends = {number: end_words(journal, number) for number in taken}
    if as_json:
        for trigger in found:
            say_json(trigger)
        return
    narrate(_watcher_words(watcher))
    moment = now()
    rows = tuple(
        (
            str(trigger.id),
            trigger.outcome or trigger.state,
            str(trigger.release or ""),
            age(trigger.seen_at, moment),
            trigger.kind,
            trigger.words,
            trigger.sentence or _release_words(releases.get(trigger.release or 0), trigger, ends),
        )
        for trigger in found
    )
    columns = ("trigger", "state", "release", "seen", "kind", "what", "why")
    for line in table_lines(Table("", columns, rows, frozenset({0, 2}))) if rows else ["No trigger yet."]:
        say(line)


def _release_words(release: Release | None, trigger: Trigger, ends: Mapping[int, str]) -> str:
    """How the release stands that has taken a trigger."""
    if release is None:
        return ""
    if release.state == "waiting":
        return f"It waits for an approval. {ends[release.number]}"
    if release.state in {"failed", "interrupted", "cancelled"}:
        # one that is not tried again has ended its triggers
        left = max(0.0, (trigger.not_before - now()).total_seconds()) if trigger.not_before is not None else 0.0
        again = f"{word(release.state).capitalize()}, try {trigger.tries + 1} of {MOST_TRIES} in {duration(left)}."
        return f"{again} {ends[release.number]}".rstrip()
    return f"The release is {word(release.state)}."


def _watcher_words(watcher: WatcherState | None) -> str:
    if watcher is None:
        return "Nobody watches. Start it: mlconsole watch"
    watches = listed([found.name + (f" ({found.problem})" if found.problem else "") for found in watcher.watches], 5)
    busy = f"; {watcher.busy}" if watcher.busy else ""
    return f"Process {watcher.runner.pid} on {watcher.runner.host} watches {watches}{busy}."


def decide(project: Project, what: Literal["accept", "dismiss", "again"], numbers: Collection[int]) -> None:
    """Write down what a person decided about triggers."""
    with journal_of(project) as journal:
        queue = TriggerQueue(journal)
        decided: tuple[Trigger, ...] = getattr(queue, what)(numbers)
        watcher = queue.watcher()
    names = listed([f"{trigger.id} ({trigger.words})" for trigger in decided])
    narrate(f"{'Dismissed' if what == 'dismiss' else 'To be released'}: {names}.")
    if what != "dismiss" and watcher is None:
        options = " ".join(f"--trigger {trigger.id}" for trigger in decided)
        narrate(f"Nobody watches. Release now: mlconsole run {options}")


def forget(project: Project, numbers: Collection[int]) -> None:
    """Write down that what was added for some triggers is left to people."""
    with journal_of(project) as journal:
        forgotten = TriggerQueue(journal).forget_addition(numbers)
    narrate(f"Left as it is: what was added for {listed([trigger.words for trigger in forgotten])}.")
