"""A branch of a remote, fetched: which commits it has that are not here yet."""

from __future__ import annotations

import threading
from pathlib import Path

from mlconsole.errors import WrongUse
from mlconsole.evidence.repo import CommitInfo
from mlconsole.services import git


class BranchInvalid(WrongUse):
    """A branch that can't be followed: no remote is named, or another one is checked out."""


def remote_branch(root: Path, named: str) -> str:
    """The remote branch to follow, such as `origin/main`: the one that was named, else the upstream of this one.

    A release is made of what is checked out, and that is only ever fast-forwarded. So it has to be its upstream.

    Raises:
        BranchInvalid: see there.
        Problem: git can't be asked.
    """
    found = git.inspect(root, recent=1)
    if not found.upstream:
        raise BranchInvalid(
            "The branch that is checked out follows no branch of a remote.",
            "Set one: git branch --set-upstream-to=origin/main",
        )
    if named and named not in {found.upstream, found.branch}:
        raise BranchInvalid(
            f"{named} can't be watched: {found.branch} is checked out, which follows {found.upstream}.",
            f"Check out a branch that follows {named}, or leave `branch` out.",
        )
    return found.upstream


def new_commits(root: Path, branch: str, *, cancelled: threading.Event) -> tuple[CommitInfo, ...]:
    """Fetch a remote branch, and return its commits that are not here, newest first.

    Raises:
        RemoteRefused, GitFailed, Cancelled.
    """
    remote, _, name = branch.partition("/")
    git.fetch(root, remote, name, cancelled=cancelled)
    return git.commits_ahead(root, branch)
