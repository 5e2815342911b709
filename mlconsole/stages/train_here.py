"""Training on this machine: the command of the settings once, or once for each combination of a sweep."""

from __future__ import annotations

import os
import shlex
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import msgspec

from mlconsole.errors import Cancelled, Problem
from mlconsole.evidence.release import EventBody, MetricSeen, ProgressSeen, SweepSeen, UseSeen
from mlconsole.evidence.training import (
    MetricPoint,
    Parameter,
    PythonEnvironment,
    SweepRun,
    TrainingProgress,
    UseSample,
)
from mlconsole.project import Project
from mlconsole.project.settings import seconds, size_in_bytes
from mlconsole.services.processes import child_environment
from mlconsole.services.training import command as commands
from mlconsole.services.training import notebook, sweep
from mlconsole.services.training import parameters as parameter_files
from mlconsole.services.training.files import remove
from mlconsole.services.training.run import Training, TrainingFailed, TrainResult, train
from mlconsole.stages.base import StageContext
from mlconsole.stages.training_inputs import working_folder
from mlconsole.text import count, duration

TELL_SECONDS = 1.0
"""Runs of a sweep tell how far they are this often; that they began or ended, at once."""
DRAWN = {"TTY_COMPATIBLE": "1"}
"""Has rich draw its bars as they move, although nobody sees its terminal; other libraries do so by themselves."""


class Trained(msgspec.Struct, frozen=True):
    """A training that ended well, here or elsewhere: its command as a person would type it, and what came of it.

    Of a sweep, `result` and `parameters` are of the best run, `best_by` is the metric that it was chosen by.
    """

    command: str
    result: TrainResult
    parameters: tuple[Parameter, ...]
    environment: Mapping[str, str]
    sweep: tuple[SweepRun, ...] = ()
    best_by: str = ""


def check(project: Project, python: PythonEnvironment) -> None:
    """Look for what would stop a training on this machine.

    Raises:
        Problem: see there.
    """
    settings = project.settings.train
    working_folder(project)
    seconds(settings.timeout, "train.timeout")
    size_in_bytes(settings.memory, "train.memory")
    if notebook.is_notebook(settings.command):
        notebook.check_papermill([package.name for package in python.packages], Path(python.executable))
        notebook.parameter_names(working_folder(project) / shlex.split(settings.command)[0])
    if settings.sweep:
        _check_sweep(project)


def _check_sweep(project: Project) -> None:
    settings = project.settings.train
    sweep.grid(settings.sweep)
    wanted = commands.placeholders(settings.command)
    is_notebook = notebook.is_notebook(settings.command)
    if "model" not in wanted and not is_notebook:
        hint = "Put {model} where the model's path belongs in train.command."
        raise sweep.SweepUnusable("The runs of the sweep would overwrite each other's model.", hint)
    if settings.outputs and settings.jobs > 1:
        hint = "Take away `jobs` or `outputs` under [train]."
        raise sweep.SweepUnusable("Runs side by side would overwrite each other's outputs.", hint)
    for name in settings.sweep:
        if name not in wanted and not is_notebook and not ("params" in wanted and settings.parameters):
            raise sweep.SweepUnusable(
                f"train.sweep varies {name}, but nothing takes it.",
                f"Put {{{name}}} into train.command, or pass the parameter file with {{params}}.",
            )


def train_here(context: StageContext, version: int, python: PythonEnvironment) -> Trained:
    """Run the training, or the sweep, of the settings.

    Raises:
        Problem: as `run.train` says; of a sweep, only where no run of it is fit to be a candidate.
    """
    if context.project.settings.train.sweep:
        return _Sweep(context, version, python).run()
    prepared = _Preparation(context, version, python)
    training = prepared.training(context.folder, ())
    context.command(shlex.join(training.command))

    def report(told: Sequence[MetricPoint | TrainingProgress]) -> None:
        context.emit_all(list(events_of(told)))

    result = train(training, report, context.cancelled, lambda use: context.emit(UseSeen(use=use)))
    return Trained(shlex.join(training.command), result, prepared.parameters(result, ()), training.environment)


def events_of(told: Sequence[MetricPoint | TrainingProgress]) -> Iterator[EventBody]:
    """What a training told, as events."""
    for seen in told:
        yield MetricSeen(point=seen) if isinstance(seen, MetricPoint) else ProgressSeen(progress=seen)


