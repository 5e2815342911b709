"""One training: the command in a child process, what it printed, and the model that it left."""

from __future__ import annotations

import os
import shlex
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path

from mlconsole.errors import Cancelled, Refused
from mlconsole.evidence.base import Record
from mlconsole.evidence.training import MetricPoint, TrainingProgress, UseSample
from mlconsole.services.processes import ChildResult, run_child
from mlconsole.services.training.output import OutputReader
from mlconsole.text import clean, duration, listed

REPORTS_A_SECOND = 20
# The kernel stamps files with a clock that ticks this coarsely.
_CLOCK_TICK_NS = 10_000_000
_MOST_FOLDERS = 2_000


class TrainingFailed(Refused):
    """The training command ended with an error, was killed or took too long."""


class NoModelWritten(Refused):
    """The training command ended well, but what it should have written is not there or is no model file."""


class TrainResult(Record, frozen=True, kw_only=True):
    """A training that ended well: how its process ended, and the last value of each metric, in order of first sight.

    `points` counts all the values that were reported.
    """

    child: ChildResult
    metrics: tuple[MetricPoint, ...]
    points: int


def train(
    *,
    root: Path,
    command: Sequence[str],
    model_path: Path,
    environment: Mapping[str, str],
    log_path: Path,
    report: Callable[[MetricPoint | TrainingProgress], None],
    cancelled: threading.Event,
    timeout: float | None = None,
    on_sample: Callable[[UseSample], None] | None = None,
) -> TrainResult:
    """Run a training command to its end.

    Args:
        root: the project's folder, where the command runs.
        command: program and arguments, as `command.fill` gives them.
        model_path: where the command writes the model; its folder is made.
        environment: the whole environment of the child.
        log_path: gets what the child prints.
        report: called in this thread with every metric, and with progress at most some twenty times a second.
        cancelled: ends the training when set.
        timeout: seconds after which it is ended.
        on_sample: called in this thread, about once a second, with what the training uses.

    Raises:
        Cancelled: it was cancelled.
        TrainingFailed: it failed, or took longer than `timeout`.
        NoModelWritten: it left no model at `model_path`.
        CommandMissing: the command can't be started.
    """
    model_path = root / model_path
    model_path.parent.mkdir(parents=True, exist_ok=True)
    before = _state(model_path)
    started = time.time_ns() - _CLOCK_TICK_NS
    reporter = Reporter(report)
    child = run_child(
        command,
        cwd=root,
        log_path=log_path,
        cancelled=cancelled,
        on_line=reporter.line,
        environment=environment,
        timeout=timeout,
        on_sample=on_sample,
    )
    reporter.flush()
    if child.ended == "cancelled":
        raise Cancelled(f"Training was cancelled after {duration(child.use.seconds)}.")
    if child.ended == "timed out" or child.exit_code:
        raise _failure(command, child)
    _check_model(root, command, model_path, before, started, child)
    return TrainResult(child=child, metrics=tuple(reporter.last.values()), points=reporter.points)


class Reporter:
    """Hands on every metric, and as much of the progress as a person can follow.

    Progress has a budget that refills: a burst of a few goes through at once, and only a flood, which goes on, is
    thinned out. So what was seen last is never held back for long.
    """

    def __init__(self, report: Callable[[MetricPoint | TrainingProgress], None]) -> None:
        self.last: dict[str, MetricPoint] = {}
        self.points = 0
        self._report = report
        self._reader = OutputReader()
        self._held: TrainingProgress | None = None
        self._budget = float(REPORTS_A_SECOND)
        self._refilled = time.monotonic()

    def line(self, line: str) -> None:
        """Read one line of the output."""
        for told in self._reader.feed(line):
            if isinstance(told, MetricPoint):
                self.points += 1
                self.last[told.name] = told
                self._report(told)
            else:
                self._held = told
        at = time.monotonic()
        self._budget = min(self._budget + (at - self._refilled) * REPORTS_A_SECOND, REPORTS_A_SECOND)
        self._refilled = at
        if self._held is not None and self._budget >= 1:
            self._budget -= 1
            self.flush()

    def flush(self) -> None:
        """Hand on the progress that was held back."""
        held, self._held = self._held, None
        if held is not None:
            self._report(held)


def _failure(command: Sequence[str], child: ChildResult) -> TrainingFailed:
    line = shlex.join(command)
    if child.ended == "timed out":
        return TrainingFailed(
            f"Training did not end within {duration(child.use.seconds)} and was stopped.",
            "Allow it more time, or look in its log for what it waits for.",
            command=line,
            tail=child.tail,
        )
    # A shell tells a signal as 128 and its number.
    killed = child.exit_code in (-9, 137)
    return TrainingFailed(
        f"Training failed with {child.how}." if not killed else f"Training was killed ({child.how}).",
        "Perhaps the machine ran out of memory: look at the peak, train on less data or in smaller batches."
        if killed
        else "Its last lines say why.",
        command=line,
        tail=child.tail,
    )


def _state(path: Path) -> tuple[int, int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns


def _check_model(
    root: Path,
    command: Sequence[str],
    path: Path,
    before: tuple[int, int, int] | None,
    started: int,
    child: ChildResult,
) -> None:
    after = _state(path)
    shown = os.path.relpath(path, root)
    if path.is_dir():
        sentence = f"Training wrote a folder to {shown}; a model has to be one file so far."
    elif after is None:
        sentence = f"Training ended well, but there is no model at {shown}."
    elif after == before:
        sentence = f"Training ended well, but left the model at {shown} as it was before."
    elif after[1] == 0:
        sentence = f"Training wrote an empty file to {shown}."
    else:
        return
    others = [os.path.relpath(other, root) for other in _written(root, path, started)]
    hint = f"It wrote {clean(listed(others))}: " if others else ""
    use = "let the training command write to {model}." if hint else "Let the training command write to {model}."
    raise NoModelWritten(sentence, hint + use, command=shlex.join(command), tail=child.tail)


def _written(root: Path, model_path: Path, started: int) -> list[Path]:
    """The files of the project that were written since `started`, the likeliest models first."""
    found: list[tuple[int, Path]] = []
    for top, names in islice(_folders(root, model_path.parent), _MOST_FOLDERS):
        for name in names:
            file = top / name
            state = _state(file)
            if state and state[2] >= started and file != model_path and file.suffix not in (".pyc", ".log"):
                found.append((state[1], file))
    return [file for _, file in sorted(found, reverse=True)]


def _folders(*tops: Path) -> Iterator[tuple[Path, list[str]]]:
    seen: set[str] = set()
    for top in tops:
        for folder, folders, files in os.walk(top):
            folders[:] = [name for name in folders if not name.startswith(".") and name != "__pycache__"]
            if folder not in seen:
                seen.add(folder)
                yield Path(folder), files
