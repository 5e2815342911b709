"""Stage 2: is this data fit to train on, and is it new?"""

from __future__ import annotations

import time

from mlconsole.errors import WrongUse
from mlconsole.evidence.base import Input, Reason, Verdict
from mlconsole.evidence.data import DataEvidence, DataIdentity, DataProfile, DataSchema
from mlconsole.project import Project
from mlconsole.services.datasets import change, files, schema
from mlconsole.services.datasets.counting import count_violations
from mlconsole.services.datasets.profile import profile as profile_data
from mlconsole.stages.base import Stage, StageContext, digest_of_files


class DataNotNamed(WrongUse):
    """The project does not say which data it trains on, and none was found."""


def identify(project: Project) -> DataIdentity:
    """Tell which data the project has now; unchanged files are not read again.

    Raises:
        DataNotNamed: neither named nor found.
        DataMissing: named, but not there.
    """
    if not project.settings.data.path:
        raise DataNotNamed(
            "No training data was found.", 'Name it in mlconsole.toml: [data] path = "data/training.csv"'
        )
    return files.identify(project.root, project.settings.data.path, project.state / "digests.json")


def champion_profile(context: StageContext) -> DataProfile | None:
    """The profile of the data that the champion was trained on, where that is other data than today's."""
    champion = context.champion
    if champion is None or champion.data_digest == identify(context.project).digest:
        return None
    runs = context.journal.stage_runs(champion.release)
    evidence = next((run.evidence for run in runs if isinstance(run.evidence, DataEvidence)), None)
    return evidence.profile if evidence else None


class DataStage(Stage[DataEvidence]):
    """Profiles the data in one pass, checks it against the champion's schema and tells what is new."""

    name = "data"

    def inputs(self, context: StageContext) -> tuple[Input, ...]:
        identity = identify(context.project)
        data = context.project.settings.data
        checks = [context.project.root / data.checks] if data.checks else []
        champion = context.champion
        reference = "" if champion is None or champion.data_digest == identity.digest else champion.data_digest
        return (
            Input(name="data", digest=identity.digest),
            Input(name="target", digest=data.target),
            Input(name="checks", digest=digest_of_files(context.project.root, checks) if checks else ""),
            Input(name="champion's data", digest=reference),
        )

    def check(self, project: Project) -> None:
        identify(project)

    def run(self, context: StageContext) -> DataEvidence:
        started = time.monotonic()
        project = context.project
        identity = identify(project)
        context.note(f"Reading {project.settings.data.path}")
        profile = profile_data(project.root, identity, target=project.settings.data.target, cancelled=context.cancelled)
        reference = champion_profile(context)
        expected = self._schema(project, reference or profile)
        difference = None
        if reference is not None and context.champion is not None:
            difference = change.compare(project.root, profile, reference, context.champion.label)
        violations = schema.check(profile, expected)
        if violations:
            violations = count_violations(project.root, profile, expected, violations, cancelled=context.cancelled)
        return DataEvidence(
            profile=profile,
            schema=expected,
            violations=violations,
            change=difference,
            seconds=time.monotonic() - started,
        )

    def _schema(self, project: Project, learnt_from: DataProfile) -> DataSchema:
        checks = project.settings.data.checks
        return schema.read(project.root / checks) if checks else schema.learn(learnt_from)

    def judge(self, context: StageContext, evidence: DataEvidence) -> Verdict:
        return Verdict.of([Reason(level=broken.level, sentence=broken.sentence) for broken in evidence.violations])