class _Preparation:
    """Turns the settings into trainings."""

    def __init__(self, context: StageContext, version: int, python: PythonEnvironment) -> None:
        self._context, self._version = context, version
        self._project, self._settings = context.project, context.project.settings
        self._python = Path(python.executable)
        self._cwd = working_folder(context.project)
        self._file = self._project.root / self._settings.train.parameters if self._settings.train.parameters else None
        self._read = parameter_files.read(self._file) if self._file else ()

    def training(self, folder: Path, varied: tuple[Parameter, ...], extra: Mapping[str, str] | None = None) -> Training:
        """One training in a folder of its own, with some parameters varied."""
        settings = self._settings.train
        given = folder / f"model{suffix_of(settings.model)}"
        environment = child_environment(self._python, **DRAWN, **(extra or {}))
        return Training(
            root=self._project.root,
            cwd=self._cwd,
            folder=folder,
            command=self._command(folder, given, varied),
            environment=environment,
            log_path=folder / "train.log" if varied else self._context.log_path("train"),
            given=given if self._takes_model() else None,
            pattern=settings.model,
            outputs=settings.outputs,
            executed=self._executed(folder),
            metric_files=settings.metrics,
            timeout=seconds(settings.timeout, "train.timeout"),
            memory=size_in_bytes(settings.memory, "train.memory"),
            alone=not varied or settings.jobs == 1,
        )

    def parameters(self, result: TrainResult, varied: tuple[Parameter, ...]) -> tuple[Parameter, ...]:
        """What the run was given, as it was varied, and what it told by itself."""
        found = {parameter.name: parameter for parameter in (*self._read, *varied, *result.parameters)}
        return tuple(found.values())

    def _takes_model(self) -> bool:
        template = self._settings.train.command
        if notebook.is_notebook(template) and "model" not in commands.placeholders(template):
            names = notebook.parameter_names(self._cwd / shlex.split(template)[0])
            return bool(notebook.passed(names, {"model": "given"}))
        return "model" in commands.placeholders(template)

    def _command(self, folder: Path, given: Path, varied: tuple[Parameter, ...]) -> tuple[str, ...]:
        template = self._settings.train.command
        wanted = commands.placeholders(template)
        by_file = tuple(parameter for parameter in varied if parameter.name not in wanted)
        params = self._file
        is_notebook = notebook.is_notebook(template)
        if self._file is not None and by_file and not is_notebook:
            params = folder / self._file.name
            parameter_files.write_varied(self._file, by_file, params)
        commit = self._context.known.repo.commit if self._context.known.repo else None
        values = {
            "data": self._from_cwd(self._settings.data.path),
            "model": str(given),
            "version": f"v{self._version}",
            "commit": commit.sha if commit else "",
            "params": os.path.relpath(params, self._cwd) if params else "",
            **{parameter.name: parameter.value for parameter in varied},
        }
        passed = {parameter.name: parameter.value for parameter in by_file} if is_notebook else {}
        executed = self._executed(folder)
        target = executed[1] if executed else None
        return commands.fill(template, values, self._python, cwd=self._cwd, executed=target, varied=passed)

    def _executed(self, folder: Path) -> tuple[str, Path] | None:
        """A notebook's name in the project, and where it goes with what its cells put out."""
        template = self._settings.train.command
        if not notebook.is_notebook(template):
            return None
        source = self._cwd / shlex.split(template)[0]
        return os.path.relpath(source, self._project.root), folder / source.name

    def _from_cwd(self, path: str) -> str:
        if not path or self._cwd == self._project.root or Path(path).is_absolute() or "://" in path:
            return path
        return os.path.relpath(self._project.root / path, self._cwd)


def suffix_of(pattern: str) -> str:
    """The ending of a model's file: that of the settings, where they say one."""
    suffix = Path(pattern).suffix
    return suffix if suffix[1:].isalnum() else ".pkl"


