"""Reasons why an action does not apply, shared by those that change something."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlconsole.console.actions.action import READONLY

if TYPE_CHECKING:
    from mlconsole.console.view import View


def may_change(view: View) -> str | None:
    """Why nothing can be changed now."""
    if view.readonly:
        return READONLY
    if view.past and view.shown is not None:
        return f"Release {view.shown.number} is past: Esc goes back to the latest one."
    if view.journal is not None and view.journal.problem is not None:
        return "The journal can't be read."
    if view.journal is None:
        return "The journal is still being read."
    return f"{view.busy}: wait a moment." if view.busy else None


def may_start(view: View) -> str | None:
    """Why no release can be started now."""
    latest = view.latest
    if (reason := may_change(view)) or latest is None:
        return reason
    if latest.state == "running":
        return f"Release {latest.number} is running: wait for it, or cancel it with {view.registry['cancel'].way}."
    return None
