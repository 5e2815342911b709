"""Actions on the local cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlconsole.console.actions.action import LOOK, RELEASE, Action

if TYPE_CHECKING:
    from mlconsole.console.view import View


def _may_start_cluster(view: View) -> str | None:
    if view.cluster.local_running is None:
        return "This project does not use the local cluster."
    if view.cluster.local_running:
        return "The local cluster is running."
    return f"{view.busy}: wait a moment." if view.busy else None


def _may_aim(view: View) -> str | None:
    release = view.open_release
    if release is not None and release.state in ("running", "waiting", "paused"):
        return f"Release {release.number} is under way to where it was begun for."
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
    Action(
        id="context",
        keys="K",
        words="context",
        help="Look at another context of the kubeconfig; new releases go there, too.",
        group=LOOK,
        operations="cluster",
        available=_may_aim,
        opens_line=True,
    ),
    Action(
        id="namespace",
        keys="M",
        words="namespace",
        help="Look at another namespace; new releases go there, too.",
        group=LOOK,
        operations="cluster",
        available=_may_aim,
    ),
)
