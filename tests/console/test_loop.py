"""No callback holds the app's loop for long, whatever is opened, and quitting is quick in every state."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest
from textual.geometry import Region
from textual.widget import Widget

from mlconsole.console.app import MlconsoleApp
from mlconsole.console.messages import PodsSeen
from mlconsole.project import open_project

from .builder import Builder, pod, snapshot
from .conftest import Build, Drive
from .watchdog import LIMIT, watchdog, without_collector

KEYS = (
    *"123456", "question_mark", "escape", "h", "escape", "colon", "escape", "l", "escape", "at", "k", "at", "z", "z",
    "3", "enter", "j", "j", "escape", "5", "enter", "pagedown", "escape", "6", "a", "escape", "r",
)  # fmt: skip


async def use(root: Path, size: tuple[int, int]) -> None:
    """Open a console, press keys, resize it, leave it."""
    app = MlconsoleApp(open_project(root))
    async with app.run_test(size=size) as pilot:
        while not (app.is_open and app.view.journal):
            await asyncio.sleep(0.01)
        for key in KEYS:
            await pilot.press(key)
            await pilot.pause(0.02)
        await pilot.resize_terminal(80, 24)
        await pilot.pause(0.1)
        await pilot.resize_terminal(*size)
        await pilot.pause(0.3)


@pytest.mark.parametrize("state", ["waiting", "rolling_out", "refused"])
def test_no_callback_holds_the_loop(build: Build, state: str) -> None:
    root = build("done", state).project.root
    for _attempt in (1, 2):
        with watchdog() as held:
            asyncio.run(use(root, (160, 50)))
        assert len(held) > 100
        worst = max(held)
        if worst[0] <= LIMIT:
            return
    pytest.fail(f"a callback held the loop for {worst[0] * 1000:.0f} ms: {worst[1]}")


@pytest.mark.parametrize("state", ["rolling_out", "refused"])
@pytest.mark.parametrize("panel", "123456")
async def test_the_same_view_drawn_again_asks_for_no_layout(
    build: Build, drive: Drive, monkeypatch: pytest.MonkeyPatch, panel: str, state: str
) -> None:
    asked: list[str] = []
    async with drive(build("done", state).project.root) as console:
        console.app.watching.pods.stop()
        await console.press(panel)
        console.app.post_message(PodsSeen(snapshot(*(pod(place) for place in range(60)))))
        await console.shows("60/60 ready")
        await console.pilot.pause(0.3)
        refresh = Widget.refresh

        def watched(widget: Widget, *regions: Region, repaint: bool = True, layout: bool = False, **more: Any) -> Any:
            asked.extend([type(widget).__name__] if layout else [])
            return refresh(widget, *regions, repaint=repaint, layout=layout, **more)

        monkeypatch.setattr(Widget, "refresh", watched)
        console.app.main.show(console.app.view)
        await console.pilot.pause()
        # before the console ends: meanwhile its clock may tick once more, and widgets without a place ask for one
        assert asked == []


@pytest.mark.parametrize("where", ["1", "3", "4", "6", "l", "h", "i", "P", "a", "question_mark", "colon", "at"])
@pytest.mark.parametrize("state", ["training", "testing", "rolling_out", "waiting"])
async def test_quitting_is_quick_wherever_one_is(build: Build, state: str, where: str) -> None:
    builder: Builder = build("done", state)
    app = MlconsoleApp(open_project(builder.project.root))
    with without_collector(time.monotonic) as passed:
        async with app.run_test() as pilot:
            while not app.is_open:
                await asyncio.sleep(0.01)
            await pilot.press(where)
            await pilot.pause(0.1)
            began = passed()
            app.exit()
            while app.is_running and passed() - began < 5:
                await asyncio.sleep(0.005)
        took = passed() - began
    assert took < 1, "benchmarks/quitting.py has the figure: 0.25 s; here others may be at work"


@pytest.mark.parametrize("key", ["question_mark", "colon", "h", "P", "i", "f", "d", "a"])
async def test_the_console_may_end_while_a_screen_comes_up(build: Build, drive: Drive, key: str) -> None:
    root = build("done", "waiting").project.root
    for turns in (0, 1, 2, 4, 8, 16):
        async with drive(root, (120, 40)) as console:
            console.type(key)
            for _ in range(turns):
                await asyncio.sleep(0)
            console.app.exit()
            await console.until(lambda console=console: not console.app.is_running)
        assert console.app._exception is None


async def test_the_console_may_end_while_it_comes_up(build: Build) -> None:
    root = build("done", "waiting").project.root
    for turns in (0, 1, 2, 4, 8, 16, 32, 64, 128):
        app = MlconsoleApp(open_project(root))
        async with app.run_test(size=(120, 40)):
            for _ in range(turns):
                await asyncio.sleep(0)
            app.exit()
            while app.is_running:
                await asyncio.sleep(0.005)
        assert app._exception is None
