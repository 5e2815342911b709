"""The tests as a tree, some run again outside of the release, and the comparison drawn."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from mlconsole.console.interval_lines import forest, interval_of
from mlconsole.console.operations import test as operation
from mlconsole.console.panels.test import outcome_lines
from mlconsole.console.screens.rerun import RerunScreen
from mlconsole.console.story import Story, StoryTeller
from mlconsole.console.test_tree import failed_ids, parts_of, slowest_rows, tree_rows
from mlconsole.evidence.base import now
from mlconsole.evidence.release import Event, EventBody, TestReported, TestRunning, TestsCollected
from mlconsole.evidence.testing import Outcome, TestOutcome, TestRun
from mlconsole.evidence.training import MetricPoint
from mlconsole.project import Project
from mlconsole.services import readonly

from .builder import evidence_of_tests, outcomes
from .conftest import Build, Drive


def outcome(nodeid: str, ended: Outcome = "passed", seconds: float = 0.1) -> TestOutcome:
    return TestOutcome(nodeid=nodeid, outcome=ended, seconds=seconds)


TESTS = (
    outcome("tests/test_a.py::test_one"),
    outcome("tests/test_a.py::TestRain::test_wet[a::b]", "failed", 3.0),
    outcome("tests/test_a.py::TestRain::test_dry"),
    outcome("tests/test_b.py::test_two", seconds=1.0),
)


def test_files_and_classes_are_branches_and_what_failed_comes_first() -> None:
    names = [row.cells[1] for row in tree_rows(TESTS, ())]
    assert names == [
        "▾ test_a.py",
        "  ▾ TestRain",
        "    test_wet[a::b]",
        "    test_dry",
        "  test_one",
        "▾ test_b.py",
        "  test_two",
    ]
    assert tree_rows(TESTS, ())[0].cells[0] == "✗ 1/3"


def test_a_folded_branch_keeps_its_counts() -> None:
    rows = tree_rows(TESTS, {"tests/test_a.py"})
    assert [row.cells[1] for row in rows] == ["▸ test_a.py", "▾ test_b.py", "  test_two"]
    assert rows[0].cells[0] == "✗ 1/3"


def test_the_slowest_are_listed_whatever_they_are_in() -> None:
    assert [row.cells[1] for row in slowest_rows(TESTS)][:2] == ["test_wet[a::b]", "test_two"]


def test_parameters_with_colons_are_part_of_a_name() -> None:
    assert parts_of("a.py::T::test[x::y]") == ["a.py", "T", "test[x::y]"]
    assert failed_ids(TESTS) == ("tests/test_a.py::TestRain::test_wet[a::b]",)


def test_worse_is_to_the_right_whichever_way_a_metric_goes() -> None:
    less = evidence_of_tests().comparison
    assert less is not None
    more = msgspec.structs.replace(less, lower_is_better=False, difference=0.1, low=0.05, high=0.15, champion_value=0.5)
    assert interval_of(less).high < 0
    assert interval_of(more).low == pytest.approx(-0.3)
    drawn = [content.plain for content in forest([less, more], 80)]
    assert all(text.index("●") < text.index("│") for text in drawn[:2])
    assert "better" in drawn[2]


async def test_enter_folds_a_file_and_opens_a_test(build: Build, drive: Drive) -> None:
    async with drive(build("refused").project.root, (160, 50)) as console:
        await console.press("4", "enter")
        await console.shows("▾ test_model_quality.py", "test_mean_absolute_error_is_low")
        await console.press("home", "enter")
        text = await console.shows("▸ test_model_quality.py")
        assert "test_rain_keeps" not in text
        await console.press("enter", "j", "enter")
        await console.shows("Traceback", "judging 1,200 rows")


async def test_failed_tests_run_again_and_it_is_said_that_nothing_is_recorded(
    build: Build, drive: Drive, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, ...]] = []

    def again(
        project: Project,
        digest: str,
        nodeids: tuple[str, ...],
        report: Callable[[TestOutcome], None],
        cancelled: threading.Event,
    ) -> TestRun:
        asked.append(nodeids)
        found = tuple(test for test in outcomes() if test.nodeid in nodeids)
        for test in found:
            report(test)
        return TestRun(command="pytest", exit_code=0, seconds=0.2, collected=len(found), outcomes=found)

    monkeypatch.setattr(operation, "run_again", again)
    builder = build("refused")
    before = builder.journal.stage_runs(1)
    async with drive(builder.project.root, (160, 50)) as console:
        await console.press("4")
        await console.shows("✗")
        await console.press("E")
        await console.shows("Run again", "this is not recorded", "✓ passed", "2 tests in 0.2 s")
        await console.press("escape")
        await console.until(lambda: not isinstance(console.app.screen, RerunScreen))
    assert asked and all("::" in nodeid for nodeid in asked[0])
    assert builder.journal.stage_runs(1) == before


def test_running_again_is_a_run_of_pytest_on_the_stored_model(tmp_path: Path) -> None:
    from mlconsole.project import open_project
    from mlconsole.stages.base import model_store

    (tmp_path / "test_model_quality.py").write_text(
        "import os\n\ndef test_model():\n    assert open(os.environ['MODEL_PATH']).read() == 'a model'\n"
    )
    (tmp_path / "model.pkl").write_text("a model")
    project = open_project(tmp_path)
    model = model_store(project).adopt(tmp_path / "model.pkl")
    seen: list[TestOutcome] = []
    run = operation.run_again(
        project, model.digest, ("test_model_quality.py::test_model",), seen.append, threading.Event()
    )
    assert [test.outcome for test in run.outcomes] == [test.outcome for test in seen] == ["passed"]
    assert not project.journal_path.exists()


def told(*bodies: EventBody) -> Story:
    teller = StoryTeller()
    teller.tell(Event(id=place, release=1, at=now(), body=body, stage="test") for place, body in enumerate(bodies))
    return teller.story()


def test_a_test_that_was_run_again_takes_the_place_of_its_first_run() -> None:
    again = msgspec.structs.replace(TESTS[1], outcome="flaky", attempts=2)
    story = told(*(TestReported(outcome=test) for test in (*TESTS, again)))
    assert story.outcomes == (TESTS[0], again, *TESTS[2:])


def test_what_runs_at_this_moment_is_in_the_story() -> None:
    nodeids = tuple(test.nodeid for test in TESTS)
    story = told(TestsCollected(count=4, nodeids=nodeids), TestRunning(tests=((nodeids[0], "setup"),)))
    assert (story.tests, story.running) == (nodeids, ((nodeids[0], "setup"),))


def test_a_flaky_test_says_how_it_failed_first_and_what_it_recorded() -> None:
    flaky = TestOutcome(
        nodeid="t.py::test_a",
        outcome="flaky",
        seconds=2,
        message="TimeoutError: no answer",
        setup_seconds=1.5,
        metrics=(MetricPoint(name="mae", value=24.5),),
        attempts=2,
    )
    text = "\n".join(content.plain for content in outcome_lines(flaky, 80))
    assert "! flaky  2.0 s, of it setup 1.5 s" in text
    assert "passed when it was run again" in text
    assert "mae  24.5" in text
    assert "TimeoutError: no answer" in text


async def test_a_read_only_console_runs_no_tests_for_they_may_write(build: Build, drive: Drive) -> None:
    async with drive(build("refused").project.root, (160, 50), readonly=True) as console:
        await console.press("4")
        for key in "eE":
            await console.press(key)
            await console.shows("The console was started with --readonly: it changes nothing.")
            console.app.main.footer.hush()
        assert console.app.screen is console.app.main


def test_the_service_refuses_as_well(tmp_path: Path) -> None:
    from mlconsole.project import open_project
    from mlconsole.stages.base import model_store

    (tmp_path / "test_model_quality.py").write_text("def test_writes():\n    open('written', 'w')\n")
    (tmp_path / "model.pkl").write_text("a model")
    project = open_project(tmp_path)
    model = model_store(project).adopt(tmp_path / "model.pkl")
    with readonly.switched_on(), pytest.raises(readonly.ReadOnly, match="was not started: this console is read-only"):
        operation.run_again(project, model.digest, ("test_model_quality.py",), lambda test: None, threading.Event())
    assert not (tmp_path / "written").exists()
