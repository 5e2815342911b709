"""An in-toto statement has every field that its specification and SLSA's require, and no field of our own."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import msgspec
import pytest
from google.protobuf import json_format
from in_toto_attestation.predicates.provenance.v1 import provenance_pb2
from in_toto_attestation.v1 import statement_pb2
from in_toto_attestation.v1.statement import Statement

from mlconsole.evidence.record import ReleaseRecord
from mlconsole.services.provenance.statement import NothingToState, statement

# (required, allowed) keys: https://github.com/in-toto/attestation/tree/main/spec/v1, https://slsa.dev/spec/v1.0/provenance
STATEMENT = ({"_type", "subject", "predicateType", "predicate"}, set())
PROVENANCE = ({"buildDefinition", "runDetails"}, set())
BUILD_DEFINITION = ({"buildType", "externalParameters", "resolvedDependencies"}, {"internalParameters"})
RUN_DETAILS = ({"builder"}, {"metadata", "byproducts"})
BUILDER = ({"id"}, {"builderDependencies", "version"})
METADATA = (set(), {"invocationId", "startedOn", "finishedOn"})
RESOURCE = (set(), {"uri", "digest", "name", "downloadLocation", "mediaType", "content", "annotations"})


def faults(value: dict[str, Any], shape: tuple[set[str], set[str]], where: str) -> Iterator[str]:
    required, optional = shape
    yield from (f"{where} lacks {key}" for key in required - value.keys())
    yield from (f"{where} has {key}" for key in value.keys() - required - optional)


def all_faults(found: dict[str, Any]) -> list[str]:
    predicate = found["predicate"]
    build, run = predicate["buildDefinition"], predicate["runDetails"]
    said = [
        *faults(found, STATEMENT, "statement"),
        *faults(predicate, PROVENANCE, "predicate"),
        *faults(build, BUILD_DEFINITION, "buildDefinition"),
        *faults(run, RUN_DETAILS, "runDetails"),
        *faults(run["builder"], BUILDER, "builder"),
        *faults(run["metadata"], METADATA, "metadata"),
    ]
    for resource in [*found["subject"], *build["resolvedDependencies"], *run["byproducts"]]:
        said += faults(resource, RESOURCE, str(resource))
        if not {"uri", "digest", "content"} & resource.keys():
            said.append(f"{resource} tells neither uri, digest nor content")
        for algorithm, value in resource.get("digest", {}).items():
            length = {"sha256": 64, "gitCommit": 40}[algorithm]
            if len(value) != length or not set(value) <= set("0123456789abcdef"):
                said.append(f"{algorithm}:{value} is no digest")
    return said


@pytest.fixture
def stated(release_record: ReleaseRecord) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(statement(release_record)))
    return found


def test_the_library_of_in_toto_reads_it_whole(stated: dict[str, Any]) -> None:
    """`ParseDict` refuses a field that the specification's protocol buffers don't have, or one of another type."""
    parsed = json_format.ParseDict(stated, statement_pb2.Statement())
    Statement.copy_from_pb(parsed).validate()
    provenance = json_format.ParseDict(stated["predicate"], provenance_pb2.Provenance())
    assert [subject.digest["sha256"] for subject in parsed.subject] == [stated["subject"][0]["digest"]["sha256"]]
    dependencies = provenance.build_definition.resolved_dependencies
    assert any("gitCommit" in entry.digest for entry in dependencies)
    assert provenance.run_details.metadata.HasField("started_on")
    with pytest.raises(json_format.ParseError):
        json_format.ParseDict({**stated, "ours": 1}, statement_pb2.Statement())


def test_every_required_field_is_there_and_none_that_is_not_known(stated: dict[str, Any]) -> None:
    assert all_faults(stated) == []
    assert stated["_type"] == "https://in-toto.io/Statement/v1"
    assert stated["predicateType"] == "https://slsa.dev/provenance/v1"


def test_the_check_itself_finds_what_is_missing(stated: dict[str, Any]) -> None:
    del stated["predicate"]["runDetails"]["builder"]["id"]
    stated["subject"][0] = {"name": "model.pkl", "sha256": "a"}
    assert len(all_faults(stated)) == 3


def test_the_subject_is_the_model_file(stated: dict[str, Any], release_record: ReleaseRecord) -> None:
    (subject,) = stated["subject"]
    assert subject["name"] == "model.pkl"
    assert subject["digest"] == {"sha256": "a" * 64}


def test_commit_data_and_environment_are_what_it_was_made_from(stated: dict[str, Any]) -> None:
    source, data, environment = stated["predicate"]["buildDefinition"]["resolvedDependencies"]
    assert source["uri"] == f"git+https://example.com/ada/m.git@{'c' * 40}"
    assert source["digest"] == {"gitCommit": "c" * 40}
    assert (data["name"], data["digest"]) == ("data/training.csv", {"sha256": "e" * 64})
    lock = base64.b64decode(environment["content"])
    assert lock.decode().splitlines() == ["python 3.12.1", "numpy==2.1.0", "scikit-learn==1.5.0"]
    assert environment["digest"] == {"sha256": hashlib.sha256(lock).hexdigest()}


def test_command_parameters_and_the_run_are_told(stated: dict[str, Any]) -> None:
    external = stated["predicate"]["buildDefinition"]["externalParameters"]
    assert external["command"] == "python train.py --epochs 20"
    assert external["parameters"] == {"epochs": "20"}
    metadata = stated["predicate"]["runDetails"]["metadata"]
    assert metadata["invocationId"] == "m/releases/3/train/1"
    begun, ended = (datetime.fromisoformat(metadata[key]) for key in ("startedOn", "finishedOn"))
    assert (ended - begun).total_seconds() == 1
    assert metadata["startedOn"].endswith("Z")


def test_the_evidence_of_every_stage_is_bound_by_its_digest(stated: dict[str, Any]) -> None:
    names = [entry["name"] for entry in stated["predicate"]["runDetails"]["byproducts"]]
    stages = ["repo", "data", "train", "test", "deploy", "pods"]
    assert names == [*(f"{stage} evidence" for stage in stages), "manifests"]


def test_a_release_without_a_model_can_not_be_stated(release_record: ReleaseRecord) -> None:
    bare = msgspec.structs.replace(release_record, stages=release_record.stages[:2], version=None, trained=None)
    with pytest.raises(NothingToState, match="Release 3 made no model"):
        statement(bare)
