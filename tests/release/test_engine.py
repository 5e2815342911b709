"""A release runs what changed, stops where a gate says no, and goes on from where it was."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import msgspec
import pytest

from mlconsole.errors import Cancelled, OutsideFailed, Refused, WrongUse
from mlconsole.evidence.base import STAGES, StageName
from mlconsole.evidence.release import Event, ReleaseFinished, ReleaseStarted, StageRun
from mlconsole.journal import Journal, JournalFailed
from mlconsole.project import Project
from mlconsole.release.decisions import approve, cancel, override
from mlconsole.release.engine import Engine, Order, Outcome
from mlconsole.release.rollback import roll_back, target_version

if TYPE_CHECKING:
    from conftest import World

    from mlconsole.stages.base import StageContext

APPROVED = Order(approved=True, who="ada")


def release(project: Project, journal: Journal, order: Order = APPROVED) -> Outcome:
    return Engine(project, journal).run(order)


def states(journal: Journal, number: int) -> dict[StageName, str]:
    runs = {run.stage: run.state for run in journal.stage_runs(number)}
    return {stage: runs[stage] for stage in STAGES if stage in runs}


def test_an_approved_release_runs_all_stages_and_makes_the_candidate_champion(
    project: Project, journal: Journal, world: World
) -> None:
    outcome = release(project, journal)
    assert (outcome.exit_code, outcome.release and outcome.release.state) == (0, "done")
    assert world.ran == list(STAGES)
    champion = journal.alias("m", "champion")
    assert champion is not None
    assert champion.label == "m@v1"
    assert journal.release(1).version == "m@v1"


def test_with_nothing_changed_no_stage_runs_and_no_release_is_begun(
    project: Project, journal: Journal, world: World
) -> None:
    release(project, journal)
    world.ran.clear()
    outcome = release(project, journal)
    assert (outcome.release, outcome.exit_code, world.ran) == (None, 0, [])
    assert "Nothing changed since release 1: m@v1 is the champion" in outcome.sentence
    assert len(journal.releases()) == 1


def test_only_the_stages_behind_a_change_run_again(project: Project, journal: Journal, world: World) -> None:
    release(project, journal)
    world.ran.clear()
    world.inputs["train"] = "another learning rate"
    release(project, journal)
    assert world.ran == ["train", "test", "deploy", "pods"]
    assert states(journal, 2) == {
        "repo": "reused",
        "data": "reused",
        "train": "done",
        "test": "done",
        "deploy": "done",
        "pods": "done",
    }
    train = next(run for run in journal.stage_runs(2) if run.stage == "train")
    assert train.because == ("train input",)
    previous = journal.alias("m", "previous")
    assert previous is not None
    assert previous.label == "m@v1"


def test_an_older_state_of_the_inputs_is_known_again(project: Project, journal: Journal, world: World) -> None:
    release(project, journal)
    world.inputs["data"] = "new rows"
    release(project, journal)
    world.inputs["data"] = ""
    world.ran.clear()
    release(project, journal, Order(until="data"))
    assert world.ran == []


def test_from_runs_a_stage_again_although_nothing_changed(project: Project, journal: Journal, world: World) -> None:
    release(project, journal)
    world.ran.clear()
    release(project, journal, Order(again_from="test", approved=True))
    assert world.ran == ["test", "deploy", "pods"]


def test_deploy_waits_for_an_approval_of_just_its_plan(project: Project, journal: Journal, world: World) -> None:
    outcome = release(project, journal, Order(who="ada"))
    assert outcome.exit_code == 1
    assert journal.release(1).state == "waiting"
    assert states(journal, 1)["deploy"] == "waiting"

    approve(journal, 1, who="bob", reason="looks right")
    outcome = Engine(project, journal).resume(1, Order(who="bob"))
    assert (outcome.exit_code, journal.release(1).state) == (0, "done")
    assert world.ran.count("train") == 1


def test_an_approval_is_refused_where_nothing_waits(project: Project, journal: Journal, world: World) -> None:
    release(project, journal)
    with pytest.raises(WrongUse, match="does not wait for an approval"):
        approve(journal, 1, who="bob")


def test_a_failing_gate_stops_the_release_until_a_person_overrides_it_with_a_reason(
    project: Project, journal: Journal, world: World
) -> None:
    world.refuse("test", "worse than the champion")
    outcome = release(project, journal)
    assert (outcome.exit_code, journal.release(1).state) == (1, "refused")
    assert "Test says no: worse than the champion" in outcome.sentence

    with pytest.raises(WrongUse, match="needs a reason"):
        override(journal, 1, who="ada", reason=" ")
    override(journal, 1, who="ada", reason="the old one is broken")
    outcome = Engine(project, journal).resume(1, APPROVED)
    assert (outcome.exit_code, world.ran.count("test")) == (0, 1)
    assert [decision.reason for decision in journal.decisions(1)] == ["the old one is broken"]


def test_an_override_holds_only_for_the_evidence_it_was_given_for(
    project: Project, journal: Journal, world: World
) -> None:
    world.refuse("test")
    release(project, journal)
    override(journal, 1, who="ada", reason="this once")
    world.inputs["test"] = "other tests"
    assert Engine(project, journal).resume(1, APPROVED).exit_code == 1


def test_a_problem_fails_its_stage_and_resume_tries_that_stage_again(
    project: Project, journal: Journal, world: World
) -> None:
    def broken(context: StageContext) -> None:
        raise OutsideFailed("The cluster does not answer.", "Is it there?")

    world.during["deploy"] = broken
    outcome = release(project, journal)
    assert (outcome.exit_code, journal.release(1).state) == (3, "failed")
    deploy = next(run for run in journal.stage_runs(1) if run.stage == "deploy")
    assert deploy.problem is not None
    assert deploy.problem.sentence == "The cluster does not answer."

    del world.during["deploy"]
    world.ran.clear()
    assert Engine(project, journal).resume(1, APPROVED).exit_code == 0
    assert world.ran == ["deploy", "pods"]


def test_until_pauses_the_release_and_resume_goes_on(project: Project, journal: Journal, world: World) -> None:
    release(project, journal, Order(until="data"))
    assert journal.release(1).state == "paused"
    Engine(project, journal).resume(1, Order(until="train"))
    Engine(project, journal).resume(1, APPROVED)
    assert world.ran == list(STAGES)
    assert journal.release(1).state == "done"


def test_a_resumed_release_runs_what_changed_meanwhile(project: Project, journal: Journal, world: World) -> None:
    release(project, journal, Order(until="train"))
    world.inputs["data"] = "rows were added"
    world.ran.clear()
    Engine(project, journal).resume(1, Order(until="data"))
    assert world.ran == ["data"]


def test_history_is_not_resumed(project: Project, journal: Journal, world: World) -> None:
    release(project, journal, Order(until="data"))
    world.inputs["repo"] = "a new commit"
    release(project, journal)
    with pytest.raises(WrongUse, match="release 2 came after it"):
        Engine(project, journal).resume(1, APPROVED)
    with pytest.raises(WrongUse, match="is done"):
        Engine(project, journal).resume(2, APPROVED)


def test_a_cancel_decision_ends_the_stage_that_runs(project: Project, journal: Journal, world: World) -> None:
    def until_cancelled(context: StageContext) -> None:
        cancel(journal, 1, who="bob")
        assert context.cancelled.wait(60)
        raise Cancelled

    world.during["train"] = until_cancelled
    outcome = release(project, journal)
    assert (outcome.exit_code, journal.release(1).state) == (130, "cancelled")
    assert states(journal, 1)["train"] == "cancelled"


@pytest.mark.parametrize("resumed", [False, True])
def test_a_cancel_counts_from_the_moment_at_which_the_release_runs(
    project: Project, journal: Journal, world: World, resumed: bool
) -> None:
    if resumed:
        release(project, journal, Order(until="data"))

    def at_once(event: Event) -> None:
        if isinstance(event.body, ReleaseStarted) and not cancelled:
            cancelled.append(cancel(journal, 1, who="bob").id)

    cancelled: list[int] = []
    # it is looked for now and then: the stage goes on until it was found
    world.during["train"] = lambda context: (context.cancelled.wait(60), None)[1]
    engine = Engine(project, journal, listen=at_once)
    outcome = engine.resume(1, Order()) if resumed else engine.run(Order())
    assert cancelled
    assert (outcome.exit_code, journal.release(1).state) == (130, "cancelled")


def test_a_second_runner_is_refused(project: Project, journal: Journal, world: World) -> None:
    refusals: list[str] = []

    def another(context: StageContext) -> None:
        with pytest.raises(Refused) as refused:
            release(project, journal, Order(again_from="repo"))
        refusals.append(refused.value.sentence)

    world.during["data"] = another
    release(project, journal)
    assert len(refusals) == 1
    assert "Release 1 is running" in refusals[0]


def test_a_defect_of_ours_leaves_a_failed_release_behind_and_not_a_running_one(
    project: Project, journal: Journal, world: World
) -> None:
    def defect(context: StageContext) -> None:
        raise KeyError("oops")

    world.during["test"] = defect
    with pytest.raises(KeyError):
        release(project, journal)
    assert journal.release(1).state == "failed"
    assert states(journal, 1)["test"] == "failed"


def test_a_journal_that_is_full_is_no_defect_and_leaves_a_failed_release_behind(
    project: Project, journal: Journal, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(run: StageRun) -> None:
        if run.state == "done":
            raise JournalFailed("The journal can't be used: database or disk is full.")
        Journal.save_stage(journal, run)

    with monkeypatch.context() as disk:
        disk.setattr(journal, "save_stage", full)
        with pytest.raises(JournalFailed):
            Engine(project, journal).run(APPROVED)
    assert journal.release(1).state == "failed"
    finished = [event.body.sentence for event in journal.events(1) if isinstance(event.body, ReleaseFinished)]
    assert finished == ["The journal can't be used: database or disk is full."]
    assert Engine(project, journal).resume(1, APPROVED).exit_code == 0


def test_an_interrupted_release_goes_on_at_the_stage_that_had_not_finished(
    project: Project, journal: Journal, world: World
) -> None:
    release(project, journal, Order(until="data"))
    stopped = journal.release(1)
    journal.save_release(msgspec.structs.replace(stopped, state="running", runner=None))
    assert journal.release(1).state == "interrupted"
    world.ran.clear()
    assert Engine(project, journal).resume(1, APPROVED).exit_code == 0
    assert world.ran == ["train", "test", "deploy", "pods"]


def test_rollback_brings_the_previous_version_back_with_the_stages_that_made_it(
    project: Project, journal: Journal, world: World
) -> None:
    release(project, journal)
    world.inputs["train"] = "new rows"
    release(project, journal)
    world.ran.clear()
    version = target_version(journal, "m")
    outcome = roll_back(Engine(project, journal), journal, APPROVED, version)
    assert outcome.exit_code == 0
    assert world.ran == ["deploy", "pods"]
    champion, previous = journal.alias("m", "champion"), journal.alias("m", "previous")
    assert champion is not None
    assert previous is not None
    assert (champion.label, previous.label) == ("m@v1", "m@v2")
    assert states(journal, 3)["train"] == "reused"


def test_a_rollback_that_stopped_is_resumed_as_a_rollback(project: Project, journal: Journal, world: World) -> None:
    release(project, journal)
    world.inputs["train"] = "new rows"
    release(project, journal)
    world.refuse("pods")
    roll_back(Engine(project, journal), journal, APPROVED, target_version(journal, "m"))
    champion = journal.alias("m", "champion")
    assert champion is not None
    assert champion.label == "m@v2"
    world.gates.clear()
    Engine(project, journal).resume(3, APPROVED)
    champion = journal.alias("m", "champion")
    assert champion is not None
    assert champion.label == "m@v1"


@pytest.mark.parametrize("name", ["v1", "1", "m@v1"])
def test_a_version_is_named_in_several_ways(project: Project, journal: Journal, world: World, name: str) -> None:
    release(project, journal)
    with pytest.raises(WrongUse, match="m@v1 is the champion already"):
        target_version(journal, "m", name)


def test_there_is_nothing_to_go_back_to_at_first(project: Project, journal: Journal, world: World) -> None:
    with pytest.raises(WrongUse, match="no earlier version"):
        target_version(journal, "m")
    with pytest.raises(WrongUse, match="is no version"):
        target_version(journal, "m", "latest")


def test_every_event_reaches_the_listener_in_the_order_of_the_journal(
    project: Project, journal: Journal, world: World
) -> None:
    heard: list[Event] = []
    Engine(project, journal, listen=heard.append, cancelled=threading.Event()).run(APPROVED)
    assert tuple(heard) == journal.events(1)
