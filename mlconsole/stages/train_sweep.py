"""A sweep: a training for each combination of values, here or on the cluster, and the best of them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence

import msgspec

from mlconsole.errors import Cancelled, Problem
from mlconsole.evidence.release import MetricSeen, SweepSeen, UseSeen
from mlconsole.evidence.training import MetricPoint, PythonEnvironment, SweepRun, TrainingProgress, UseSample
from mlconsole.project import Project
from mlconsole.services.training import command as commands
from mlconsole.services.training import notebook, sweep
from mlconsole.services.training.run import TrainingFailed, TrainResult
from mlconsole.stages.base import StageContext
from mlconsole.stages.trained import Trained
from mlconsole.stages.training_inputs import working_folder
from mlconsole.text import count, duration

TELL_SECONDS = 1.0
"""Runs of a sweep tell how far they are this often; that they began or ended, at once."""

Report = Callable[[Sequence[MetricPoint | TrainingProgress]], None]
"""Takes what a run told since it was last called."""


class Ran(msgspec.Struct, frozen=True):
    """A run that ended well.

    `trained` says what came of it, and is only asked of the best; `drop` is called for the others with what came of
    the best: their models go, their parameters, metrics and logs stay.
    """

    metrics: tuple[MetricPoint, ...]
    trained: Callable[[], tuple[Trained, PythonEnvironment]]
    drop: Callable[[TrainResult], None]


def check_sweep(project: Project) -> None:
    """Look for what would stop a sweep.

    Raises:
        SweepUnusable: see there.
    """
    settings = project.settings.train
    sweep.grid(settings.sweep)
    wanted = commands.placeholders(settings.command)
    is_notebook = notebook.is_notebook(settings.command)
    if is_notebook and not notebook.takes_model(settings.command, working_folder(project)):
        hint = 'Let it take the model\'s path: model_path = "" in a cell with the tag `parameters`.'
        raise sweep.SweepUnusable("The runs of the notebook would overwrite each other's model.", hint)
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


class Sweep:
    """Runs one training for each combination, as many side by side as asked, and chooses the best.

    Args:
        context: of the stage.
        one: runs one of them; it is called in threads, and says by `begins` what it runs.
    """

    def __init__(self, context: StageContext, one: Callable[[Sweep, SweepRun, Report], Ran]) -> None:
        self._context, self._run_one = context, one
        settings = context.project.settings
        self._jobs = max(settings.train.jobs, 1)
        self._metric = settings.train.best or settings.quality.metric
        grid = sweep.grid(settings.train.sweep)
        self._runs = [SweepRun(number=place, parameters=varied) for place, varied in enumerate(grid, 1)]
        self._results: dict[int, Ran] = {}
        self._uses: dict[int, UseSample] = {}
        self._lock = threading.Lock()
        self._started = time.monotonic()
        self._used_at = self._started

    def run(self) -> tuple[Trained, PythonEnvironment]:
        """Run all, and return the best with the Python that it ran in.

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
        trained, python = self._results[best.number].trained()
        self._context.emit_all([MetricSeen(point=point) for point in trained.result.metrics])
        for number, ran in self._results.items():
            if number != best.number:
                ran.drop(trained.result)
        return msgspec.structs.replace(trained, sweep=tuple(self._runs), best_by=self._metric), python

    def begins(self, run: SweepRun, command: str) -> None:
        """Tell that a run begins, and by which command."""
        with self._lock:
            self._context.command(command, f"run {run.number} of the sweep")
        self._change(msgspec.structs.replace(run, state="running"))

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
            ran = self._run_one(self, run, report)
        except Cancelled:
            self._change(now(state="cancelled"))
        except Problem as problem:
            self._change(now(state="failed", problem=problem.sentence))
        else:
            with self._lock:
                self._results[run.number] = ran
            metrics.update({point.name: point for point in ran.metrics})
            self._change(now(state="done", score=sweep.score_of(ran.metrics, self._metric)))
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

    def use(self, number: int, use: UseSample) -> None:
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
