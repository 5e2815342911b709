"""A release as lines: what the runner prints while it carries one out."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

import click

from mlconsole.evidence.release import Event, PlanMade, ProgressSeen
from mlconsole.headless.output import narrate, say, say_json, styled
from mlconsole.journal import Journal
from mlconsole.present import event_line
from mlconsole.project import Project
from mlconsole.release.decisions import approve, who_am_i
from mlconsole.release.engine import Engine, Order, Outcome

_COLOURS = {"✓": "green", "✗": "red", "?": "yellow", "↺": "cyan", "!": "yellow", "⊘": "yellow", "$": "bright_black"}


def carry_out(
    project: Project, order: Order, begin: Callable[[Engine, Journal], Outcome], *, as_json: bool = False
) -> int:
    """Carry out what `begin` asks of an engine, print its events, and return the exit code.

    Where a person sits before it, the approval is asked for on the spot.
    """
    journal = Journal(project.journal_path)
    try:
        with ended_by_signals() as cancelled:
            engine = Engine(project, journal, listen=say_json if as_json else say_event, cancelled=cancelled)
            outcome = begin(engine, journal)
            while (
                outcome.release and outcome.release.state == "waiting" and _person_approves(journal, outcome, as_json)
            ):
                engine = Engine(project, journal, listen=say_event, cancelled=cancelled)
                outcome = engine.resume(outcome.release.number, order)
    finally:
        journal.close()
    if outcome.release is None:
        if as_json:
            say_json(outcome)
        else:
            say(outcome.sentence)
    return outcome.exit_code


def _person_approves(journal: Journal, outcome: Outcome, as_json: bool) -> bool:
    if as_json or not (sys.stdin.isatty() and sys.stdout.isatty()) or outcome.release is None:
        return False
    if not click.confirm("Apply this plan?", default=False):
        return False
    approve(journal, outcome.release.number, who=who_am_i(), reason="asked at the terminal")
    return True


@contextmanager
def ended_by_signals() -> Iterator[threading.Event]:
    """An event that SIGINT, SIGTERM and SIGHUP set, so that a release ends in order. A second SIGINT ends at once."""
    cancelled = threading.Event()

    def end(number: int, frame: FrameType | None) -> None:
        cancelled.set()
        narrate("Cancelling …")
        signal.signal(signal.SIGINT, signal.default_int_handler)

    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, end) for number in numbers}
    try:
        yield cancelled
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def say_event(event: Event) -> None:
    """Print an event as one or more lines: when, at which stage, what."""
    if isinstance(event.body, ProgressSeen):
        return
    for index, line in enumerate(_lines(event)):
        moment = f"{event.at.astimezone():%H:%M:%S}" if index == 0 else " " * 8
        say(f"{styled(moment, fg='bright_black')}  {event.stage or '':<7}{_coloured(line)}".rstrip())


def _lines(event: Event) -> list[str]:
    lines = event_line(event).splitlines()
    if isinstance(event.body, PlanMade):
        for change in event.body.plan.changes:
            lines += [f"  {line}" for line in change.diff.splitlines()]
    return lines


def _coloured(line: str) -> str:
    stripped = line.lstrip()
    if stripped.startswith(("+", "-")) and not stripped.startswith(("+++", "---")) and line.startswith("  "):
        return styled(line, fg="green" if stripped[0] == "+" else "red")
    colour = _COLOURS.get(stripped[:1])
    return styled(line, fg=colour) if colour else line
