"""The console starts in every state of the world, says in sentences what is missing, and ends at once."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mlconsole.console import watching
from mlconsole.console.app import MlconsoleApp
from mlconsole.console.live_words import QUESTIONS
from mlconsole.errors import Exit
from mlconsole.evidence.base import STAGES
from mlconsole.project import open_project

from .builder import STATES
from .conftest import Build, Drive
from .watchdog import without_collector

SIZES = [(60, 20), (80, 24), (160, 50)]


@pytest.mark.parametrize("size", SIZES)
async def test_an_empty_folder_gets_sentences(tmp_path: Path, drive: Drive, size: tuple[int, int]) -> None:
    async with drive(tmp_path, size) as console:
        await console.shows("is not a git repository", "git init", "No release yet")
        await console.press("2")
        await console.shows("No training data was found in this folder.")
        await console.press("3")
        await console.shows("No training command was found.")
        await console.press("4")
        await console.shows("No tests were found.")
        await console.press("5")
        await console.shows("No manifests were found.")
        await console.press("6")
        await console.shows("It is not known which pods serve the model")
    assert not (tmp_path / ".mlconsole").exists(), "looking makes nothing"


async def test_a_project_without_a_cluster_says_so_and_goes_on(build: Build, drive: Drive) -> None:
    async with drive(build("done").project.root) as console:
        await console.press("6")
        await console.shows("offline", "kubeconfig")
        await console.press("4")
        await console.shows("✓ 8 passed")


async def test_a_local_cluster_that_is_not_running_is_told_with_the_key_that_starts_it(
    build: Build, drive: Drive
) -> None:
    async with drive(build(context="local").project.root) as console:
        await console.press("6")
        await console.shows("The local cluster is not running: press s to start it.", "no cluster")


async def test_a_broken_journal_is_a_sentence(tmp_path: Path, drive: Drive) -> None:
    (tmp_path / ".mlconsole").mkdir()
    (tmp_path / ".mlconsole" / "journal.db").write_bytes(b"this is no database, " * 400)
    async with drive(tmp_path) as console:
        await console.shows("can't be used", "file is not a database", "begin anew without its releases")
        await console.press("n")
        await console.shows("The journal can't be read.")


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("state", STATES)
async def test_every_state_of_a_release_is_drawn_in_every_size(
    build: Build, drive: Drive, state: str, size: tuple[int, int]
) -> None:
    async with drive(build("done", state).project.root, size) as console:
        for key, stage in enumerate(STAGES, 1):
            console.type(str(key))
            await console.until(lambda stage=stage: console.app.view.selected == stage)
            await console.shows(QUESTIONS[stage][:16])
        await console.shows("Release 2")
        lines = console.text.splitlines()
        assert len(lines) == size[1]
        assert max(map(len, lines)) <= size[0]
        assert console.app.is_running


async def test_it_follows_the_size_of_the_terminal(build: Build, drive: Drive) -> None:
    async with drive(build("refused").project.root, (160, 50)) as console:
        await console.shows("1 ✓ Repo", "main@a1b2c3d, 2 dirty")
        await console.pilot.resize_terminal(60, 20)
        await console.shows("1✓Repo 2✓Data 3✓Train 4✗Test")
        await console.pilot.resize_terminal(80, 24)
        await console.shows("1 ✓ Repo", "main@a1b2c3d, 2 dirty")


@pytest.mark.parametrize("state", ["training", "waiting", "rolling_out"])
async def test_quitting_takes_less_than_half_a_second(
    build: Build, monkeypatch: pytest.MonkeyPatch, state: str
) -> None:
    def slow(root: Path) -> object:
        time.sleep(30)
        raise AssertionError("nobody waits for this")

    monkeypatch.setattr(watching, "read_repo", slow)
    builder = build("done", state)
    app = MlconsoleApp(open_project(builder.project.root))
    async with app.run_test() as pilot:
        await pilot.pause(0.3)
        await pilot.press("q")
        with without_collector(time.monotonic) as passed:
            began = passed()
            while app.is_running and passed() - began < 5:
                await asyncio.sleep(0.01)
            took = passed() - began
        assert took < 1, "benchmarks/quitting.py has the figure: 0.25 s; here others may be at work"
    assert builder.journal.release(2).state == ("waiting" if state == "waiting" else "running")


def test_the_first_frame_loads_nothing_heavy() -> None:
    script = (
        "import sys, mlconsole.console.app\n"
        "heavy = {'pandas', 'numpy', 'pyarrow', 'kubernetes', 'git', 'sklearn', 'aiohttp', 'psutil', 'yaml'}\n"
        "print(*sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == ""


def test_without_a_terminal_it_says_what_works_there(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mlconsole", str(tmp_path)]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
    assert done.returncode == Exit.WRONG_USE
    assert "The console needs a terminal. Without one: mlconsole run" in " ".join(done.stderr.split())
    assert "\x1b" not in done.stdout + done.stderr
