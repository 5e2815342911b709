"""Stage 2: is this data fit to train on, and is it new?"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from mlconsole.errors import WrongUse
from mlconsole.evidence.base import Input, Reason, Verdict, now
from mlconsole.evidence.data import (
    DataEvidence,
    DataIdentity,
    DataProfile,
    DataReference,
    DataSchema,
    Dialect,
    DriftReport,
    Violation,
)
from mlconsole.evidence.training import ModelVersion
from mlconsole.journal import Journal
from mlconsole.project import Project
from mlconsole.project.settings import SettingsInvalid
from mlconsole.services.datasets import change, dvc, files, schema
from mlconsole.services.datasets.counting import count_violations, needs_rows
from mlconsole.services.datasets.faults import DataChanged
from mlconsole.services.datasets.profile import Survey, survey, survey_appended
from mlconsole.stages.base import Stage, StageContext, digest_of, digest_of_files, needed
from mlconsole.text import count, listed


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
    return files.identify(project.root, project.settings.data.path, _cache(project), dialect=_dialect(project))


def _dialect(project: Project) -> Dialect | None:
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


def _cache(project: Project) -> Path:
    return project.state / "digests.json"


def _data_path(project: Project) -> Path:
    return project.root / Path(project.settings.data.path).expanduser()


def champion_evidence(context: StageContext) -> DataEvidence | None:
    """What is known of the data that the champion was trained on, where that is other data than today's."""
    champion = context.champion
    if champion is None or champion.data_digest == identify(context.project).digest:
        return None
    return evidence_of(context.journal, champion)


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


def broken_rules(
    project: Project, profile: DataProfile, expected: DataSchema, cancelled: threading.Event | None = None
) -> tuple[Violation, ...]:
    """Hold the data against a schema; the rows are only read again where the profile can't tell."""
    found = schema.check(profile, expected)
    if not found and not needs_rows(profile, expected):
        return ()
    return count_violations(project.root, profile, expected, found, cancelled=cancelled)


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
        identity = identify(context.project)
        data = context.project.settings.data
        root = context.project.root
        checks = [root / data.checks] if data.checks else []
        champion = context.champion
        reference = "" if champion is None or champion.data_digest == identity.digest else champion.data_digest
        return (
            Input(name="data", digest=identity.digest),
            Input(name="target", digest=data.target),
            Input(name="checks", digest=digest_of_files(root, checks) if checks else ""),
            *_today(checks),
            Input(name="champion's data", digest=reference),
            Input(name="data settings", digest=digest_of(data.drift, *data.key, *_words_of(identity.dialect))),
            Input(
                name="DVC pointers", digest=digest_of_files(root, dvc.pointer_files(root, _data_path(context.project)))
            ),
        )

    def check(self, project: Project) -> None:
        identify(project)

    def run(self, context: StageContext) -> DataEvidence:
        from mlconsole.services.datasets import distributions

        started = time.monotonic()
        project, settings = context.project, context.project.settings.data
        identity = _as_fingerprinted(context, identify(project))
        context.note(f"Reading {settings.path}")
        found = survey(project.root, identity, target=settings.target, cancelled=context.cancelled)
        champion = champion_evidence(context)
        expected = expected_of(project, champion.profile if champion else found.profile)
        violations = broken_rules(project, found.profile, expected, context.cancelled)
        evidence = DataEvidence(
            profile=found.profile,
            schema=expected,
            violations=violations,
            reference=distributions.reference_of(found.distributions, settings.key),
            pointers=dvc.pointers(project.root, _data_path(project), _cache(project), cancelled=context.cancelled),
        )
        if champion is not None:
            evidence = self._compared(context, evidence, found, champion)
        elif context.champion is not None and not context.champion.data_digest:
            note = f"{context.champion.label} serves, and was imported without its data: nothing is compared with it."
            evidence = msgspec.structs.replace(evidence, notes=(note,))
        if settings.key:
            evidence = self._by_key(context, evidence, champion)
        return msgspec.structs.replace(evidence, seconds=time.monotonic() - started)

    def _compared(
        self, context: StageContext, evidence: DataEvidence, found: Survey, champion: DataEvidence
    ) -> DataEvidence:
        """Add what differs from the champion's data."""
        root, label = context.project.root, needed(context.champion).label
        starts = change.appended_from(
            root, found.profile.identity, champion.profile.identity, cancelled=context.cancelled
        )
        return msgspec.structs.replace(
            evidence,
            change=change.compare(found.profile, champion.profile, label, only_added=starts is not None),
            drift=self._drift(context, found, champion.reference, starts),
            notes=()
            if champion.reference
            else (f"The distributions of {label}'s data are not known: no drift is told.",),
        )

    def _drift(
        self, context: StageContext, found: Survey, reference: DataReference | None, starts: dict[str, int] | None
    ) -> tuple[DriftReport, ...]:
        """Compare all rows with the champion's, and where rows were only appended, these alone as well."""
        if reference is None:
            return ()
        from mlconsole.services.datasets import drift

        label = needed(context.champion).label
        reports = [drift.compare(reference, found.distributions, label=label)]
        if starts:
            appended = survey_appended(context.project.root, found, starts, cancelled=context.cancelled)
            reports.append(drift.compare(reference, appended, label=label, part="new rows"))
        return tuple(reports)

    def _by_key(self, context: StageContext, evidence: DataEvidence, champion: DataEvidence | None) -> DataEvidence:
        """Add which rows came, went or changed, and keep today's for the next time."""
        from mlconsole.services.datasets import keys

        project, key = context.project, context.project.settings.data.key
        folder, identity = project.state / "rows", evidence.profile.identity
        if evidence.profile.rows > keys.MOST_ROWS:
            note = f"Rows are compared by their key up to {count(keys.MOST_ROWS, 'row')}: there are more."
            return msgspec.structs.replace(evidence, notes=(*evidence.notes, note))
        rows = keys.read_rows(project.root, identity, key, cancelled=context.cancelled)
        keys.save(folder, identity.digest, key, rows)
        if rows.repeated:
            sentence = f"The key {listed(key)} is not of one row only: {count(rows.repeated, 'row')} repeat it."
            repeats = Violation(rule="key", column=", ".join(key), sentence=sentence, level="warn", count=rows.repeated)
            evidence = msgspec.structs.replace(evidence, violations=(*evidence.violations, repeats))
        if champion is None or evidence.change is None:
            return evidence
        before = keys.load(folder, champion.profile.identity.digest, key)
        if before is None:
            note = f"The rows of {evidence.change.reference} are not kept here: none are compared by their key."
            return msgspec.structs.replace(evidence, notes=(*evidence.notes, note))
        found = msgspec.structs.replace(evidence.change, keys=keys.compare(before, rows, key))
        return msgspec.structs.replace(evidence, change=found)

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
