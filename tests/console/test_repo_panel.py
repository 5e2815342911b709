"""The repository as it is: what was changed and what was released from each commit, opened and pulled."""

from __future__ import annotations

import subprocess
from datetime import timedelta
from pathlib import Path

import pytest

from mlconsole.console.operations.repo import commit_lines
from mlconsole.console.panels.repo import released_words
from mlconsole.evidence.base import now
from mlconsole.evidence.repo import CommitInfo

from .builder import NASTY, model_version
from .conftest import Build, Drive


def git(folder: Path, *arguments: str) -> None:
    identity = ["-c", "user.name=Ada", "-c", "user.email=ada@example.com", "-c", "init.defaultBranch=main"]
    subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True)


def test_versions_of_a_commit_are_named_and_the_one_that_serves_has_a_star() -> None:
    versions = tuple(model_version(number) for number in (4, 3, 2))
    assert released_words(versions, "ml-model@v3") == "v4, v3 ★ +1"
    assert released_words((), "ml-model@v3") == ""


def test_a_commit_tells_what_was_made_from_it() -> None:
    commit = CommitInfo(sha="a" * 40, author="Ada", at=now() - timedelta(hours=1), subject=NASTY)
    text = "\n".join(part.plain for part in commit_lines(commit, "1 h ago", (model_version(2),), "ml-model@v2", 80))
    assert "ml-model@v2  release 2  serves" in text
    assert "\x1b" not in text
    assert "[/oops]" in text
    assert "No model was made from it." in commit_lines(commit, "", (), "", 80)[-1].plain


async def test_a_changed_file_opens_with_its_diff(build: Build, drive: Drive, git_repository: str) -> None:
    root = build("waiting").project.root
    (root / "README.md").write_text("A model [of] bikes.\n", encoding="utf-8")
    async with drive(root, (160, 50)) as console:
        await console.press("1")
        await console.shows("Not committed", "README.md", git_repository[:7])
        await console.press("enter", "home", "enter")
        await console.shows("-A model.", "+A model [of] bikes.")
        await console.press("escape", "end", "d")
        await console.shows("No model was made from it.")


@pytest.mark.parametrize("readonly", [False, True])
async def test_a_pull_is_asked_for_and_brings_the_upstream(
    build: Build, drive: Drive, git_repository: str, tmp_path: Path, readonly: bool
) -> None:
    root = build("done").project.root
    upstream = tmp_path / "upstream"
    git(tmp_path, "clone", "-q", str(root), str(upstream))
    (upstream / "new.md").write_text("new\n", encoding="utf-8")
    git(upstream, "add", "-A")
    git(upstream, "commit", "-q", "-m", "A later commit")
    git(root, "remote", "add", "origin", str(upstream))
    git(root, "fetch", "-q", "origin")
    branch = subprocess.run(
        ["git", "branch", "--show-current"], cwd=root, check=True, capture_output=True, text=True
    ).stdout.strip()
    git(root, "branch", f"--set-upstream-to=origin/{branch}")
    async with drive(root, (160, 50), readonly=readonly) as console:
        await console.press("1")
        await console.shows("1 behind")
        await console.press("p")
        if readonly:
            await console.shows("--readonly")
            return
        await console.shows("git pull --ff-only", "No, go back")
        assert not (root / "new.md").exists()
        await console.press("tab", "enter")
        await console.shows("A later commit", "in step")
        assert (root / "new.md").exists()
