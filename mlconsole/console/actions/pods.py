"""Actions in the Pods panel."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from mlconsole.console.actions import action
from mlconsole.console.actions.action import POD

if TYPE_CHECKING:
    from mlconsole.console.view import View

SEEN = ("live", "stale", "reconnecting")


def _has_pods(view: View) -> str | None:
    return None if view.pods and view.pods.rows else "There is no pod."


def _may_scale(view: View) -> str | None:
    if view.pods is not None and not view.pods.rows and view.pods.watch.state in SEEN:
        from mlconsole.console.panels.pods import workload_of_plan

        return None if workload_of_plan(view) else "There is no pod, and no release that says whose there were."
    return _may_ask(view)


def _may_ask(view: View) -> str | None:
    if reason := _has_pods(view):
        return reason
    state = view.pods.watch.state if view.pods else "offline"
    return None if state in SEEN else "The cluster does not answer."


Action = partial(action.Action, group=POD, operations="pods", scope=("pods",), available=_has_pods)

ACTIONS = (
    Action(
        id="pod_filter",
        keys="slash",
        words="filter",
        help="Show only pods that match a regular expression, ! before it for the others, or -l and labels.",
        footer=14,
        opens_line=True,
    ),
    Action(id="pod_faults", keys="f", words="faults", help="Show only pods that do not serve, or all.", footer=15),
    Action(
        id="pod_describe",
        keys="d",
        words="describe",
        help="What a pod is, does and waits for, with its events.",
        available=_may_ask,
        footer=12,
    ),
    Action(id="pod_yaml", keys="y", words="YAML", help="A pod's YAML; secrets masked.", available=_may_ask, footer=13),
    Action(id="pod_events", keys="e", words="events", help="What has happened to a pod.", available=_may_ask),
    Action(id="all_logs", keys="L", words="all logs", help="The logs of all pods as one.", operations="log", footer=16),
    Action(
        id="pod_sort_left", keys="less_than_sign", words="sort left", help="Sort by the column to the left of this one."
    ),
    Action(
        id="pod_sort_right", keys="greater_than_sign", words="sort right", help="Sort by the next column to the right."
    ),
    Action(id="pod_sort_turn", keys="I", words="turn order", help="Sort the other way round."),
    Action(
        id="pod_forward",
        operations="pod_changes",
        keys="p",
        words="port-forward",
        help="Open a port of this machine that leads to the pod, or close it again.",
        available=_may_ask,
        footer=40,
    ),
    Action(
        id="pod_delete",
        operations="pod_changes",
        keys="D",
        words="delete pod",
        help="Delete a pod; its workload makes another in its place.",
        available=_may_ask,
        changes=True,
        footer=17,
    ),
    Action(
        id="pod_scale",
        operations="pod_changes",
        keys="S",
        words="scale",
        help="Set how many pods the workload has, or how many more or fewer.",
        available=_may_scale,
        changes=True,
        footer=41,
    ),
    Action(
        id="pod_restart",
        operations="pod_changes",
        keys="R",
        words="restart",
        help="Replace all pods of the workload one after another.",
        available=_may_ask,
        changes=True,
        footer=42,
    ),
)
