"""Stage 2: is this data fit to train on, and is it new?"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from mlconsole.errors import WrongUse
from mlconsole.evidence.base import Input, Reason, Verdict, now
from mlconsole.evidence.data import (
    DataEvidence,
    DataIdentity,
    DataProfile,
    DataSchema,
    Dialect,
    DriftReport,
)
from mlconsole.evidence.training import ModelVersion
from mlconsole.journal import Journal
from mlconsole.project import Project
from mlconsole.project.settings import SettingsInvalid
from mlconsole.services.datasets import dvc, files, schema
from mlconsole.services.datasets.faults import DataChanged
from mlconsole.stages.base import Stage, StageContext, digest_of, input_of_files, needed
from mlconsole.stages.training_inputs import data_input
from mlconsole.text import listed

if TYPE_CHECKING:
    from mlconsole.services.datasets.examine import Asked


class DataNotNamed(WrongUse):
    """The project does not say which data it trains on, and none was found."""


def identify(project: Project) -> DataIdentity:
    """Tell which data the project has now; unchanged files are not read again.

    Raises:
        DataNotNamed: neither named nor found.
        DataMissing: named, but not there.
    """
    if not project.settings.data.path:
        asked = project.asked("data.path")
        raise DataNotNamed(asked.sentence, asked.next_step)
    return files.identify(project.root, project.settings.data.path, digest_cache(project), dialect=dialect_of(project))


def dialect_of(project: Project) -> Dialect | None:
    """What the settings say of how text tables are written; None where they say nothing.

    Raises:
        SettingsInvalid: a delimiter or quotation mark is more than one character.
    """
    data = project.settings.data
    for key, mark in (("delimiter", data.delimiter), ("quote", data.quote)):
        if len(mark.encode()) > 1 or (key == "quote" and not mark):
            raise SettingsInvalid(f"data.{key} has to be one character of ASCII, not {mark!r}.", "Mend the value.")
    found = Dialect(delimiter=data.delimiter, quote=data.quote, encoding=data.encoding)
    return found if found != Dialect() else None


def _words_of(dialect: Dialect | None) -> tuple[str, ...]:
    return () if dialect is None else (dialect.delimiter, dialect.quote, dialect.encoding)


def _place_of(project: Project) -> tuple[str, ...]:
    data = project.settings.data
    return () if data.on == "local" else (data.on, data.image or project.settings.train.image)


def digest_cache(project: Project) -> Path:
    """The file that remembers digests of data files."""
    return project.state / "digests.json"


def _data_path(project: Project) -> Path:
    return project.root / Path(project.settings.data.path).expanduser()


def is_elsewhere(project: Project) -> bool:
    """Whether the data is where only pods of the cluster are: then it is not known here what it is."""
    return project.settings.data.on == "cluster" and bool(project.settings.train.data_uri)


def _asked(context: StageContext) -> Asked:
    """What the settings and the champion make of interest in the data."""
    from mlconsole.services.datasets.examine import Asked, Champion

    project, data, champion = context.project, context.project.settings.data, context.champion
    before = evidence_of(context.journal, champion) if champion is not None else None
    return Asked(
        path=data.path,
        target=data.target,
        key=data.key,
        dialect=dialect_of(project),
        expected=schema.read(project.root / data.checks) if data.checks else None,
        champion=Champion(label=champion.label, evidence=before) if champion is not None and before else None,
    )


def evidence_of(journal: Journal, version: ModelVersion) -> DataEvidence | None:
    """What is known of the data that a version was trained on."""
    runs = journal.stage_runs(version.release)
    return next((run.evidence for run in runs if isinstance(run.evidence, DataEvidence)), None)


def expected_of(project: Project, good: DataProfile) -> DataSchema:
    """The schema that people keep, or the one learnt from data that was good.

    Raises:
        SchemaUnfit: the file can't be used.
    """
    checks = project.settings.data.checks
    return schema.read(project.root / checks) if checks else schema.learn(good)


def _as_fingerprinted(context: StageContext, identity: DataIdentity) -> DataIdentity:
    """The data's identity, which has to be the one that the stage's fingerprint says.

    Else later data that is what this was a moment ago would be given this one's evidence.

    Raises:
        DataChanged: somebody wrote to it since.
    """
    runs = context.journal.stage_runs(needed(context.release).number)
    begun = [run.fingerprint for run in runs if run.stage == "data" and run.state == "running" and run.fingerprint]
    if any(entry.name == "data" and entry.digest != identity.digest for found in begun for entry in found.inputs):
        raise DataChanged("The data changed while it was read.", "Wait until it is written whole, then try again.")
    return identity


class DataStage(Stage[DataEvidence]):
    """Profiles the data in one pass, checks it against the champion's schema and tells what is new."""

    name = "data"
    compared_by = "champion's data"

    def inputs(self, context: StageContext) -> tuple[Input, ...]:
        project, data, root = context.project, context.project.settings.data, context.project.root
        checks = [root / data.checks] if data.checks else []
        if is_elsewhere(project):
            from mlconsole.stages.data_on_cluster import seen_from_here

            dialect, data_now = dialect_of(project), Input(name="data", digest=seen_from_here(context))
        else:
            identity = identify(project)
            dialect, data_now = identity.dialect, data_input(identity)
        champion = context.champion
        reference = "" if champion is None or champion.data_digest == data_now.digest else champion.data_digest
        return (
            data_now,
            Input(name="target", digest=data.target),
            input_of_files("checks", root, checks) if checks else Input(name="checks", digest=""),
            *_today(checks),
            Input(name="champion's data", digest=reference),
            Input(
                name="data settings", digest=digest_of(data.drift, *data.key, *_words_of(dialect), *_place_of(project))
            ),
            input_of_files("DVC pointers", root, dvc.pointer_files(root, _data_path(project))),
        )

    def check(self, project: Project) -> None:
        if project.settings.data.on == "cluster":
            from mlconsole.stages import data_on_cluster

            data_on_cluster.check(project)
        if not is_elsewhere(project):
            identify(project)

    def run(self, context: StageContext) -> DataEvidence:
        project, settings = context.project, context.project.settings.data
        identity = None if is_elsewhere(project) else _as_fingerprinted(context, identify(project))
        context.note(f"Reading {settings.path}")
        asked = _asked(context)
        if settings.on == "cluster":
            from mlconsole.stages.data_on_cluster import examine_there

            evidence = examine_there(context, asked, identity)
        else:
            from mlconsole.services.datasets.examine import examine

            evidence = examine(
                project.root, asked, needed(identity), rows=project.state / "rows", cancelled=context.cancelled
            )
        if identity is None:
            return evidence
        pointers = dvc.pointers(project.root, _data_path(project), digest_cache(project), cancelled=context.cancelled)
        return msgspec.structs.replace(evidence, pointers=pointers)

    def judge(self, context: StageContext, evidence: DataEvidence) -> Verdict:
        may_fail = context.project.settings.data.drift == "fail"
        broken = [Reason(level=broken.level, sentence=broken.sentence) for broken in evidence.violations]
        broken += [
            Reason(
                level="warn", sentence=pointer.sentence, next_step=f"dvc pull {pointer.path}, or dvc add {pointer.path}"
            )
            for pointer in evidence.pointers
            if pointer.matches is False
        ]
        return Verdict.of([*broken, *drift_reasons(evidence.drift, needed(context.release).number, may_fail=may_fail)])


def _today(checks: Iterable[Path]) -> Iterator[Input]:
    """The date, where a rule is about the age of the data: what was new enough yesterday need not be today."""
    if any(b"maximum_age_days" in path.read_bytes() for path in checks):
        yield Input(name="today's date", digest=now().date().isoformat())


def drift_reasons(reports: Iterable[DriftReport], release: int, *, may_fail: bool) -> Iterator[Reason]:
    """One reason a report, not one a column: new data does drift, and that is why a model is trained again."""
    for report in reports:
        columns = report.columns_at("warn", "fail")
        if not columns:
            continue
        far = report.columns_at("fail")
        what = "All rows together" if report.part == "all rows" else "The new rows alone"
        strongly = f" ({listed(far)} strongly)" if far and len(far) < len(columns) else ", strongly" if far else ""
        sentence = f"{what} drift from the data of {report.reference} in {listed(columns, 5)}{strongly}."
        yield Reason(
            level="fail" if may_fail and far else "warn",
            sentence=sentence,
            next_step=f"mlconsole show {release} --stage data",
        )
