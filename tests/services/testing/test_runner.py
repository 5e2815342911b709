"""pytest is really run here, in this interpreter, on small projects in temporary folders."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mlconsole.evidence.testing import TestOutcome
from mlconsole.services.processes import CommandMissing
from mlconsole.services.testing import PytestMissing

from .project import EVERY_OUTCOME, PYTHON, Project


def test_each_outcome_is_told_with_its_reason(project: Project) -> None:
    run = project.write(EVERY_OUTCOME).run()
    assert [(test.nodeid.removeprefix("test_it.py::test_"), test.outcome, test.message) for test in run.outcomes] == [
        ("passes", "passed", ""),
        ("fails", "failed", "AssertionError: one is not two"),
        ("has_no_setup", "error", "RuntimeError: no such database"),
        ("has_no_end", "error", "RuntimeError: cannot clean up"),
        ("is_skipped", "skipped", "not today"),
        ("is_expected_to_fail", "xfailed", "known fault"),
        ("passes_unexpectedly", "xpassed", "mended"),
    ]
    assert tuple(project.outcomes) == run.outcomes
    assert project.collected == [7] == [run.collected]
    assert (run.exit_code, run.ended) == (1, "")
    assert run.outcomes[1].output == "Captured stdout call:\nred said"
    assert "assert 1 == 2" in run.outcomes[1].traceback
    assert not any("\x1b" in test.traceback + test.output for test in run.outcomes)
    assert [(point.name, point.value) for point in run.metrics] == [("mean_absolute_error", 24.5)]


def test_the_model_under_test_reaches_the_tests(project: Project, tmp_path: Path) -> None:
    project.write("import os\ndef test_model(): assert open(os.environ['MODEL_PATH']).read() == 'weights'\n")
    model_path = tmp_path / "a model.pkl"
    model_path.write_text("weights")
    run = project.run(model_path=model_path)
    assert run.count("passed") == 1
    assert run.command == f"MODEL_PATH='{model_path}' {PYTHON} -m pytest -q test_it.py"


def test_an_outcome_is_told_while_the_next_test_still_runs(project: Project, tmp_path: Path) -> None:
    go = tmp_path / "go"
    waits = f"""
import os, time
def test_first(): pass
def test_second():
    deadline = time.monotonic() + 50
    while not os.path.exists({str(go)!r}):
        assert time.monotonic() < deadline
        time.sleep(0.01)
