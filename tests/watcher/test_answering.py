"""What is new becomes part of the data with its release, leaves it again where a gate said no, and counts once."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from mlconsole.errors import OutsideFailed
from mlconsole.evidence.watching import Trigger
from mlconsole.journal import Journal
from mlconsole.project import Project
from mlconsole.release.decisions import override
from mlconsole.release.engine import Engine, Order, Outcome
from mlconsole.release.rollback import roll_back, target_version
from mlconsole.services.triggers.files import keep_whole
from mlconsole.trigger_queue import TakenAlready, TriggerQueue
from mlconsole.watcher.adding import KEPT, add, open_additions, take_out
from mlconsole.watcher.answering import AnotherAnswers, answer, is_answered, only_one, settle_outcomes
from mlconsole.watcher.pace import Begin, next_move

ORDER = Order(approved=True, who="watcher")
BASE = "a,b\n1,2\n"


@pytest.fixture
def queue(journal: Journal) -> TriggerQueue:
    return TriggerQueue(journal)


@pytest.fixture
def folder(project: Project) -> Project:
    """A project whose data is a folder."""
    return with_data(project, "data")


@pytest.fixture
def file(project: Project) -> Project:
    """A project whose data is one CSV file."""
    made = with_data(project, "data/training.csv")
    (made.root / "data").mkdir()
    (made.root / "data" / "training.csv").write_text(BASE)
    return made


def with_data(project: Project, path: str) -> Project:
    data = msgspec.structs.replace(project.settings.data, path=path)
    return replace(project, settings=msgspec.structs.replace(project.settings, data=data))


def arrive(project: Project, queue: TriggerQueue, name: str, content: str, then: Any = "release") -> Trigger:
    """Let a new file arrive, as a watch puts it in."""
    digest = keep_whole(iter([content.encode()]), project.state / KEPT)
    trigger = queue.put("data", digest, name, then=then, place=f"inbox/{name}", adds=True)
    assert trigger is not None
    return trigger


def release(project: Project, journal: Journal, *numbers: int) -> Outcome:
    return answer(project, journal, Engine(project, journal), ORDER, numbers)


def data_of(project: Project) -> dict[str, str]:
    return {path.name: path.read_bytes().decode() for path in sorted((project.root / "data").iterdir())}


def outcomes(queue: TriggerQueue) -> list[str]:
    return [trigger.outcome for trigger in reversed(queue.triggers())]


def test_a_new_file_is_put_into_the_data_and_its_release_tells_so(
    folder: Project, journal: Journal, queue: TriggerQueue, world: Any
) -> None:
    may = arrive(folder, queue, "may.csv", "a,b\n3,4\n")
    outcome = release(folder, journal, may.id)
    assert outcome.release is not None
    assert outcome.release.trigger is not None
    assert outcome.release.trigger.words == "may.csv"
    assert data_of(folder) == {"may.csv": "a,b\n3,4\n"}
    assert outcomes(queue) == ["released"]
    assert list((folder.state / KEPT).iterdir()) == [], "what is in the data is not kept twice"
    with pytest.raises(TakenAlready):
        release(folder, journal, may.id)


def test_rows_are_appended_to_a_file_once_whoever_is_killed_in_between(
    file: Project, journal: Journal, queue: TriggerQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    may = arrive(file, queue, "may.csv", "a,b\r\n3,4\r\n")
    saved = queue.save_addition
    killed_after = {"times": 0}

    def killed(addition: Any) -> None:
        saved(addition)
        killed_after["times"] += 1
        if killed_after["times"] == 1:
            raise KeyboardInterrupt

    monkeypatch.setattr(queue, "save_addition", killed)
    with pytest.raises(KeyboardInterrupt):
        add(file, queue, may)
    assert data_of(file) == {"training.csv": BASE}, "only the intent is written down"
    add(file, queue, may)
    add(file, queue, may)
    assert data_of(file) == {"training.csv": BASE + "3,4\r\n"}
    addition = queue.addition(may.id)
    assert addition is not None
    queue.save_addition(msgspec.structs.replace(addition, state="intended"))
    add(file, queue, may)
    assert data_of(file) == {"training.csv": BASE + "3,4\r\n"}, "killed after the rename, it is known by its digest"


def test_what_a_gate_refused_leaves_the_data_before_the_next_release(
    file: Project, journal: Journal, queue: TriggerQueue, world: Any
) -> None:
    world.refuse("data", "b is out of range")
    outcome = release(file, journal, arrive(file, queue, "may.csv", "a,b\n5,999\n").id)
    assert outcome.exit_code == 1
    assert outcomes(queue) == ["refused"]
    assert queue.trigger(1).sentence == "Data says no: b is out of range"
    assert data_of(file)["training.csv"].endswith("5,999\n"), "a person may still look, and override"
    world.gates.clear()
    world.inputs["data"] = "june"
    release(file, journal, arrive(file, queue, "june.csv", "a,b\n7,8\n").id)
    assert data_of(file) == {"training.csv": BASE + "7,8\n"}
    assert outcomes(queue) == ["refused", "released"]
    assert queue.again([1])[0].state == "waiting"
    release(file, journal, 1)
    assert data_of(file) == {"training.csv": BASE + "7,8\n5,999\n"}


def test_contents_that_were_refused_together_are_judged_one_by_one(
    file: Project, journal: Journal, queue: TriggerQueue, world: Any
) -> None:
    def judge(context: Any) -> None:
        bad = "999" in (file.root / "data" / "training.csv").read_text()
        world.gates.clear()
        if bad:
            world.refuse("data", "b is out of range")

    world.during["data"] = judge
    arrived = [arrive(file, queue, f"{name}.csv", f"a,b\n{name},{name}\n") for name in ("5", "999", "7")]
    world.inputs["data"] = "all"
    release(file, journal, *(trigger.id for trigger in arrived))
    assert [(trigger.state, trigger.alone) for trigger in queue.triggers()] == [("waiting", True)] * 3
    while isinstance(move := next_move(journal), Begin):
        assert len(move.triggers) == 1
        world.inputs["data"] = str(move.triggers)
        release(file, journal, *move.triggers)
    assert outcomes(queue) == ["released", "refused", "released"]
    assert data_of(file) == {"training.csv": BASE + "5,5\n7,7\n"}


def test_a_file_that_the_data_had_already_is_not_taken_out_of_it(
    folder: Project, journal: Journal, queue: TriggerQueue
) -> None:
    (folder.root / "data").mkdir()
    (folder.root / "data" / "may.csv").write_text("a,b\n1,1\n")
    may = arrive(folder, queue, "may.csv", "a,b\n1,1\n")
    add(folder, queue, may)
    (addition,) = open_additions(journal)
    take_out(folder, queue, addition)
    assert data_of(folder) == {"may.csv": "a,b\n1,1\n"}


def test_a_refused_release_that_a_person_lets_go_on_counts_as_released(
    folder: Project, journal: Journal, queue: TriggerQueue, world: Any
) -> None:
    world.refuse("test")
    may = arrive(folder, queue, "may.csv", "a,b\n3,4\n")
    release(folder, journal, may.id)
    override(journal, 1, who="ada", reason="known")
    Engine(folder, journal).resume(1, ORDER)
    settle_outcomes(folder, journal)
    assert outcomes(queue) == ["released"]
    assert open_additions(journal) == ()


def test_a_deploy_that_fails_says_nothing_against_the_data(
    folder: Project, journal: Journal, queue: TriggerQueue, world: Any
) -> None:
    world.refuse("pods")
    release(folder, journal, arrive(folder, queue, "may.csv", "a,b\n3,4\n").id)
    assert outcomes(queue) == ["refused"]
    assert open_additions(journal) == ()


def test_nothing_is_appended_to_a_file_whose_lines_are_not_told_by_bytes(
    file: Project, journal: Journal, queue: TriggerQueue, world: Any
) -> None:
    (file.root / "data" / "training.csv").write_bytes(BASE.encode("utf-16"))
    more = arrive(file, queue, "may.csv", "a,b\n3,4\n")
    assert release(file, journal, more.id).release is None
    assert "Rows can't be appended to training.csv: it is UTF-16 or UTF-32." in queue.trigger(more.id).sentence
    assert (file.root / "data" / "training.csv").read_bytes() == BASE.encode("utf-16")


def test_content_that_does_not_fit_is_refused_without_a_release(
    file: Project, journal: Journal, queue: TriggerQueue, world: Any
) -> None:
    other = arrive(file, queue, "may.csv", "b,c\n3,4\n")
    fit = arrive(file, queue, "june.csv", "a,b\n3,4\n")
    outcome = release(file, journal, other.id, fit.id)
    assert outcome.release is not None
    assert outcomes(queue) == ["refused", "released"]
    assert "other columns than training.csv" in queue.trigger(other.id).sentence
    assert data_of(file) == {"training.csv": BASE + "3,4\n"}
    again = arrive(file, queue, "july.csv", "x\n1\n")
    assert release(file, journal, again.id).release is None


def test_two_files_of_one_name_are_both_kept(
    folder: Project, journal: Journal, queue: TriggerQueue, world: Any
) -> None:
    first = arrive(folder, queue, "new.csv", "a,b\n1,1\n")
    second = arrive(folder, queue, "new.csv", "a,b\n2,2\n")
    release(folder, journal, first.id, second.id)
    digest = hashlib.sha256(b"a,b\n2,2\n").hexdigest()
    assert data_of(folder) == {"new.csv": "a,b\n1,1\n", f"new-{digest[:8]}.csv": "a,b\n2,2\n"}


def test_rows_are_not_taken_out_of_a_file_that_somebody_changed_since(
    file: Project, journal: Journal, queue: TriggerQueue
) -> None:
    may = arrive(file, queue, "may.csv", "a,b\n3,4\n")
    add(file, queue, may)
    (file.root / "data" / "training.csv").write_text(BASE + "3,4\n9,9\n")
    addition = queue.addition(may.id)
    assert addition is not None
    with pytest.raises(OutsideFailed, match="was changed since"):
        take_out(file, queue, addition)
    assert data_of(file) == {"training.csv": BASE + "3,4\n9,9\n"}
    queue.forget_addition([may.id])
    assert open_additions(journal) == ()


def test_what_changes_nothing_is_said_to(folder: Project, journal: Journal, queue: TriggerQueue, world: Any) -> None:
    Engine(folder, journal).run(ORDER)
    moment = queue.put("schedule", "monday", "schedule, Monday", then="run")
    assert moment is not None
    assert release(folder, journal, moment.id).release is None
    assert outcomes(queue) == ["unchanged"]


def test_a_problem_before_the_release_leaves_the_trigger_waiting_with_the_reason(
    folder: Project, journal: Journal, queue: TriggerQueue, world: Any
) -> None:
    may = arrive(folder, queue, "may.csv", "a,b\n3,4\n")
    for kept in (folder.state / KEPT).iterdir():
        kept.unlink()
    with pytest.raises(OutsideFailed, match="no longer in"):
        release(folder, journal, may.id)
    left = queue.trigger(may.id)
    assert (left.state, left.sentence.split(".")[0]) == ("waiting", "The content of inbox/may")


def test_only_one_process_answers_triggers_at_a_time(
    folder: Project, journal: Journal, queue: TriggerQueue, world: Any
) -> None:
    may = arrive(folder, queue, "may.csv", "a,b\n3,4\n")
    with only_one(folder):
        assert is_answered(folder)
        with pytest.raises(AnotherAnswers):
            release(folder, journal, may.id)
    assert not is_answered(folder)
    assert release(folder, journal, may.id).release is not None


def test_an_open_release_that_a_later_one_replaced_ends_its_triggers(
    folder: Project, journal: Journal, queue: TriggerQueue, world: Any
) -> None:
    waits = Order(who="watcher")
    for name in ("may", "june"):
        trigger = arrive(folder, queue, f"{name}.csv", f"a,b\n{name},1\n", then="run")
        world.inputs["data"] = name
        answer(folder, journal, Engine(folder, journal), waits, [trigger.id])
    settle_outcomes(folder, journal)
    assert [trigger.state for trigger in reversed(queue.triggers())] == ["ended", "taken"]
    assert outcomes(queue) == ["replaced", ""]
    assert queue.trigger(1).sentence == "Release 2 came after it.", "not how to approve what can't be any more"


def test_what_waits_is_not_lost_to_a_rollback_that_holds_nothing_of_it(
    folder: Project, journal: Journal, queue: TriggerQueue, world: Any
) -> None:
    for name in ("may", "june"):
        world.inputs["data"] = world.inputs["train"] = name
        release(folder, journal, arrive(folder, queue, f"{name}.csv", f"a,b\n{name},1\n").id)
    july = arrive(folder, queue, "july.csv", "a,b\njuly,1\n", then="run")
    world.inputs["data"] = world.inputs["train"] = "july"
    answer(folder, journal, Engine(folder, journal), Order(who="watcher"), [july.id])
    roll_back(Engine(folder, journal), journal, ORDER, target_version(journal, "m"))
    settle_outcomes(folder, journal)
    assert outcomes(queue) == ["released", "released", ""]
    assert next_move(journal) == Begin(triggers=(july.id,), to_the_end=False)
    assert queue.trigger(july.id).sentence == "Release 3 was left for a rollback."
    again = release(folder, journal, july.id)
    assert again.release is not None
    assert (again.release.number, again.release.state) == (5, "waiting"), "nobody approved this code since"
    assert "july.csv" in data_of(folder)


def test_a_folder_named_by_a_glob_takes_only_files_that_match(
    project: Project, journal: Journal, queue: TriggerQueue, world: Any
) -> None:
    made = with_data(project, "data/*.csv")
    arrived = arrive(made, queue, "may.parquet", "PAR1")
    assert release(made, journal, arrived.id).release is None
    assert "does not match data/*.csv" in queue.trigger(arrived.id).sentence
    assert not Path(made.root / "data").exists()
