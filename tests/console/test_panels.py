"""Each panel answers its stage's question at a glance, and the rail has one fact of each."""

from __future__ import annotations

import msgspec
import pytest

from mlconsole.console.messages import PodsSeen
from mlconsole.console.widgets import rail
from mlconsole.console.widgets.evidence_strip import strip_lines
from mlconsole.console.widgets.table import Table
from mlconsole.evidence.release import MetricSeen, TestReported
from mlconsole.evidence.training import MetricPoint

from .builder import NAMES, outcomes, pod, snapshot
from .conftest import Build, Drive


@pytest.mark.parametrize("size", [(80, 24), (160, 50)])
async def test_the_rail_has_state_fact_and_time_of_each_stage(
    build: Build, drive: Drive, size: tuple[int, int]
) -> None:
    async with drive(build("done").project.root, size) as console:
        text = await console.shows("3/3 serve v2")
        for words in ("1 warning", "main@a1b2c3d, 2 dirty", "3,548 rows, 4 columns", "8 passed", "1 object applied"):
            assert words in text
        assert "4.2 s" in text


async def test_the_strip_tells_where_the_rest_is_only_where_it_is_elsewhere(build: Build, drive: Drive) -> None:
    async with drive(build("refused").project.root, (60, 20)) as console:
        for key, panel, told in (("1", "1 Repo", "… 2 more lines: 4 shows Test"), ("4", "4 Test", "… 2 more lines")):
            await console.press(key)
            await console.shows(panel)
            assert strip_lines(console.app.view, 60, 2)[-1].plain == told


@pytest.mark.parametrize(("began", "told"), [("11 min 55 s ago", "11 min ago"), ("just now", "just now")])
async def test_when_a_release_began_is_never_told_like_how_long_it_took(
    build: Build, drive: Drive, monkeypatch: pytest.MonkeyPatch, began: str, told: str
) -> None:
    monkeypatch.setattr(rail, "age", lambda moment, now: began)
    async with drive(build("done").project.root, (100, 40)) as console:
        text = await console.shows("3/3 serve v2")
        head = rail.rail_lines(console.app.view, "tall", 31, 20)[0][0].plain
        assert head.startswith(" Release 1 ✓ done ")
        assert head.split("done")[1].strip() == told
        assert "Release 1" in text


async def test_a_stage_that_was_not_run_again_says_whose_evidence_it_has(build: Build, drive: Drive) -> None:
    builder = build("done")
    release = builder.begin()
    builder.stage(release, "repo", "reused", reused_from=1)
    builder.end(release, "paused")
    async with drive(builder.project.root) as console:
        await console.shows("unchanged", "from release 1", "Release 2 is paused before Data.")


async def test_the_repository_is_shown_as_it_is_now(build: Build, drive: Drive, git_repository: str) -> None:
    async with drive(build("waiting").project.root) as console:
        await console.press("1")
        text = await console.shows("Say [why] it is so", "Not committed", "notes.md")
        assert git_repository[:7] in text
        await console.shows("the folder has changed since")


async def test_the_data_panel_has_the_profile(build: Build, drive: Drive) -> None:
    async with drive(build("paused").project.root) as console:
        await console.press("2")
        text = await console.shows("bikers (target)", "143.8", "638")
        assert "2,804 → 3,548 rows, 744 rows appended" in text
        assert "✓ Nothing is wrong with it." in text


async def test_data_that_was_not_profiled_is_listed(build: Build, drive: Drive) -> None:
    async with drive(build().project.root) as console:
        await console.press("2")
        await console.shows("data/training.csv", "Not profiled yet: run the stage with n.")


async def test_training_shows_progress_curves_and_log_as_they_come(build: Build, drive: Drive) -> None:
    builder = build("training")
    async with drive(builder.project.root) as console:
        text = await console.shows("60%", "epoch 12/20", "left", "valid_mae=34.167")
        assert any("⠀" < letter <= "⣿" for letter in text), "the curves are in braille"
        log = builder.project.release_folder(1) / "train.log"
        with log.open("a", encoding="utf-8") as file:
            file.write("epoch 13/20 \x1b[31mtrain_mae=30.1\x1b[0m\n 50%\r 65%")
        builder.journal.emit(1, MetricSeen(point=MetricPoint(name="valid_mae", value=12.34, step=13)), "train")
        text = await console.shows("epoch 13/20 train_mae=30.1", "65%", "12.34")
        assert " 50%" not in text


async def test_a_failed_training_says_what_failed_and_what_to_do(build: Build, drive: Drive) -> None:
    async with drive(build("failed").project.root) as console:
        await console.shows(
            "The training ended with exit code 1.",
            "Mend what its last lines say",
            "python train_model.py --data data/training.csv",
            "could not convert string to float",
            "Release 1 failed at Train.",
        )


