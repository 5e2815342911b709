"""Text from outside is shown as it is: no escape and no markup in it reaches the terminal."""

from __future__ import annotations

import subprocess

import pytest

from mlconsole.console.messages import PodsSeen
from mlconsole.evidence.base import Reason, Verdict

from .builder import NASTY, Builder, evidence_of_tests, pod, repo_evidence, snapshot
from .conftest import Build, Drive, Driven

SHOWN = "a [/oops] b [red]c[/red]"


def is_plain(console: Driven) -> bool:
    """Whether no control character is on the screen."""
    return not any(letter < " " or "\x7f" <= letter <= "\x9f" for letter in console.text.replace("\n", ""))


async def test_a_commit_and_a_file_name(build: Build, drive: Drive) -> None:
    builder = build()
    builder.stage(builder.begin(), "repo", "done", repo_evidence(subject=NASTY, path=NASTY))
    builder.end(builder.journal.release(1), "paused")
    builder.done()
    async with drive(builder.project.root, (160, 50)) as console:
        await console.press("h", "j", "enter")
        await console.shows("release 1 (past)")
        await console.press("1")
        text = await console.shows(SHOWN)
        assert text.count(SHOWN) >= 3
        assert is_plain(console)


async def test_a_live_commit_with_an_escape(build: Build, drive: Drive, tmp_path: object) -> None:
    builder = build()
    root = builder.project.root
    git = ["git", "-c", "user.name=[red]Ada", "-c", "user.email=ada@example.com"]
    subprocess.run([*git, "init", "-q"], cwd=root, check=True)
    (root / "[b]file[red].txt").write_text("x", encoding="utf-8")
    subprocess.run([*git, "add", "-A"], cwd=root, check=True)
    subprocess.run([*git, "commit", "-q", "-m", NASTY], cwd=root, check=True)
    (root / "[b]file[red].txt").write_text("y", encoding="utf-8")
    async with drive(root) as console:
        await console.shows(SHOWN, "[b]file[red].txt", "[red]Ada")
        assert is_plain(console)


async def test_a_log_line(build: Build, drive: Drive) -> None:
    builder = build("training")
    with (builder.project.release_folder(1) / "train.log").open("a", encoding="utf-8") as file:
        file.write(f"{NASTY}\n")
    async with drive(builder.project.root) as console:
        await console.shows(SHOWN)
        assert is_plain(console)
        await console.press("l")
        await console.shows("Log of train, release 1", SHOWN)
        assert is_plain(console)


async def test_a_test_and_a_reason(build: Build, drive: Drive) -> None:
    builder: Builder = build()
    release = builder.begin()
    builder.first_stages(release, "test")
    verdict = Verdict.of([Reason(level="fail", sentence=NASTY, next_step=NASTY)])
    builder.stage(release, "test", "refused", evidence_of_tests(failing=1, name=NASTY), verdict=verdict)
    builder.end(release, "refused")
    async with drive(builder.project.root, (160, 50)) as console:
        await console.shows(f"✗ {SHOWN}")
        assert is_plain(console)
        await console.press("enter", "enter")
        await console.shows(SHOWN, "Traceback")
        assert is_plain(console)
        await console.press("escape", "o")
        await console.shows("Override the gate", SHOWN)
        assert is_plain(console)


@pytest.mark.parametrize("size", [(60, 20), (120, 40)])
async def test_a_pod_and_what_its_watcher_says(build: Build, drive: Drive, size: tuple[int, int]) -> None:
    async with drive(build().project.root, size) as console:
        console.app.watching.pods.stop()
        await console.press("6")
        console.app.post_message(PodsSeen(snapshot(pod(1, ready=False, version=NASTY, reason=NASTY), sentence=NASTY)))
        await console.shows("Crash", SHOWN)
        assert is_plain(console)


def test_the_builder_s_text_is_as_wild_as_it_says() -> None:
    assert "\x1b]52" in NASTY
