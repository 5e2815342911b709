"""A project, its journal, and stages that do nothing but what a test tells them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from mlconsole.evidence.base import Input, Reason, StageName, Verdict, now
from mlconsole.evidence.cluster import (
    ClusterTarget,
    DeployEvidence,
    DeployPlan,
    ObjectChange,
    ObjectConflict,
    PodsEvidence,
)
from mlconsole.evidence.data import DataEvidence, DataIdentity, DataProfile, DataSchema
from mlconsole.evidence.release import Evidence
from mlconsole.evidence.repo import CommitInfo, RepoEvidence
from mlconsole.evidence.testing import TestEvidence, TestRun
from mlconsole.evidence.training import (
    ModelVersion,
    PythonEnvironment,
    ResourceUse,
    TrainEvidence,
)
from mlconsole.journal import Journal
from mlconsole.project import Project, open_project
from mlconsole.release import engine as engine_module
from mlconsole.stages.base import ApprovalNeeded, Stage, StageContext, model_store, needed
from mlconsole.stages.pods import PodsStage
from mlconsole.stages.train import TrainStage

MANIFESTS = "kind: Deployment\n"
TARGET = ClusterTarget(context="local", namespace="default", selector="app=m")


class World:
    """What the stages of a test see: the digest of each one's inputs, its gate, and what happens while it runs."""

    def __init__(self) -> None:
        self.inputs: dict[StageName, str] = {}
        self.gates: dict[StageName, Verdict] = {}
        self.during: dict[StageName, Callable[[StageContext], None]] = {}
        self.ran: list[StageName] = []
        self.conflicts: tuple[ObjectConflict, ...] = ()
        self.commit = ""

    def refuse(self, stage: StageName, sentence: str = "not good enough") -> None:
        """Have a stage's gate say no."""
        self.gates[stage] = Verdict.of([Reason(level="fail", sentence=sentence)])


class ToldStage(Stage[Any]):
    """A stage that does what the test's world says; what it concludes is the real stage's."""

    def __init__(self, name: StageName, world: World) -> None:
        self.name, self._world = name, world
        self.is_of_the_world = name in {"deploy", "pods"}

    def inputs(self, context: StageContext) -> tuple[Input, ...]:
        given = Input(name=f"{self.name} input", digest=self._world.inputs.get(self.name, ""))
        earlier = context.known.train.version.label if context.known.train and context.known.train.version else ""
        return (given, Input(name="candidate", digest="" if self.name == "train" else earlier))

    def run(self, context: StageContext) -> Evidence:
        self._world.ran.append(self.name)
        if self.name in self._world.during:
            self._world.during[self.name](context)
        if self.name == "deploy":
            plan = a_plan(context.known.candidate.label)
            if self._world.conflicts:
                choice = context.chooses(self._world.conflicts)
                plan = msgspec.structs.replace(plan, conflicts=self._world.conflicts, conflict_choice=choice)
                if choice == "ask":
                    raise ApprovalNeeded(DeployEvidence(plan=plan))
                plan = msgspec.structs.replace(plan, digest=f"{plan.digest}, {choice}", resolves=plan.digest)
            if not context.approves(plan):
                raise ApprovalNeeded(DeployEvidence(plan=plan))
            return DeployEvidence(plan=plan, applied=True)
        if self.name == "repo" and self._world.commit:
            commit = CommitInfo(sha=self._world.commit, author="ada", at=now(), subject="more")
            return RepoEvidence(root="/project", commit=commit)
        return _evidence(self.name, context)

    def judge(self, context: StageContext, evidence: Evidence) -> Verdict:
        return self._world.gates.get(self.name, Verdict.of([]))

    def conclude(self, context: StageContext, evidence: Any) -> None:
        if self.name == "train":
            TrainStage().conclude(context, evidence)
        if self.name == "pods":
            PodsStage().conclude(context, evidence)

    def tell(self, context: StageContext) -> None:
        if self.name == "pods":
            PodsStage().tell(context)


def a_plan(version: str) -> DeployPlan:
    """A plan that changes one object."""
    change = ObjectChange(kind="Deployment", name="m", namespace="default", action="change", diff="+new\n")
    return DeployPlan(
        digest=f"sha256:plan-of-{version}",
        target=TARGET,
        version=version,
        manifests=MANIFESTS,
        manifests_digest=f"sha256:{hashlib.sha256(MANIFESTS.encode()).hexdigest()}",
        changes=(change,),
    )


def _evidence(name: StageName, context: StageContext) -> Evidence:
    match name:
        case "repo":
            return RepoEvidence(root="/project")
        case "data":
            identity = DataIdentity(digest="sha256:data", files=(), size=0)
            profile = DataProfile(identity=identity, rows=10, columns=())
            return DataEvidence(profile=profile, schema=DataSchema(columns=()))
        case "train":
            return _training(context)
        case "test":
            run = TestRun(command="pytest", exit_code=0, seconds=1, collected=0, outcomes=())
            return TestEvidence(version=context.known.candidate.label, run=run)
        case _:
            version = context.known.candidate.label
            return PodsEvidence(target=TARGET, version=version, rows=(), wanted=3, serving=3)


def _training(context: StageContext) -> TrainEvidence:
    name = context.project.settings.name
    number = TrainStage()._next_number(context)
    file = context.project.root / "model.pkl"
    file.write_text(f"model {number}")
    version = ModelVersion(
        name=name,
        number=number,
        model=model_store(context.project).adopt(file),
        release=needed(context.release).number,
        created_at=now(),
        data_digest="sha256:data",
        source="sha256:source",
    )
    version = TrainStage()._numbered(context, version)
    environment = PythonEnvironment(executable="/usr/bin/python3", version="3.12.1", digest="sha256:env")
    use = ResourceUse(seconds=1)
    return TrainEvidence(command="train", environment=environment, parameters=(), exit_code=0, use=use, version=version)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    (tmp_path / "mlconsole.toml").write_text('name = "m"\n')
    return open_project(tmp_path)


@pytest.fixture
def journal(project: Project) -> Iterator[Journal]:
    journal = Journal(project.journal_path)
    yield journal
    journal.close()


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    told = World()
    monkeypatch.setattr(engine_module, "stage_of", lambda name: ToldStage(name, told))
    return told
