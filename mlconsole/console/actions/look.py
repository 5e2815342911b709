"""Actions that show something else, and change nothing."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from mlconsole.console.actions import action
from mlconsole.console.actions.action import LOOK

if TYPE_CHECKING:
    from mlconsole.console.view import View

Action = partial(action.Action, group=LOOK, operations="look")


def _has_history(view: View) -> str | None:
    return None if view.releases else f"There is no release yet: {view.registry['next_stage'].way} begins one."


def _has_log(view: View) -> str | None:
    if view.selected == "pods":
        return None if view.pods and view.pods.rows else "There is no pod."
    run = view.run(view.selected)
    return None if run is not None else f"The {view.selected} stage has not run in this release: there is no log."


ACTIONS = (
    Action(
        id="log",
        keys="l",
        words="log",
        help="The log of the selected stage, or of the selected pod.",
        available=_has_log,
        footer=6,
        of_panel=True,
    ),
    Action(
        id="history",
        keys="h",
        words="history",
        help="All releases: Enter opens one.",
        available=_has_history,
        footer=27,
    ),
    Action(
        id="refresh",
        keys="r",
        words="refresh",
        help="Read the repository, the data and the cluster anew.",
    ),
    Action(
        id="zoom",
        keys="z,plus,underscore",
        words="zoom",
        help="Give the panel the whole width, or take it back.",
        footer=30,
    ),
)
