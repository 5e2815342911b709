"""Past releases: what changed in each, its record, two side by side, and one replayed as it went."""

from __future__ import annotations

import random
from dataclasses import replace

import msgspec
import pytest

from mlconsole.console.compare_lines import compare_lines
from mlconsole.console.operations import test as test_operation
from mlconsole.console.release_facts import ReleaseFacts, changed_words, filled
from mlconsole.console.screens.history import HistoryScreen
from mlconsole.console.screens.replay import ReplayScreen
from mlconsole.console.tape import LONGEST_GAP, Player, make_tape, read_tape
from mlconsole.evidence.record import ReleaseRecord
from mlconsole.evidence.testing import TestRun
from mlconsole.release.record import gather

from .conftest import Build, Drive


def test_what_changed_is_said_by_its_values() -> None:
    before = ReleaseFacts(commit="a" * 40, data="sha256:1", rows=100, parameters={"lr": "0.1"}, metrics={"mae": 3.0})
    now = ReleaseFacts(commit="b" * 40, data="sha256:2", rows=150, parameters={"lr": "0.2"}, metrics={"mae": 2.0})
    assert changed_words(now, before) == "commit bbbbbbb, data +50 rows, lr 0.1 → 0.2, mae 3 → 2"
    assert changed_words(before, before) == "nothing"
    assert changed_words(now, None) == "the first"


def test_of_one_commit_the_files_that_are_not_committed_are_a_change() -> None:
    before = ReleaseFacts(commit="a" * 40, tree="sha256:clean")
    dirty = ReleaseFacts(commit="a" * 40, dirty=2, tree="sha256:dirty")
    assert changed_words(dirty, before) == "2 changed files"
    assert changed_words(before, dirty) == "no file changed any more"
    assert changed_words(dirty, dirty) == "nothing"


def test_what_a_release_did_not_come_to_is_no_change_in_the_next_one() -> None:
    first = ReleaseFacts(commit="a" * 40, data="sha256:1", rows=9, parameters={"lr": "0.1"}, metrics={"mae": 3.0})
    failed = ReleaseFacts(commit="b" * 40, data="sha256:1", rows=9)
    same = replace(first, commit="b" * 40)
    better = replace(same, parameters={"lr": "0.2"})
    assert changed_words(same, failed) == "nothing", "what was before it is not known"
    assert changed_words(same, filled(failed, first)) == "nothing"
    assert changed_words(better, filled(failed, first)) == "lr 0.1 → 0.2"


async def test_after_a_failed_training_the_history_tells_the_change_since_the_last_model(
    build: Build, drive: Drive
) -> None:
    async with drive(build("done", "failed", "done").project.root, (160, 50)) as console:
        await console.press("h")
        await console.shows("✗ failed", "the first", "nothing")
        assert "– →" not in console.text


async def test_the_history_tells_what_each_release_changed_and_decided(build: Build, drive: Drive) -> None:
    async with drive(build("done", "refused").project.root, (160, 50)) as console:
        await console.press("h")
        await console.shows("what changed", "refused at test: 2 of 8 tests failed.")


async def test_every_release_is_there_however_many_and_told_apart_once_it_is_seen(build: Build, drive: Drive) -> None:
    root = build("refused", *["done"] * 124).project.root
    async with drive(root, (160, 50)) as console:
        await console.press("h")
        await console.shows("125", "what changed", "nothing")
        assert "refused at test" not in console.text
        screen = console.app.screen
        assert isinstance(screen, HistoryScreen)
        await console.until(lambda: screen.before(25) == 24)
        await console.press("end")
        await console.shows("the first", "refused at test: 2 of 8 tests failed.")
        assert screen.selected == 1


async def test_a_release_that_begins_comes_into_the_open_history(build: Build, drive: Drive) -> None:
    builder = build("done")
    async with drive(builder.project.root, (160, 50)) as console:
        await console.press("h")
        await console.shows("✓ done", "the first")
        builder.refused()
        await console.shows("refused at test: 2 of 8 tests failed.")


async def test_a_release_that_waited_until_another_came_was_never_approved(build: Build, drive: Drive) -> None:
    async with drive(build("waiting", "done").project.root, (160, 50)) as console:
        await console.shows("⊘ never approved")
        await console.press("h")
        await console.shows("⊘ never approved", "✓ done")
        await console.press("j", "enter")
        await console.shows("Release 1 was never approved.")


async def test_a_record_is_a_page(build: Build, drive: Drive) -> None:
    async with drive(build("done").project.root, (160, 50)) as console:
        await console.press("i")
        await console.shows("Record of release 1", "Made of", "Judged by")


async def test_two_marked_releases_are_compared(build: Build, drive: Drive) -> None:
    async with drive(build("done", "refused").project.root, (160, 50)) as console:
        await console.press("h")
        await console.shows("what changed")
        await console.press("space", "j", "space")
        await console.shows("▪")
        await console.press("enter")
        await console.shows("Release 1 and release 2", "Parameters the same", "2/8 failed")


