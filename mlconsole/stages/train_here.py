"""Training on this machine: the command of the settings once, or once for each combination of a sweep."""

from __future__ import annotations

import os
import shlex
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from mlconsole.errors import OutsideFailed
from mlconsole.evidence.release import UseSeen
from mlconsole.evidence.training import MetricPoint, Parameter, PythonEnvironment, SweepRun, TrainingProgress
from mlconsole.project import Project
from mlconsole.project.settings import seconds, size_in_bytes
from mlconsole.services.processes import child_environment
from mlconsole.services.training import command as commands
from mlconsole.services.training import notebook, sweep
from mlconsole.services.training import parameters as parameter_files
from mlconsole.services.training.files import remove
from mlconsole.services.training.run import Training, TrainResult, train
from mlconsole.stages.base import StageContext
from mlconsole.stages.train_sweep import Ran, Report, Sweep, check_sweep
from mlconsole.stages.trained import Trained, events_of, suffix_of
from mlconsole.stages.training_inputs import working_folder

KEPT = "kept"
"""In the folder of a sweep's run: copies of what it left where the next run leaves its own."""
DRAWN = {"TTY_COMPATIBLE": "1"}
"""Has rich draw its bars as they move, although nobody sees its terminal; other libraries do so by themselves."""


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
        check_sweep(project)


def forget(context: StageContext) -> None:
    """The model and its outputs are stored now: the copies of a sweep's runs are needed no more."""
    for kept in (context.folder / "sweep").glob(f"*/{KEPT}"):
        remove(kept)


def train_here(context: StageContext, version: int, python: PythonEnvironment) -> Trained:
    """Run the training, or the sweep, of the settings.

    Raises:
        Problem: as `run.train` says; of a sweep, only where no run of it is fit to be a candidate.
    """
    prepared = _Preparation(context, version, python)
    if context.project.settings.train.sweep:
        return Sweep(context, prepared.run_of).run()[0]
    training = prepared.training(context.folder, ())
    context.command(shlex.join(training.command))

    def report(told: Sequence[MetricPoint | TrainingProgress]) -> None:
        context.emit_all(list(events_of(told)))

    result = train(training, report, context.cancelled, lambda use: context.emit(UseSeen(use=use)))
    return Trained(shlex.join(training.command), result, prepared.parameters(result, ()), training.environment)


class _Preparation:
    """Turns the settings into trainings."""

    def __init__(self, context: StageContext, version: int, python: PythonEnvironment) -> None:
        self._context, self._version = context, version
        self._project, self._settings = context.project, context.project.settings
        self._environment, self._python = python, Path(python.executable)
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

    def run_of(self, of: Sweep, run: SweepRun, report: Report) -> Ran:
        """One run of a sweep."""
        settings, context = self._settings.train, self._context
        extra = sweep.threads_of_each(settings.jobs, os.environ)
        training = self.training(context.folder / "sweep" / str(run.number), run.parameters, extra)
        line = shlex.join(training.command)
        of.begins(run, line)
        result = train(training, report, context.cancelled, lambda use: of.use(run.number, use))
        result = _set_aside(result, training)

        def trained() -> tuple[Trained, PythonEnvironment]:
            parameters = self.parameters(result, run.parameters)
            return Trained(line, result, parameters, training.environment), self._environment

        return Ran(result.metrics, trained, lambda best: remove(training.given) if training.given else None)

    def parameters(self, result: TrainResult, varied: tuple[Parameter, ...]) -> tuple[Parameter, ...]:
        """What the run was given, as it was varied, and what it told by itself."""
        found = {parameter.name: parameter for parameter in (*self._read, *varied, *result.parameters)}
        return tuple(found.values())

    def _takes_model(self) -> bool:
        template = self._settings.train.command
        if notebook.is_notebook(template) and "model" not in commands.placeholders(template):
            return notebook.takes_model(template, self._cwd)
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


def _set_aside(result: TrainResult, training: Training) -> TrainResult:
    """What a run of a sweep left outside of its own folder, in a copy there: the next run overwrites it.

    Raises:
        SweepUnusable: a run beside it may have overwritten its model already.
        OutsideFailed: it can't be copied.
    """
    if result.found and not training.alone:
        sentence = f"The run left its model at {result.found} and not at {{model}}: others beside it may have, too."
        raise sweep.SweepUnusable(sentence, "Let train.command write to {model}, or take away `jobs` under [train].")
    remove(training.folder / KEPT)

    def aside(path: Path, number: int) -> Path:
        if path.is_relative_to(training.folder):
            return path
        target = training.folder / KEPT / str(number) / path.name
        target.parent.mkdir(parents=True)
        shutil.copytree(path, target, symlinks=True) if path.is_dir() else shutil.copy2(path, target)
        return target

    try:
        model = aside(result.model, 0)
        outputs = tuple((name, aside(path, number)) for number, (name, path) in enumerate(result.outputs, 1))
    except OSError as error:
        raise OutsideFailed(f"What the run left can't be kept: {error.strerror}.", "Make room on its disk.") from error
    return msgspec.structs.replace(result, model=model, outputs=outputs)
