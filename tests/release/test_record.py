"""A record is gathered from the journal, also where a release took over what an earlier one made."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from mlconsole.evidence.base import digest_of_records
from mlconsole.evidence.record import ReleaseRecord
from mlconsole.journal import Journal, NoSuchRelease
from mlconsole.project import Project
from mlconsole.release.engine import Engine, Order
from mlconsole.release.record import gather, releases_of

if TYPE_CHECKING:
    from conftest import World

APPROVED = Order(approved=True, who="ada")


def test_a_record_holds_stages_version_and_alias_moves(project: Project, journal: Journal, world: World) -> None:
    Engine(project, journal).run(APPROVED)
    found = gather(journal, 1)
    assert [run.stage for run in found.stages] == ["repo", "data", "train", "test", "deploy", "pods"]
    assert found.version is not None
    assert found.version.label == "m@v1"
    assert [move.alias for move in found.aliases] == ["candidate", "champion"]
    assert msgspec.json.decode(msgspec.json.encode(found), type=ReleaseRecord) == found


def test_each_stage_keeps_the_digest_of_its_evidence(project: Project, journal: Journal, world: World) -> None:
    Engine(project, journal).run(APPROVED)
    for run in gather(journal, 1).stages:
        assert run.evidence_digest == digest_of_records(run.evidence, run.verdict)


def test_a_release_that_took_a_version_over_tells_the_run_that_made_it(
    project: Project, journal: Journal, world: World
) -> None:
    Engine(project, journal).run(APPROVED)
    world.inputs["test"] = "new tests"
    Engine(project, journal).run(APPROVED)
    found = gather(journal, 2)
    train = found.stage("train")
    assert train is not None
    assert (train.state, train.reused_from) == ("reused", 1)
    assert found.trained is not None
    assert (found.trained.release, found.trained.state) == (1, "done")
    assert train.evidence_digest == found.trained.evidence_digest != ""
    assert found.version is not None
    assert releases_of(journal, found.version) == (1, 2)


def test_a_release_that_is_not_known_is_told(project: Project, journal: Journal) -> None:
    with pytest.raises(NoSuchRelease):
        gather(journal, 7)
