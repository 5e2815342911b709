"""One training: the command in a child process, what it told of itself, and the model that it left."""

from __future__ import annotations

import re
import shlex
import signal
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mlconsole.errors import Cancelled, Refused
from mlconsole.evidence.base import Record
from mlconsole.evidence.training import MetricPoint, Parameter, TrainingProgress, UseSample
from mlconsole.services.processes import ChildResult, run_child
from mlconsole.services.training import metric_files, mlflow_runs
from mlconsole.services.training.collector import Collector
from mlconsole.services.training.files import matching, moment
from mlconsole.services.training.left_model import ModelSearch, NoModelWritten
from mlconsole.services.training.reports import reporting_environment
from mlconsole.text import count, duration, size

WATCH_FOLDER = ".watch"
"""In the folder of the run: what a training needs to report; hidden, so that it is not taken for what it wrote."""


_KILLED = "Perhaps the machine ran out of memory: look at the peak, train on less data or in smaller batches."
_CRASHED = "It crashed, in a library perhaps: with PYTHONFAULTHANDLER=1 before the command, Python says where."
_BY_SIGNAL: dict[int, str] = {
    signal.SIGKILL: _KILLED,
    **dict.fromkeys((signal.SIGSEGV, signal.SIGBUS, signal.SIGILL, signal.SIGFPE), _CRASHED),
}
"""What to do about a training that a signal ended."""


class TrainingFailed(Refused):
    """The training command ended with an error, was killed, took too long or too much memory."""


@dataclass(frozen=True, kw_only=True)
class Training:
    """A training to be run.

    `folder` is the run's own, and `cwd` where the command runs. `given` is the path that the command takes for the
    model, where it takes one, and `pattern` where the model is otherwise; `outputs` are patterns of files that are kept
    beside it, and so is a notebook as it was `executed`, under its name in the project. `timeout` is in seconds,
    `memory` in bytes. What is not `alone` in its folder is believed only what it says itself: files of metrics may be
    another's.
    """

    root: Path
    cwd: Path
    folder: Path
    command: Sequence[str]
    environment: Mapping[str, str]
    log_path: Path
    given: Path | None = None
    pattern: str = ""
    outputs: Sequence[str] = ()
    executed: tuple[str, Path] | None = None
    metric_files: Sequence[str] = ()
    timeout: float | None = None
    memory: int | None = None
    alone: bool = True


class TrainResult(Record, frozen=True, kw_only=True):
    """A training that ended well: how its process ended, and the last value of each metric, in order of first sight.

    `points` counts all the values that were reported, `parameters` are those that it reported by itself. `model` is the
    file, `found` says where it was found in words, unless it is where it was asked to be. `outputs` are the files to be
    kept, by their names in the project; `missing` are patterns that no file of this run has.
    """

    child: ChildResult
    metrics: tuple[MetricPoint, ...]
    points: int
    model: Path
    found: str = ""
    parameters: tuple[Parameter, ...] = ()
    outputs: tuple[tuple[str, Path], ...] = ()
    missing: tuple[str, ...] = ()


def train(
    training: Training,
    report: Callable[[Sequence[MetricPoint | TrainingProgress]], None],
    cancelled: threading.Event,
    on_sample: Callable[[UseSample], None] | None = None,
) -> TrainResult:
    """Run a training command to its end.

    Args:
        training: what to run.
        report: called in this thread with every metric, and with progress at most some twenty times a second, as much
            as there is at a time.
        cancelled: ends the training when set.
        on_sample: called in this thread, about once a second, with what the training uses.

    Raises:
        Cancelled: it was cancelled.
        TrainingFailed: it failed, or took longer or more memory than it may.
        NoModelWritten: it left no model.
        ModelUnclear: it left several files that may be the model.
        CommandMissing: the command can't be started.
    """
    if training.given is not None:
        training.given.parent.mkdir(parents=True, exist_ok=True)
    environment, reports = reporting_environment(training.folder / WATCH_FOLDER, dict(training.environment))
    runs = mlflow_runs.MlflowRuns(_stores(training, environment) if training.alone else (), moment())
    files = metric_files.MetricFiles(_metric_files(training))
    collector = Collector(report, [reports, files, runs])
    search = ModelSearch(
        training.root, training.cwd, training.command, training.given, training.pattern, alone=training.alone
    )
    try:
        child = run_child(
            training.command,
            cwd=training.cwd,
            log_path=training.log_path,
            cancelled=cancelled,
            on_text=collector.text,
            on_look=collector.look,
            environment=environment,
            timeout=training.timeout,
            on_sample=on_sample,
            memory=training.memory,
        )
        collector.end()
        if search.skips and not collector.last and not child.exit_code:
            collector.add(files.present())
        parameters = {parameter.name: parameter for parameter in runs.parameters()} | collector.parameters
    finally:
        for source in (reports, runs):
            source.close()
    if child.ended == "cancelled":
        raise Cancelled(f"Training was cancelled after {duration(child.use.seconds)}.")
    if child.ended != "by itself" or child.exit_code:
        raise _failure(training, child)
    try:
        model, found = search.find(child.tail)
    except NoModelWritten as problem:
        raise _left_alone(problem, child) from problem
    if found and training.alone and not collector.last:
        beside = model.with_name("metrics.json")
        if search.is_of_this_run(beside):
            collector.add(metric_files.MetricFiles([beside]).present())
    outputs, missing = _outputs(training, search)
    return TrainResult(
        child=child,
        metrics=tuple(collector.last.values()),
        points=collector.points,
        model=model,
        found=found,
        parameters=tuple(parameters.values()),
        outputs=outputs,
        missing=missing,
    )