"""
    project.report = lambda outcome: go.touch()  # type: ignore[method-assign]
    assert project.write(waits).run().count("passed") == 2


@pytest.mark.parametrize(
    ("act", "how"),
    [
        ("os._exit(0)", "exit code 0"),
        ("os._exit(3)", "exit code 3"),
        ("os.kill(os.getpid(), signal.SIGSEGV)", "signal 11"),
    ],
)
def test_a_crash_keeps_what_is_known_and_names_the_test(project: Project, act: str, how: str) -> None:
    run = project.write(f"import os, signal\ndef test_a(): pass\ndef test_b(): {act}\ndef test_c(): pass\n").run()
    assert run.ended == f"Python ended with {how}, before pytest was done in test_it.py::test_b."
    assert [(test.nodeid, test.outcome) for test in run.outcomes] == [
        ("test_it.py::test_a", "passed"),
        ("test_it.py::test_b", "error"),
    ]
    assert project.outcomes[-1].message == run.ended


def test_a_hang_is_ended_after_the_timeout(project: Project) -> None:
    hangs = "import time\ndef test_a(): pass\ndef test_b():\n    open('test_b', 'w')\n    time.sleep(600)\n"
    run = project.write(hangs).run_until(lambda: project.shows("test_b"))
    assert run.ended == "The tests took longer than 4.0 s and were ended in test_it.py::test_b."
    assert [test.outcome for test in run.outcomes] == ["passed", "error"]


def test_a_cancelled_run_keeps_what_is_known(project: Project) -> None:
    project.report = lambda outcome: project.cancelled.set()  # type: ignore[method-assign]
    run = project.write("import time\ndef test_a(): pass\ndef test_b(): time.sleep(600)\n").run()
    assert run.ended.startswith("The tests were cancelled")
    assert [test.outcome for test in run.outcomes] == ["passed"]


def test_nothing_is_left_running_when_the_caller_fails(project: Project) -> None:
    def report(outcome: TestOutcome) -> None:
        raise KeyboardInterrupt

    project.report = report  # type: ignore[method-assign]
    project.write(
        "import os, time\ndef test_a(): open('pid', 'w').write(str(os.getpid()))\ndef test_b(): time.sleep(600)"
    )
    with pytest.raises(KeyboardInterrupt):
        project.run()
    with pytest.raises(ProcessLookupError):
        os.kill(int((project.root / "pid").read_text()), 0)


@pytest.mark.parametrize(
    ("path", "exit_code", "sentence"),
    [
        ("absent.py", 4, "pytest was started in the wrong way: file or directory not found: absent.py."),
        ("empty", 5, "There are no tests where they were looked for."),
        ("broken.py", 2, "No test was run: 1 file could not be collected."),
        ("guarded", 4, "pytest did not start: ModuleNotFoundError: No module named 'absent_package'."),
    ],
)
def test_no_test_that_ran_is_said_in_a_sentence(project: Project, path: str, exit_code: int, sentence: str) -> None:
    for folder in ("empty", "guarded"):
        (project.root / folder).mkdir()
    project.write("import absent_package\n", "broken.py").write("import absent_package\n", "guarded/conftest.py")
    run = project.run(path)
    assert (run.exit_code, run.ended) == (exit_code, sentence)
    assert run.count("passed") == 0


def test_a_run_that_passes_by_leaving_tests_out_is_not_in_order(project: Project) -> None:
    run = project.write("def test_a(): pass\ndef test_b(): pass\n").run("--collect-only", "test_it.py")
    assert (run.exit_code, run.ended) == (0, "pytest ended after 0 of 2 tests.")


def test_a_file_that_cannot_be_imported_is_an_error_with_its_traceback(project: Project) -> None:
    run = project.write("import absent_package\n").run()
    (test,) = run.outcomes
    assert (test.nodeid, test.outcome) == ("test_it.py", "error")
    assert test.message == "ModuleNotFoundError: No module named 'absent_package'"
    assert "import absent_package" in test.traceback


def test_a_pytest_that_a_test_starts_is_not_taken_for_the_run_itself(project: Project) -> None:
    inner = "import subprocess, sys\ndef test_outer(): subprocess.run([sys.executable, '-m', 'pytest', 'inner.py'])\n"
    run = project.write(inner).write("def test_inner(): assert False\n", "inner.py").run()
    assert [test.nodeid for test in run.outcomes] == ["test_it.py::test_outer"]
    assert run.collected == 1


def test_modules_of_ours_do_not_hide_those_of_the_project(project: Project) -> None:
    project.write("NAME = 'of the project'\n", "runner.py").write("NAME = 'of the project'\n", "outcomes.py")
    asks = "import outcomes, runner\ndef test_names(): assert runner.NAME == outcomes.NAME == 'of the project'\n"
    assert project.write(asks).run().count("passed") == 1


def test_a_python_without_pytest_is_said_with_what_to_do(project: Project, tmp_path: Path) -> None:
    bare = tmp_path / "python"
    bare.write_text(f'#!/bin/sh\nexec "{PYTHON}" -S "$@"\n')
    bare.chmod(0o755)
    with pytest.raises(PytestMissing) as caught:
        project.write("def test_a(): pass\n").run(python=bare)
    assert caught.value.sentence == f"pytest is not installed in {bare}."
    assert "pip install pytest" in caught.value.next_step


def test_an_interpreter_that_is_not_there_is_a_problem(project: Project, tmp_path: Path) -> None:
    with pytest.raises(CommandMissing):
        project.run(python=tmp_path / "absent")


def test_a_crash_leaves_its_last_words(project: Project) -> None:
    crashes = """
import os, sys
def test_a():
    print("loading\\x1b[2J the model")
    print("out of range", file=sys.stderr)
    sys.stdout.flush()
    os._exit(3)
"""
    run = project.write(crashes).run()
    (test,) = run.outcomes
    assert (test.nodeid, test.outcome) == ("test_it.py::test_a", "error")
    assert test.output == "Last words:\nloading the model\nout of range"


def test_a_crash_of_the_interpreter_leaves_its_stack(project: Project) -> None:
    run = project.write("import faulthandler\ndef test_a(): faulthandler._sigsegv()\n").run()
    (test,) = run.outcomes
    assert test.traceback.startswith("Fatal Python error: Segmentation fault")
    assert "in test_a" in test.traceback


def test_a_hang_leaves_words_and_stack(project: Project) -> None:
    hangs = """
import time
def waits_for_ever():
    print("waiting for the server", flush=True)
    open("test_b", "w")
    time.sleep(600)
