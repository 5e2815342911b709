"""Code that was taken out of the cluster again: what follows from new data is not to bring it back unattended.

A version that was rolled back stays away by its gate. But its commit stays in the tree, and whatever is trained next
has the same code: such a release waits at its approval, until a person approved one of them, or the code is another.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from functools import cache
from typing import NamedTuple

from mlconsole.errors import Problem
from mlconsole.evidence.release import Release, StageRun
from mlconsole.evidence.repo import RepoEvidence
from mlconsole.journal import Journal
from mlconsole.monitor_log import MonitorLog
from mlconsole.project import Project
from mlconsole.services import git
from mlconsole.services.triggers.objects import is_address

MOST_RELEASES = 1000
NO_CODE = (":(exclude,glob)**/*.md", ":(exclude,glob)**/*.rst", ":(exclude,glob)**/*.dvc", ":(exclude,glob)**/dvc.lock")
"""Documents, and what DVC writes about data."""
_UNTOUCHED = {"reused", "skipped", "waiting"}


class _Turn(NamedTuple):
    """A moment at which something was decided about code: commits, empty where they are not known."""

    at: datetime
    taken: str = ""
    """What was taken back."""
    words: str = ""
    """That it was, in a sentence; empty where nothing was."""
    stands: str = ""
    """What somebody approved, or went back to."""


def code_taken_back(project: Project, journal: Journal, release: Release, repo: RepoEvidence | None) -> str:
    """Say that the code of a release was rolled back since a person last approved it; empty where it was not.

    Args:
        project: whose code; of its commits only data and documents may differ.
        journal: its journal.
        release: the release that is about to deploy it.
        repo: its repository, as the release found it.
    """
    if release.kind == "rollback":
        return ""
    commit = repo.commit.sha if repo is not None and repo.commit is not None else ""

    @cache
    def differs(other: str) -> bool | None:
        return _differs(project, other, commit)

    for turn in _turns(project, journal, release):
        if turn.words and differs(turn.taken) is not True:
            return turn.words
        if turn.stands and differs(turn.stands) is False:
            return ""
    return ""


def _turns(project: Project, journal: Journal, release: Release) -> list[_Turn]:
    """What was decided about code before a release, the latest first."""
    earlier = [entry for entry in journal.releases(MOST_RELEASES) if entry.number < release.number]
    back = [*_asked_for(project, journal, earlier), *_elsewhere(project, journal)]
    if not back and all(entry.kind != "rollback" for entry in earlier):
        return []
    return sorted((*back, *_here(journal, earlier)), key=lambda turn: turn.at, reverse=True)


def _here(journal: Journal, earlier: Sequence[Release]) -> Iterator[_Turn]:
    for index, entry in enumerate(earlier):
        runs = _runs(journal, entry)
        commit = _commit(runs)
        if entry.kind == "rollback" and entry.state == "done":
            before = next((found for found in earlier[index + 1 :] if _touched(_runs(journal, found))), None)
            if before is not None:
                why = f" ({entry.reason.rstrip('.')})" if entry.reason else ""
                words = f"{before.version} has the same code, and was rolled back in release {entry.number}{why}."
                yield _Turn(entry.started_at, _commit(_runs(journal, before)), words, commit)
        elif entry.kind == "release" and _was_approved(journal, entry, runs):
            yield _Turn(entry.started_at, stands=commit)


def _was_approved(journal: Journal, release: Release, runs: dict[str, StageRun]) -> bool:
    """Whether somebody let it change the cluster; `approved` of what was held at its approval is taken back."""
    if any(decision.kind == "approve" for decision in journal.decisions(release.number)):
        return True
    return release.approved and "deploy" in runs and runs["deploy"].state == "done"


def _asked_for(project: Project, journal: Journal, earlier: Sequence[Release]) -> Iterator[_Turn]:
    """The rollback that the monitor has asked for, and that waits for the release to end."""
    state, champion = MonitorLog(journal).state(), journal.alias(project.settings.name, "champion")
    if state is None or champion is None or state.asked_back != champion.label:
        return
    made = next((entry for entry in earlier if entry.version == champion.label), None)
    commit = _commit(_runs(journal, made)) if made is not None else champion.commit
    yield _Turn(state.at, commit, f"{champion.label} has the same code, and the monitor is about to roll it back.")


def _elsewhere(project: Project, journal: Journal) -> Iterator[_Turn]:
    """What other machines of the team went back from: they made what had been the champion the champion again."""
    name = project.settings.name
    moves = [move for move in journal.alias_moves(name) if move.alias == "champion"]
    versions = {version.number: version for version in journal.versions(name)}
    for index, move in enumerate(moves):
        were = [before.number for before in moves[:index]]
        if not move.elsewhere or move.number not in were or were[-1] == move.number:
            continue
        taken, back = versions.get(were[-1]), versions.get(move.number)
        if taken is not None and back is not None:
            words = f"{taken.label} has the same code, and {move.elsewhere} went back from it to {back.label}."
            yield _Turn(move.at, taken.commit, words, back.commit)


def _runs(journal: Journal, release: Release) -> dict[str, StageRun]:
    return {run.stage: run for run in journal.stage_runs(release.number)}


def _touched(runs: dict[str, StageRun]) -> bool:
    """Whether a release has, or may have, changed what serves."""
    return "deploy" in runs and runs["deploy"].state not in _UNTOUCHED


def _commit(runs: dict[str, StageRun]) -> str:
    evidence = runs["repo"].evidence if "repo" in runs else None
    return evidence.commit.sha if isinstance(evidence, RepoEvidence) and evidence.commit is not None else ""


def _differs(project: Project, before: str, now: str) -> bool | None:
    """Whether the code of two commits differs; None where that can't be known."""
    if before == now:
        return False
    if not before or not now:
        return None
    try:
        return git.differs(project.root, before, now, (*NO_CODE, *_data(project)))
    except Problem:
        return None


def _data(project: Project) -> Iterator[str]:
    """Pathspecs that leave the project's data out."""
    settings = project.settings
    watched = [entry.path for entry in settings.watch if entry.kind == "data"]
    others = [settings.quality.holdout, settings.monitor.predictions, settings.monitor.labels]
    for path in {settings.data.path, *watched, *others}:
        if not path or path == "." or is_address(path) or path.startswith(("/", "~", "..")):
            continue
        how = "glob" if any(mark in path for mark in "*?[") else "literal"
        yield f":(exclude,{how}){path.rstrip('/')}"
