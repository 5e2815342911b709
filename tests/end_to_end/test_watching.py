"""`mlconsole watch`, with real processes and a real cluster: nothing is lost, nothing is doubled."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable

import pytest

from .batches import Trial
from .conftest import Workbench

pytestmark = [pytest.mark.end_to_end, pytest.mark.timeout(600)]


def test_each_content_is_released_or_refused_once_however_often_the_watcher_is_killed(bench: Workbench) -> None:
    # settled long enough that a writer that the machine lets wait between two pieces is not taken for one that is done
    trial = Trial(bench, batches=8, kills=10, settle="2s", pause=5.0)
    trial.run(most_seconds=300)
    outcomes = trial.check()
    assert outcomes["released"] >= 1
    assert outcomes["refused"] >= 1


def test_the_watcher_is_a_process_of_its_own_that_reads_changed_settings(bench: Workbench) -> None:
    bench.write("mlconsole.toml", '[deploy]\ncontext = "local"\n[[watch]]\nkind = "data"\nsettle = "0s"\n')
    started = bench.type("watch", "--detach")
    assert started.returncode == 0, started.stderr
    again = bench.type("watch")
    assert (again.returncode, "watched already" in again.stderr) == (1, True)
    _until(lambda: "data/training.csv" in bench.type("triggers").stdout)
    bench.write("mlconsole.toml", '[deploy]\ncontext = "local"\n[[watch]]\nkind = "schedule"\ncron = "0 6 * * 1"\n')
    _until(lambda: "watches schedule 0 6 * * 1" in bench.type("triggers").stderr)
    bench.write("mlconsole.toml", '[deploy]\ncontext = "local"\n[[watch]]\nkind = "schedule"\ncron = "never"\n')
    log = bench.root / ".mlconsole" / "runner.log"
    _until(lambda: "those of before hold" in log.read_text())
    assert "no release can be begun" not in log.read_text(), "only what is watched is said badly"
    _until(lambda: "watches schedule 0 6 * * 1" in bench.type("triggers").stderr)
    bench.write("mlconsole.toml", "[deploy\n")
    _until(lambda: "What arrives waits: no release can be begun." in log.read_text())
    bench.write("mlconsole.toml", '[deploy]\ncontext = "local"\n')
    dismissed = bench.type("triggers", "dismiss", "1")
    assert dismissed.returncode == 0, dismissed.stderr
    stopped = bench.type("watch", "--stop")
    assert stopped.returncode == 0, stopped.stderr
    assert "Nobody watches" in bench.type("triggers").stderr
    assert bench.type("watch", "--stop").returncode == 2


def test_a_commit_of_the_remote_branch_is_pulled_and_released(bench: Workbench) -> None:
    origin = bench.root.parent / "origin.git"
    watched = '[[watch]]\nkind = "branch"\nthen = "run"\n'
    bench.write("mlconsole.toml", f'[deploy]\ncontext = "local"\nsettle = "0s"\n{watched}')
    bench.commit("Watched")
    bench.git("clone", "-q", "--bare", ".", str(origin))
    bench.git("remote", "add", "origin", str(origin))
    bench.git("fetch", "-q", "origin")
    asked = subprocess.run(["git", "branch", "--show-current"], cwd=bench.root, capture_output=True, text=True)
    bench.git("branch", "-q", f"--set-upstream-to=origin/{asked.stdout.strip()}")
    other = Workbench(bench.root.parent / "other")
    bench.git("clone", "-q", str(origin), str(other.root))
    other.write("notes.md", "A change\n")
    other.commit("Tune it")
    other.git("push", "-q")
    assert bench.type("cluster", "start").returncode == 0
    watcher = bench.start("watch")
    try:
        _until(lambda: "waits for approval" in bench.type("history").stdout)
    finally:
        watcher.terminate()
        watcher.communicate(timeout=60)
    assert "Tune it" in bench.type("history").stdout
    assert (bench.root / "notes.md").read_text() == "A change\n"


def _until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 100
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.2)
