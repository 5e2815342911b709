"""The tests as a tree, some run again outside of the release, and the comparison drawn."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlconsole.console.interval_lines import forest, interval_of
from mlconsole.console.operations import test as operation
from mlconsole.console.panels.test import TestPanel, outcome_lines
from mlconsole.console.screens.rerun import RerunScreen
from mlconsole.console.story import Story, StoryTeller
from mlconsole.console.test_rows import TestRows
from mlconsole.console.test_time import TimeLeft
from mlconsole.console.test_tree import SLICE, TestTree, parts_of
from mlconsole.evidence.base import now
from mlconsole.evidence.release import Event, EventBody, Release, TestReported, TestRunning, TestsCollected
from mlconsole.evidence.testing import Outcome, Phase, TestEvidence, TestOutcome, TestRun, failed_ids
from mlconsole.evidence.training import MetricPoint
from mlconsole.project import Project
from mlconsole.services import readonly

from .builder import NAMES, Builder, evidence_of_tests, outcomes
from .conftest import Build, Drive
from .watchdog import LIMIT, watchdog


def outcome(nodeid: str, ended: Outcome = "passed", seconds: float = 0.1) -> TestOutcome:
    return TestOutcome(nodeid=nodeid, outcome=ended, seconds=seconds)


TESTS = (
    outcome("tests/test_a.py::test_one"),
    outcome("tests/test_a.py::TestRain::test_wet[a::b]", "failed", 3.0),
    outcome("tests/test_a.py::TestRain::test_dry"),
    outcome("tests/test_b.py::test_two", seconds=1.0),
)


NODEIDS = tuple(test.nodeid for test in TESTS)


def grown(
    nodeids: tuple[str, ...] = NODEIDS,
    outcomes: tuple[TestOutcome, ...] = TESTS,
    running: tuple[tuple[str, Phase], ...] = (),
    *,
    over: bool = True,
    room: int = 100,
) -> TestTree:
    tree = TestTree()
    tree.make_room(room)
    take_all(tree, nodeids, outcomes, running, over=over)
    return tree


def take_all(
    tree: TestTree,
    nodeids: tuple[str, ...],
    outcomes: tuple[TestOutcome, ...],
    running: tuple[tuple[str, Phase], ...] = (),
    *,
    over: bool = False,
) -> None:
    while tree.take(nodeids, outcomes, running, over=over):
        pass


def shown(tree: TestTree) -> list[tuple[str, str]]:
    """How each row stands, and its name."""
    rows = TestRows(tree)
    return [rows.row(place).cells[:2] for place in range(len(rows))]  # type: ignore[misc]


def names_of(tree: TestTree) -> list[str]:
    return [name for _, name in shown(tree)]


def test_files_and_classes_are_branches_and_what_failed_comes_first() -> None:
    tree = grown()
    assert names_of(tree) == [
        "▾ test_a.py",
        "  ▾ TestRain",
        "    test_wet[a::b]",
        "    test_dry",
        "  test_one",
        "▾ test_b.py",
        "  test_two",
    ]
    assert shown(tree)[0][0] == "✗ 1/3"


def test_a_folded_branch_keeps_its_counts() -> None:
    tree = grown()
    tree.toggle("branch:tests/test_a.py")
    assert shown(tree) == [("✗ 1/3", "▸ test_a.py"), ("✓ 1/1", "▾ test_b.py"), ("✓ passed", "  test_two")]


def test_the_slowest_are_listed_whatever_they_are_in() -> None:
    tree = grown()
    tree.toggle_slowest()
    assert names_of(tree)[:2] == ["test_wet[a::b]", "test_two"]
    tree.toggle_slowest()
    assert names_of(tree)[0] == "▾ test_a.py"


def test_all_tests_are_there_from_the_start_and_fill_as_they_run() -> None:
    tree = grown(outcomes=(), over=False)
    assert shown(tree) == [
        ("○ 0/3", "▾ test_a.py"),
        ("○ 0/2", "  ▾ TestRain"),
        ("○ waiting", "    test_wet[a::b]"),
        ("○ waiting", "    test_dry"),
        ("○ waiting", "  test_one"),
        ("○ 0/1", "▾ test_b.py"),
        ("○ waiting", "  test_two"),
    ]
    take_all(tree, NODEIDS, TESTS[:1], ((NODEIDS[1], "setup"),))
    assert ("● 1/3", "▾ test_a.py") in shown(tree)
    assert ("✓ passed", "  test_one") in shown(tree)
    assert ("● running", "    test_wet[a::b]") in shown(tree)
    assert ("○ waiting", "    test_dry") in shown(tree)
    assert tree.latest == NODEIDS[1]
    take_all(tree, NODEIDS, TESTS, over=True)
    assert shown(tree) == shown(grown())


def test_where_not_all_fits_what_has_passed_is_folded_and_what_failed_is_open() -> None:
    tree = grown(outcomes=TESTS[:3], over=False, room=4)
    assert names_of(tree)[-2:] == ["▾ test_b.py", "  test_two"]
    take_all(tree, NODEIDS, TESTS, over=True)
    assert names_of(tree) == [
        "▾ test_a.py", "  ▾ TestRain", "    test_wet[a::b]", "    test_dry", "  test_one", "▸ test_b.py"
    ]  # fmt: skip
    tree.toggle("branch:tests/test_b.py")
    assert names_of(tree)[-1] == "  test_two"
    tree.make_room(100)
    tree.make_room(3)
    assert names_of(tree)[-1] == "  test_two", "what a person has opened stays open"


def test_what_passed_beside_a_failure_is_one_line_where_not_all_fits() -> None:
    ended = tuple(outcome(nodeid, "failed" if nodeid == MANY[7] else "passed") for nodeid in MANY[:100])
    tree = grown(MANY[:100], ended, room=200)
    assert len(tree.order) == 102
    tree.make_room(20)
    assert shown(tree) == [
        ("✗ 1/100", "▾ test_0.py"),
        ("✗ 1/100", "  ▾ TestIt"),
        ("✗ failed", "    test_value[7]"),
        ("✓ 99/99", "    ▸ 99 others passed"),
    ]
    rest = TestRows(tree).key(3)
    assert tree.nodeids(rest) == (*MANY[:7], *MANY[8:100])
    tree.toggle(rest)
    assert len(tree.order) == 103


def test_what_was_not_run_says_so() -> None:
    tree = grown(outcomes=TESTS[:1])
    assert ("○ 1/3", "▾ test_a.py") in shown(tree)
    assert ("○ not run", "  test_two") in shown(tree)


def test_tests_of_one_name_and_tests_that_nobody_told_of_are_all_there() -> None:
    twice = ("t.py::test_a", "t.py::test_a")
    ended = (outcome("t.py::test_a"), outcome("t.py::test_a", "failed"), outcome("t.py", "error"))
    tree = grown(twice, ended)
    assert sorted(standing for standing, _ in shown(tree)) == ["✓ passed", "✗ 1/2", "✗ error", "✗ failed"]
    assert tree.root.tests == tree.root.ended == 3


def test_files_of_one_name_are_told_apart() -> None:
    ids = ("a/test_x.py::test_a", "b/test_x.py::test_a", "b/test_y.py::test_a")
    assert [name for name in names_of(grown(ids, ())) if "py" in name] == [
        "▾ a/test_x.py", "▾ b/test_x.py", "▾ test_y.py"
    ]  # fmt: skip


MANY = tuple(f"tests/test_{n // 100}.py::TestIt::test_value[{n}]" for n in range(10_000))


def test_ten_thousand_tests_are_taken_in_over_several_turns() -> None:
    tree = TestTree()
    turns = 1
    while tree.take(MANY, (), over=False):
        turns += 1
    assert turns == len(MANY) // SLICE
    ended = tuple(outcome(nodeid) for nodeid in MANY)
    while tree.take(MANY, ended, over=True):
        turns += 1
    assert tree.root.tally == {"passed": 10_000}
    assert len(tree.order) == 100, "each file is one line"


@given(st.data())
def test_the_tree_is_the_same_however_its_outcomes_came(data: st.DataObject) -> None:
    """Whatever was known before, and in whatever order, the counts are those of the outcomes."""
    file, name = st.sampled_from(["a.py", "b/a.py"]), st.sampled_from(["test_a", "T::test_b", "T::U::test_c[x::y]"])
    nodeids = st.lists(st.builds("{}::{}".format, file, name), max_size=8)
    kinds = st.sampled_from(list(get_args(Outcome)))
    tree = TestTree()
    tree.make_room(data.draw(st.integers(0, 9)))
    for _ in range(data.draw(st.integers(1, 4))):
        ids = tuple(data.draw(nodeids))
        ended = tuple(outcome(nodeid, data.draw(kinds)) for nodeid in data.draw(nodeids))
        running = tuple((nodeid, data.draw(st.sampled_from(get_args(Phase)))) for nodeid in data.draw(nodeids))
        over = data.draw(st.booleans())
        take_all(tree, ids, ended, running, over=over)
        assert tree.root.tally.total() == tree.root.ended == len(ended)
        assert tree.root.tally == Counter(test.outcome for test in ended)
        assert tree.root.tests == (Counter(ids) | Counter(test.nodeid for test in ended)).total()
        assert tree.root.running == sum(leaf.phase != "" for leaf in map(tree.leaf, tree._leaves) if leaf)
        rows = TestRows(tree)
        assert [rows.place(rows.key(place)) for place in range(len(rows))] == list(range(len(rows)))
        fresh = TestTree()
        fresh.make_room(tree._room)
        take_all(fresh, ids, ended, running, over=over)
        assert shown(fresh) == shown(tree)


def test_time_left_is_by_what_tests_took_the_last_time() -> None:
    past = {"slow": 60.0, "a": 1.0, "b": 1.0}
    left = TimeLeft.of(past, [("a", None), ("b", None), ("slow", None)])
    assert left.seconds(0) == 62
    left.end("a", 1.0)
    left.end("b", 1.0)
    assert left.seconds(2.0) == pytest.approx(60)
    assert TimeLeft.of(past, [("a", 2.0), ("b", 2.0), ("slow", None)]).seconds(4.0) == pytest.approx(100)


def test_time_left_of_tests_that_are_new_is_by_their_number() -> None:
    left = TimeLeft.of({}, [(str(n), 0.5 if n < 4 else None) for n in range(12)])
    assert left.seconds(2.0) == pytest.approx(4)
    assert TimeLeft.of({}, [("a", None)]).seconds(0) is None


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


def collects(builder: Builder, nodeids: tuple[str, ...]) -> Release:
    """A release that has collected its tests and runs them."""
    release = builder.begin("ml-model@v2")
    builder.first_stages(release, "test")
    builder.stage(release, "test", "running")
    builder.journal.emit(release.number, TestsCollected(count=len(nodeids), nodeids=nodeids), "test")
    return release


async def test_the_tree_fills_while_the_tests_run(build: Build, drive: Drive) -> None:
    builder = build()
    found = outcomes(failing=1)
    nodeids = tuple(test.nodeid for test in found)
    release = collects(builder, nodeids)
    async with drive(builder.project.root) as console:
        await console.shows("0/8", "▾ test_model_quality.py", f"○ waiting {NAMES[0]}", f"○ waiting {NAMES[-1]}")
        builder.journal.emit(release.number, TestReported(outcome=found[1]), "test")
        builder.journal.emit(release.number, TestRunning(tests=((nodeids[2], "setup"),)), "test")
        await console.shows("1/8", "✓ 1 passed", "○ 7 to come", f"● running {NAMES[2]}", "● setup")
        await console.press("enter", "home", "j", "enter")
        await console.shows("It waits for its turn.")
        await console.press("escape")
        builder.journal.emit_all(release.number, [TestReported(outcome=test) for test in found[::-1]][:6], "test")
        builder.journal.emit(release.number, TestReported(outcome=found[0]), "test")
        await console.shows("✗ 1/8 ▾ test_model_quality.py", f"✗ failed {NAMES[0]}")
        builder.stage(release, "test", "refused", evidence_of_tests(failing=1))
        await console.shows("8 tests", "✗ 1/8")


async def test_time_left_is_told_by_the_release_before(build: Build, drive: Drive) -> None:
    builder = build("done")
    past = outcomes()
    release = collects(builder, (*(test.nodeid for test in past), "tests/test_model_quality.py::test_new"))
    builder.journal.emit(release.number, TestReported(outcome=past[0]), "test")
    async with drive(builder.project.root) as console:
        panel = console.app.main.panel
        assert isinstance(panel, TestPanel)
        await console.until(lambda: console.app.view.related.test_seconds)
        assert panel.tests.seconds_left(0.04) == pytest.approx(sum(test.seconds for test in past[1:]) + 0.04, abs=0.01)


async def fill(builder: Builder, release: Release, drive: Drive) -> None:
    """Ten thousand tests come in within seconds, while keys are pressed; then they have ended."""
    ended = tuple(outcome(nodeid, "failed" if n % 997 == 0 else "passed") for n, nodeid in enumerate(MANY))
    async with drive(builder.project.root, (160, 50)) as console:
        await console.shows("0/10,000", "○ waiting")
        await console.press("enter")
        for place in range(0, len(MANY), 1_000):
            bodies = [TestReported(outcome=test) for test in ended[place : place + 1_000]]
            await asyncio.to_thread(builder.journal.emit_all, release.number, bodies, "test")
            await console.press("pagedown")
        await console.shows("10,000/10,000", "✗ 11 failed", "✗ TestIt::test_value[9970]")
        await console.press("escape")
        run = TestRun(command="pytest", exit_code=1, seconds=9, collected=len(MANY), outcomes=ended)
        builder.stage(release, "test", "refused", TestEvidence(version="ml-model@v2", run=run))
        await console.shows("refused", "10,000 tests", "✗ failed test_value[0]", "▸ 99 others passed")


@pytest.mark.timeout(180)
def test_ten_thousand_tests_do_not_hold_the_screen(build: Build, drive: Drive) -> None:
    for _attempt in (1, 2):
        builder = build()
        release = collects(builder, MANY)
        with watchdog() as held:
            asyncio.run(fill(builder, release, drive))
        worst = max(held)
        if worst[0] <= LIMIT:
            return
    pytest.fail(f"a callback held the loop for {worst[0] * 1000:.0f} ms: {worst[1]}")


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
