"""Projects that do to pytest what they should not, and very many tests: nothing of what is known is lost."""

from __future__ import annotations

import json
import time
import tracemalloc
from pathlib import Path

import pytest

from mlconsole.evidence.testing import TestOutcome
from mlconsole.services.testing import RunningTest
from mlconsole.services.testing.outcomes import LONGEST_OUTPUT, LineFile, Tally

from .project import EVERY_OUTCOME, Project


def told(project: Project) -> dict[str, str]:
    """How each test ended, by the last part of its node id."""
    return {test.nodeid.removeprefix("test_it.py::"): test.outcome for test in project.outcomes}


@pytest.mark.parametrize("args", [["-p", "no:cacheprovider"], ["-s"], ["--capture=sys"]])
def test_options_change_nothing_of_what_is_told(project: Project, args: list[str]) -> None:
    run = project.write(EVERY_OUTCOME).run(args=args)
    counts = [run.count(outcome) for outcome in ("passed", "failed", "error", "skipped", "xfailed", "xpassed")]
    assert (counts, run.ended) == ([1, 1, 2, 1, 1, 1], "")


@pytest.mark.parametrize("args", [[], ["-s"]], ids=["captured", "open"])
def test_a_conftest_that_prints_lines_like_ours_is_not_heard(project: Project, args: list[str]) -> None:
    line = '{"$report_type": "SessionFinish", "exitstatus": 0}'
    project.write(f"import sys\nprint({line!r})\nsys.stderr.write({line!r})\n", "conftest.py")
    run = project.write("def test_a(): pass\n").run(args=args)
    assert (told(project), run.exit_code, run.ended) == ({"test_a": "passed"}, 0, "")


@pytest.mark.parametrize(
    "act",
    [
        "sys.stdout.close(); sys.stderr.close()",
        "os.close(1); os.close(2)",
        "os.closerange(3, 512)",
        "os.dup2(os.open(os.devnull, os.O_WRONLY), 1)",
    ],
)
@pytest.mark.parametrize("args", [[], ["-s"]], ids=["captured", "open"])
def test_closed_files_lose_no_outcome_that_was_known(project: Project, act: str, args: list[str]) -> None:
    """pytest itself may break by it: then that is said, and what was known before is there."""
    project.write(f"import os, sys\ndef test_a(): pass\ndef test_b(): {act}\ndef test_c(): pass\n")
    run = project.run(args=args)
    outcomes = told(project)
    assert outcomes["test_a"] == "passed"
    assert run.ended or set(outcomes) == {"test_a", "test_b", "test_c"}


def test_a_child_that_a_test_forks_says_nothing(project: Project) -> None:
    forks = """
import os
def test_a(record_property):
    child = os.fork()
    record_property("child", float(child == 0))
    if child:
        assert os.waitpid(child, 0)[1] == 0
def test_b(): pass
"""
    # the child runs on through pytest as if it were the parent
    run = project.write(forks).run(args=["-p", "no:cacheprovider"])
    assert [(test.nodeid, test.outcome) for test in run.outcomes] == [
        ("test_it.py::test_a", "passed"),
        ("test_it.py::test_b", "passed"),
    ]
    assert [point.value for point in run.metrics] == [0.0]


@pytest.mark.parametrize(
    ("hangs", "where"),
    [
        ("@pytest.fixture\ndef slow():\n    yield\n    hang()\ndef test_b(slow): pass", "teardown"),
        ("@pytest.fixture\ndef slow(): hang()\ndef test_b(slow): pass", "setup"),
        ("@pytest.fixture(scope='session')\ndef slow():\n    yield\n    hang()\ndef test_b(slow): pass", "teardown"),
    ],
)
def test_a_hang_beside_the_test_itself_is_named(project: Project, hangs: str, where: str) -> None:
    hang = "def hang():\n    open('test_b', 'w')\n    time.sleep(600)\n"
    source = f"import pytest, time\n{hang}def test_a(): pass\n{hangs}\n"
    run = project.write(source).run_until(lambda: project.shows("test_b", where))
    assert told(project) == {"test_a": "passed", "test_b": "error"}
    assert run.ended == "The tests took longer than 4.0 s and were ended in test_it.py::test_b."
    assert "in hang" in run.outcomes[-1].traceback


