"""Annotated tags: names for commits that everybody who fetches sees."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from mlconsole.errors import Refused
from mlconsole.services.git.changing import fallback_identity, write
from mlconsole.services.git.common import check_git, quiet_environment


class TagTaken(Refused):
    """There is a tag of this name at another commit."""


class Tag(NamedTuple):
    """The commit that a tag names, and the first line of its message."""

    commit: str
    subject: str


def tags(root: Path, pattern: str) -> dict[str, Tag]:
    """The tags that match a pattern with `*`, by their names.

    Raises:
        GitFailed: git can't be asked.
    """
    check_git()
    form = (
        "%(refname:strip=2)%00%(if)%(*objectname)%(then)%(*objectname)%(else)%(objectname)%(end)%00%(contents:subject)"
    )
    listed = write(root, quiet_environment(), "tag", "--list", f"--format={form}", pattern)
    found = (line.split("\0") for line in listed.split("\n") if line.count("\0") == 2)
    return {name: Tag(commit, subject) for name, commit, subject in found}


def add_tag(root: Path, name: str, commit: str, message: str) -> None:
    """Name a commit by an annotated tag; one that is there at this commit already is left.

    Nothing is signed and no hook runs. Who has no identity configured gets one for this tag only.

    Raises:
        TagTaken: see there.
        GitFailed: the repository does not hold the commit, or can't be written.
    """
    there = tags(root, name).get(name)
    if there is not None and there.commit == commit:
        return
    if there is not None:
        raise TagTaken(f"The tag {name} is at another commit, {there.commit[:12]}.", f"Look at it: git show {name}")
    environment = quiet_environment()
    quiet = ("-c", f"core.hooksPath={os.devnull}", "-c", "tag.gpgSign=false")
    identity = fallback_identity(root, environment)
    write(root, environment, *quiet, *identity, "tag", "--annotate", "--message", message, "--", name, commit)
