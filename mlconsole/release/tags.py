"""Versions and stages as annotated git tags, in the way of GTO: `name@v3`, and `name#prod#2` for a stage.

Source: https://github.com/iterative/gto. The number of a stage's tag counts its assignments; assigning an earlier
version again is a rollback with a record of its own.
"""

from __future__ import annotations

import re
from pathlib import Path

from mlconsole.errors import WrongUse
from mlconsole.evidence.training import ModelVersion
from mlconsole.services.git.tags import add_tag, tags

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9/_-]*")


def tag(root: Path, version: ModelVersion, stage: str = "") -> tuple[str, ...]:
    """Tag the commit of a version by its label, and as being in a stage where one is given; return the tags.

    The tags are only written here: `git push --tags` shows them to others.

    Raises:
        WrongUse: the version was made without a commit, or a name is none that a tag can have.
        TagTaken: another commit has the tag.
        GitFailed: the repository does not hold the commit.
    """
    if not version.commit:
        raise WrongUse(f"{version.label} was made without a commit: there is nothing to tag.")
    for name in filter(None, (version.name, stage)):
        if not _NAME.fullmatch(name):
            raise WrongUse(f"{name!r} can't be part of a tag.", "Letters, digits, - and _ can.")
    made = [version.label]
    facts = f"{version.label}\n\nmodel {version.model.digest}\ndata {version.data_digest}\n"
    add_tag(root, version.label, version.commit, f"Register {facts}")
    if stage:
        made.append(_stage_tag(root, version, stage, facts))
    return tuple(made)


def _stage_tag(root: Path, version: ModelVersion, stage: str, facts: str) -> str:
    """Assign a stage, unless its last assignment is of this very version."""
    pattern = re.compile(rf"{re.escape(version.name)}#{re.escape(stage)}#(\d+)")
    found = {
        int(match[1]): entry
        for name, entry in tags(root, f"{version.name}#{stage}#*").items()
        if (match := pattern.fullmatch(name))
    }
    last = max(found, default=0)
    subject = f"Assign {stage} to {version.label}"
    if last and found[last].subject == subject:
        return f"{version.name}#{stage}#{last}"
    name = f"{version.name}#{stage}#{last + 1}"
    add_tag(root, name, version.commit, f"Assign {stage} to {facts}")
    return name
