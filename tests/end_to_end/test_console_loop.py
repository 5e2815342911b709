"""A release from the first key to ready pods in a driven console: no callback holds its loop, and it ends at once."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import pytest

from mlconsole.console.app import MlconsoleApp
from mlconsole.project import open_project

from ..console.conftest import Driven
from ..console.watchdog import LIMIT, watchdog

if TYPE_CHECKING:
    from conftest import Workbench

pytestmark = pytest.mark.end_to_end
SECONDS = 90
LOOKS = (
    *"123456", "h", "escape", "i", "escape", "l", "escape", "question_mark", "escape", "colon", "escape", "at", "at",
    "5", "enter", "F", "escape", "6", "enter", "d", "escape", "y", "escape", "L", "escape", "escape", "z", "z",
)  # fmt: skip


async def release(bench: Workbench) -> None:
    """Start the cluster, go through all stages, look at everything, replay it, leave."""
    app = MlconsoleApp(open_project(bench.root))
    async with app.run_test(size=(160, 50)) as pilot:
        console = Driven(app, pilot)

        async def shows(*words: str) -> None:
            await console.until(lambda: all(word in console.flowing for word in words), SECONDS)

        await shows("No release yet", "no cluster")
        await console.press("s")
        await shows("Start the local cluster?")
        await console.press("tab", "enter")
        await shows("● live")
        await console.press("g")
        await shows("Release 1 waits for your approval to change local.")
        await console.press("a")
        await shows("Approve release 1?")
        await console.press("tab", "enter")
        await shows("Release 1 is done: tiny@v1 serves.")
        for key in LOOKS:
            await console.press(key)
            await pilot.pause(0.05)
        await console.press("P", *"====")
        await shows("Replay of release 1")
        await pilot.resize_terminal(80, 24)
        await pilot.pause(0.5)
        began = time.monotonic()
        app.exit()
        await console.until(lambda: not app.is_running)
        assert time.monotonic() - began < 0.5


def test_no_callback_holds_the_loop_in_a_whole_release(bench: Workbench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", str(bench.root / "no-kubeconfig"))
    with watchdog() as held:
        asyncio.run(release(bench))
    assert len(held) > 500
    seconds, what = max(held)
    assert seconds <= LIMIT, f"a callback held the loop for {seconds * 1000:.0f} ms: {what}"