class _Sweep:
    """Runs one training for each combination, as many side by side as asked, and chooses the best."""

    def __init__(self, context: StageContext, version: int, python: PythonEnvironment) -> None:
        self._context = context
        settings = context.project.settings
        self._prepared = _Preparation(context, version, python)
        self._jobs = max(settings.train.jobs, 1)
        self._metric = settings.train.best or settings.quality.metric
        grid = sweep.grid(settings.train.sweep)
        self._runs = [SweepRun(number=place, parameters=varied) for place, varied in enumerate(grid, 1)]
        self._results: dict[int, tuple[Training, TrainResult]] = {}
        self._uses: dict[int, UseSample] = {}
        self._lock = threading.Lock()
        self._started = time.monotonic()
        self._used_at = self._started

    def run(self) -> Trained:
        """Run all, and return the best.

        Raises:
            Cancelled: it was cancelled; then all runs have ended.
            TrainingFailed: every run failed.
            SweepUnusable: the best can't be told.
        """
        from joblib import Parallel, delayed

        jobs = count(len(self._runs), "run")
        self._context.note(f"A sweep of {jobs}, {self._jobs} side by side; the best {self._metric} is the candidate.")
        Parallel(n_jobs=self._jobs, backend="threading")(delayed(self._one)(run) for run in self._runs)
        if self._context.cancelled.is_set():
            raise Cancelled(f"The sweep was cancelled after {duration(time.monotonic() - self._started)}.")
        if not self._results:
            first = next(run for run in self._runs if run.problem)
            raise TrainingFailed(f"All {jobs} of the sweep failed: {first.problem}", "Look in the log of the first.")
        best = msgspec.structs.replace(sweep.best_of(self._runs, self._metric), is_best=True)
        self._change(best)
        training, result = self._results[best.number]
        self._context.emit_all([MetricSeen(point=point) for point in result.metrics])
        self._clear_up(best.number)
        return Trained(
            shlex.join(training.command),
            result,
            self._prepared.parameters(result, best.parameters),
            training.environment,
            tuple(self._runs),
            self._metric,
        )

    def _one(self, run: SweepRun) -> None:
        if self._context.cancelled.is_set():
            self._change(msgspec.structs.replace(run, state="cancelled"))
            return
        began = told_at = time.monotonic()
        metrics: dict[str, MetricPoint] = {}
        progress: float | None = None

        def now(**changes: object) -> SweepRun:
            passed = round(time.monotonic() - began, 2)
            return msgspec.structs.replace(run, seconds=passed, metrics=tuple(metrics.values()), **changes)

        def report(told: Sequence[MetricPoint | TrainingProgress]) -> None:
            nonlocal told_at, progress
            metrics.update({seen.name: seen for seen in told if isinstance(seen, MetricPoint)})
            progress = next((seen.fraction for seen in reversed(told) if isinstance(seen, TrainingProgress)), progress)
            if time.monotonic() - told_at >= TELL_SECONDS:
                told_at = time.monotonic()
                self._change(now(state="running", progress=progress))

        try:
            folder = self._context.folder / "sweep" / str(run.number)
            extra = sweep.threads_of_each(self._jobs, os.environ)
            training = self._prepared.training(folder, run.parameters, extra)
            with self._lock:
                self._context.command(shlex.join(training.command), f"run {run.number} of the sweep")
            self._change(now(state="running"))
            result = train(training, report, self._context.cancelled, lambda use: self._use(run.number, use))
        except Cancelled:
            self._change(now(state="cancelled"))
        except Problem as problem:
            self._change(now(state="failed", problem=problem.sentence))
        else:
            with self._lock:
                self._results[run.number] = training, result
            metrics.update({point.name: point for point in result.metrics})
            self._change(now(state="done", score=sweep.score_of(result.metrics, self._metric)))
        finally:
            with self._lock:
                self._uses.pop(run.number, None)

    def _change(self, run: SweepRun) -> None:
        with self._lock:
            self._runs[run.number - 1] = run
            self._context.emit(SweepSeen(run=run, total=len(self._runs)))
            if run.state in ("done", "failed") and not run.is_best:
                with self._context.log_path("train").open("a", encoding="utf-8") as log:
                    log.write(f"{run.in_words(len(self._runs))}\n")

    def _use(self, number: int, use: UseSample) -> None:
        """Tell what all runs use together."""
        with self._lock:
            self._uses[number] = use
            if time.monotonic() - self._used_at < TELL_SECONDS:
                return
            self._used_at = time.monotonic()
            uses = list(self._uses.values())
            together = UseSample(
                seconds=round(time.monotonic() - self._started, 2),
                processors=sum(use.processors for use in uses),
                memory=sum(use.memory for use in uses),
                processes=sum(use.processes for use in uses),
                threads=sum(use.threads for use in uses),
                disk_read=sum(use.disk_read for use in uses),
                disk_written=sum(use.disk_written for use in uses),
                gpu=sum(busy) if (busy := [use.gpu for use in uses if use.gpu is not None]) else None,
                gpu_memory=sum(use.gpu_memory for use in uses),
            )
            self._context.emit(UseSeen(use=together))

    def _clear_up(self, best: int) -> None:
        """Remove the models of the other runs; their parameters, metrics and logs stay."""
        for place, (training, _) in self._results.items():
            if place != best and training.given is not None:
                remove(training.given)
