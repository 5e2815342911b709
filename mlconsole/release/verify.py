"""What is recorded of a version, proven again: every digest is computed anew from what is there."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import msgspec

from mlconsole.errors import Problem
from mlconsole.evidence.base import Record, digest_of_records
from mlconsole.evidence.cluster import DeployEvidence
from mlconsole.evidence.data import DataFile
from mlconsole.evidence.record import ReleaseRecord
from mlconsole.evidence.release import StageRun
from mlconsole.evidence.training import ModelFile, ModelVersion
from mlconsole.journal import Journal
from mlconsole.project import Project
from mlconsole.release.record import gather, releases_of
from mlconsole.services import git
from mlconsole.services.datasets.files import digest_of_beginning, digest_of_names
from mlconsole.services.models.store import ModelDamaged, ModelMissing, ModelStore
from mlconsole.services.training.environment import digest_of_environment
from mlconsole.stages.base import fingerprint_of, model_store
from mlconsole.text import size

State = Literal["matches", "differs", "unknown"]


class Check(Record, frozen=True, kw_only=True):
    """One digest of the record, and whether it still is that of what it was taken from."""

    part: str
    digest: str
    state: State
    sentence: str = ""


def verify_version(
    project: Project, journal: Journal, version: ModelVersion, cancelled: threading.Event | None = None
) -> tuple[Check, ...]:
    """Compute every digest of a version and of its releases again."""
    store = model_store(project)
    checks = [_file(store, version.model, f"model file of {version.label}")]
    checks += [_file(store, output, f"output {output.filename} of {version.label}") for output in version.outputs]
    for index, number in enumerate(releases_of(journal, version)):
        record = gather(journal, number)
        if index == 0:
            checks += _origin(project.root, record, version, cancelled)
        checks += _holdout(project.root, record, cancelled)
        checks += _release(record)
    return tuple(checks)


def _file(store: ModelStore, file: ModelFile, part: str) -> Check:
    try:
        store.verify(file)
    except (ModelDamaged, ModelMissing) as problem:
        return Check(part=part, digest=file.digest, state="differs", sentence=problem.sentence)
    except Problem as problem:
        return Check(part=part, digest=file.digest, state="unknown", sentence=problem.sentence)
    return Check(part=part, digest=file.digest, state="matches", sentence=f"{size(file.size)} read again")


def _origin(
    root: Path, record: ReleaseRecord, version: ModelVersion, cancelled: threading.Event | None
) -> Iterator[Check]:
    """What the version was made from: commit, data, packages."""
    recorded = record.version
    if recorded is not None and version.elsewhere:
        # another machine made it: its release is none of this journal's, and who it was is said in its place
        recorded = msgspec.structs.replace(recorded, release=0, elsewhere=version.elsewhere)
    yield _equal(
        f"entry of {version.label}",
        digest_of_records(version),
        digest_of_records(recorded),
        "the list of versions and the training's evidence say the same",
        "The list of versions and the training's evidence say different things.",
    )
    yield _commit(root, version.commit)
    if record.data is not None:
        identity = record.data.profile.identity
        yield _equal("data as a whole", identity.digest, digest_of_names(identity.files), "of its files' digests")
        yield from (_data_file(root, f"data {file.path}", file, cancelled) for file in identity.files)
    if record.train is not None and record.train.environment.found != "elsewhere":
        environment = record.train.environment
        found = digest_of_environment(environment.version, environment.packages)
        yield _equal("Python environment", environment.digest, found, f"of {len(environment.packages)} packages")


def _commit(root: Path, sha: str) -> Check:
    if not sha:
        return Check(part="commit", digest="", state="unknown", sentence="It was made without a commit.")
    try:
        found = git.commit_digest(root, sha)
    except Problem as problem:
        return Check(part="commit", digest=sha, state="unknown", sentence=problem.sentence)
    if not found:
        return Check(part="commit", digest=sha, state="unknown", sentence="This clone does not hold it: git fetch.")
    return _equal("commit", sha, found, "in this repository")


def _holdout(root: Path, record: ReleaseRecord, cancelled: threading.Event | None) -> Iterator[Check]:
    """What candidate and champion were compared on."""
    for file in record.test.holdout if record.test is not None else ():
        yield _data_file(root, f"hold-out {file.path} of release {record.release.number}", file, cancelled)


def _data_file(root: Path, part: str, file: DataFile, cancelled: threading.Event | None) -> Check:
    path = root / file.path
    try:
        now = path.stat().st_size
        digest, read, _last = digest_of_beginning(path, file.size, cancelled=cancelled)
    except FileNotFoundError:
        return Check(part=part, digest=file.digest, state="unknown", sentence="It is no longer there.")
    except OSError as error:
        return Check(part=part, digest=file.digest, state="unknown", sentence=f"It can't be read: {error.strerror}.")
    if read == file.size and digest == file.digest:
        grown = f"; {size(now - file.size)} were appended since" if now > file.size else ""
        return Check(part=part, digest=file.digest, state="matches", sentence=f"{size(file.size)} read again{grown}")
    return Check(part=part, digest=file.digest, state="differs", sentence="Its content was changed since.")


def _release(record: ReleaseRecord) -> Iterator[Check]:
    for run in record.stages:
        yield from _stage(run)
        if isinstance(run.evidence, DeployEvidence):
            plan = run.evidence.plan
            found = f"sha256:{hashlib.sha256(plan.manifests.encode()).hexdigest()}"
            yield _equal(f"manifests of release {run.release}", plan.manifests_digest, found, f"of {plan.version}")


def _stage(run: StageRun) -> Iterator[Check]:
    part = f"{run.stage} of release {run.release}"
    if run.evidence is not None and not run.evidence_digest:
        yield Check(part=part, digest="", state="unknown", sentence="Its evidence was kept without a digest.")
    elif run.evidence is not None:
        found = digest_of_records(run.evidence, run.verdict)
        yield _equal(part, run.evidence_digest, found, "evidence and gate", "Evidence or gate were changed since.")
    if run.fingerprint is not None:
        inputs = fingerprint_of(run.fingerprint.inputs).digest
        if inputs != run.fingerprint.digest:
            yield Check(
                part=f"inputs of {part}",
                digest=run.fingerprint.digest,
                state="differs",
                sentence="The inputs that are recorded are not those that it ran with.",
            )


def _equal(part: str, recorded: str, found: str, fine: str, broken: str = "It is not what was recorded.") -> Check:
    if recorded == found:
        return Check(part=part, digest=recorded, state="matches", sentence=fine)
    return Check(part=part, digest=recorded, state="differs", sentence=broken)