def _stores(training: Training, environment: Mapping[str, str]) -> Sequence[Path]:
    return mlflow_runs.stores([training.cwd, training.root], environment)


def _metric_files(training: Training) -> Sequence[Path]:
    if not training.alone:
        return ()
    names = training.metric_files or metric_files.USUAL
    return [folder / name for folder in (training.root, training.cwd) for name in names]


def _outputs(training: Training, search: ModelSearch) -> tuple[tuple[tuple[str, Path], ...], tuple[str, ...]]:
    """The files to keep by their names in the project, and the patterns that none of this run has."""
    kept = dict([training.executed]) if training.executed and training.executed[1].is_file() else {}
    missing = []
    for pattern in training.outputs:
        files = matching(training.root, pattern) or matching(training.cwd, pattern)
        fresh = [path for path in files if search.is_of_this_run(path)]
        if not fresh:
            missing.append(pattern)
        for path in fresh:
            kept[str(path.relative_to(training.root)) if path.is_relative_to(training.root) else str(path)] = path
    return tuple(kept.items()), tuple(missing)


def _left_alone(problem: NoModelWritten, child: ChildResult) -> NoModelWritten:
    """What says why there is no model, where the command did not wait for what it began."""
    if not child.left:
        return problem
    left = count(child.left, "process", "processes")
    hint = f"It did not wait for {left} in the background, ended with it: let it wait. {problem.next_step}"
    return NoModelWritten(problem.sentence, hint, command=problem.command, tail=problem.tail)


def _unset_variable(tail: Sequence[str]) -> str:
    """The environment variable that a Python script asked for in vain, by its last lines; else nothing."""
    missed = re.fullmatch(r"KeyError: '(\w+)'", tail[-1]) if tail else None
    asked = any(re.search(r'"<frozen os>"|/os\.py"', line) for line in tail[-4:])
    return missed[1] if missed and asked else ""


def _failure(training: Training, child: ChildResult) -> TrainingFailed:
    line = shlex.join(training.command)
    if child.ended == "timed out":
        return TrainingFailed(
            f"Training did not end within {duration(training.timeout or child.use.seconds)} and was stopped.",
            "Allow it more time, or look in its log for what it waits for.",
            command=line,
            tail=child.tail,
        )
    if child.ended == "out of memory":
        return TrainingFailed(
            f"Training took {size(child.memory)} of memory, more than the {size(training.memory or 0)} that it may, "
            f"and was ended after {duration(child.use.seconds)}.",
            "Allow it more (`memory` under [train]), or train on less data or in smaller batches.",
            command=line,
            tail=child.tail,
        )
    if name := _unset_variable(child.tail):
        return TrainingFailed(
            f"Training needs the environment variable {name}, which is not set.",
            f'Set it where mlconsole is started, or in the settings: [train] command = "{name}=… …"',
            command=line,
            tail=child.tail,
        )
    # A shell tells a signal as 128 and its number.
    number = -child.exit_code if child.exit_code < 0 else child.exit_code - 128
    return TrainingFailed(
        f"Training failed with {child.how}." if number != signal.SIGKILL else f"Training was killed ({child.how}).",
        _BY_SIGNAL.get(number, "Its last lines say why."),
        command=line,
        tail=child.tail,
    )
