"""Stage 3: what came out of training, and how?"""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

import msgspec

from mlconsole.errors import Problem
from mlconsole.evidence.base import Fingerprint, Input, Reason, Verdict, now
from mlconsole.evidence.release import StageRun, VersionMade
from mlconsole.evidence.training import ModelFile, ModelVersion, PythonEnvironment, TrainEvidence
from mlconsole.project import Project
from mlconsole.project.settings import size_in_bytes
from mlconsole.services.training import variables
from mlconsole.services.training.files import remove
from mlconsole.stages.already import is_unattended, source_digest, stop_where_released
from mlconsole.stages.base import Stage, StageContext, last_of_its_kind, model_store, needed
from mlconsole.stages.loading import loading_reasons, scanned
from mlconsole.stages.training_inputs import (
    PARAMETERS,
    command_template,
    manifest_line,
    project_python,
    training_inputs,
)
from mlconsole.text import count, listed

if TYPE_CHECKING:
    from mlconsole.services.training.run import TrainResult
    from mlconsole.stages.trained import Trained


def _trained(context: StageContext, number: int) -> tuple[Trained, PythonEnvironment]:
    """What came of the training, there or here, and the Python that it ran in."""
    if context.project.settings.train.on == "cluster":
        from mlconsole.stages.train_on_cluster import train_on_cluster

        return train_on_cluster(context, number)
    from mlconsole.stages.train_here import train_here

    environment = project_python(context.project)
    return train_here(context, number, environment), environment


def _forget(context: StageContext) -> None:
    """Remove what the training needed until its model was stored."""
    if context.project.settings.train.on == "cluster":
        from mlconsole.stages.train_on_cluster import forget
    else:
        from mlconsole.stages.train_here import forget
    forget(context)


def _parameter_words(context: StageContext, last: StageRun) -> str:
    """Which parameters are other ones than those of an earlier training; empty where that can't be told."""
    from mlconsole.services.training import parameters
    from mlconsole.services.triggers.parameters import changed_words

    settings, before = context.project.settings.train, last.evidence
    if not settings.parameters or settings.sweep or not isinstance(before, TrainEvidence):
        return ""
    try:
        found = parameters.read(context.project.root / settings.parameters)
    except Problem:
        return ""  # the training says what is wrong with them
    return changed_words(found, before.parameters) or f"{settings.parameters}, with the same values"


class TrainStage(Stage[TrainEvidence]):
    """Runs the project's own training command and makes what it wrote a version."""

    name = "train"

    def inputs(self, context: StageContext) -> tuple[Input, ...]:
        return training_inputs(context.project, context.known.data_identity)

    def why_it_runs(self, context: StageContext, fingerprint: Fingerprint) -> tuple[str, ...]:
        last = last_of_its_kind(context.journal, self.name, fingerprint)
        if last is None or last.fingerprint is None:
            return ()
        changed = fingerprint.changed_since(last.fingerprint)
        told = {PARAMETERS: _parameter_words(context, last)} if PARAMETERS in changed else {}
        return fingerprint.words_since(last.fingerprint, told)

    def check(self, project: Project) -> None:
        if not manifest_line(project):
            command_template(project)
        if project.settings.train.on == "cluster":
            from mlconsole.stages import train_on_cluster

            train_on_cluster.check(project)
        else:
            from mlconsole.stages import train_here

            train_here.check(project, project_python(project))

    def run(self, context: StageContext) -> TrainEvidence:
        project, settings = context.project, context.project.settings
        if is_unattended(needed(context.release)):
            stop_where_released(context, source_digest(context))
        number = self._next_number(context)
        trained, environment = _trained(context, number)
        store, result = model_store(project), trained.result
        model = store.adopt(result.model, result.model.name if result.found else result.model.stem)
        if result.model.is_relative_to(context.folder):
            remove(result.model)
        evidence = TrainEvidence(
            command=trained.command,
            environment=environment,
            parameters=trained.parameters,
            exit_code=result.child.exit_code,
            use=result.child.use,
            metrics=result.metrics,
            lines=result.child.lines,
            tail=result.child.tail,
            found=result.found,
            outputs=self._outputs(context, result),
            missing_outputs=result.missing,
            seed=variables.seed_of(trained.parameters, shlex.split(trained.command), trained.environment),
            variables=variables.kept(trained.environment),
            memory_limit=size_in_bytes(settings.train.memory, "train.memory") or 0,
            sweep=trained.sweep,
            best_by=trained.best_by,
        )
        evidence = scanned(evidence, store.path(model.digest))
        version = self._numbered(context, self._version(context, number, model, evidence))
        context.emit(VersionMade(version=version))
        _forget(context)
        return msgspec.structs.replace(evidence, version=version)

    def _outputs(self, context: StageContext, result: TrainResult) -> tuple[ModelFile, ...]:
        """Store what is kept beside the model, each file by its name in the project."""
        store = model_store(context.project)
        return tuple(msgspec.structs.replace(store.adopt(path), filename=name) for name, path in result.outputs)

    def _version(self, context: StageContext, number: int, model: ModelFile, evidence: TrainEvidence) -> ModelVersion:
        return ModelVersion(
            name=context.project.settings.name,
            number=number,
            model=model,
            release=needed(context.release).number,
            created_at=now(),
            commit=self._commit(context),
            data_digest=context.known.data_digest,
            source=source_digest(context),
            parameters=evidence.parameters,
            metrics=evidence.metrics,
            environment_digest=evidence.environment.digest,
            outputs=evidence.outputs,
        )

    def _next_number(self, context: StageContext) -> int:
        """The number that training is told; where a team shares a store, all that its machines made comes before it."""
        if not context.project.settings.store.url:
            return context.journal.next_version_number(context.project.settings.name)
        from mlconsole.stages.team import next_number

        return next_number(context.project, context.journal)

    def _numbered(self, context: StageContext, version: ModelVersion) -> ModelVersion:
        """The version with a number that no other machine gives to another one."""
        if not context.project.settings.store.url:
            return version
        from mlconsole.stages.team import number_version

        return number_version(context.project, version, needed(context.release).started_by, context.note)

    def _commit(self, context: StageContext) -> str:
        commit = needed(context.known.repo).commit
        return commit.sha if commit else ""

    def judge(self, context: StageContext, evidence: TrainEvidence) -> Verdict:
        reasons = [*loading_reasons(context, evidence)]
        if evidence.missing_outputs:
            sentence = f"Training wrote no {listed(list(evidence.missing_outputs))}: there is nothing to keep."
            reasons.append(Reason(level="warn", sentence=sentence, next_step="Check `outputs` under [train]."))
        failed = [run for run in evidence.sweep if run.state == "failed"]
        if failed:
            sentence = f"{count(len(failed), 'run')} of {len(evidence.sweep)} failed: {failed[0].problem}"
            reasons.append(Reason(level="warn", sentence=sentence))
        if not evidence.metrics:
            sentence = "Training printed no metric: only the tests can judge this model."
            reasons.append(Reason(level="warn", sentence=sentence, next_step="Print one, as in: mae=24.1"))
        return Verdict.of(reasons)

    def conclude(self, context: StageContext, evidence: TrainEvidence) -> None:
        version = needed(evidence.version)
        context.journal.add_version(version)
        context.journal.move_alias(version.name, "candidate", version.number, version.release)
