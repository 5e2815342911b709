"""A release as an in-toto statement with SLSA provenance, to be signed and kept by whatever a team signs with.

Formats: in-toto Statement v1 and ResourceDescriptor v1 (https://github.com/in-toto/attestation/tree/main/spec/v1) and
SLSA provenance v1 (https://slsa.dev/spec/v1.0/provenance). Field names are theirs.
"""

from __future__ import annotations

import base64
from datetime import datetime
from typing import Any

import msgspec

from mlconsole import __version__
from mlconsole.errors import WrongUse
from mlconsole.evidence.record import ReleaseRecord
from mlconsole.evidence.release import StageRun
from mlconsole.evidence.training import ModelVersion, PythonEnvironment, TrainEvidence
from mlconsole.services.models.tree import Tree
from mlconsole.services.training.environment import lock_text

STATEMENT = "https://in-toto.io/Statement/v1"
PREDICATE = "https://slsa.dev/provenance/v1"
BUILD_TYPE = "https://mlconsole.dev/train/v1"
IMPORT_TYPE = "https://mlconsole.dev/import/v1"
BUILDER = "https://mlconsole.dev/runner/v1"


class NothingToState(WrongUse):
    """A release made no model, so there is nothing that a statement could be about."""


class ResourceDescriptor(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A thing by its digest: of a git commit `gitCommit`, of everything else `sha256`, both without a prefix."""

    name: str = ""
    uri: str = ""
    digest: dict[str, str] = {}
    media_type: str = ""
    content: str = ""
    """Its bytes in base64, where they are small enough to be here."""
    annotations: dict[str, str | int | float] = {}


class BuildDefinition(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What went in: everything that a rebuild would need."""

    build_type: str
    external_parameters: dict[str, Any]
    internal_parameters: dict[str, Any]
    resolved_dependencies: tuple[ResourceDescriptor, ...]


class Builder(msgspec.Struct, frozen=True, kw_only=True):
    """Who built it."""

    id: str
    version: dict[str, str]


class BuildMetadata(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """Which run of the builder it was, and when, in UTC."""

    invocation_id: str
    started_on: datetime
    finished_on: datetime | None = None


class RunDetails(msgspec.Struct, frozen=True, kw_only=True):
    """How it went, and what came out beside the subject."""

    builder: Builder
    metadata: BuildMetadata
    byproducts: tuple[ResourceDescriptor, ...]


class Provenance(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """SLSA provenance v1."""

    build_definition: BuildDefinition
    run_details: RunDetails


class Statement(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """An in-toto statement v1 about one model: its file, or its folder and each file of it."""

    type_: str = msgspec.field(name="_type")
    subject: tuple[ResourceDescriptor, ...]
    predicate_type: str
    predicate: Provenance


def statement(record: ReleaseRecord, tree: Tree | None = None) -> Statement:
    """State where the model of a release comes from.

    Args:
        record: the release.
        tree: the files of its model, where that is a folder: each is a subject, too.

    Raises:
        NothingToState: the release made no model.
    """
    version, train, run = record.version, record.train, record.trained
    if version is None or train is None or run is None:
        hint = "Only a release that came to train has one."
        raise NothingToState(f"Release {record.release.number} made no model.", hint)
    definition = _import_of(version, train) if version.origin else _definition(record, train)
    subject = ResourceDescriptor(
        name=version.model.filename,
        digest=_digest_set(version.model.digest),
        annotations={"version": version.label, "size": version.model.size},
    )
    files = (
        ResourceDescriptor(
            name=f"{version.model.filename}/{file.path}",
            digest=_digest_set(file.digest),
            annotations={"size": file.size},
        )
        for file in (tree.files if tree is not None else ())
    )
    return Statement(
        type_=STATEMENT,
        subject=(subject, *files),
        predicate_type=PREDICATE,
        predicate=Provenance(build_definition=definition, run_details=_details(record, version, run)),
    )


def _import_of(version: ModelVersion, train: TrainEvidence) -> BuildDefinition:
    """What went into a model that was made elsewhere: the file as it came, and what is registered of its making."""
    told = (("source", version.commit), ("data", version.data_digest), ("environment", version.environment_digest))
    registered = (
        ResourceDescriptor(name=name, digest={"gitCommit": digest} if name == "source" else _digest_set(digest))
        for name, digest in told
        if digest
    )
    return BuildDefinition(
        build_type=IMPORT_TYPE,
        external_parameters={"command": train.command, "origin": version.origin},
        internal_parameters={"registeredParameters": {entry.name: entry.value for entry in version.parameters}},
        resolved_dependencies=(
            ResourceDescriptor(name=version.origin, digest=_digest_set(version.model.digest)),
            *registered,
        ),
    )


def _definition(record: ReleaseRecord, train: TrainEvidence) -> BuildDefinition:
    repo, data = record.repo, record.data
    external: dict[str, Any] = {
        "command": train.command,
        "parameters": {entry.name: entry.value for entry in train.parameters},
        "source": {"uri": repo.url if repo else "", "ref": repo.branch if repo else ""},
        "data": [file.path for file in data.profile.identity.files] if data else [],
    }
    internal: dict[str, Any] = {"uncommittedFiles": [change.path for change in repo.dirty] if repo else []}
    if train.seed:
        internal["seed"] = train.seed
    return BuildDefinition(
        build_type=BUILD_TYPE,
        external_parameters=external,
        internal_parameters=internal,
        resolved_dependencies=(*_commit(record), *_data_files(record), _environment(train.environment)),
    )


def _commit(record: ReleaseRecord) -> tuple[ResourceDescriptor, ...]:
    repo = record.repo
    if repo is None or repo.commit is None:
        return ()
    address = repo.url if "://" in repo.url else f"ssh://{repo.url.replace(':', '/', 1)}" if "@" in repo.url else ""
    uri = f"git+{address}@{repo.commit.sha}" if address else ""
    return (ResourceDescriptor(name="source", uri=uri, digest={"gitCommit": repo.commit.sha}),)


def _data_files(record: ReleaseRecord) -> tuple[ResourceDescriptor, ...]:
    if record.data is None:
        return ()
    identity = record.data.profile.identity
    return tuple(
        ResourceDescriptor(name=file.path, digest=_digest_set(file.digest), annotations={"size": file.size})
        for file in identity.files
    )


def _environment(environment: PythonEnvironment) -> ResourceDescriptor:
    """The packages as a lock: its text is here, and its digest is the environment's."""
    text = lock_text(environment.version, environment.packages)
    return ResourceDescriptor(
        name="environment",
        digest=_digest_set(environment.digest),
        media_type="text/plain",
        content=base64.b64encode(text.encode("utf-8", "surrogateescape")).decode(),
    )


def _details(record: ReleaseRecord, version: ModelVersion, run: StageRun) -> RunDetails:
    return RunDetails(
        builder=Builder(id=BUILDER, version={"mlconsole": __version__}),
        metadata=BuildMetadata(
            invocation_id=f"{version.name}/releases/{run.release}/train/{run.attempt}",
            started_on=run.started_at,
            finished_on=run.finished_at,
        ),
        byproducts=tuple(_byproducts(record)),
    )


def _byproducts(record: ReleaseRecord) -> list[ResourceDescriptor]:
    """The evidence of each stage by its digest, and the manifests: what is signed here can't be changed there."""
    found = [
        ResourceDescriptor(
            name=f"{run.stage} evidence",
            digest=_digest_set(run.evidence_digest),
            annotations={"release": record.release.number, "gate": run.verdict.level if run.verdict else ""},
        )
        for run in record.stages
        if run.evidence_digest
    ]
    if record.deploy is not None:
        digest = _digest_set(record.deploy.plan.manifests_digest)
        found.append(ResourceDescriptor(name="manifests", digest=digest, media_type="application/yaml"))
    return found


def _digest_set(digest: str) -> dict[str, str]:
    algorithm, _, value = digest.rpartition(":")
    return {algorithm or "sha256": value}
