"""Everything that a key can do: the one list from which footer, help and palette are made.

Each action says by itself why it does not apply, and is dimmed with that reason. What changes anything outside the
console asks first; `operations` carries the actions out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from mlconsole.console.view import View
from mlconsole.evidence.base import STAGES

Availability = Callable[[View], str | None]


def _always(view: View) -> str | None:
    return None


@dataclass(frozen=True)
class Action:
    """One thing to do.

    `keys` are Textual's names, `label` is how they are written. `available` gives None, or the reason why not.
    `footer` is the place in the footer, the lowest first; 0: not there.
    """

    id: str
    keys: str
    label: str
    words: str
    help: str
    group: str
    available: Availability = _always
    footer: int = 0


def _may_change(view: View) -> str | None:
    if view.readonly:
        return "The console was started with --readonly: it changes nothing."
    if view.past and view.shown is not None:
        return f"Release {view.shown.number} is past: Esc goes back to the latest one."
    if view.journal is not None and view.journal.problem is not None:
        return "The journal can't be read."
    if view.journal is None:
        return "The journal is still being read."
    return f"{view.busy}: wait a moment." if view.busy else None


def _may_start(view: View) -> str | None:
    latest = view.latest
    if (reason := _may_change(view)) or latest is None:
        return reason
    if latest.state == "running":
        return f"Release {latest.number} is running: wait for it, or cancel it with c."
    return None


def _may_go_on(view: View) -> str | None:
    latest = view.latest
    if (reason := _may_start(view)) or latest is None:
        return reason
    if latest.state == "waiting":
        return f"Release {latest.number} waits for your approval: a shows the plan."
    return None


def _may_approve(view: View) -> str | None:
    if reason := _may_change(view):
        return reason
    if view.latest is None or view.latest.state != "waiting":
        return "Nothing waits for an approval."
    return None if view.plan is not None else "There is no plan to approve."


def _may_override(view: View) -> str | None:
    if reason := _may_change(view):
        return reason
    return None if view.latest is not None and view.latest.state == "refused" else "No gate has refused the release."


def _may_cancel(view: View) -> str | None:
    if reason := _may_change(view):
        return reason
    return None if view.latest is not None and view.latest.state == "running" else "No release is running."


def _may_roll_back(view: View) -> str | None:
    if reason := _may_start(view):
        return reason
    if not view.journal or not view.journal.previous:
        return "There is no earlier version to go back to."
    return None


def _has_history(view: View) -> str | None:
    return None if view.releases else "There is no release yet: n begins one."


def _has_log(view: View) -> str | None:
    if view.selected == "pods":
        return None if view.pods and view.pods.rows else "There is no pod."
    run = view.run(view.selected)
    return None if run is not None else f"The {view.selected} stage has not run in this release: there is no log."


def _may_start_cluster(view: View) -> str | None:
    if view.readonly:
        return "The console was started with --readonly: it changes nothing."
    if view.cluster.local_running is None:
        return "This project does not use the local cluster."
    if view.cluster.local_running:
        return "The local cluster is running."
    return f"{view.busy}: wait a moment." if view.busy else None


RELEASE, LOOK, CONSOLE = "Release", "Look", "Console"

ACTIONS: tuple[Action, ...] = (
    Action(
        "approve",
        "a",
        "a",
        "approve",
        "Look at the plan and approve it: the release goes on and changes the cluster.",
        RELEASE,
        _may_approve,
        1,
    ),
    Action(
        "override",
        "o",
        "o",
        "override",
        "Let the release go on although a gate said no; your reason is kept.",
        RELEASE,
        _may_override,
        2,
    ),
    Action(
        "next",
        "n",
        "n",
        "next stage",
        "Run the next stage of the open release, or begin a release with its first stage.",
        RELEASE,
        _may_go_on,
        3,
    ),
    Action(
        "go",
        "g",
        "g",
        "go on",
        "Run on until a gate says no or waits for you; begins a release where none is open.",
        RELEASE,
        _may_go_on,
        4,
    ),
    Action(
        "cancel",
        "c",
        "c",
        "cancel",
        "End the running release. What it finished stays in the journal.",
        RELEASE,
        _may_cancel,
        5,
    ),
    Action(
        "begin",
        "N",
        "N",
        "new release",
        "Leave the open release as it is and begin a new one.",
        RELEASE,
        _may_start,
    ),
    Action(
        "rollback",
        "b",
        "b",
        "roll back",
        "Go back to the version that served before: its manifests are applied again.",
        RELEASE,
        _may_roll_back,
        9,
    ),
    Action(
        "cluster",
        "s",
        "s",
        "start cluster",
        "Start the local cluster of this project.",
        RELEASE,
        _may_start_cluster,
        8,
    ),
    Action("log", "l", "l", "log", "The log of the selected stage, or of the selected pod.", LOOK, _has_log, 6),
    Action("history", "h", "h", "history", "All releases: Enter opens one.", LOOK, _has_history, 7),
    Action("refresh", "r", "r", "refresh", "Read the repository, the data and the cluster anew.", LOOK),
    Action(
        "zoom",
        "z,plus,underscore",
        "z + _",
        "zoom",
        "Give the panel the whole width, or take it back.",
        LOOK,
        _always,
        10,
    ),
    Action("theme", "t", "t", "theme", "Choose other colours, dark or light.", CONSOLE),
    Action("palette", "ctrl+p,colon", ": ctrl+p", "commands", "Find an action by its name.", CONSOLE, _always, 12),
    Action("help", "question_mark,f1", "?", "help", "All keys, and why some do not apply now.", CONSOLE, _always, 11),
    Action("quit", "q,ctrl+q", "q", "quit", "Leave the console. A running release goes on.", CONSOLE, _always, 13),
)
"""All actions, in the order of help and palette."""

BY_ID: dict[str, Action] = {action.id: action for action in ACTIONS}

MOVES: tuple[tuple[str, str], ...] = (
    (f"1–{len(STAGES)}", "select a stage"),
    ("j k ↓ ↑", "the next and the previous stage or line"),
    ("Enter", "go into the panel; there: open the selected line"),
    ("Esc", "come back: from the panel to the stages, from a past release to the latest"),
    ("Tab", "the next part of the panel"),
)
"""Keys that move: they have no reason not to apply."""
