"""Consoles of projects whose journal holds what a test needs, driven as a person would."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import html
import re
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
from textual.events import Key
from textual.pilot import Pilot

from mlconsole.console.app import MlconsoleApp
from mlconsole.project import open_project
from mlconsole.project.preferences import Preferences
from mlconsole.services import readonly as services_readonly

from .builder import Builder

Build = Callable[..., Builder]
Drive = Callable[..., contextlib.AbstractAsyncContextManager["Driven"]]


class Driven:
    """A console that a test drives."""

    def __init__(self, app: MlconsoleApp, pilot: Pilot[None]) -> None:
        self.app = app
        self.pilot = pilot

    @property
    def text(self) -> str:
        """What is on the screen, line by line, without styles."""
        return "\n".join(strip.text.rstrip() for strip in self.app.screen._compositor.render_strips())

    @property
    def drawn(self) -> str:
        """What goes to the terminal, behind all filters."""
        found = re.findall(r"<text[^>]*>([^<]*)</text>", self.app.export_screenshot())
        return html.unescape("".join(found)).replace("\u00a0", " ")

    @property
    def flowing(self) -> str:
        """The same as one line: sentences are found however they are wrapped."""
        return " ".join(self.text.split())

    async def until(self, condition: Callable[[], object], seconds: float = 40) -> None:
        """Wait until something is so."""
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, f"it did not come about:\n{self.text}"
            await asyncio.sleep(0.01)

    async def shows(self, *words: str) -> str:
        """Wait until all of these words are on the screen, and give its text."""
        await self.until(lambda: all(word in self.flowing for word in words))
        return self.text

    def type(self, key: str) -> None:
        """Press a key without waiting for what comes of it, as fast typing does."""
        event = Key(key, key if len(key) == 1 else None)
        event.set_sender(self.app)
        self.app.post_message(event)

    async def press(self, *keys: str) -> None:
        """Press keys, and wait until they were handled."""
        await self.pilot.press(*keys)
        await self.pilot.pause()


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without a cluster: no kubeconfig is found."""
    monkeypatch.setenv("KUBECONFIG", "/nonexistent/kubeconfig")


@pytest.fixture(autouse=True)
def garbage_is_collected(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A console keeps for good what it has loaded, once; here hundreds of consoles would be kept."""
    threshold = gc.get_threshold()
    monkeypatch.setattr(gc, "freeze", lambda: None)
    yield
    gc.set_threshold(*threshold)


@pytest.fixture
def build(tmp_path: Path) -> Iterator[Build]:
    """Make a project: `build("done", "waiting")` has two releases, of which the second is the latest."""
    builders: list[Builder] = []

    def made(*releases: str, context: str = "staging") -> Builder:
        builder = Builder(tmp_path / "project", context=context)
        builders.append(builder)
        for name in releases:
            getattr(builder, name)()
        return builder

    yield made
    for builder in builders:
        builder.journal.close()


@pytest.fixture
def drive() -> Drive:
    """Open a console of a folder: `async with drive(root, size=(80, 24)) as console`."""

    @contextlib.asynccontextmanager
    async def opened(
        root: Path,
        size: tuple[int, int] = (120, 40),
        *,
        readonly: bool = False,
        preferences: Preferences | None = None,
    ) -> AsyncIterator[Driven]:
        app = MlconsoleApp(open_project(root), readonly=readonly, preferences=preferences)
        async with app.run_test(size=size) as pilot:
            console = Driven(app, pilot)
            await console.until(lambda: app.is_open and app.view.journal is not None)
            await pilot.pause()
            try:
                yield console
            finally:
                services_readonly.switch(False)

    return opened


@pytest.fixture
def git_repository(tmp_path: Path) -> str:
    """Make the folder of `build` a repository with one commit; the commit's id."""
    root = tmp_path / "project"
    root.mkdir()
    (root / "README.md").write_text("A model.\n", encoding="utf-8")
    git = ["git", "-c", "user.name=Ada", "-c", "user.email=ada@example.com"]
    for command in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "Say [why] it is so"]):
        subprocess.run([*git, *command], cwd=root, check=True)
    (root / "notes.md").write_text("more\n", encoding="utf-8")
    return subprocess.run(["git", "rev-parse", "HEAD"], cwd=root, check=True, capture_output=True, text=True).stdout
