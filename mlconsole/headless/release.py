"""A release as lines: what the runner prints while it carries one out."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

import click

from mlconsole.errors import Problem
from mlconsole.evidence.cluster import ConflictChoice
from mlconsole.evidence.release import Event, MetricSeen, PlanMade, ProgressSeen
from mlconsole.headless.output import narrate, say, say_json, styled
from mlconsole.journal import Journal
from mlconsole.present import event_line
from mlconsole.project import Project
from mlconsole.release.decisions import approve, open_conflicts, who_am_i
from mlconsole.release.engine import Engine, Order, Outcome
from mlconsole.text import number

_COLOURS = {"✓": "green", "✗": "red", "?": "yellow", "↺": "cyan", "!": "yellow", "⊘": "yellow", "$": "bright_black"}


def carry_out(
    project: Project, order: Order, begin: Callable[[Engine, Journal], Outcome], *, as_json: bool = False
) -> int:
    """Carry out what `begin` asks of an engine, print its events, and return the exit code.

    Where a person sits before it, the approval is asked for on the spot. Where nobody reads its lines any more
    (`| head`), it is cancelled.

    Raises:
        ProjectGone: the project's folder was removed meanwhile.
    """
    journal = Journal(project.journal_path)
    try:
        with ended_by_signals() as cancelled:
            listen = _listener(say_json if as_json else Printer(), cancelled)
            engine = Engine(project, journal, listen=listen, cancelled=cancelled)
            outcome = begin(engine, journal)
            while (
                outcome.release and outcome.release.state == "waiting" and _person_approves(journal, outcome, as_json)
            ):
                engine = Engine(project, journal, listen=listen, cancelled=cancelled)
                outcome = engine.resume(outcome.release.number, order)
        journal.check_there()
    except (Problem, OSError):
        # where the project is gone, all that goes wrong goes wrong for that
        journal.check_there()
        raise
    finally:
        journal.close()
    if outcome.release is None:
        if as_json:
            say_json(outcome)
        else:
            say(outcome.sentence)
    return outcome.exit_code


def _listener(show: Callable[[Event], None], cancelled: threading.Event) -> Callable[[Event], None]:
    def listen(event: Event) -> None:
        try:
            show(event)
        except BrokenPipeError:
            cancelled.set()

    return listen


def _person_approves(journal: Journal, outcome: Outcome, as_json: bool) -> bool:
    if as_json or not (sys.stdin.isatty() and sys.stdout.isatty()) or outcome.release is None:
        return False
    conflicts: ConflictChoice = "ask"
    if open_conflicts(journal, outcome.release.number):
        words = "Take these fields over by force, or leave them to their owners?"
        answer = click.prompt(words, type=click.Choice(["force", "leave", "no"]), default="no")
        if answer == "no":
            return False
        conflicts = "force" if answer == "force" else "leave"
    elif not click.confirm("Apply this plan?", default=False):
        return False
    approve(journal, outcome.release.number, who=who_am_i(), reason="asked at the terminal", conflicts=conflicts)
    return True


@contextmanager
def ended_by_signals(words: str = "Cancelling …") -> Iterator[threading.Event]:
    """An event that SIGINT, SIGTERM and SIGHUP set, so that a release ends in order. A second SIGINT ends at once."""
    cancelled = threading.Event()

    def end(number: int, frame: FrameType | None) -> None:
        cancelled.set()
        signal.signal(signal.SIGINT, signal.default_int_handler)
        # the terminal may be gone, or be written to at this very moment: neither keeps anything from ending in order
        with suppress(OSError, RuntimeError):
            narrate(words)

    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, end) for number in numbers}
    try:
        yield cancelled
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class Printer:
    """Prints events as lines: when, at which stage, what. Metrics of one step share a line."""

    def __init__(self) -> None:
        self._metrics: list[Event] = []

    def __call__(self, event: Event) -> None:
        """Print an event, once it is known that no further metric belongs to it."""
        if isinstance(event.body, MetricSeen):
            step = event.body.point.step
            if step is None or not self._metrics or self._step() != step:
                self._flush()
            self._metrics.append(event)
            return
        if not isinstance(event.body, ProgressSeen):
            self._flush()
            self._print(event, _lines(event))

    def _step(self) -> int | None:
        body = self._metrics[-1].body
        return body.point.step if isinstance(body, MetricSeen) else None

    def _flush(self) -> None:
        if not self._metrics:
            return
        points = [event.body.point for event in self._metrics if isinstance(event.body, MetricSeen)]
        words = "  ".join(f"{point.name} {number(point.value)}" for point in points)
        step = self._step()
        self._print(self._metrics[-1], [words if step is None else f"step {step}: {words}"])
        self._metrics = []

    def _print(self, event: Event, lines: list[str]) -> None:
        for index, line in enumerate(lines):
            moment = f"{event.at.astimezone():%H:%M:%S}" if index == 0 else " " * 8
            say(f"{styled(moment, fg='bright_black')}  {event.stage or '':<7}{_coloured(line)}".rstrip())


def _lines(event: Event) -> list[str]:
    lines = event_line(event).splitlines()
    if isinstance(event.body, PlanMade):
        for change in event.body.plan.changes:
            # what is new is in the manifests already; a person wants to see what differs
            if change.action == "change":
                lines += [f"  {line}" for line in change.diff.splitlines()]
    return lines


def _coloured(line: str) -> str:
    stripped = line.lstrip()
    if stripped.startswith(("+", "-")) and not stripped.startswith(("+++", "---")) and line.startswith("  "):
        return styled(line, fg="green" if stripped[0] == "+" else "red")
    colour = _COLOURS.get(stripped[:1])
    return styled(line, fg=colour) if colour else line
