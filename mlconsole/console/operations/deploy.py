"""Goes through a plan, and settles who owns its fields."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from textual.content import Content

from mlconsole.console.operations.common import asked, command_preview, decided, launch_runner, typed_name
from mlconsole.console.panels.base import sections
from mlconsole.console.panels.deploy import DeployPanel, plan_diff, plan_head
from mlconsole.console.plan_lines import conflict_lines
from mlconsole.console.screens.choose import Choice, ChooseScreen
from mlconsole.console.screens.confirm import Question
from mlconsole.text import count

if TYPE_CHECKING:
    from mlconsole.console.app import MlconsoleApp
    from mlconsole.evidence.cluster import DeployPlan


def _panel(app: MlconsoleApp) -> DeployPanel | None:
    return app.main.panel if isinstance(app.main.panel, DeployPanel) else None


def _beside(app: MlconsoleApp, step: int) -> None:
    """Go to the object beside, or say that there is none."""
    if (panel := _panel(app)) and not panel.point_beside(step):
        app.say("No other object changes.")


def plan_next(app: MlconsoleApp) -> None:
    """Go to the next object."""
    _beside(app, 1)


def plan_before(app: MlconsoleApp) -> None:
    """Go to the object before."""
    _beside(app, -1)


def plan_fold(app: MlconsoleApp) -> None:
    """Fold or unfold the object."""
    if panel := _panel(app):
        panel.fold()


def plan_fold_all(app: MlconsoleApp) -> None:
    """Fold or unfold all objects."""
    if panel := _panel(app):
        panel.fold_all()


async def settle(app: MlconsoleApp, plan: DeployPlan) -> None:
    """Ask whose the fields are that others own, and then for the approval: without that it would be refused."""
    found = [app.view.registry[key] for key in ("conflicts_force", "conflicts_leave")]
    choices = [Choice(action.id, action.words, help=action.help) for action in found]
    owners = " and ".join(sorted({found.owner for found in plan.conflicts}))
    title = f"{count(len(plan.conflicts), 'field')} of the plan: set by {owners}"
    chosen = await app.push_screen_wait(ChooseScreen(title, choices))
    if chosen == "conflicts_force":
        await conflicts_force(app)
    elif chosen == "conflicts_leave":
        await conflicts_leave(app)


async def conflicts_force(app: MlconsoleApp) -> None:
    """Approve, and take the fields over."""
    await _approve(app, "force", "Approve, and take the fields over?", "Take over")


async def conflicts_leave(app: MlconsoleApp) -> None:
    """Approve, without the fields that others own."""
    await _approve(app, "leave", "Approve, and leave the fields to their owners?", "Leave them")


async def _approve(app: MlconsoleApp, choice: Literal["force", "leave"], title: str, verb: str) -> None:
    release, plan, view = app.view.latest, app.view.plan, app.view
    if release is None or plan is None:
        return
    command = f"mlconsole approve {release.number} --{choice}-conflicts"
    keys = (view.registry["conflicts_force"].way, view.registry["conflicts_leave"].way)

    def preview(width: int) -> list[Content]:
        return sections(
            conflict_lines(plan, width, keys)[:-1],
            command_preview([command], width),
            plan_head(plan, None, view),
            plan_diff(plan, width),
        )

    if await asked(app, Question(title, preview, verb, typed=typed_name(view, plan.target.context))) is None:
        return
    from mlconsole.release import decisions

    who = decisions.who_am_i()
    if await decided(app, lambda journal: decisions.approve(journal, release.number, who=who, conflicts=choice)):
        await launch_runner(app, ["resume", str(release.number)], f"Going on with release {release.number}", command)
