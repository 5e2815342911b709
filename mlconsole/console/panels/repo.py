"""What code is this? The repository as it is now, and as the shown release found it."""

from __future__ import annotations

from textual.content import Content

from mlconsole.console.paint import (
    BAD,
    DIM,
    GOOD,
    STRONG,
    WARN,
    block_lines,
    cut,
    heading,
    line,
    problem_lines,
    wrapped,
)
from mlconsole.console.panels.base import DocumentPanel, command_lines, quiet, run_lines, sections
from mlconsole.console.view import View
from mlconsole.evidence.release import StageRun
from mlconsole.evidence.repo import RepoEvidence
from mlconsole.present import age, blocks
from mlconsole.text import count, size

MOST_DIRTY = 50
MOST_COMMITS = 12
STATES = {
    "?": ("new", GOOD),
    "A": ("added", GOOD),
    "D": ("deleted", BAD),
    "R": ("renamed", WARN),
    "U": ("conflict", BAD),
}


class RepoPanel(DocumentPanel):
    """Branch, commit, what is not committed, the last commits, and model files that git should not carry."""

    stage = "repo"

    def lines(self, view: View, width: int) -> list[Content]:
        """All lines of a view."""
        run = view.run("repo")
        if view.past:
            then = block_lines(blocks(run.evidence), width) if run and run.evidence else []
            return sections(run_lines(run, width), then or quiet("This release did not come to its repo stage."))
        return sections(_live_lines(view, width), run_lines(run, width), _moved(view, run, width), command_lines(run))


def _live_lines(view: View, width: int) -> list[Content]:
    if view.repo is None:
        return quiet("Looking at the repository …")
    if view.repo.problem is not None:
        return problem_lines(view.repo.problem, width)
    repo = view.repo.repo
    return repo_lines(repo, view, width) if repo is not None else []


def repo_lines(repo: RepoEvidence, view: View, width: int) -> list[Content]:
    """A repository's state."""
    return sections(_place(repo, view, width), _models(repo), _dirty(repo, width), _commits(repo, view, width))


def _place(repo: RepoEvidence, view: View, width: int) -> list[Content]:
    commit = repo.commit
    lines = [line((f"{'Branch':<9}", DIM), (repo.branch or "detached: no branch", STRONG), *_sync(repo))]
    if commit is not None:
        lines.append(
            line((f"{'Commit':<9}", DIM), (commit.sha[:10], STRONG), "  ", cut(commit.subject, max(width - 22, 8)))
        )
        lines.append(line((f"{'Author':<9}", DIM), commit.author, (f"  {age(commit.at, view.moment)}", DIM)))
    else:
        lines.append(
            line((f"{'Commit':<9}", DIM), ("none yet", WARN), "  git add -A && git commit makes the first one")
        )
    if repo.url:
        lines.append(line((f"{'Remote':<9}", DIM), repo.url))
    if not repo.dirty:
        lines.append(line((f"{'Tree':<9}", DIM), ("clean", GOOD), " every file is as it was committed"))
    return lines


def _sync(repo: RepoEvidence) -> list[tuple[str, str]]:
    if not repo.upstream:
        return [("  no upstream", DIM)]
    parts = [(f"  {repo.upstream}", DIM)]
    if repo.ahead:
        parts.append((f"  ↑ {repo.ahead} ahead", WARN))
    if repo.behind:
        parts.append((f"  ↓ {repo.behind} behind", WARN))
    return parts if repo.ahead or repo.behind else [*parts, ("  in step", GOOD)]


def _dirty(repo: RepoEvidence, width: int) -> list[Content]:
    if not repo.dirty:
        return []
    lines = [heading("Not committed", count(len(repo.dirty), "file"))]
    for change in repo.dirty[:MOST_DIRTY]:
        letter = change.state.strip()[:1] or "M"
        word, style = STATES.get(letter, ("changed", WARN))
        lines.append(line((f"{word:<9}", style), cut(change.path, width - 9)))
    if len(repo.dirty) > MOST_DIRTY:
        lines.append(line((f"and {len(repo.dirty) - MOST_DIRTY:,} more", DIM)))
    return lines


def _models(repo: RepoEvidence) -> list[Content]:
    if not repo.tracked_models:
        return []
    lines = [heading("Model files in git", "they make every clone larger; the model store keeps versions")]
    return lines + [line(("! ", WARN), f"{size(model.size):>9}  {model.path}") for model in repo.tracked_models]


def _commits(repo: RepoEvidence, view: View, width: int) -> list[Content]:
    if not repo.recent:
        return []
    lines = [heading("Last commits")]
    ages = [age(commit.at, view.moment) for commit in repo.recent[:MOST_COMMITS]]
    wide = max(map(len, ages))
    for commit, old in zip(repo.recent, ages, strict=False):
        room = width - 8 - wide - 2 - min(len(commit.author), 16) - 2
        author = cut(commit.author, 16)
        lines.append(
            line(
                (commit.sha[:7], "$text-accent"), f" {cut(commit.subject, max(room, 16))}", (f"  {author}, {old}", DIM)
            )
        )
    return lines


def _moved(view: View, run: StageRun | None, width: int) -> list[Content]:
    """Whether the repository is still what the shown release is of."""
    then = run.evidence if run is not None and isinstance(run.evidence, RepoEvidence) else None
    repo = view.repo.repo if view.repo else None
    if then is None or repo is None or then.commit is None or repo.commit is None or view.shown is None:
        return []
    if then.commit.sha == repo.commit.sha and then.dirty == repo.dirty:
        return []
    what = f"commit {then.commit.sha[:7]}" + (f" with {count(len(then.dirty), 'changed file')}" if then.dirty else "")
    sentence = f"Release {view.shown.number} is of {what}: the folder has changed since."
    return wrapped(line(("! ", WARN), sentence), width, indent=2)
