"""The reporter in each major version of pytest that it is made for, and in xdist beside it."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from .project import EVERY_OUTCOME, Project

LATEST_PYTHON = {"7.0.1": (3, 11), "7": (3, 13)}
"""Earlier versions of pytest don't know later versions of Python."""


@pytest.fixture(scope="module", params=["7.0.1", "7", "8", "9"])
def python(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An interpreter with this version of pytest, which goes before the one that runs here."""
    version: str = request.param
    if sys.version_info[:2] > LATEST_PYTHON.get(version, (4, 0)):
        pytest.skip(f"pytest {version} does not know this Python")
    folder = tmp_path_factory.mktemp("pytest")
    wanted = f"pytest=={version}" if "." in version else f"pytest>={version},<{int(version) + 1}"
    command = [sys.executable, "-m", "pip", "install", "-q", "--target", folder / "lib", wanted, "pytest-xdist"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=200)
    if done.returncode:
        pytest.skip(f"pytest {version} can't be installed: {done.stderr.strip().splitlines()[-1]}")
    interpreter = folder / "python"
    path = f"{shlex.quote(str(folder / 'lib'))}${{PYTHONPATH:+:$PYTHONPATH}}"
    interpreter.write_text(f'#!/bin/sh\nPYTHONPATH={path} exec {shlex.quote(sys.executable)} "$@"\n')
    interpreter.chmod(0o755)
    environment = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    asks = [interpreter, "-m", "pytest", "--version"]
    told = subprocess.run(asks, capture_output=True, text=True, timeout=60, env=environment)
    assert f"pytest {version}" in told.stdout + told.stderr
    return interpreter


EXPECTED = {
    "test_passes": "passed",
    "test_fails": "failed",
    "test_has_no_setup": "error",
    "test_has_no_end": "error",
    "test_is_skipped": "skipped",
    "test_is_expected_to_fail": "xfailed",
    "test_passes_unexpectedly": "xpassed",
}


@pytest.mark.parametrize("args", [(), ("-p", "xdist", "-n2")], ids=["alone", "xdist"])
def test_each_outcome_is_told(project: Project, python: Path, args: tuple[str, ...]) -> None:
    run = project.write(EVERY_OUTCOME).run(python=python, args=args)
    assert {test.nodeid.removeprefix("test_it.py::"): test.outcome for test in project.outcomes} == EXPECTED
    assert (run.collected, run.exit_code, run.ended) == (7, 1, "")
    failed = next(test for test in run.outcomes if test.outcome == "failed")
    assert failed.message == "AssertionError: one is not two"
    assert failed.output == "Captured stdout call:\nred said"
    assert [(point.name, point.value) for point in run.metrics] == [("mean_absolute_error", 24.5)]


CRASHES = """
import os, warnings
def test_a(record_metric):
    warnings.warn("old")
    record_metric("mae", 1.5)
def test_b():
    print("so far so good", flush=True)
    os._exit(3)
def test_c(): pass
"""


def test_a_crash_leaves_its_last_words_and_a_second_run_does_the_rest(project: Project, python: Path) -> None:
    run = project.write(CRASHES).run(python=python)
    assert run.ended == "Python ended with exit code 3, before pytest was done in test_it.py::test_b."
    assert [test.outcome for test in run.outcomes] == ["passed", "error"]
    assert run.outcomes[1].output == "Last words:\nso far so good"
    assert [(point.name, point.value) for point in run.metrics] == [("mae", 1.5)]
    chosen = project.run(python=python, only=["test_it.py::test_c"])
    assert [(test.nodeid, test.outcome) for test in chosen.outcomes] == [("test_it.py::test_c", "passed")]


def test_a_hang_leaves_its_stack(project: Project, python: Path) -> None:
    hangs = "import time\ndef hang():\n    open('test_a', 'w')\n    time.sleep(600)\ndef test_a(): hang()\n"
    run = project.write(hangs).run_until(lambda: project.shows("test_a"), python=python)
    assert [test.outcome for test in run.outcomes] == ["error"]
    assert "in hang" in run.outcomes[0].traceback