def test_what_differs_is_marked_and_how_far(build: Build) -> None:
    builder = build("done", "refused")
    left, right = gather(builder.journal, 1), gather(builder.journal, 2)
    train = right.stage("train")
    assert train is not None and right.train is not None
    metrics = (msgspec.structs.replace(right.train.metrics[0], value=12.05), *right.train.metrics[1:])
    changed = msgspec.structs.replace(train, evidence=msgspec.structs.replace(right.train, metrics=metrics))
    stages = tuple(changed if run.stage == "train" else run for run in right.stages)
    other: ReleaseRecord = msgspec.structs.replace(right, stages=stages)
    lines = [content.plain for content in compare_lines(left, other, 120)]
    (row,) = [text for text in lines if text.startswith("≠ mean_absolute_error")]
    assert "24.1" in row
    assert "12.05 (-50.0%)" in row
    (same,) = [text for text in lines if "learning_rate" in text]
    assert same.startswith("  ")


@pytest.mark.parametrize("width", [60, 80])
def test_values_that_differ_are_compared_whole_however_narrow_it_is(build: Build, width: int) -> None:
    builder = build("done", "done")
    left, right = gather(builder.journal, 1), gather(builder.journal, 2)
    files = "deployment.yaml, tests/test_model_quality.py, a-folder/with/a/long/name/params.yaml"
    reason = f"{files} were changed"
    other: ReleaseRecord = msgspec.structs.replace(right, release=msgspec.structs.replace(right.release, reason=reason))
    lines = [content.plain for content in compare_lines(left, other, width)]
    assert all(len(text) <= width for text in lines)
    first = next(place for place, text in enumerate(lines) if text.startswith("≠ reason"))
    column = lines[first].index("deployment.yaml")
    told = [lines[first], *(text for text in lines[first + 1 :] if not text[:column].strip())]
    assert "".join("".join(text[column:].split()) for text in told) == reason.replace(" ", "")


def test_a_tape_ends_as_the_release_did_and_knows_less_before(build: Build) -> None:
    builder = build("done")
    tape = read_tape(builder.project.journal_path, 1)
    player = Player(tape)
    last = player.reading(tape.length)
    assert last.runs == {run.stage: run for run in tape.runs}
    first = player.reading(0.0)
    assert len(first.runs) < len(last.runs)
    assert first.shown is not None and first.shown.state == "running"
    assert player.reading(tape.length).runs == last.runs, "forwards again"


def test_waiting_is_cut_short_on_a_tape(build: Build) -> None:
    builder = build("training")
    events = builder.journal.events(1)
    late = [msgspec.structs.replace(event, at=event.at.replace(year=event.at.year + 1)) for event in events[-1:]]
    tape = make_tape(builder.journal.release(1), [*events[:-1], *late], builder.journal.stage_runs(1))
    assert tape.length < len(events) * LONGEST_GAP
    assert tape.moment(tape.length) == late[0].at


async def test_a_replay_is_held_turned_and_left(build: Build, drive: Drive) -> None:
    builder = build("done")
    async with drive(builder.project.root, (120, 40)) as console:
        await console.press("P")
        await console.shows("Replay of release 1")
        screen = console.app.screen
        assert isinstance(screen, ReplayScreen)
        await console.press("plus")
        assert screen.speed == 2.0
        await console.until(lambda: screen.seconds >= screen._tape.length)
        assert not screen.is_playing
        await console.press("left_square_bracket")
        assert screen.seconds < screen._tape.length or screen._tape.length < 0.3
        await console.press("3")
        await console.shows("What came out, and how?")
        await console.press("escape")
        await console.until(lambda: not isinstance(console.app.screen, ReplayScreen))


KEYS = (*"123456jkhiPCdpemEwz", "enter", "escape", "space", "left", "right", "plus", "minus", "home", "end", "tab",
        "left_square_bracket", "right_square_bracket", "question_mark")  # fmt: skip


@pytest.mark.parametrize(("seed", "size"), [(5, (80, 24)), (6, (160, 50)), (7, (60, 20))])
async def test_any_keys_in_history_and_replay_do_no_harm(
    build: Build, drive: Drive, seed: int, size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        test_operation,
        "run_again",
        lambda *_: TestRun(command="pytest", exit_code=0, seconds=0.1, collected=0, outcomes=()),
    )
    dice = random.Random(seed)
    builder = build("done", "refused", "training")
    async with drive(builder.project.root, size) as console:
        for turn in range(250):
            console.type(dice.choice(KEYS))
            if turn % 8 == 0:
                await console.pilot.pause()
            if dice.random() < 0.02:
                await console.pilot.resize_terminal(dice.randint(40, 180), dice.randint(10, 60))
        await console.pilot.pause()
        assert console.app.is_running
        assert not (builder.project.state / "console.log").exists()


async def test_keys_that_are_typed_at_once_count_one_after_the_other(build: Build, drive: Drive) -> None:
    async with drive(build("done", "done", "done").project.root, (160, 50)) as console:
        await console.press("h")
        await console.shows("Releases of")
        for key in ("space", "down", "down", "space", "enter"):
            console.type(key)
        await console.shows("Release 1 and release 3")