@pytest.mark.parametrize("act", ["assert False", "pytest.skip('no')", "pass"])
def test_a_hang_in_a_teardown_is_named_whatever_the_test_itself_said(project: Project, act: str) -> None:
    source = (
        "import pytest, time\n@pytest.fixture\ndef slow():\n    yield\n    time.sleep(600)\n"
        f"def test_a(slow):\n    print('hi')\n    {act}\n"
    )

    class UntilTeardown(list[tuple[RunningTest, ...]]):
        def append(self, seen: tuple[RunningTest, ...]) -> None:
            super().append(seen)
            if any(test.phase == "teardown" for test in seen):
                project.cancelled.set()

    project.running = UntilTeardown()
    run = project.write(source).run()
    assert run.ended == "The tests were cancelled in test_it.py::test_a."


def test_a_test_whose_teardown_fails_is_not_shown_as_running_after_it(project: Project, tmp_path: Path) -> None:
    source = (
        "import pytest, time, pathlib\n@pytest.fixture\ndef bad():\n    yield\n    assert 0\ndef test_a(bad): pass\n"
    )
    project.write(source)
    project.write(
        "import pathlib, time\ndef pytest_sessionfinish():\n    deadline = time.monotonic() + 60\n"
        f"    while not pathlib.Path({str(tmp_path / 'seen')!r}).exists() and time.monotonic() < deadline:\n"
        "        time.sleep(0.01)\n",
        "conftest.py",
    )
    seen: list[object] = []

    def look(use: object) -> None:
        # half a second after the start, and later: many looks after the test has ended
        seen.append(use)
        if project.outcomes and len(seen) > 2:
            (tmp_path / "seen").touch()

    run = project.run(on_sample=look, args=["-p", "no:faulthandler"])
    assert (tmp_path / "seen").exists() and run.ended == ""
    assert not project.running or project.running[-1] == ()


def test_outcomes_are_told_while_others_still_hold_pytest_up(project: Project, tmp_path: Path) -> None:
    told_in_time = tmp_path / "told"
    project.write("def test_a(): pass\ndef test_b(): pass\n")
    project.write(
        f"""
import pathlib, time, pytest
def wait_for(name):
    deadline = time.monotonic() + 50
    while not pathlib.Path({str(tmp_path)!r}, name).exists() and time.monotonic() < deadline:
        time.sleep(0.01)
def pytest_runtest_logfinish(nodeid): wait_for(nodeid.rpartition(":")[2])
def pytest_sessionfinish(): pathlib.Path({str(told_in_time)!r}).write_text(str(time.monotonic()))
""",
        "conftest.py",
    )
    began = time.monotonic()

    def report(outcome: TestOutcome) -> None:
        Project.report(project, outcome)
        (tmp_path / outcome.nodeid.rpartition(":")[2]).touch()

    project.report = report  # type: ignore[method-assign]
    assert project.run().count("passed") == 2
    assert float(told_in_time.read_text()) - began < 50


def test_a_crash_after_the_last_test_loses_no_outcome(project: Project) -> None:
    project.write("def test_a(): pass\ndef test_b(): pass\n")
    project.write("import os\ndef pytest_sessionfinish(): os._exit(3)\n", "conftest.py")
    run = project.run()
    assert told(project) == {"test_a": "passed", "test_b": "passed"}
    assert run.ended == "Python ended with exit code 3, before pytest was done."


def test_a_crash_in_a_teardown_keeps_what_the_test_recorded(project: Project) -> None:
    source = """
import os, pytest
@pytest.fixture
def crash():
    yield
    os._exit(3)
def test_a(crash, record_metric): record_metric("mae", 2.5)
"""
    run = project.write(source).run()
    assert told(project) == {"test_a": "error"}
    assert [(point.name, point.value) for point in run.metrics] == [("mae", 2.5)]


def test_reports_of_tests_that_run_side_by_side_are_told_apart(project: Project) -> None:
    project.write("import pytest\n@pytest.mark.parametrize('n', range(4))\ndef test_n(n): assert n != 2\n")
    together = """
from _pytest.runner import runtestprotocol
def pytest_runtestloop(session):
    logged = [[], [], []]
    for item in session.items:
        item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
        for place, report in enumerate(runtestprotocol(item, log=False, nextitem=None)):
            logged[place].append(report)
    for reports in logged:
        for report in reports:
            session.config.hook.pytest_runtest_logreport(report=report)
    return True
"""
    run = project.write(together, "conftest.py").run()
    assert told(project) == {"test_n[0]": "passed", "test_n[1]": "passed", "test_n[2]": "failed", "test_n[3]": "passed"}
    assert len(project.outcomes) == len(run.outcomes) == 4


def test_a_hang_while_tests_are_collected_is_a_sentence(project: Project) -> None:
    run = project.write("import time\ntime.sleep(600)\n").run(timeout=2)
    assert run.ended == "The tests took longer than 2.0 s and were ended."
    assert (run.outcomes, run.collected) == ((), 0)


