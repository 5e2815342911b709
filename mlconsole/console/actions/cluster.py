"""Actions on the local cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlconsole.console.actions.action import RELEASE, Action

if TYPE_CHECKING:
    from mlconsole.console.view import View


def _may_start_cluster(view: View) -> str | None:
    if view.cluster.local_running is None:
        return "This project does not use the local cluster."
    if view.cluster.local_running:
        return "The local cluster is running."
    return f"{view.busy}: wait a moment." if view.busy else None


ACTIONS = (
    Action(
        id="start_cluster",
        keys="s",
        words="start cluster",
        help="Start the local cluster of this project.",
        group=RELEASE,
        operations="cluster",
        available=_may_start_cluster,
        footer=28,
        changes=True,
    ),
)
