"""What every panel shows in every state of a release, character by character, in two sizes.

A picture that is meant to be another one now is taken anew by:

    MLCONSOLE_SNAPSHOTS=write python -m pytest tests/console/test_snapshots.py
"""

from __future__ import annotations

import difflib
import os
import subprocess
import time
from datetime import UTC, datetime, tzinfo
from pathlib import Path

import pytest

from mlconsole.console.live import PodsFeed
from mlconsole.console.live_words import TITLES
from mlconsole.evidence import base
from mlconsole.evidence.base import STAGES

from .builder import STATES, pod, snapshot
from .conftest import Build, Drive, Driven

FOLDER = Path(__file__).with_name("snapshots")
MOMENT = datetime(2024, 2, 29, 12, 0, tzinfo=UTC)
WRITES = os.environ.get("MLCONSOLE_SNAPSHOTS") == "write"


class Frozen(datetime):
    """A clock that stands."""

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> datetime:
        """Always the same moment."""
        return MOMENT


@pytest.fixture
def git_repository(tmp_path: Path) -> str:
    """The project's folder as a repository whose only commit is the same everywhere; its id."""
    root = tmp_path / "project"
    root.mkdir()
    (root / "README.md").write_text("A model.\n", encoding="utf-8")
    clock = {f"GIT_{who}_DATE": MOMENT.isoformat() for who in ("AUTHOR", "COMMITTER")}
    git = ["git", "-c", "user.name=Ada", "-c", "user.email=ada@example.com", "-c", "commit.gpgsign=false"]
    for command in (["init", "-q", "-b", "main"], ["add", "-A"], ["commit", "-q", "-m", "A first model"]):
        subprocess.run([*git, *command], cwd=root, check=True, env={**os.environ, **clock})
    return subprocess.run(["git", "rev-parse", "HEAD"], cwd=root, check=True, capture_output=True, text=True).stdout


@pytest.fixture(autouse=True)
def standing_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no time pass, and no zone shift it."""
    monkeypatch.setattr(base, "datetime", Frozen)
    monkeypatch.setattr(PodsFeed, "start", lambda feed, failed: None)
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()


async def pictures(console: Driven, root: Path) -> dict[str, str]:
    """Every panel as text, once it is what was drawn before, or does not change any more."""
    app = console.app
    await console.until(lambda: app.view.repo and app.view.data and app.view.cluster.context)
    app.change(pods=snapshot(pod(1), pod(2), pod(3, ready=False, reason="It ended with exit code 1.")))
    found = {}
    for number, stage in enumerate(STAGES, 1):
        await console.press(str(number))
        found[stage] = console.text.replace(str(root), "/project")
    return found


def document(found: dict[str, str]) -> str:
    """All pictures of a state as one file."""
    return "\n".join(f"── {TITLES[stage]} ──\n{text}\n" for stage, text in found.items())


@pytest.mark.parametrize("size", [(80, 24), (160, 50)])
@pytest.mark.parametrize("state", STATES)
async def test_every_panel_in_every_state(
    build: Build, drive: Drive, git_repository: str, state: str, size: tuple[int, int]
) -> None:
    path = FOLDER / f"{state}-{size[0]}x{size[1]}.txt"
    root = build("done", state).project.root
    async with drive(root, size) as console:
        wanted = "" if WRITES else path.read_text(encoding="utf-8")
        deadline = time.monotonic() + (1 if WRITES else 6)
        while (seen := document(await pictures(console, root))) != wanted and time.monotonic() < deadline:
            await console.pilot.pause(0.1)
    if WRITES:
        FOLDER.mkdir(exist_ok=True)
        path.write_text(seen, encoding="utf-8")
        return
    changed = "\n".join(difflib.unified_diff(wanted.splitlines(), seen.splitlines(), "wanted", "seen", lineterm=""))
    assert seen == wanted, f"{path.name} is another picture now:\n{changed}"
