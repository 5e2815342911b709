"""What tests of several parts need: the record of a release that went well, and time for generated examples."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import HealthCheck, settings

from mlconsole.evidence.base import Reason, Verdict, digest_of_records
from mlconsole.evidence.cluster import ClusterTarget, DeployEvidence, DeployPlan, PodRow, PodsEvidence
from mlconsole.evidence.data import ColumnProfile, DataEvidence, DataFile, DataIdentity, DataProfile, DataSchema
from mlconsole.evidence.record import ReleaseRecord
from mlconsole.evidence.release import AliasMove, Decision, Evidence, Release, StageRun
from mlconsole.evidence.repo import CommitInfo, RepoEvidence
from mlconsole.evidence.testing import Comparison, TestEvidence, TestOutcome, TestRun
from mlconsole.evidence.training import (
    MetricPoint,
    ModelFile,
    ModelVersion,
    Package,
    Parameter,
    PythonEnvironment,
    ResourceUse,
    TrainEvidence,
)
from mlconsole.services.training.environment import digest_of_environment

# how long an example takes tells how busy the machine is: where time matters, a test of its own measures it
settings.register_profile("unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("unhurried")

BEGUN = datetime(2024, 2, 29, 12, 0, tzinfo=UTC)
TARGET = ClusterTarget(context="local", namespace="default", selector="app=m")


def _digest(letter: str) -> str:
    return f"sha256:{letter * 64}"


def _training() -> TrainEvidence:
    packages = (Package(name="numpy", version="2.1.0"), Package(name="scikit-learn", version="1.5.0"))
    parameters = (Parameter(name="epochs", value="20"),)
    metrics = (MetricPoint(name="mae", value=22.5), MetricPoint(name="loss", value=0.1, step=3))
    digest = digest_of_environment("3.12.1", packages)
    version = ModelVersion(
        name="m",
        number=2,
        model=ModelFile(digest=_digest("a"), size=1000, filename="model.pkl"),
        release=3,
        created_at=BEGUN,
        commit="c" * 40,
        data_digest=_digest("d"),
        parameters=parameters,
        metrics=metrics,
        environment_digest=digest,
    )
    return TrainEvidence(
        command="python train.py --epochs 20",
        environment=PythonEnvironment(executable="python", version="3.12.1", digest=digest, packages=packages),
        parameters=parameters,
        exit_code=0,
        use=ResourceUse(seconds=3),
        metrics=metrics,
        version=version,
    )


def _evidence() -> tuple[Evidence, ...]:
    commit = CommitInfo(sha="c" * 40, author="Ada", at=BEGUN, subject="Train | on <all> data")
    files = (DataFile(path="data/training.csv", size=100, digest=_digest("e")),)
    column = ColumnProfile(
        name="hour", kind="integer", type="int64", rows=10, missing=1, distinct=9, minimum=0, maximum=23
    )
    profile = DataProfile(
        identity=DataIdentity(digest=_digest("d"), files=files, size=100), rows=10, columns=(column,), target="y"
    )
    outcomes = (TestOutcome(nodeid="tests/test_model.py::test_error", outcome="passed", seconds=1),)
    comparison = Comparison(
        metric="mean_absolute_error",
        lower_is_better=True,
        rows=500,
        candidate="m@v2",
        champion="m@v1",
        candidate_value=22.5,
        champion_value=25,
        difference=-2.5,
        low=-3,
        high=-2,
        relative=-0.1,
        tolerance=0.01,
        verdict="better",
    )
    plan = DeployPlan(
        digest=_digest("f"),
        target=TARGET,
        version="m@v2",
        manifests="kind: Deployment\n",
        manifests_digest="sha256:c23abc2a2a4b5cf4a0cb1ea5d21e4d9e2de3ba7aef4c81a4b5b1ec7d3c9b6f0a",
        changes=(),
    )
    pod = PodRow(
        name="m-1-x",
        namespace="default",
        uid="u",
        ready="1/1",
        status="Running",
        restarts="0",
        created_at=BEGUN,
        version="m@v2",
        owner="m-1",
    )
    return (
        RepoEvidence(root="/p", commit=commit, branch="main", url="https://example.com/ada/m.git"),
        DataEvidence(profile=profile, schema=DataSchema(columns=())),
        _training(),
        TestEvidence(
            version="m@v2",
            run=TestRun(command="pytest", exit_code=0, seconds=1, collected=1, outcomes=outcomes),
            comparison=comparison,
        ),
        DeployEvidence(plan=plan, applied=True, applied_at=BEGUN),
        PodsEvidence(target=TARGET, version="m@v2", rows=(pod,), wanted=1, serving=1),
    )


@pytest.fixture
def release_record() -> ReleaseRecord:
    """Release 3, which made m@v2 and brought it into production after an override."""
    verdict = Verdict.of([Reason(level="warn", sentence="1 file not committed: a_b.py.")])
    stages = []
    for number, (name, evidence) in enumerate(
        zip(("repo", "data", "train", "test", "deploy", "pods"), _evidence(), strict=True)
    ):
        given = verdict if name == "repo" else Verdict.of([])
        stages.append(
            StageRun(
                release=3,
                stage=name,  # type: ignore[arg-type]
                attempt=1,
                state="done",
                started_at=BEGUN + timedelta(seconds=number),
                finished_at=BEGUN + timedelta(seconds=number + 1),
                evidence=evidence,
                verdict=given,
                evidence_digest=digest_of_records(evidence, given),
            )
        )
    training = stages[2].evidence
    assert isinstance(training, TrainEvidence)
    release = Release(
        number=3, kind="release", state="done", started_at=BEGUN, started_by="ada", version="m@v2", reason="new *month*"
    )
    decision = Decision(id=1, release=3, kind="override", stage="test", who="ada", at=BEGUN, reason="known outlier")
    made = ReleaseRecord(
        project="m",
        release=release,
        stages=tuple(stages),
        decisions=(decision,),
        version=training.version,
        trained=stages[2],
        aliases=(AliasMove(name="m", alias="champion", number=2, release=3, at=BEGUN),),
    )
    return msgspec.json.decode(msgspec.json.encode(made), type=ReleaseRecord)


@pytest.fixture(autouse=True)
def no_preferences(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests are of no person: what one prefers on this machine does not count."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path_factory.getbasetemp() / "no-preferences"))
