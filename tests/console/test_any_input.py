"""Any keys, clicks, turns of the wheel and sizes, in any order, in every panel and on every screen, do no harm.

Another order each time:

    for seed in 1 2 3 4; do MLCONSOLE_SEED=$seed python -m pytest tests/console/test_any_input.py; done
"""

from __future__ import annotations

import asyncio
import inspect
import os
import random
import threading
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import msgspec
import pytest
from textual import events

from mlconsole.console.actions import REGISTRY
from mlconsole.console.app import MlconsoleApp
from mlconsole.console.messages import PodsSeen
from mlconsole.console.operations import console as console_operations
from mlconsole.console.operations import test as test_operations
from mlconsole.console.screens.choose import ChooseScreen
from mlconsole.console.screens.confirm import ConfirmScreen
from mlconsole.console.screens.detail import DetailScreen
from mlconsole.console.screens.history import HistoryScreen
from mlconsole.console.screens.log import LogScreen
from mlconsole.console.screens.replay import ReplayScreen
from mlconsole.console.screens.rerun import RerunScreen
from mlconsole.errors import OutsideFailed
from mlconsole.evidence.base import STAGES, StageName
from mlconsole.evidence.testing import TestOutcome, TestRun
from mlconsole.project import Project
from mlconsole.release import launch as launching

from .builder import Builder, outcomes, pod, snapshot
from .conftest import Build, Drive, Driven

SIZES = [(60, 20), (80, 24), (100, 30), (160, 50)]
MOVES = (
    *"123456jkG", "enter", "escape", "tab", "shift+tab", "up", "down", "left", "right", "home", "end", "pageup",
    "pagedown", "backspace", "space", "ctrl+d", "ctrl+u",
)  # fmt: skip
SEED = os.environ.get("MLCONSOLE_SEED", "")
QUITS = "ctrl+q"
"""Textual's own: it always quits."""
KEYS = tuple(dict.fromkeys([*MOVES, *(key for found in REGISTRY.actions for key in found.each_key if key != QUITS)]))
TYPED = (*"aB0 [/](*\\'$!", "delete", "ctrl+a", "ctrl+k", "ctrl+u", "ctrl+w")
"""What means something in a line to type into."""
Open = Callable[[Driven], Awaitable[None]]


@pytest.fixture(autouse=True)
def nothing_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """No runner starts, tests that run again say what they said, and quitting stays."""

    def launch(project: Project, arguments: Sequence[str]) -> int:
        raise OutsideFailed("There are no runners here.")

    def again(
        project: Project,
        digest: str,
        nodeids: tuple[str, ...],
        report: Callable[[TestOutcome], None],
        cancelled: threading.Event,
    ) -> TestRun:
        for test in outcomes():
            cancelled.wait(0.01)
            report(test)
        return TestRun(command="pytest", exit_code=1, seconds=0.2, collected=8, outcomes=outcomes())

    async def stay(app: MlconsoleApp) -> None:
        """The test goes on."""

    monkeypatch.setattr(launching, "launch", launch)
    monkeypatch.setattr(test_operations, "run_again", again)
    monkeypatch.setattr(console_operations, "quit", stay)


def prepared(build: Build, *states: str) -> Builder:
    """A project with releases and a log of some length."""
    builder = build(*states)
    for number in range(1, len(states) + 1):
        folder = builder.project.release_folder(number)
        folder.mkdir(parents=True, exist_ok=True)
        for stage in STAGES:
            lines = (f"{stage} line {place} {'x' * (place * 7 % 300)}" for place in range(200))
            (folder / f"{stage}.log").write_text("\n".join(lines), encoding="utf-8")
    return builder


def with_pods(console: Driven) -> None:
    """Show some pods, and look for no others."""
    console.app.watching.pods.stop()
    console.app.post_message(PodsSeen(snapshot(pod(1), pod(2, ready=False))))


def mouse(console: Driven, dice: random.Random) -> None:
    """A click, a drag, a move or a turn of the wheel, somewhere."""
    width, height = console.app.size
    x, y = dice.randrange(max(width, 1)), dice.randrange(max(height, 1))

    def post(kind: type[events.MouseEvent], x: int = x, y: int = y, button: int = 1) -> None:
        event = kind(None, x, y, 0, 0, button, False, dice.random() < 0.1, dice.random() < 0.1, x, y)
        event.set_sender(console.app)
        console.app.post_message(event)

    what = dice.random()
    if what < 0.4:
        for _ in range(dice.choice((1, 1, 2, 3))):
            post(events.MouseDown)
            post(events.MouseUp)
    elif what < 0.5:
        post(events.MouseDown)
        post(events.MouseMove, dice.randrange(max(width, 1)), dice.randrange(max(height, 1)))
        post(events.MouseUp, dice.randrange(max(width, 1)), dice.randrange(max(height, 1)))
    elif what < 0.7:
        post(events.MouseMove, button=0)
    else:
        wheel = (events.MouseScrollDown, events.MouseScrollUp, events.MouseScrollLeft, events.MouseScrollRight)
        post(dice.choice(wheel), button=0)


