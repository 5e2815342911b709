"""What code is this? The repository as it is now, and as the shown release found it."""

from __future__ import annotations

from collections.abc import Iterator

from textual.content import Content
from textual.widget import Widget

from mlconsole.console.messages import Perform
from mlconsole.console.paint import BAD, DIM, GOOD, KEY, STRONG, WARN, cut, heading, line, problem_lines, wrapped
from mlconsole.console.panels.base import Panel, command_lines, quiet, run_lines, sections
from mlconsole.console.view import View
from mlconsole.console.widgets.lines import Document
from mlconsole.console.widgets.table import Row, Table
from mlconsole.evidence.release import StageRun
from mlconsole.evidence.repo import CommitInfo, FileChange, RepoEvidence
from mlconsole.evidence.training import ModelVersion
from mlconsole.present import age
from mlconsole.text import count, shorten, size

FILE, COMMIT = "file:", "commit:"
"""What the keys of rows begin with."""
MOST_AUTHOR = 20
STATES = {
    "?": ("new", GOOD),
    "A": ("added", GOOD),
    "D": ("deleted", BAD),
    "R": ("renamed", WARN),
    "U": ("conflict", BAD),
}


class RepoPanel(Panel):
    """Branch, commit and what is wrong above; changed files and the last commits below, to be opened."""

    stage = "repo"
    DEFAULT_CSS = """
    RepoPanel Document { height: auto; max-height: 60%; }
    RepoPanel.-no-rows Document { height: 1fr; max-height: 100%; }
    RepoPanel Table { margin-top: 1; }
    RepoPanel.-no-rows Table { display: none; }
    """

    def __init__(self, view: View) -> None:
        super().__init__(view)
        self.document = Document()
        columns = ("", "file or commit", "released", "author", "age")
        self.table = Table(columns, whole=frozenset({0, 2, 3, 4}), spare=(3, 4, 2))

    def body(self) -> Iterator[Widget]:
        """The document over the table."""
        yield self.document
        yield self.table

    @property
    def target(self) -> Widget:
        """The table where there is something to open."""
        return self.document if self.has_class("-no-rows") else self.table

    @property
    def selected_file(self) -> str:
        """The changed file that the cursor is on; empty: none."""
        key = self.table.cursor_key or ""
        return key.removeprefix(FILE) if key.startswith(FILE) else ""

    @property
    def selected_commit(self) -> CommitInfo | None:
        """The commit that the cursor is on."""
        repo, key = shown_repo(self.view), self.table.cursor_key or ""
        return next((found for found in repo.recent if key == f"{COMMIT}{found.sha}"), None) if repo else None

    def draw(self, view: View) -> None:
        """Bring both up to a view."""
        repo = shown_repo(view)
        rows = repo_rows(repo, view) if repo is not None else []
        self.set_class(not rows, "-no-rows")
        self.document.show(lambda width: repo_lines(view, width))
        self.table.show(rows)

    def on_table_chosen(self, message: Table.Chosen) -> None:
        """Open a file's diff, or a commit."""
        message.stop()
        self.post_message(Perform("open_change"))


def shown_repo(view: View) -> RepoEvidence | None:
    """The repository as it is now; of a past release, as that found it."""
    if view.past:
        run = view.run("repo")
        return run.evidence if run is not None and isinstance(run.evidence, RepoEvidence) else None
    return view.repo.repo if view.repo is not None else None


def repo_lines(view: View, width: int) -> list[Content]:
    """All that is above the table."""
    run, repo = view.run("repo"), shown_repo(view)
    if view.past:
        then = _state(repo, view, width) if repo is not None else quiet("This release did not come to its repo stage.")
        return sections(run_lines(run, width), then, command_lines(run, view, width))
    if view.repo is None:
        now = quiet("Looking at the repository …")
    elif view.repo.problem is not None:
        now = [*problem_lines(view.repo.problem, width), *_clone_hint(view, width)]
    else:
        now = _state(repo, view, width) if repo is not None else []
    return sections(now, run_lines(run, width), _moved(view, run, width), command_lines(run, view, width))


def _clone_hint(view: View, width: int) -> list[Content]:
    """The key that brings a project into an empty folder."""
    clone = view.registry["clone"]
    if clone.why_not(view) is not None:
        return []
    words = line(("→ ", KEY), "Or bring a project here by its repository's address: press ", (clone.way, KEY), ".")
    return wrapped(words, width, indent=2)


def _state(repo: RepoEvidence, view: View, width: int) -> list[Content]:
    return sections(_place(repo, view, width), _models(repo))


def repo_rows(repo: RepoEvidence, view: View) -> list[Row]:
    """A row for each changed file, then one for each of the last commits with what was released from it."""
    released = view.related.released
    commits = [_commit_row(commit, released.get(commit.sha, ()), view) for commit in repo.recent]
    return [*map(_file_row, repo.dirty), *commits]


def _file_row(change: FileChange) -> Row:
    letter = change.state.strip()[:1] or "M"
    word, style = STATES.get(letter, ("changed", WARN))
    return Row(f"{FILE}{change.path}", (word, change.path, "", "", ""), (style,))


def _commit_row(commit: CommitInfo, versions: tuple[ModelVersion, ...], view: View) -> Row:
    cells = (
        commit.sha[:7],
        commit.subject,
        released_words(versions, view.champion),
        shorten(commit.author, MOST_AUTHOR),
        age(commit.at, view.moment),
    )
    return Row(f"{COMMIT}{commit.sha}", cells, ("$text-accent", "", GOOD, DIM, DIM))


def released_words(versions: tuple[ModelVersion, ...], champion: str) -> str:
    """The versions that came from a commit, newest first, the one that serves with a star."""
    words = [version.tag + (" ★" if version.label == champion else "") for version in versions]
    return ", ".join(words[:2]) + (f" +{len(words) - 2}" if len(words) > 2 else "")


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
    if repo.dirty:
        files = count(len(repo.dirty), "file")
        lines.append(line((f"{'Tree':<9}", DIM), ("Not committed", WARN), f" {files}", ("  Enter shows the diff", DIM)))
    else:
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


def _models(repo: RepoEvidence) -> list[Content]:
    if not repo.tracked_models:
        return []
    lines = [heading("Model files in git", "they make every clone larger; the model store keeps versions")]
    return lines + [line(("! ", WARN), f"{size(model.size):>9}  {model.path}") for model in repo.tracked_models]


def _moved(view: View, run: StageRun | None, width: int) -> list[Content]:
    """Whether the repository is still what the shown release is of."""
    then = run.evidence if run is not None and isinstance(run.evidence, RepoEvidence) else None
    repo = view.repo.repo if view.repo else None
    if then is None or repo is None or then.commit is None or repo.commit is None or view.shown is None:
        return []
    if then.commit.sha == repo.commit.sha and then.dirty == repo.dirty:
        return []
    what = f"{then.commit.sha[:7]}" + (f" with {count(len(then.dirty), 'changed file')}" if then.dirty else "")
    sentence = f"Release {view.shown.number} is of {what}: the folder has changed since."
    return wrapped(line(("! ", WARN), sentence), width, indent=2)
