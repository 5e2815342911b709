"""The console in a real pseudo-terminal: a release by keys, and what becomes of it when the console dies."""

from __future__ import annotations

import os
import re
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from mlconsole.errors import Exit
from mlconsole.journal import Journal
from tests.waiting import until

from .terminal import QUIT_SECONDS, Terminal

if TYPE_CHECKING:
    from conftest import Workbench

pytestmark = pytest.mark.end_to_end
Open = Callable[..., Terminal]


@pytest.fixture
def console(bench: Workbench) -> Iterator[Open]:
    """Opens consoles of the tiny project; closes them all at the end."""
    opened: list[Terminal] = []

    def start(*options: str, size: tuple[int, int] = (120, 40), **environment: str) -> Terminal:
        command = [sys.executable, "-m", "mlconsole", ".", *options]
        terminal = Terminal(command, bench.root, bench.environment(**environment), size)
        opened.append(terminal)
        return terminal

    yield start
    for terminal in opened:
        terminal.close()


def state_of(bench: Workbench, number: int) -> str:
    """How a release stands, read as another process would."""
    journal = Journal(bench.root / ".mlconsole" / "journal.db")
    try:
        return journal.release(number).state
    finally:
        journal.close()


def test_a_release_step_by_step_to_ready_pods(bench: Workbench, console: Open) -> None:
    terminal = console()
    terminal.shows("No release yet", "no cluster")
    terminal.press("s")
    terminal.shows("Start the local cluster?", "$ mlconsole cluster start")
    terminal.press("tab", "enter")
    terminal.shows("● live")
    for stage in ("Data", "Train", "Test", "Deploy"):
        terminal.press("n")
        terminal.shows(f"Release 1 is paused before {stage}.")
    terminal.press("n")
    terminal.shows("Release 1 waits for your approval to change local.")
    assert "apply" in terminal.text or "create" in terminal.text
    terminal.press("a")
    terminal.shows("Approve release 1?", "$ mlconsole approve 1")
    terminal.press("tab", "enter")
    terminal.shows("Release 1 is done: tiny@v1 serves.", seconds=120)
    terminal.press("6")
    terminal.shows("2/2 ready", "1/1 Running")
    terminal.press("@")
    terminal.shows("$ mlconsole approve 1", "train_model.py", "MODEL_PATH=")
    terminal.press("escape", "q")
    assert terminal.ended() == 0
    assert state_of(bench, 1) == "done"


def held(bench: Workbench) -> Path:
    """What a training waits for."""
    return bench.root.parent / "go"


def running(bench: Workbench, console: Open) -> Terminal:
    """A console in which a training runs that ends once `held` is there."""
    terminal = console(HOLD=str(held(bench)))
    terminal.shows("No release yet")
    terminal.press("g")
    terminal.shows("Release 1 runs: Train.")
    return terminal


@pytest.mark.parametrize("end", [Terminal.kill, Terminal.hang_up])
def test_a_release_outlives_its_console_and_the_next_one_shows_it(
    bench: Workbench, console: Open, end: Callable[[Terminal], None]
) -> None:
    bench.type("cluster", "start")
    end(running(bench, console))
    assert state_of(bench, 1) == "running"
    second = console()
    second.shows("Release 1 runs: Train.")
    held(bench).touch()
    second.shows("Release 1 waits for your approval", seconds=120)
    second.press("q")
    assert second.ended() == 0
    assert state_of(bench, 1) == "waiting"


def test_it_ends_with_its_terminal_where_hang_ups_are_ignored(bench: Workbench) -> None:
    command = ["sh", "-c", 'trap "" HUP; exec "$0" -m mlconsole .', sys.executable]
    terminal = Terminal(command, bench.root, bench.environment())
    terminal.shows("No release yet")
    terminal.hang_up()
    assert terminal.status == -signal.SIGHUP


