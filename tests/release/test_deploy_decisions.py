"""Fields that others own wait for a choice; after a deploy that failed, what served before is brought back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from mlconsole.errors import WrongUse
from mlconsole.evidence.cluster import DeployOptions, ObjectConflict
from mlconsole.evidence.release import Note
from mlconsole.journal import Journal
from mlconsole.project import Project, open_project
from mlconsole.release.decisions import approve, open_conflicts
from mlconsole.release.engine import Engine, Order, Outcome
from mlconsole.release.rollback import roll_back, target_version
from mlconsole.stages.deployed import is_stuck, taken_back_words

if TYPE_CHECKING:
    from conftest import World

    from mlconsole.stages.base import StageContext

APPROVED = Order(approved=True, who="ada")
SCALED = ObjectConflict(
    kind="Deployment", name="m", namespace="default", field=".spec.replicas", owner="kubectl (scale)"
)


def release(project: Project, journal: Journal, order: Order = APPROVED) -> Outcome:
    return Engine(project, journal).run(order)


def test_an_approved_release_waits_where_others_own_fields(project: Project, journal: Journal, world: World) -> None:
    world.conflicts = (SCALED,)
    outcome = release(project, journal)
    assert (outcome.exit_code, journal.release(1).state) == (1, "waiting")
    assert "Deployment m: kubectl (scale) owns .spec.replicas." in outcome.sentence
    assert "mlconsole approve 1 --force-conflicts" in outcome.sentence
    assert open_conflicts(journal, 1) == (SCALED,)


def test_an_approval_without_a_choice_is_refused_and_one_with_it_goes_on(
    project: Project, journal: Journal, world: World
) -> None:
    world.conflicts = (SCALED,)
    release(project, journal, Order(who="ada"))
    with pytest.raises(WrongUse, match="kubectl \\(scale\\) owns"):
        approve(journal, 1, who="bob")
    approve(journal, 1, who="bob", reason="the scaler stays", conflicts="leave")
    assert Engine(project, journal).resume(1, Order(who="bob")).exit_code == 0
    decisions = [(decision.kind, decision.who, decision.reason) for decision in journal.decisions(1)]
    assert decisions == [
        ("leave-conflicts", "bob", "the scaler stays"),
        ("approve", "bob", "the scaler stays"),
    ]


def test_a_choice_that_came_with_the_command_is_recorded_as_a_decision(
    project: Project, journal: Journal, world: World
) -> None:
    world.conflicts = (SCALED,)
    order = Order(approved=True, who="ada", options=DeployOptions(conflicts="force"))
    assert release(project, journal, order).exit_code == 0
    assert [(decision.kind, decision.who) for decision in journal.decisions(1)] == [("force-conflicts", "ada")]


def test_a_choice_holds_only_for_the_conflicts_that_it_was_made_for(
    project: Project, journal: Journal, world: World
) -> None:
    world.conflicts = (SCALED,)
    release(project, journal)
    approve(journal, 1, who="bob", conflicts="force")
    world.conflicts = (SCALED, ObjectConflict(kind="Service", name="m", namespace="default", field=".spec", owner="x"))
    assert Engine(project, journal).resume(1, APPROVED).exit_code == 1
    assert journal.release(1).state == "waiting"


def test_what_was_asked_of_a_deploy_stays_with_the_release(project: Project, journal: Journal, world: World) -> None:
    seen: list[tuple[str, bool]] = []
    world.during["deploy"] = lambda context: seen.append(
        (context.project.settings.deploy.context, context.options.prune)
    )
    options = DeployOptions(context="staging", prune=True)
    release(project, journal, Order(until="test", who="ada", options=options))
    Engine(project, journal).resume(1, APPROVED)
    assert seen == [("staging", True)]
    assert journal.release(1).options == options


@pytest.fixture
def careful(project: Project) -> Project:
    """The project with an automatic rollback."""
    (project.root / "mlconsole.toml").write_text('name = "m"\n[deploy]\nrollback = "auto"\n')
    return open_project(project.root)


def refuse_releases_at(world: World, stage: str, *, also_rollbacks: bool = False) -> None:
    """Have the gate of a stage say no to all that is not a rollback."""

    def gate(context: StageContext) -> None:
        world.gates.clear()
        if also_rollbacks or (context.release is not None and context.release.kind == "release"):
            world.refuse(stage, "it is broken")

    world.during[stage] = gate


@pytest.mark.parametrize("stage", ["deploy", "pods"])
def test_a_deploy_that_fails_is_rolled_back_as_a_release_of_its_own(
    careful: Project, journal: Journal, world: World, stage: str
) -> None:
    release(careful, journal)
    world.inputs["train"] = "other"
    refuse_releases_at(world, stage)
    outcome = release(careful, journal)
    assert (outcome.exit_code, outcome.release and outcome.release.number) == (1, 2)
    assert outcome.sentence.endswith("it is broken m@v1 serves again.")
    back = journal.release(3)
    assert (back.kind, back.state, back.version) == ("rollback", "done", "m@v1")
    assert back.reason.startswith("release 2 failed: ")
    champion = journal.alias("m", "champion")
    assert champion is not None
    assert champion.label == "m@v1"
    assert journal.alias("m", "previous") is None
    notes = [event.body.text for event in journal.events(2) if isinstance(event.body, Note)]
    assert notes == ["m@v1 is brought back, as [deploy] rollback says."]
    assert taken_back_words(journal, "m@v2") == "m@v2 failed in release 2, and m@v1 was brought back in release 3."
    assert taken_back_words(journal, "m@v1") == ""


def test_a_rollback_that_fails_too_is_not_rolled_back_again(careful: Project, journal: Journal, world: World) -> None:
    release(careful, journal)
    world.inputs["train"] = "other"
    refuse_releases_at(world, "pods", also_rollbacks=True)
    outcome = release(careful, journal)
    assert outcome.exit_code == 1
    assert "m@v1 could not be brought back (Pods says no: it is broken)" in outcome.sentence
    assert [found.number for found in journal.releases()] == [3, 2, 1]


def test_without_anything_that_served_before_nothing_is_brought_back(
    careful: Project, journal: Journal, world: World
) -> None:
    refuse_releases_at(world, "pods")
    assert release(careful, journal).exit_code == 1
    assert len(journal.releases()) == 1


@pytest.mark.parametrize("stage", ["data", "test"])
def test_gates_before_the_deploy_bring_nothing_back(
    careful: Project, journal: Journal, world: World, stage: str
) -> None:
    release(careful, journal)
    world.inputs["train"] = world.inputs["data"] = "other"
    refuse_releases_at(world, stage)
    assert release(careful, journal).exit_code == 1
    assert len(journal.releases()) == 2


def test_by_default_a_person_decides(project: Project, journal: Journal, world: World) -> None:
    release(project, journal)
    world.inputs["train"] = "other"
    refuse_releases_at(world, "pods")
    release(project, journal)
    assert len(journal.releases()) == 2
    assert is_stuck(journal)


def test_from_a_deploy_that_is_stuck_the_way_back_leads_to_the_champion(
    project: Project, journal: Journal, world: World
) -> None:
    release(project, journal)
    world.inputs["train"] = "second"
    release(project, journal)
    world.inputs["train"] = "third"
    refuse_releases_at(world, "pods")
    release(project, journal)
    version = target_version(journal, "m")
    assert version.label == "m@v2"
    assert target_version(journal, "m", "v2") == version
    assert roll_back(Engine(project, journal), journal, APPROVED, version).exit_code == 0
    assert not is_stuck(journal)
    assert target_version(journal, "m").label == "m@v1"
    with pytest.raises(WrongUse, match="m@v2 is the champion already"):
        target_version(journal, "m", "v2")