def test_a(): pass
def test_b(): waits_for_ever()
def test_c(): pass
"""
    run = project.write(hangs).run_until(lambda: project.shows("test_b"))
    last = run.outcomes[-1]
    assert (last.nodeid, last.outcome, last.message) == ("test_it.py::test_b", "error", run.ended)
    assert last.output == "Last words:\nwaiting for the server"
    assert "in waits_for_ever" in last.traceback
    assert ("test_it.py::test_b", "call") in [(test.nodeid, test.phase) for seen in project.running for test in seen]


FLAKY = """
import pathlib
tries = pathlib.Path("tries")
def test_flaky(record_metric):
    tries.write_text(tries.read_text() + "." if tries.exists() else ".")
    record_metric("tries", len(tries.read_text()))
    assert len(tries.read_text()) == 2, "no answer"
def test_fails(): assert False, "always"
def test_passes(): pathlib.Path("passes").open("a").write("x")
"""


def test_a_test_that_fails_and_then_passes_is_flaky(project: Project) -> None:
    run = project.write(FLAKY).run(rerun=1)
    told = [(test.nodeid[len("test_it.py::") :], test.outcome, test.attempts) for test in run.outcomes]
    assert told == [("test_flaky", "flaky", 2), ("test_fails", "failed", 2), ("test_passes", "passed", 1)]
    assert run.outcomes[0].message.startswith("AssertionError: no answer")
    assert "assert 1 == 2" in run.outcomes[0].traceback
    assert [point.value for point in run.outcomes[0].metrics] == [2]
    assert [test.outcome for test in project.outcomes] == ["failed", "failed", "passed", "flaky", "failed"]
    assert (run.run_again, run.collected, project.collected, run.ended) == (2, 3, [3], "")
    assert (project.root / "passes").read_text() == "x"


def test_a_crash_is_run_again_with_the_tests_that_it_kept_from_running(project: Project) -> None:
    crashes_once = """
import os, pathlib
def test_a(): pass
def test_b():
    if not pathlib.Path("seen").exists():
        pathlib.Path("seen").touch()
        os._exit(3)
def test_c(): pass
"""
    run = project.write(crashes_once).run(rerun=1)
    told = {test.nodeid[len("test_it.py::") :]: test.outcome for test in run.outcomes}
    assert told == {"test_a": "passed", "test_b": "flaky", "test_c": "passed"}
    assert run.ended == ""
    assert "Python ended with exit code 3" in run.outcomes[1].message


def test_a_crash_at_each_attempt_stays_one(project: Project) -> None:
    run = project.write("import os\ndef test_a(): os._exit(3)\ndef test_b(): pass\n").run(rerun=2)
    assert {test.nodeid: test.attempts for test in run.outcomes} == {"test_it.py::test_a": 3}
    assert run.ended.startswith("Python ended with exit code 3")


def test_a_test_that_a_second_run_does_not_find_is_not_taken_for_passed(project: Project) -> None:
    changes = """
import os, pathlib, pytest
seen = pathlib.Path("seen")
@pytest.mark.parametrize("n", [1, 2] if seen.exists() else [1, 3])
def test_n(n):
    if not seen.exists():
        seen.touch()
        os._exit(3)
"""
    run = project.write(changes).run(rerun=1)
    assert [(test.nodeid, test.outcome) for test in run.outcomes] == [("test_it.py::test_n[1]", "flaky")]
    assert run.ended == "1 test did not run again after the crash: test_it.py::test_n[3]."


def test_many_failures_are_no_flakiness(project: Project) -> None:
    many = "import pytest\n@pytest.mark.parametrize('n', range(120))\ndef test_n(n): assert False\n"
    run = project.write(many).run(rerun=1)
    assert (run.count("failed"), run.run_again) == (120, 0)


def test_warnings_are_told_once_with_how_often_they_came(project: Project) -> None:
    warns = """
import warnings, pytest
@pytest.mark.parametrize("n", range(3))
def test_n(n): warnings.warn("feature names\\x1b[2J differ")
def test_other(): warnings.warn("old", DeprecationWarning)
"""
    run = project.write(warns).run()
    first, second = run.warnings
    assert (first.category, first.message, first.count) == ("UserWarning", "feature names differ", 3)
    assert (first.nodeid, first.where) == ("test_it.py::test_n[0]", "test_it.py:4")
    assert (second.category, second.nodeid) == ("DeprecationWarning", "test_it.py::test_other")


def test_metrics_are_recorded_by_a_fixture_too(project: Project) -> None:
    records = """
def test_a(record_metric, record_property):
    record_metric("mae", 24.5)
    record_property("rmse", 30)
