"""Pulls, and opens what changed."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from textual.content import Content

from mlconsole.console.background import Finished
from mlconsole.console.operations.common import aside, asked, at_length, command_preview
from mlconsole.console.paint import DIM, GOOD, STRONG, diff_line, line, wrapped
from mlconsole.console.panels.base import sections
from mlconsole.console.panels.repo import RepoPanel
from mlconsole.console.screens.confirm import Question
from mlconsole.console.screens.detail import DetailScreen
from mlconsole.errors import Cancelled, WrongUse
from mlconsole.evidence.repo import CloneProgress, CommitInfo
from mlconsole.evidence.training import ModelVersion
from mlconsole.present import age, final_metrics
from mlconsole.present.words import progress_words
from mlconsole.text import number, short_digest

if TYPE_CHECKING:
    from mlconsole.console.app import MlconsoleApp

PULL = "git pull --ff-only"
PULLING = "Pulling"


async def clone(app: MlconsoleApp) -> None:
    """Ask for an address, clone it into the empty folder, and open what came."""
    from mlconsole.console.cloning import offer_for
    from mlconsole.console.screens.clone import CloneScreen
    from mlconsole.project import open_project

    root = app.project.root
    offer = offer_for(app.project, root)
    if offer is None:
        raise WrongUse(
            f"{root} is not empty any more: nothing is cloned into it.",
            "Leave the console, and clone into another folder: mlconsole URL FOLDER",
        )
    folder = await app.push_screen_wait(CloneScreen(offer))
    if folder is not None:
        await app.open(open_project(folder))


async def pull(app: MlconsoleApp) -> None:
    """Ask, then fast-forward the branch; how far it is, is said meanwhile, and `cancel` ends it."""
    from mlconsole.services.git import pull as git_pull

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
    root, report = app.project.root, reporter(app, PULLING)
    try:
        sha = await at_length(app, PULLING, lambda stop: git_pull(root, report=report, cancelled=stop))
    except Cancelled:
        app.say("The pull was ended: the branch is where it was.")
        return
    finally:
        app.refresh_live()
    here = repo.commit.sha if repo.commit else ""
    app.note_command(PULL)
    app.say("Nothing new: the branch is as its upstream." if sha == here else f"The branch is at {sha[:10]} now.")


def reporter(app: MlconsoleApp, words: str) -> Callable[[CloneProgress], None]:
    """Say git's progress in the strip; from any thread."""

    def told(said: str) -> None:
        if app.view.busy.startswith(words) and app.view.busy_group:
            app.change(busy=said)

    def report(progress: CloneProgress) -> None:
        said = f"{words}: {progress_words(progress)}"
        app.post_message(Finished("progress", lambda: told(said)))

    return report


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
        line((version.label, "bold $text-accent"), (f"  {version.made_by}", DIM), (serving, GOOD)),
        line(("  model   ", DIM), short_digest(version.model.digest)),
        line(("  data    ", DIM), short_digest(version.data_digest)),
        *(wrapped(line(("  metrics ", DIM), metrics), width, indent=10) if metrics else []),
    ]
