"""Actions on what sets releases off by itself."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from mlconsole.console.actions import action
from mlconsole.console.actions.action import RELEASE
from mlconsole.console.actions.reasons import may_change, may_start

if TYPE_CHECKING:
    from mlconsole.console.view import View

Action = partial(action.Action, group=RELEASE, operations="watching", changes=True)


def _may_switch(view: View) -> str | None:
    if reason := may_change(view):
        return reason
    settings = view.project.settings
    if not settings.watch and not settings.data.path:
        return "The settings name nothing to watch: write a [[watch]] into mlconsole.toml."
    return None


def _may_dismiss(view: View) -> str | None:
    if reason := may_change(view):
        return reason
    return None if view.triggers.proposed else "Nothing is proposed."


def _may_accept(view: View) -> str | None:
    if reason := _may_dismiss(view):
        return reason
    # the watcher begins it when its turn comes; a runner of our own has to begin at once
    return None if view.triggers.watcher is not None else may_start(view)


ACTIONS = (
    Action(
        id="watch",
        keys="W",
        words="watch",
        help="Start or end the process that watches for new data, commits and the rest of [[watch]].",
        available=_may_switch,
        footer=30,
    ),
    Action(
        id="accept_triggers",
        keys="v",
        words="release it",
        help="Release what is proposed, up to the approval.",
        available=_may_accept,
        footer=6,
    ),
    Action(
        id="dismiss_triggers",
        keys="V",
        words="dismiss",
        help="Let nothing follow from what is proposed; it does not count again.",
        available=_may_dismiss,
    ),
)