@pytest.mark.parametrize("act", ["os._exit(0)", "os.kill(os.getpid(), 9)"])
def test_a_crash_while_tests_are_collected_is_a_sentence(project: Project, act: str) -> None:
    run = project.write(f"import os\n{act}\n").run()
    assert run.ended.startswith("Python ended with ")
    assert run.ended.endswith("before pytest was done.")
    assert run.outcomes == ()


NAMES = ["é", "日本語", "a b", "[x]", "a::b", "\\x1b[31mred", "\\n", "\\ud800", "'\"\\\\", "\\x00", "💥", "%s{}", "‮abc"]


def test_any_text_names_a_test(project: Project) -> None:
    source = f"""
import pytest
@pytest.mark.parametrize("text", {json.dumps(NAMES)}, ids=lambda text: text)
def test_text(text): assert text != "é", text
class TestÜber:
    def test_größe(self): pass
"""
    project.write(source)
    run = project.run(rerun=1)
    assert (run.collected, len(run.outcomes), run.ended) == (len(NAMES) + 1, len(NAMES) + 1, "")
    assert (run.count("failed"), run.count("passed"), run.run_again) == (1, len(NAMES), 1)
    assert run.outcomes[-1].nodeid == "test_it.py::TestÜber::test_größe"
    assert not any(set("\x1b\n\x00‮") & set(test.nodeid) for test in run.outcomes)


def test_lines_go_on_from_one_piece_of_the_file_to_the_next(project: Project) -> None:
    source = "import pytest\n@pytest.mark.parametrize('n', range(900), ids=lambda n: f'{n}-' + 'x' * (n % 400))\n"
    run = project.write(f"{source}def test_n(n): assert n != 300\n").run()
    assert (run.collected, run.count("passed"), run.count("failed"), run.ended) == (900, 899, 1, "")
    assert [int(test.nodeid.split("[")[1].split("-")[0]) for test in run.outcomes] == list(range(900))


def loud(project: Project, megabytes: int) -> None:
    line = "x" * 99
    run = project.write(
        f"def test_a():\n    for n in range({megabytes} * 10_000): print('{line}')\n    print('the end')\n"
        "def test_b(): test_a(); assert False\ndef test_c(): pass\n"
    ).run(timeout=600)
    assert told(project) == {"test_a": "passed", "test_b": "failed", "test_c": "passed"}
    assert all(len(test.output) <= LONGEST_OUTPUT and test.output.endswith("the end") for test in run.outcomes[:2])
    assert (project.root / "test.log").stat().st_size > megabytes * 1_000_000


def test_much_that_one_test_prints_is_kept_in_its_last_part(project: Project) -> None:
    loud(project, 4)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_hundred_megabytes_of_one_test_take_no_memory_of_ours(project: Project) -> None:
    tracemalloc.start()
    try:
        loud(project, 100)
        assert tracemalloc.get_traced_memory()[1] < 16_000_000
    finally:
        tracemalloc.stop()


MANY = 50_000


def test_the_outcomes_of_fifty_thousand_tests_take_little_memory(tmp_path: Path) -> None:
    path = tmp_path / "report.jsonl"
    with path.open("w") as file:
        for number in range(MANY):
            phases = [["setup", 0.0001], ["call", 0.0002], ["teardown", 0.0001]]
            line = {"$report_type": "TestPassed", "nodeid": f"tests/test_it.py::test_n[{number}]", "phases": phases}
            file.write(json.dumps(line) + "\n")
        file.write("\0" * 4096)
    waiting: list[TestOutcome] = []
    taken = Tally(waiting.append, lambda nodeids: None)
    tracemalloc.start()
    try:
        for line_read in LineFile(path).read():
            taken.take(line_read)
        kept, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(taken.outcomes) == len(waiting) == MANY
    assert kept < MANY * 700
    assert most < kept + 2_000_000


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_fifty_thousand_tests_are_told(project: Project) -> None:
    source = f"import pytest\n@pytest.mark.parametrize('n', range({MANY}))\ndef test_n(n): assert n != 4711\n"
    tracemalloc.start()
    try:
        run = project.write(source).run(timeout=800)
        assert tracemalloc.get_traced_memory()[1] < MANY * 2_500
    finally:
        tracemalloc.stop()
    assert (run.collected, run.count("passed"), run.count("failed")) == (MANY, MANY - 1, 1)
    assert len(project.outcomes) == MANY
    assert run.ended == ""
