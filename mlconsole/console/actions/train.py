"""Actions in the Train panel."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from mlconsole.console.actions import action
from mlconsole.console.actions.action import LOOK

if TYPE_CHECKING:
    from mlconsole.console.view import View

Action = partial(action.Action, group=LOOK, operations="train", scope=("train",))


def _has_curves(view: View) -> str | None:
    return None if view.story.metrics else "No metric was printed: there are no curves."


def _has_other_curves(view: View) -> str | None:
    from mlconsole.console.curves import groups

    if reason := _has_curves(view):
        return reason
    return None if len(groups(view.story.metrics)) > 1 else "All curves are of one measure."


def _has_past(view: View) -> str | None:
    return _has_curves(view) or (None if view.related.past_runs else "There is no earlier training to compare with.")


ACTIONS = (
    Action(
        id="next_measure",
        keys="m",
        words="next measure",
        help="The curves of the next measure; ← and → on them read the values of a step.",
        available=_has_other_curves,
        footer=8,
    ),
    Action(
        id="past_curves",
        keys="p",
        words="past curves",
        help="Draw the curves of the last versions behind those of this one, or leave them out.",
        available=_has_past,
        footer=9,
    ),
)
