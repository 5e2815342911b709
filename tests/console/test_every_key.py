"""Each key of each panel does something that is seen, or says why it does not: none is silent."""

from __future__ import annotations

import asyncio
import re
import time

import pytest

from mlconsole.console.actions import REGISTRY
from mlconsole.console.actions.action import Action
from mlconsole.evidence.base import STAGES, StageName

from .conftest import Build, Drive, Driven
from .test_any_input import back, nothing_outside, prepared, with_pods

__all__ = ["nothing_outside"]
STATES = ["waiting", "refused"]
UNSEEN = {"quit"}
"""It leaves, which another test looks at."""
TIMES = re.compile(r"[0-9.]+ (s|min|h)\b")


def picture(console: Driven) -> list[tuple[str, object]]:
    """What is on the screen, with its colours; but for times, which go by themselves."""
    strips = console.app.screen._compositor.render_strips()
    return [(TIMES.sub("", segment.text), segment.style) for strip in strips for segment in strip]


async def effect(console: Driven, action: Action) -> str:
    """Press an action's key, and wait for what is seen of it: a screen, a change, or the sentence that says why not."""
    app, reason = console.app, action.why_not(console.app.view)
    app.main.footer.hush()
    await console.pilot.pause()
    before, screen = picture(console), app.screen
    console.type(action.each_key[0])
    deadline = time.monotonic() + 40
    while time.monotonic() < deadline:
        await asyncio.sleep(0.02)
        if reason is not None:
            if app.main.footer.sentence == reason:
                return "the reason"
        elif app.screen is not screen:
            return "a screen"
        elif picture(console) != before:
            return "a change"
    return ""


@pytest.mark.timeout(300)
@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("state", STATES)
async def test_no_key_is_silent(build: Build, drive: Drive, state: str, stage: StageName) -> None:
    builder = prepared(build, "done", state)
    silent = []
    async with drive(builder.project.root, (160, 50)) as console:
        with_pods(console)
        for action in REGISTRY.of(stage):
            if action.id in UNSEEN or not action.keys:
                continue
            await back(console)
            # what the last one could not do is not in the way of the next one saying the same
            console.app.change(runner_problem=None)
            await console.press(str(STAGES.index(stage) + 1), "enter")
            if not await effect(console, action):
                silent.append((action.id, action.why_not(console.app.view)))
    assert silent == []