async def test_tests_come_in_as_they_end_with_failures_first(build: Build, drive: Drive) -> None:
    builder = build("testing")
    async with drive(builder.project.root) as console:
        await console.shows("5/8", "✗ 1 failed", "✓ 4 passed")
        builder.journal.emit(1, TestReported(outcome=outcomes()[-1]), "test")
        await console.shows("6/8", NAMES[-1])
        rows = [
            text for text in console.text.splitlines() if "test_" in text and ("failed" in text or "passed" in text)
        ]
        assert "failed" in rows[0]
        assert all("passed" in row for row in rows[1:])


async def test_a_failed_test_opens_with_its_traceback(build: Build, drive: Drive) -> None:
    async with drive(build("refused").project.root) as console:
        await console.shows("2 of 8 tests failed.", "Candidate against champion", "✓ better", "28.9% better")
        await console.press("enter", "enter")
        await console.shows("Traceback", "E assert 52.1 < 45", "judging 1,200 rows")
        await console.press("escape")
        await console.shows("Candidate against champion")


async def test_the_plan_is_shown_object_by_object(build: Build, drive: Drive) -> None:
    async with drive(build("waiting").project.root, (120, 50)) as console:
        text = await console.shows("This plan waits for your approval: press a.", "~ change deployment/ml-model +2 -2")
        assert "= as it is service/ml-model" in " ".join(text.split())
        assert "+          value: v2" in text


async def test_a_rollout_is_followed(build: Build, drive: Drive) -> None:
    async with drive(build("rolling_out").project.root) as console:
        await console.shows("2/3 updated 2 ready 1 available", "2 out of 3 new replicas", "1/3 available")


async def test_a_failed_rollout_says_why(build: Build, drive: Drive) -> None:
    async with drive(build("rollout_failed").project.root) as console:
        await console.shows(
            "deployment/ml-model did not roll out.",
            "crashes: exit code 1 (4 restarts)",
            "ValueError: the model's digest differs",
            "Back-off restarting failed container",
        )


async def test_after_a_failed_rollout_going_back_is_one_of_the_next_keys(build: Build, drive: Drive) -> None:
    async with drive(build("done", "rollout_failed").project.root) as console:
        await console.shows("was refused at Deploy.", "n try again b roll back o override")
        # where there is less room, the first of them stay
        await console.pilot.resize_terminal(66, 20)
        await console.shows("was refused at Deploy.", "n try again b roll back")
        assert "b roll back o override" not in console.flowing


async def test_the_pods_panel_comes_back_as_it_was(build: Build, drive: Drive) -> None:
    async with drive(build("done").project.root, (160, 50)) as console:
        for size, is_low in (((160, 50), False), ((80, 24), True)):
            await console.pilot.resize_terminal(*size)
            await console.press("6")
            panel = console.app.main.panel
            await console.until(lambda panel=panel, is_low=is_low: panel.has_class("-low") is is_low)
            await console.press("1", "6")
            assert panel.has_class("-low") is is_low, "nothing jumps in the first moments"


async def test_pods_are_live_whatever_release_there_is(build: Build, drive: Drive) -> None:
    async with drive(build().project.root) as console:
        console.app.watching.pods.stop()
        await console.press("6")
        broken = pod(3, ready=False, reason="Container ml-model ended with exit code 1.")
        console.app.post_message(PodsSeen(snapshot(pod(1), pod(2), broken)))
        await console.shows(
            "● live 2/3 ready", "NAME READY STATUS RESTARTS AGE MODEL", "CrashLoopBackOff 4 (12s ago) 5m v2"
        )
        await console.press("enter", "G")
        await console.shows("Container ml-model ended with exit code 1.")


async def test_stale_pods_stay_on_the_screen_and_say_so(build: Build, drive: Drive) -> None:
    async with drive(build().project.root) as console:
        console.app.watching.pods.stop()
        await console.press("6")
        sentence = "The cluster does not answer."
        console.app.post_message(PodsSeen(snapshot(pod(1), state="reconnecting", sentence=sentence)))
        await console.shows("reconnecting (0)", "The cluster does not answer.", "1/1 Running")


async def test_the_cursor_stays_on_its_pod(build: Build, drive: Drive) -> None:
    async with drive(build().project.root) as console:
        console.app.watching.pods.stop()
        await console.press("6")
        console.app.post_message(PodsSeen(snapshot(*(pod(number) for number in range(5)))))
        await console.shows("5/5 ready")
        await console.press("enter", "j", "j")
        table = console.app.main.panel.query_one(Table)
        assert table.cursor_key == "uid-2"
        rows = [pod(number) for number in range(20) if number not in (0, 3)]
        console.app.post_message(PodsSeen(snapshot(*reversed(rows))))
        await console.shows("18/18 ready")
        assert table.cursor_key == "uid-2"
        assert console.app.selected_pod == msgspec.structs.replace(
            rows[1], created_at=console.app.selected_pod.created_at
        )


async def test_a_log_of_a_stage_without_output_tells_its_story(build: Build, drive: Drive) -> None:
    async with drive(build("rolling_out").project.root) as console:
        await console.press("l")
        await console.shows("Log of deploy, release 1", "2 out of 3 new replicas")
        await console.press("escape")
        await console.shows("Release 1 runs: Deploy.")