def test_it_gives_the_terminal_back_where_it_is_asked_to_end(bench: Workbench, console: Open) -> None:
    terminal = console()
    terminal.shows("No release yet")
    assert terminal.screen.cursor.hidden
    os.kill(terminal.pid, signal.SIGTERM)
    assert terminal.ended() == 128 + signal.SIGTERM
    assert not terminal.screen.cursor.hidden


DEFECT = """
import sys
from mlconsole.cli import main
from mlconsole.console.app import MlconsoleApp

def broken(self, name):
    token = "s3cr3t"
    raise LookupError("nobody thought of this")

MlconsoleApp.action_perform = broken
sys.argv = ["mlconsole", "."]
main()
"""


def test_a_defect_of_ours_ends_it_with_a_sentence_and_shows_no_values(bench: Workbench) -> None:
    terminal = Terminal([sys.executable, "-c", DEFECT], bench.root, bench.environment())
    terminal.shows("No release yet")
    terminal.press("r")
    assert terminal.ended() == Exit.OUTSIDE_FAILED
    assert "a defect of ours: LookupError: nobody thought of this" in terminal.text
    assert "Traceback" not in terminal.text
    found = re.search(r"with (\S+?\.log)", terminal.text)
    assert found is not None
    log = Path(found[1])
    told = log.read_text()
    log.unlink()
    assert "in broken" in told
    assert "s3cr3t" not in told.replace('token = "s3cr3t"', "")


def test_all_local_panels_are_filled_soon_after_the_first_frame(bench: Workbench, console: Open) -> None:
    assert bench.type("run", "--until", "test").returncode == 0
    terminal = console()
    terminal.shows("Repo")
    first = time.monotonic()
    terminal.shows("Release 1")
    filled = (("1", "A tiny model"), ("2", "50 rows"), ("3", "loss"), ("4", "test_mean_is_positive"))
    for key, words in filled:
        terminal.press(key)
        terminal.shows(words)
    assert time.monotonic() - first < 30, "benchmarks/startup.py has the figure: 1 s; here others may be at work"


def test_quitting_while_pods_are_replaced_is_quick(bench: Workbench, console: Open) -> None:
    bench.type("cluster", "start")
    slow = (bench.root / "deployment.yaml").read_text(encoding="utf-8")
    bench.write("deployment.yaml", slow.replace("periodSeconds: 1", "periodSeconds: 1, initialDelaySeconds: 20"))
    bench.commit("Ready late")
    runner = bench.start("run", "--approve")
    terminal = console()
    terminal.shows("Release 1 runs: Deploy.", seconds=120)
    terminal.shows("0/2 available")
    began = time.monotonic()
    terminal.press("q")
    assert terminal.ended() == 0
    assert time.monotonic() - began < QUIT_SECONDS
    assert state_of(bench, 1) == "running"
    bench.type("cancel", "1")
    runner.communicate(timeout=60)


def test_quitting_is_quick_and_leaves_the_release_running(bench: Workbench, console: Open) -> None:
    terminal = running(bench, console)
    began = time.monotonic()
    terminal.press("q")
    assert terminal.ended() == 0
    took = time.monotonic() - began
    assert state_of(bench, 1) == "running"
    assert took < QUIT_SECONDS
    bench.type("cancel", "1")
    until(lambda: state_of(bench, 1) == "cancelled")


def test_a_read_only_console_changes_nothing(bench: Workbench, console: Open) -> None:
    terminal = console("--readonly", "--ascii", size=(80, 24))
    terminal.shows("READ-ONLY", "No release yet")
    assert terminal.text.isascii()
    for key in "ngs":
        terminal.press(key)
        terminal.shows("The console was started with --readonly")
    terminal.press("q")
    assert terminal.ended() == 0
    assert not (bench.root / ".mlconsole" / "journal.db").exists()


def test_a_preference_that_does_not_exist_is_a_sentence(bench: Workbench, console: Open) -> None:
    terminal = console("--theme", "drak")
    assert terminal.ended() == 2
    assert "There is no theme drak." in " ".join(terminal.text.split())
