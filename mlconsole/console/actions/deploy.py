"""Actions in the Deploy panel."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from mlconsole.console.actions import action
from mlconsole.console.actions.reasons import may_change

if TYPE_CHECKING:
    from mlconsole.console.view import View

DEPLOY = "Deploy"


def _has_diff(view: View) -> str | None:
    plan = view.plan
    return None if plan and any(change.diff for change in plan.changes) else "There is no diff."


def _may_choose(view: View) -> str | None:
    if reason := may_change(view):
        return reason
    if view.latest is None or view.latest.state != "waiting" or view.plan is None:
        return "Nothing waits for an approval."
    return None if view.plan.is_open else "No field of the plan is owned by others."


Action = partial(action.Action, group=DEPLOY, operations="deploy", scope=("deploy",), available=_has_diff)

ACTIONS = (
    Action(
        id="plan_next",
        keys="right_square_bracket",
        words="next object",
        help="Go to the next object that changes.",
        footer=12,
    ),
    Action(id="plan_before", keys="left_square_bracket", words="object before", help="Go to the object before."),
    Action(
        id="plan_fold",
        keys="f",
        words="fold",
        help="Fold or unfold the object; Enter, Space or a click on its heading do, too.",
        footer=13,
    ),
    Action(id="plan_fold_all", keys="F", words="fold all", help="Fold all objects, or unfold all."),
    Action(
        id="conflicts_force",
        keys="T",
        words="take over",
        help="Approve the plan, and take over the fields that others own.",
        available=_may_choose,
        changes=True,
        footer=10,
    ),
    Action(
        id="conflicts_leave",
        keys="X",
        words="leave to owners",
        help="Approve the plan without the fields that others own.",
        available=_may_choose,
        changes=True,
        footer=11,
    ),
)
