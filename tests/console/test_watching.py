"""How often the console looks at what changes outside."""

from __future__ import annotations

from pathlib import Path

import pytest

from mlconsole.console import watching
from mlconsole.console.view import RepoReading

from .conftest import Build, Drive


class Clock:
    """A clock that moves when it is told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


async def test_a_look_that_takes_long_rests_nine_times_as_long(
    build: Build, drive: Drive, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, looks = Clock(), 0

    def slow_look(root: Path) -> RepoReading:
        nonlocal looks
        looks += 1
        clock.now += 2
        return RepoReading()

    async with drive(build("done").project.root) as console:
        background, watcher = console.app.background, console.app.watching
        await console.until(lambda: not background.is_busy("repo"))
        monkeypatch.setattr(watching, "time", clock)
        monkeypatch.setattr(watching, "read_repo", slow_look)
        watcher.refresh()
        await console.until(lambda: not background.is_busy("repo"))
        assert looks == 1
        clock.now += 17.9
        watcher.look_at_repo()
        assert not background.is_busy("repo")
        clock.now += 0.2
        watcher.look_at_repo()
        await console.until(lambda: looks == 2 and not background.is_busy("repo"))
        # a person who asks does not wait
        watcher.refresh()
        await console.until(lambda: looks == 3)
