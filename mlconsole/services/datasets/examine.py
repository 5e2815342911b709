"""All that a release asks of its data, in one piece: it is done here, or by a pod beside the data."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from mlconsole.evidence.base import Record
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
from mlconsole.services.datasets import change, schema
from mlconsole.services.datasets.counting import count_violations, needs_rows
from mlconsole.services.datasets.profile import Survey, survey, survey_appended
from mlconsole.text import count, listed


class Champion(Record, frozen=True, kw_only=True):
    """What is known of the data that the champion was trained on; `label` is the champion's."""

    label: str
    evidence: DataEvidence


class Asked(Record, frozen=True, kw_only=True):
    """What is to be known of data.

    Attributes:
        path: file, folder or glob, relative to the project.
        target: the column to be predicted.
        key: columns that identify a row.
        dialect: how text tables are written, where the settings say so.
        expected: the schema that people keep; None: the one learnt from the champion's data, or from this.
        champion: None: there is none.
    """

    path: str
    target: str = ""
    key: tuple[str, ...] = ()
    dialect: Dialect | None = None
    expected: DataSchema | None = None
    champion: Champion | None = None


def examine(
    root: Path,
    asked: Asked,
    identity: DataIdentity,
    *,
    rows: Path | None = None,
    report: Callable[[int], None] = lambda done: None,
    cancelled: threading.Event | None = None,
) -> DataEvidence:
    """Read data once and tell what is known of it.

    Args:
        root: the folder that `asked.path` is relative to.
        asked: see there.
        identity: the files, as `files.identify` gives them.
        rows: where the rows of data are kept by their keys; None: they are not compared.
        report: gets the number of bytes read so far, of `identity.size`.
        cancelled: ends the work.

    Raises:
        Problem: as `profile.profile` says.
    """
    from mlconsole.services.datasets import distributions

    started = time.monotonic()
    found = survey(root, identity, target=asked.target, report=report, cancelled=cancelled)
    champion = asked.champion
    if champion is not None and champion.evidence.profile.identity.digest == identity.digest:
        champion = None
    expected = asked.expected or schema.learn(champion.evidence.profile if champion else found.profile)
    evidence = DataEvidence(
        profile=found.profile,
        schema=expected,
        violations=broken_rules(root, found.profile, expected, cancelled),
        reference=distributions.reference_of(found.distributions, asked.key),
    )
    if champion is not None:
        evidence = _compared(root, evidence, found, champion, cancelled)
    if asked.key:
        evidence = _by_key(root, evidence, asked.key, champion, rows, cancelled)
    return msgspec.structs.replace(evidence, seconds=time.monotonic() - started)


def broken_rules(
    root: Path, profile: DataProfile, expected: DataSchema, cancelled: threading.Event | None = None
) -> tuple[Violation, ...]:
    """Hold the data against a schema; the rows are only read again where the profile can't tell."""
    found = schema.check(profile, expected)
    if not found and not needs_rows(profile, expected):
        return ()
    return count_violations(root, profile, expected, found, cancelled=cancelled)


def _compared(
    root: Path, evidence: DataEvidence, found: Survey, champion: Champion, cancelled: threading.Event | None
) -> DataEvidence:
    """Add what differs from the champion's data."""
    label, before = champion.label, champion.evidence
    starts = change.appended_from(root, found.profile.identity, before.profile.identity, cancelled=cancelled)
    return msgspec.structs.replace(
        evidence,
        change=change.compare(found.profile, before.profile, label, only_added=starts is not None),
        drift=_drift(root, found, before.reference, label, starts, cancelled),
        notes=() if before.reference else (f"The distributions of {label}'s data are not known: no drift is told.",),
    )


def _drift(
    root: Path,
    found: Survey,
    reference: DataReference | None,
    label: str,
    starts: dict[str, int] | None,
    cancelled: threading.Event | None,
) -> tuple[DriftReport, ...]:
    """Compare all rows with the champion's, and where rows were only appended, these alone as well."""
    if reference is None:
        return ()
    from mlconsole.services.datasets import drift

    reports = [drift.compare(reference, found.distributions, label=label)]
    if starts:
        appended = survey_appended(root, found, starts, cancelled=cancelled)
        reports.append(drift.compare(reference, appended, label=label, part="new rows"))
    return tuple(reports)


def _by_key(
    root: Path,
    evidence: DataEvidence,
    key: tuple[str, ...],
    champion: Champion | None,
    kept: Path | None,
    cancelled: threading.Event | None,
) -> DataEvidence:
    """Add which rows came, went or changed, and keep today's for the next time."""
    from mlconsole.services.datasets import keys

    identity = evidence.profile.identity
    if evidence.profile.rows > keys.MOST_ROWS:
        return _noted(evidence, f"Rows are compared by their key up to {count(keys.MOST_ROWS, 'row')}: there are more.")
    rows = keys.read_rows(root, identity, key, cancelled=cancelled)
    if rows.repeated:
        sentence = f"The key {listed(key)} is not of one row only: {count(rows.repeated, 'row')} repeat it."
        repeats = Violation(rule="key", column=", ".join(key), sentence=sentence, level="warn", count=rows.repeated)
        evidence = msgspec.structs.replace(evidence, violations=(*evidence.violations, repeats))
    if kept is None:
        return _noted(evidence, "Rows are compared by their key only where the data is read on this machine.")
    keys.save(kept, identity.digest, key, rows)
    if champion is None or evidence.change is None:
        return evidence
    before = keys.load(kept, champion.evidence.profile.identity.digest, key)
    if before is None:
        note = f"The rows of {evidence.change.reference} are not kept here: none are compared by their key."
        return _noted(evidence, note)
    found = msgspec.structs.replace(evidence.change, keys=keys.compare(before, rows, key))
    return msgspec.structs.replace(evidence, change=found)


def _noted(evidence: DataEvidence, note: str) -> DataEvidence:
    return msgspec.structs.replace(evidence, notes=(*evidence.notes, note))
