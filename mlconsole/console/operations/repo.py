"""Pulls, and opens what changed."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from textual.content import Content

from mlconsole.console.background import Finished
from mlconsole.console.operations.common import aside, asked, command_preview
from mlconsole.console.paint import DIM, GOOD, STRONG, diff_line, line, wrapped
from mlconsole.console.panels.base import sections
from mlconsole.console.panels.repo import RepoPanel
from mlconsole.console.screens.confirm import Question
from mlconsole.console.screens.detail import DetailScreen
from mlconsole.evidence.repo import CloneProgress, CommitInfo
from mlconsole.evidence.training import ModelVersion
from mlconsole.present import age, final_metrics
from mlconsole.text import number, short_digest

if TYPE_CHECKING:
    from mlconsole.console.app import MlconsoleApp

PULL = "git pull --ff-only"


async def pull(app: MlconsoleApp) -> None:
    """Ask, then fast-forward the branch; how far it is, is said meanwhile."""
    repo = app.view.repo.repo if app.view.repo else None
    if repo is None:
        return

    def preview(width: int) -> list[Content]:
        behind = f"{repo.behind} behind" if repo.behind else "not known to be behind"
        way = line((repo.branch, STRONG), (f" follows {repo.upstream}: ", DIM), behind)
        words = "Only a fast-forward: where both sides have moved on, or changed files are in the way, nothing is done."
        return sections([way], wrapped(line((words, DIM)), width), command_preview([PULL], width))

    if await asked(app, Question(f"Pull {repo.branch}?", preview, "Pull")) is None:
        return
    app.change(busy="Pulling")
    try:
        sha = await aside(app, lambda: _pull(app))
    finally:
        app.change(busy="")
    app.refresh_live()
    here = repo.commit.sha if repo.commit else ""
    app.say("Nothing new: the branch is as its upstream." if sha == here else f"The branch is at {sha[:10]} now.")


def _pull(app: MlconsoleApp) -> str:
    from mlconsole.services.git import pull as git_pull

    def report(progress: CloneProgress) -> None:
        part = f" {progress.fraction:.0%}" if progress.fraction is not None else ""
        words = f"Pulling: {progress.phase}{part}"
        app.post_message(Finished("pull", lambda: app.change(busy=words)))

    return git_pull(app.project.root, report=report, cancelled=threading.Event())


async def open_change(app: MlconsoleApp) -> None:
    """Show the diff of a file, or a commit."""
    panel = app.main.panel
    if not isinstance(panel, RepoPanel):
        return
    if (commit := panel.selected_commit) is not None:
        versions = app.view.related.released.get(commit.sha, ())
        now, champion = app.view.moment, app.view.champion
        old = age(commit.at, now)
        await app.push_screen(
            DetailScreen(
                f"Commit {commit.sha[:10]}", lambda width: commit_lines(commit, old, versions, champion, width)
            )
        )
    elif path := panel.selected_file:
        await _open_diff(app, path)


async def _open_diff(app: MlconsoleApp, path: str) -> None:
    root = app.project.root
    if app.view.past:
        lines = [line(("A release keeps which files were changed, and a digest, but not their diff.", DIM))]
    else:
        from mlconsole.services.git import diff

        text = await aside(app, lambda: diff(root, path))
        lines = [diff_line(part) for part in text.splitlines()] or [line(("It is as it was committed.", DIM))]
    await app.push_screen(DetailScreen(path, lambda width: lines))


def commit_lines(
    commit: CommitInfo, old: str, versions: tuple[ModelVersion, ...], champion: str, width: int
) -> list[Content]:
    """A commit, and each version that came from it."""
    head = [
        *wrapped(line((commit.subject, STRONG)), width),
        line(("author  ", DIM), commit.author, (f"  {old}", DIM)),
        line(("commit  ", DIM), commit.sha),
    ]
    if not versions:
        return sections(head, [line(("No model was made from it.", DIM))])
    return sections(head, *(_version_lines(version, champion, width) for version in versions))


def _version_lines(version: ModelVersion, champion: str, width: int) -> list[Content]:
    serving = "  serves" if version.label == champion else ""
    metrics = ", ".join(f"{metric.name} {number(metric.value)}" for metric in final_metrics(version.metrics))
    return [
        line((version.label, "bold $text-accent"), (f"  release {version.release}", DIM), (serving, GOOD)),
        line(("  model   ", DIM), short_digest(version.model.digest)),
        line(("  data    ", DIM), short_digest(version.data_digest)),
        *(wrapped(line(("  metrics ", DIM), metrics), width, indent=10) if metrics else []),
    ]
