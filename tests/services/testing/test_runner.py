"""pytest is really run here, in this interpreter, on small projects in temporary folders."""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from mlconsole.evidence.testing import TestOutcome, TestRun
from mlconsole.services.processes import CommandMissing, child_environment
from mlconsole.services.testing import PytestMissing, RunningTest, run_tests

PYTHON = Path(sys.executable)


class Project:
    """A folder with one test file, and what was reported of its run."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.outcomes: list[TestOutcome] = []
        self.collected: list[int] = []
        self.running: list[tuple[RunningTest, ...]] = []
        self.cancelled = threading.Event()

    def write(self, text: str, name: str = "test_it.py") -> Project:
        (self.root / name).write_text(text)
        return self

    def run(
        self,
        *paths: str,
        python: Path = PYTHON,
        model_path: Path | None = None,
        timeout: float | None = 60,
        **more: Any,
    ) -> TestRun:
        return run_tests(
            python=python,
            root=self.root,
            paths=paths or ("test_it.py",),
            model_path=model_path,
            environment=child_environment(python, PYTEST_DISABLE_PLUGIN_AUTOLOAD="1", PYTEST_ADDOPTS=""),
            log_path=self.root / "test.log",
            report=self.report,
            collected=lambda nodeids: self.collected.append(len(nodeids)),
            cancelled=self.cancelled,
            timeout=timeout,
            on_running=self.running.append,
            **more,
        )

    def report(self, outcome: TestOutcome) -> None:
        self.outcomes.append(outcome)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    root = tmp_path / "project"
    root.mkdir()
    (root / "pytest.ini").write_text("[pytest]\n")
    return Project(root)


EVERY_OUTCOME = """
import pytest

@pytest.fixture
def broken():
    raise RuntimeError("no such database")

@pytest.fixture
def broken_end():
    yield
    raise RuntimeError("cannot clean up")

def test_passes(record_property):
    record_property("mean_absolute_error", 24.5)
    record_property("undefined", float("nan"))
    record_property("note", "text")

def test_fails():
    print("\\x1b[31mred\\x1b[0m \\x1b]52;c;AAAA\\x07said")
    assert 1 == 2, "one is\\x1b[2J not two"

def test_has_no_setup(broken): pass
def test_has_no_end(broken_end): pass

@pytest.mark.skip(reason="not today")
def test_is_skipped(): pass

@pytest.mark.xfail(reason="known fault")
def test_is_expected_to_fail(): assert False

@pytest.mark.xfail(reason="mended")
def test_passes_unexpectedly(): pass
"""


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
    deadline = time.monotonic() + 20
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
    run = project.write("import time\ndef test_a(): pass\ndef test_b(): time.sleep(600)\n").run(timeout=1.5)
    assert run.ended == "The tests took longer than 1.5 s and were ended in test_it.py::test_b."
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
