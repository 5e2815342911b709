"""A small project whose tests are really run, by pytest in this interpreter or in another one."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from mlconsole.evidence.testing import TestOutcome, TestRun
from mlconsole.services.processes import child_environment
from mlconsole.services.testing import RunningTest, run_tests, runner

PYTHON = Path(os.environ.get("MLCONSOLE_TEST_PYTHON", sys.executable))
"""MLCONSOLE_TEST_PYTHON: another interpreter with pytest and pytest-xdist, to prove other versions of them."""


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
            report=lambda outcomes: list(map(self.report, outcomes)),
            collected=lambda nodeids: self.collected.append(len(nodeids)),
            cancelled=self.cancelled,
            timeout=timeout,
            on_running=self.running.append,
            **more,
        )

    def run_until(self, hangs: Callable[[], object], *, timeout: float = 4, **more: Any) -> TestRun:
        """Run with a timeout that is over as soon as it `hangs`, and not before: however slow the machine is."""
        clock = SimpleNamespace(monotonic=lambda: 2 * timeout if hangs() else 0.0)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(runner, "time", clock)
            return self.run(timeout=timeout, **more)

    def shows(self, name: str, phase: str = "call") -> bool:
        """Whether a test that hangs, having made the file of its name, was told as running in that phase."""
        told = ((test.nodeid.rpartition("::")[2], test.phase) for seen in self.running for test in seen)
        return (self.root / name).exists() and (name, phase) in told

    def report(self, outcome: TestOutcome) -> None:
        self.outcomes.append(outcome)


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
