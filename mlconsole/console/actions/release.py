"""Actions on releases."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from mlconsole.console.actions import action
from mlconsole.console.actions.action import RELEASE
from mlconsole.console.actions.reasons import may_change, may_start

if TYPE_CHECKING:
    from mlconsole.console.view import View

Action = partial(action.Action, group=RELEASE, operations="release", changes=True)


def _may_go_on(view: View) -> str | None:
    latest = view.latest
    if (reason := may_start(view)) or latest is None:
        return reason
    if latest.state == "waiting":
        key = view.registry["approve"].way
        return f"Release {latest.number} waits for your approval: {key} shows the plan."
    return None


def _may_approve(view: View) -> str | None:
    if reason := may_change(view):
        return reason
    if view.latest is None or view.latest.state != "waiting":
        return "Nothing waits for an approval."
    return None if view.plan is not None else "There is no plan to approve."


def _may_override(view: View) -> str | None:
    if reason := may_change(view):
        return reason
    return None if view.latest is not None and view.latest.state == "refused" else "No gate has refused the release."


def _may_cancel(view: View) -> str | None:
    if view.busy_group and not view.readonly:
        return None
    if reason := may_change(view):
        return reason
    return None if view.latest is not None and view.latest.state == "running" else "No release is running."


def _may_roll_back(view: View) -> str | None:
    if reason := may_start(view):
        return reason
    if not view.journal or not view.journal.previous:
        return "There is no earlier version to go back to."
    return None


ACTIONS = (
    Action(
        id="approve",
        keys="a",
        words="approve",
        help="Look at the plan and approve it: the release goes on and changes the cluster.",
        available=_may_approve,
        footer=1,
    ),
    Action(
        id="override",
        keys="o",
        words="override",
        help="Let the release go on although a gate said no; your reason is kept.",
        available=_may_override,
        footer=2,
    ),
    Action(
        id="next_stage",
        keys="n",
        words="next stage",
        help="Run the next stage of the open release, or begin a release with its first stage.",
        available=_may_go_on,
        footer=3,
    ),
    Action(
        id="go_on",
        keys="g",
        words="go on",
        help="Run on until a gate says no or waits for you; begins a release where none is open.",
        available=_may_go_on,
        footer=4,
    ),
    Action(
        id="cancel",
        keys="c",
        words="cancel",
        help="End the running release, or a pull: what a release finished stays in the journal.",
        available=_may_cancel,
        footer=5,
    ),
    Action(
        id="new_release",
        keys="N",
        words="new release",
        help="Leave the open release as it is and begin a new one.",
        available=may_start,
    ),
    Action(
        id="roll_back",
        keys="b",
        words="roll back",
        help="Go back to the version that served before: its manifests are applied again.",
        available=_may_roll_back,
        footer=29,
    ),
)
