"""A release whose project is removed ends by itself, and says why."""

from __future__ import annotations

import shutil
from typing import Any

import pytest

from mlconsole.errors import Cancelled
from mlconsole.headless.release import carry_out
from mlconsole.journal import ProjectGone
from mlconsole.project import Project
from mlconsole.release.engine import Order
from mlconsole.stages.base import StageContext

DEADLINE = 60.0


def test_a_release_ends_with_its_project_and_does_not_make_it_anew(project: Project, world: Any) -> None:
    def remove(context: StageContext) -> None:
        shutil.rmtree(project.root)
        assert context.cancelled.wait(DEADLINE)
        raise Cancelled()

    world.during["train"] = remove
    with pytest.raises(ProjectGone, match="is not there any more"):
        carry_out(project, Order(approved=True), lambda engine, journal: engine.run(Order(approved=True)))
    assert not project.root.exists()


def test_what_goes_wrong_because_of_it_is_not_told_in_its_place(project: Project, world: Any) -> None:
    def remove(context: StageContext) -> None:
        shutil.rmtree(project.root)
        (project.root / "train.log").write_text("more")

    world.during["train"] = remove
    with pytest.raises(ProjectGone):
        carry_out(project, Order(approved=True), lambda engine, journal: engine.run(Order(approved=True)))
