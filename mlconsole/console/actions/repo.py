"""Actions in the Repo panel."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from mlconsole.console.actions import action
from mlconsole.console.actions.action import LOOK
from mlconsole.console.actions.reasons import may_start

if TYPE_CHECKING:
    from mlconsole.console.view import View

Action = partial(action.Action, group=LOOK, operations="repo", scope=("repo",))


def _may_pull(view: View) -> str | None:
    if reason := may_start(view):
        return reason
    repo = view.repo.repo if view.repo else None
    if repo is None:
        return "There is no repository."
    return None if repo.upstream else "This branch follows no branch of a remote."


def _has_changes(view: View) -> str | None:
    from mlconsole.console.panels.repo import shown_repo

    repo = shown_repo(view)
    return None if repo is not None and (repo.dirty or repo.recent) else "There is no change to open."


def _may_clone(view: View) -> str | None:
    if view.repo is None:
        return "The folder is still being looked at."
    if view.repo.repo is not None or view.project.found or view.project.settings_file or view.latest is not None:
        return "There is a project here already: `mlconsole URL` brings another one."
    return f"{view.busy}: wait a moment." if view.busy else None


ACTIONS = (
    Action(
        id="clone",
        keys="C",
        words="clone",
        help="Bring a project into this empty folder: asks for the address of its repository.",
        available=_may_clone,
        scope=(),
        changes=True,
        opens_line=True,
    ),
    Action(
        id="pull",
        keys="p",
        words="pull",
        help="Fast-forward the branch to its upstream, after asking.",
        available=_may_pull,
        footer=8,
        changes=True,
    ),
    Action(
        id="open_change",
        keys="d",
        words="diff",
        help="The diff of the changed file of the cursor, or the commit with what was released from it.",
        available=_has_changes,
        footer=9,
    ),
)