async def anything(console: Driven, dice: random.Random, turns: int, keys: Sequence[str]) -> None:
    """So many things that a person may do without looking."""
    for turn in range(turns):
        what = dice.random()
        if what < 0.75:
            console.type(dice.choice(keys))
        elif what < 0.97:
            mouse(console, dice)
        else:
            await console.pilot.resize_terminal(dice.randint(40, 180), dice.randint(10, 60))
        if turn % 8 == 0:
            await asyncio.sleep(0.005)
        assert console.app.is_running


async def unharmed(console: Driven, builder: Builder) -> None:
    """It goes on, nothing unexpected was written down, and what is past is as it was."""
    await console.pilot.pause()
    assert console.app.is_running
    assert console.app._exception is None
    log = builder.project.state / "console.log"
    assert not log.exists(), log.read_text(encoding="utf-8")
    assert msgspec.structs.asdict(builder.journal.release(1))["state"] == "done"


@pytest.mark.parametrize("stage", STAGES)
async def test_every_key_of_every_panel(build: Build, drive: Drive, stage: StageName) -> None:
    everywhere = [] if stage != "repo" else [found for found in REGISTRY.actions if not found.scope]
    own = [found for found in REGISTRY.actions if stage in found.scope]
    keys = [*MOVES[9:], *(key for found in (*own, *everywhere) for key in found.each_key if key != QUITS)]
    random.Random(SEED + stage).shuffle(keys)
    builder = prepared(build, "done", "refused" if stage in ("repo", "test", "train") else "rolling_out")
    async with drive(builder.project.root, (80, 24)) as console:
        with_pods(console)
        for inside in (False, True):
            for key in keys:
                for typed in ("escape", "escape", "escape", str(STAGES.index(stage) + 1)):
                    console.type(typed)
                await asyncio.sleep(0.01)
                for typed in (*(["enter"] if inside else []), key):
                    console.type(typed)
                await asyncio.sleep(0.01)
                assert console.app.is_running, key
        await unharmed(console, builder)


@pytest.mark.parametrize(("seed", "size"), list(enumerate(SIZES, 1)))
async def test_anything_on_the_main_screen(build: Build, drive: Drive, seed: int, size: tuple[int, int]) -> None:
    dice = random.Random(f"{SEED}{seed}")
    builder = prepared(build, "done", "refused", dice.choice(["waiting", "paused", "failed"]))
    async with drive(builder.project.root, size) as console:
        if seed % 2:
            with_pods(console)
        await anything(console, dice, 200, KEYS)
        await unharmed(console, builder)


def by_keys(*keys: str) -> Open:
    """Opens a screen by keys."""

    async def opened(console: Driven) -> None:
        await console.press(*keys)

    return opened


SCREENS: dict[str, tuple[Open, type[object]]] = {
    "log": (by_keys("3", "l"), LogScreen),
    "history": (by_keys("h"), HistoryScreen),
    "record": (by_keys("1", "i"), DetailScreen),
    "compare": (by_keys("h", "C"), DetailScreen),
    "replay": (by_keys("P"), ReplayScreen),
    "help": (by_keys("question_mark"), DetailScreen),
    "palette": (by_keys("colon"), ChooseScreen),
    "themes": (by_keys("t"), ChooseScreen),
    "confirm": (by_keys("b"), ConfirmScreen),
    "override": (by_keys("o"), ConfirmScreen),
    "rerun": (by_keys("4", "E"), RerunScreen),
    "column": (by_keys("2", "enter", "enter"), DetailScreen),
    "test": (by_keys("4", "enter", "enter"), DetailScreen),
}


@pytest.mark.timeout(300)
@pytest.mark.parametrize("size", SIZES)
async def test_anything_on_every_screen(build: Build, drive: Drive, size: tuple[int, int]) -> None:
    dice = random.Random(f"{SEED}{size}")
    builder = prepared(build, "done", "refused")
    async with drive(builder.project.root, size) as console:
        for name, (open_it, kind) in SCREENS.items():
            await back(console)
            await console.pilot.resize_terminal(*size)
            await open_it(console)
            await console.until(lambda kind=kind: is_open(console, kind), 30)
            await anything(console, dice, 20, (*KEYS, *TYPED))
            assert console.app._exception is None, name
        await unharmed(console, builder)


def is_open(console: Driven, kind: type[object]) -> bool:
    """Whether a screen of a kind is on top."""
    return isinstance(console.app.screen, kind)


async def back(console: Driven) -> None:
    """Go back to the main screen and the latest release."""
    app = console.app
    for _ in range(60):
        await console.pilot.pause()
        if app.screen is app.main and not app.view.past and app.main.focused is app.main._rail:
            return
        await console.press("escape")
    raise AssertionError(f"there is no way back:\n{console.text}")


def test_the_screens_that_are_tried_are_all_that_there_are() -> None:
    files = {path.stem for path in Path(inspect.getfile(LogScreen)).parent.glob("*.py")}
    assert files <= {
        "__init__", "choose", "clone", "compare", "confirm", "detail", "dialog", "help", "history", "log", "main",
        "opening", "record", "replay", "rerun",
    }  # fmt: skip
