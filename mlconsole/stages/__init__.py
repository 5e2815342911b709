"""The six stages of a release, in their order: one file each, all of the shape that `base.Stage` says."""

from __future__ import annotations

from typing import Any

from mlconsole.evidence.base import StageName
from mlconsole.stages.base import Stage


def stage_of(name: StageName) -> Stage[Any]:
    """The stage of that name; what it needs is imported only now."""
    match name:
        case "repo":
            from mlconsole.stages.repo import RepoStage

            return RepoStage()
        case "data":
            from mlconsole.stages.data import DataStage

            return DataStage()
        case "train":
            from mlconsole.stages.train import TrainStage

            return TrainStage()
        case "test":
            from mlconsole.stages.test import TestStage

            return TestStage()
        case "deploy":
            from mlconsole.stages.deploy import DeployStage

            return DeployStage()
        case "pods":
            from mlconsole.stages.pods import PodsStage

            return PodsStage()