"""
    run = project.write(records).run()
    assert [(point.name, point.value) for point in run.outcomes[0].metrics] == [("mae", 24.5), ("rmse", 30.0)]
    assert run.metrics == run.outcomes[0].metrics


def test_the_model_under_test_is_a_fixture(project: Project, tmp_path: Path) -> None:
    model_path = tmp_path / "model.pkl"
    model_path.write_text("weights")
    project.write("def test_model(model_path): assert model_path.read_text() == 'weights'\n")
    assert project.run(model_path=model_path).count("passed") == 1


def test_a_fixture_of_the_projects_own_goes_before_ours(project: Project, tmp_path: Path) -> None:
    project.write("import pytest\n@pytest.fixture\ndef model_path(): return 'mine'\n", "conftest.py")
    project.write("def test_model(model_path): assert model_path == 'mine'\n")
    assert project.run(model_path=tmp_path / "model.pkl").count("passed") == 1


def test_options_of_pytest_choose_the_tests(project: Project) -> None:
    run = project.write("def test_a(): pass\ndef test_b(): assert False\n").run(args=["-k", "test_a"])
    assert [(test.nodeid, test.outcome) for test in run.outcomes] == [("test_it.py::test_a", "passed")]
    assert (run.collected, run.ended) == (1, "")
    assert run.command.endswith("-m pytest -q -k test_a test_it.py")


@pytest.mark.parametrize(
    ("only", "ran"),
    [
        (["test_it.py::test_n[a::b]"], ["test_n[a::b]"]),
        (["test_it.py::TestClass"], ["TestClass::test_a", "TestClass::test_b"]),
        (["test_it.py::test_n", "test_it.py::TestClass::test_b"], ["test_n[a::b]", "test_n[c d]", "TestClass::test_b"]),
        (["test_it.py"], ["test_n[a::b]", "test_n[c d]", "TestClass::test_a", "TestClass::test_b"]),
    ],
)
def test_of_all_tests_only_some_are_run(project: Project, only: list[str], ran: list[str]) -> None:
    chooses = """
import pytest
@pytest.mark.parametrize("n", ["a::b", "c d"])
def test_n(n): pass
class TestClass:
    def test_a(self): pass
    def test_b(self): pass
"""
    run = project.write(chooses).run(only=only)
    assert [test.nodeid.removeprefix("test_it.py::") for test in run.outcomes] == ran


@pytest.mark.parametrize("mode", ["-n2", "-n0"])
def test_workers_report_each_outcome_once(project: Project, mode: str) -> None:
    many = EVERY_OUTCOME + "\n@pytest.mark.parametrize('n', range(40))\ndef test_n(n): print(n)\n"
    run = project.write(many).run(args=["-p", "xdist", mode])
    assert (len(run.outcomes), run.collected, project.collected) == (47, 47, [47])
    assert len({test.nodeid for test in project.outcomes}) == len(project.outcomes) == 47
    assert {outcome: run.count(outcome) for outcome in ("passed", "failed", "error", "xfailed", "xpassed")} == {
        "passed": 41,
        "failed": 1,
        "error": 2,
        "xfailed": 1,
        "xpassed": 1,
    }


def test_a_worker_that_crashes_leaves_its_last_words(project: Project) -> None:
    crashes = """
import os
def test_a(): pass
def test_b():
    print("so far so good", flush=True)
    os._exit(3)
def test_c(): pass
def test_d(): pass
"""
    run = project.write(crashes).run(args=["-p", "xdist", "-n2"])
    told = {test.nodeid.removeprefix("test_it.py::"): test.outcome for test in run.outcomes}
    assert told == {"test_a": "passed", "test_b": "error", "test_c": "passed", "test_d": "passed"}
    (crashed,) = [test for test in run.outcomes if test.outcome == "error"]
    assert "crashed while running" in crashed.message
    assert crashed.output == "Last words:\nso far so good"
    assert run.ended == ""


def test_each_worker_that_hangs_is_named(project: Project) -> None:
    hangs = """
import time
def hang(name):
    open(name, "w")
    time.sleep(600)
def test_a(): hang("test_a")
def test_b(): hang("test_b")
"""
    run = project.write(hangs).run_until(
        lambda: project.shows("test_a") and project.shows("test_b"), args=["-p", "xdist", "-n2"]
    )
    assert {test.nodeid for test in run.outcomes} == {"test_it.py::test_a", "test_it.py::test_b"}
    assert all(test.outcome == "error" and "in hang" in test.traceback for test in run.outcomes)


def test_workers_are_asked_for_by_their_number(project: Project) -> None:
    run = project.write("import os\ndef test_a(): assert os.environ['PYTEST_XDIST_WORKER']\n").run(
        args=["-p", "xdist"], workers=2
    )
    assert run.count("passed") == 1
    assert "-n 2" in run.command
