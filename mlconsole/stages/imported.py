"""The stages of a release whose model was not trained here, but imported: what is not known of it is said."""

from __future__ import annotations

from typing import Any

from mlconsole.errors import Problem
from mlconsole.evidence.base import Input, Reason, StageName, Verdict
from mlconsole.evidence.data import DataEvidence
from mlconsole.evidence.release import VersionMade
from mlconsole.evidence.training import ModelVersion, PythonEnvironment, ResourceUse, TrainEvidence
from mlconsole.project import Project
from mlconsole.stages import stage_of
from mlconsole.stages.base import LeftOut, Stage, StageContext, digest_of, model_store, needed
from mlconsole.stages.data import identify
from mlconsole.stages.loading import loading_reasons, scanned
from mlconsole.text import listed


def stage_of_imported(name: StageName, version: ModelVersion, project: Project) -> Stage[Any]:
    """The stage of that name in a release of an imported version: training is replaced, and data that is not known."""
    if name == "train":
        return ImportedTrain(version)
    if name == "data" and not _has_its_data(project, version):
        return UnknownData(version)
    return stage_of(name)


def _has_its_data(project: Project, version: ModelVersion) -> bool:
    try:
        return bool(version.data_digest) and identify(project).digest == version.data_digest
    except Problem:
        return False


def unknown_words(version: ModelVersion) -> str:
    """Say what is not known of an imported version."""
    known = {"data": version.data_digest, "commit": version.commit, "packages": version.environment_digest}
    unknown = [f"its {part}" for part, digest in known.items() if not digest]
    what = f"; {listed(unknown)} {'are' if unknown != ['its commit'] else 'is'} not known" if unknown else ""
    return f"{version.label} was imported from {version.origin}{what}."


class UnknownData(Stage[DataEvidence]):
    """In the place of Data, where the version was trained on data that this project does not have."""

    name = "data"

    def __init__(self, version: ModelVersion) -> None:
        self._version = version

    def inputs(self, context: StageContext) -> tuple[Input, ...]:
        raise LeftOut(
            f"Which data {self._version.label} was trained on is not known: it was imported."
            if not self._version.data_digest
            else f"{self._version.label} was trained on other data than this project's: it was imported.",
            "Neither the data nor its drift were looked at.",
        )

    def run(self, context: StageContext) -> DataEvidence:
        raise AssertionError("a stage without inputs was run")

    def judge(self, context: StageContext, evidence: DataEvidence) -> Verdict:
        raise AssertionError("a stage without inputs was judged")


class ImportedTrain(Stage[TrainEvidence]):
    """In the place of Train: the stored model is read and scanned again, and becomes the candidate."""

    name = "train"

    def __init__(self, version: ModelVersion) -> None:
        self._version = version

    def inputs(self, context: StageContext) -> tuple[Input, ...]:
        version = self._version
        trusted = context.project.settings.train.trusted
        return (
            Input(name="imported version", digest=f"{version.label} {version.model.digest}"),
            Input(name="trusted packages", digest=digest_of(*trusted)),
        )

    def run(self, context: StageContext) -> TrainEvidence:
        version, store = self._version, model_store(context.project)
        store.verify(version.model)
        reference = version.origin.partition(" of ")[0]
        evidence = TrainEvidence(
            command=f"mlconsole models import mlflow {reference}",
            environment=PythonEnvironment(
                executable="", version="", digest=version.environment_digest, found="elsewhere"
            ),
            parameters=version.parameters,
            exit_code=0,
            use=ResourceUse(seconds=0),
            metrics=version.metrics,
            version=version,
        )
        context.emit(VersionMade(version=version))
        return scanned(evidence, store.path(version.model.digest))

    def judge(self, context: StageContext, evidence: TrainEvidence) -> Verdict:
        said = Reason(level="warn", sentence=unknown_words(self._version))
        return Verdict.of([*loading_reasons(context, evidence), said])

    def conclude(self, context: StageContext, evidence: TrainEvidence) -> None:
        name, number = self._version.name, self._version.number
        candidate = context.journal.alias(name, "candidate")
        if candidate is None or candidate.number != number:
            context.journal.move_alias(name, "candidate", number, needed(context.release).number)
