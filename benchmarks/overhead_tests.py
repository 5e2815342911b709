"""1,000 trivial tests as the test stage runs them, beside bare `pytest -q`; and how late an outcome is in the journal.

The stage's side is all of it: the guard around pytest, the reporter in it, an event in the journal for each outcome.
The guard was started while the command before it ran, as it is where a training comes first.
The interpreter has pytest and nothing else: every plugin that a project has makes both sides slower by as much.
"""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from measure import Contender, command, compare, install_aside, load

from mlconsole.evidence.release import EventBody, TestReported, TestRunning, TestsCollected
from mlconsole.evidence.testing import TestOutcome
from mlconsole.journal import Journal
from mlconsole.services.processes import child_environment
from mlconsole.services.testing import run_tests

FILES, TESTS = 20, 50
RUNS = 15
CLOCK = """\
import time, pytest
times = open("times", "w", buffering=1)
@pytest.hookimpl(tryfirst=True)
def pytest_runtest_logreport(report):
    if report.when == "teardown":
        times.write(f"{report.nodeid} {time.monotonic()}\\n")
@pytest.fixture(autouse=True)
def slowly():
    time.sleep(0.01)
"""


def write_project(root: Path) -> None:
    root.mkdir()
    (root / "pytest.ini").write_text("[pytest]\n")
    for number in range(FILES):
        tests = "".join(f"def test_{name}():\n    assert {name} + 1 > {name}\n" for name in range(TESTS))
        (root / f"test_{number}.py").write_text(tests)


class Stage:
    """Runs the tests as the stage does, with a journal of its own."""

    def __init__(self, python: Path, root: Path, folder: Path) -> None:
        self.python, self.root = python, root
        self.log = folder / "test.log"
        self.journal = Journal(folder / "journal.db")
        self.release = self.journal.begin_release(kind="release", who="bench", approved=False).number
        self.at: dict[str, float] = {}

    def run(self) -> float:
        started = time.perf_counter()
        run = run_tests(
            python=self.python,
            root=self.root,
            paths=(),
            model_path=None,
            environment=child_environment(self.python),
            log_path=self.log,
            report=self._report,
            collected=lambda ids: self._emit([TestsCollected(count=len(ids), nodeids=ids)]),
            cancelled=threading.Event(),
            on_running=lambda running: self._emit([TestRunning(tests=tuple((t.nodeid, t.phase) for t in running))]),
        )
        took = time.perf_counter() - started
        if run.count("passed") != FILES * TESTS:
            raise SystemExit(f"only {run.count('passed')} passed: {run.ended}")
        return took

    def _emit(self, bodies: Sequence[EventBody]) -> None:
        self.journal.emit_all(self.release, bodies, "test")

    def _report(self, outcomes: Sequence[TestOutcome]) -> None:
        self._emit([TestReported(outcome=outcome) for outcome in outcomes])
        self.at.update((outcome.nodeid, time.monotonic()) for outcome in outcomes)


class Processors:
    """What the children of a contender take of processors: a busy machine changes that less than their time."""

    def __init__(self, contender: Contender) -> None:
        self.name = contender.name
        self.seconds: list[float] = []
        self._once = contender.once

    def once(self) -> float:
        before = _used_by_children()
        took = self._once()
        self.seconds.append(_used_by_children() - before)
        return took

    @property
    def median(self) -> float:
        return statistics.median(self.seconds[1:])


def _used_by_children() -> float:
    use = resource.getrusage(resource.RUSAGE_CHILDREN)
    return use.ru_utime + use.ru_stime


def latency(stage: Stage) -> None:
    """Print how long after pytest knew an outcome it is in the journal."""
    (stage.root / "conftest.py").write_text(CLOCK)
    stage.run()
    known = (line.rsplit(" ", 1) for line in (stage.root / "times").read_text().splitlines())
    late = sorted(stage.at[nodeid] - float(at) for nodeid, at in known)
    print(
        f"an outcome, from pytest's report to the journal, {len(late)} tests (target: with the console's look, 200 ms)"
    )
    for name, value in (("median", late[len(late) // 2]), ("95 %", late[len(late) * 95 // 100]), ("worst", late[-1])):
        print(f"  {name:<40} {value * 1000:6.0f} ms")


def main() -> None:
    for name in ("PYTEST_ADDOPTS", "PYTHONDONTWRITEBYTECODE"):
        os.environ.pop(name, None)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        print("Installing pytest aside …")
        python = Path(install_aside(folder / "env", "pytest>=9,<10"))
        write_project(folder / "project")
        subprocess.run([python, "-m", "pytest", "-q"], cwd=folder / "project", check=True, stdout=subprocess.DEVNULL)
        stage = Stage(python, folder / "project", folder)
        ours = Processors(Contender("the test stage", stage.run))
        peer = Processors(command("pytest -q", [str(python), "-m", "pytest", "-q"], folder / "project"))
        compare(
            f"1,000 trivial tests (target: at most 1.05) {load()}",
            Contender(ours.name, ours.once),
            Contender(peer.name, peer.once),
            RUNS,
        )
        print("processor time of pytest, the reporter in it and the guard around it")
        for side in (ours, peer):
            print(f"  {side.name:<40} median {side.median:6.3f} s   {min(side.seconds):.3f} … {max(side.seconds):.3f}")
        print(f"  ratio {ours.median / peer.median:.2f}\n")
        latency(stage)


if __name__ == "__main__":
    main()
