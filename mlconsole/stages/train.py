"""Stage 3: what came out of training, and how?"""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import msgspec

from mlconsole.errors import WrongUse
from mlconsole.evidence.base import Input, Reason, Verdict, now
from mlconsole.evidence.release import MetricSeen, ProgressSeen, UseSeen, VersionMade
from mlconsole.evidence.training import (
    MetricPoint,
    ModelFile,
    ModelVersion,
    PythonEnvironment,
    TrainEvidence,
    TrainingProgress,
)
from mlconsole.project import Project
from mlconsole.project.settings import seconds
from mlconsole.services.models import scan
from mlconsole.services.processes import child_environment
from mlconsole.services.training import command as commands
from mlconsole.services.training import parameters as parameter_files
from mlconsole.services.training.environment import find_python
from mlconsole.services.training.run import train
from mlconsole.stages.base import Stage, StageContext, digest_of_files, model_store, needed
from mlconsole.text import listed


class CommandNotNamed(WrongUse):
    """The project does not say how it trains, and no training script was found."""


def project_python(project: Project) -> PythonEnvironment:
    """The Python that the project's own code runs in."""
    return find_python(project.root, project.settings.python)


def command_template(project: Project) -> str:
    """The training command of the settings, with its placeholders.

    Raises:
        CommandNotNamed: there is none, or it has no place for the model's path.
    """
    template = project.settings.train.command
    if not template:
        hint = 'Name it in mlconsole.toml: [train] command = "python train_model.py --data {data} --output {model}"'
        raise CommandNotNamed("No training script was found.", hint)
    if "{model}" not in template:
        raise CommandNotNamed("train.command does not say where the model goes.", "Put {model} where its path belongs.")
    try:
        shlex.split(template)
    except ValueError as error:
        raise CommandNotNamed(f"train.command can't be split into words: {error}.", "Mend its quotes.") from error
    return template


def _scanned(evidence: TrainEvidence, model: Path) -> TrainEvidence:
    """Add what loading the model file would import, found without loading it."""
    try:
        names = scan.imports(model)
        dangerous = scan.dangerous(names)
        unknown = tuple(name for name in scan.unknown(names) if name not in dangerous)
        return msgspec.structs.replace(evidence, dangerous=dangerous, unknown_imports=unknown)
    except scan.ScanFailed as problem:
        return msgspec.structs.replace(evidence, not_scanned=problem.sentence)


def _unknown_reasons(names: tuple[str, ...], trusted: tuple[str, ...]) -> list[Reason]:
    """A warning where loading the model imports what is neither usual nor trusted."""
    foreign = scan.unknown(names, trusted)
    if not foreign:
        return []
    packages = ", ".join(json.dumps(name) for name in dict.fromkeys(name.partition(".")[0] for name in foreign))
    sentence = f"Loading this model imports {listed(foreign)}, of no package that models are usually made of."
    hint = f"If you trust it, say so: [train] trusted = [{packages}]"
    return [Reason(level="warn", sentence=sentence, next_step=hint)]


class TrainStage(Stage[TrainEvidence]):
    """Runs the project's own training command and makes what it wrote a version."""

    name = "train"

    def inputs(self, context: StageContext) -> tuple[Input, ...]:
        project = context.project
        template = command_template(project)
        parameters = [project.root / name for name in [project.settings.train.parameters] if name]
        return (
            Input(name="data", digest=context.known.data_digest),
            Input(name="command", digest=template),
            Input(name="parameters", digest=digest_of_files(project.root, parameters)),
            Input(
                name="training code",
                digest=digest_of_files(project.root, commands.sources(project.root, shlex.split(template))),
            ),
            Input(name="Python environment", digest=project_python(project).digest),
            Input(name="model name", digest=project.settings.name),
        )

    def check(self, project: Project) -> None:
        command_template(project)
        project_python(project)

    def run(self, context: StageContext) -> TrainEvidence:
        project, settings = context.project, context.project.settings
        environment = project_python(project)
        python = Path(environment.executable)
        number = context.journal.next_version_number(settings.name)
        model_path = context.folder / "model.pkl"
        command = commands.fill(
            command_template(project),
            data=settings.data.path,
            model=model_path,
            version=f"v{number}",
            commit=self._commit(context),
            python=python,
            params=settings.train.parameters,
        )
        context.command(shlex.join(command))
        parameters = parameter_files.read(project.root / settings.train.parameters) if settings.train.parameters else ()

        def report(seen: MetricPoint | TrainingProgress) -> None:
            context.emit(MetricSeen(point=seen) if isinstance(seen, MetricPoint) else ProgressSeen(progress=seen))

        trained = train(
            root=project.root,
            command=command,
            model_path=model_path,
            environment=child_environment(python),
            log_path=context.log_path("train"),
            report=report,
            cancelled=context.cancelled,
            timeout=seconds(settings.train.timeout, "train.timeout"),
            on_sample=lambda use: context.emit(UseSeen(use=use)),
        )
        model = model_store(project).adopt(model_path)
        model_path.unlink(missing_ok=True)
        evidence = TrainEvidence(
            command=shlex.join(command),
            environment=environment,
            parameters=parameters,
            exit_code=trained.child.exit_code,
            use=trained.child.use,
            metrics=trained.metrics,
            lines=trained.child.lines,
            tail=trained.child.tail,
        )
        evidence = _scanned(evidence, model_store(project).path(model.digest))
        version = self._version(context, number, model, evidence)
        context.emit(VersionMade(version=version))
        return msgspec.structs.replace(evidence, version=version)

    def _version(self, context: StageContext, number: int, model: ModelFile, evidence: TrainEvidence) -> ModelVersion:
        return ModelVersion(
            name=context.project.settings.name,
            number=number,
            model=model,
            release=needed(context.release).number,
            created_at=now(),
            commit=self._commit(context),
            data_digest=context.known.data_digest,
            parameters=evidence.parameters,
            metrics=evidence.metrics,
            environment_digest=evidence.environment.digest,
        )

    def _commit(self, context: StageContext) -> str:
        commit = needed(context.known.repo).commit
        return commit.sha if commit else ""

    def judge(self, context: StageContext, evidence: TrainEvidence) -> Verdict:
        reasons = []
        if evidence.dangerous:
            names = listed(list(evidence.dangerous))
            sentence = f"Loading this model would import {names}: no model needs that."
            reasons.append(
                Reason(level="fail", sentence=sentence, next_step="Find out what wrote it before anyone loads it.")
            )
        if evidence.unknown_imports:
            reasons += _unknown_reasons(evidence.unknown_imports, context.project.settings.train.trusted)
        if evidence.not_scanned:
            reasons.append(Reason(level="warn", sentence=f"Nobody knows what loading it runs: {evidence.not_scanned}"))
        if not evidence.metrics:
            sentence = "Training printed no metric: only the tests can judge this model."
            reasons.append(Reason(level="warn", sentence=sentence, next_step="Print one, as in: mae=24.1"))
        return Verdict.of(reasons)

    def conclude(self, context: StageContext, evidence: TrainEvidence) -> None:
        version = needed(evidence.version)
        context.journal.add_version(version)
        context.journal.move_alias(version.name, "candidate", version.number, version.release)
