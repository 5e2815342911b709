"""A release's record: everything that the journal knows of it, in one piece that can leave the machine."""

from __future__ import annotations

from typing import TypeVar

from mlconsole.evidence.base import STAGES, Record, StageName
from mlconsole.evidence.cluster import DeployEvidence, PodsEvidence
from mlconsole.evidence.data import DataEvidence
from mlconsole.evidence.release import AliasMove, Decision, Evidence, Release, StageRun
from mlconsole.evidence.repo import RepoEvidence
from mlconsole.evidence.testing import TestEvidence
from mlconsole.evidence.training import ModelVersion, TrainEvidence

_E = TypeVar("_E", bound=Evidence)


class ReleaseRecord(Record, frozen=True, kw_only=True):
    """One release: its stages in their order, what people decided, the version it is of, and what followed from it.

    `trained` is the run that made the version: of an earlier release, where this one took its version over.
    """

    project: str
    release: Release
    stages: tuple[StageRun, ...]
    decisions: tuple[Decision, ...] = ()
    version: ModelVersion | None = None
    trained: StageRun | None = None
    aliases: tuple[AliasMove, ...] = ()
    """The aliases that this release moved."""
    written_by: str = ""
    """The mlconsole that put the record together."""

    def stage(self, name: StageName) -> StageRun | None:
        """The release's run of a stage, if it came to that."""
        return next((run for run in self.stages if run.stage == name), None)

    @property
    def repo(self) -> RepoEvidence | None:
        """Which code it was."""
        return self._evidence(RepoEvidence)

    @property
    def data(self) -> DataEvidence | None:
        """Which data it was."""
        return self._evidence(DataEvidence)

    @property
    def train(self) -> TrainEvidence | None:
        """How the model was made."""
        return self._evidence(TrainEvidence)

    @property
    def test(self) -> TestEvidence | None:
        """What the tests said."""
        return self._evidence(TestEvidence)

    @property
    def deploy(self) -> DeployEvidence | None:
        """What was changed in the cluster."""
        return self._evidence(DeployEvidence)

    @property
    def pods(self) -> PodsEvidence | None:
        """What served at its end."""
        return self._evidence(PodsEvidence)

    def _evidence(self, kind: type[_E]) -> _E | None:
        return next((run.evidence for run in self.stages if isinstance(run.evidence, kind)), None)


def in_order(runs: tuple[StageRun, ...]) -> tuple[StageRun, ...]:
    """The runs in the order of the stages."""
    by_stage = {run.stage: run for run in runs}
    return tuple(by_stage[stage] for stage in STAGES if stage in by_stage)
