"""Begins releases, lets them go on, decides about them, goes back."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from textual.content import Content

from mlconsole.console.operations.common import asked, command_preview, decided, launch_runner, typed_name
from mlconsole.console.operations.deploy import settle
from mlconsole.console.paint import DIM, STRONG, heading, line, verdict_lines, wrapped
from mlconsole.console.panels.base import sections
from mlconsole.console.panels.deploy import plan_diff, plan_head, plan_summary
from mlconsole.console.screens.confirm import Question
from mlconsole.release import decisions

if TYPE_CHECKING:
    from mlconsole.console.app import MlconsoleApp


async def next_stage(app: MlconsoleApp) -> None:
    """Run the next stage, or begin a release with its first."""
    release, stage = app.view.open_release, app.view.next_stage
    if release is None or stage is None:
        await new_release(app)
    else:
        await launch_runner(app, ["resume", str(release.number), "--until", stage], f"Starting {stage}")


async def go_on(app: MlconsoleApp) -> None:
    """Run on until a gate stops it."""
    release = app.view.open_release
    if release is None:
        await launch_runner(app, ["run"], "Starting a release")
    else:
        await _resume(app, release.number)


async def new_release(app: MlconsoleApp) -> None:
    """Begin a new release."""
    await launch_runner(app, ["run", "--until", "repo"], "Starting a release")


async def _resume(app: MlconsoleApp, number: int, same_as: str = "") -> None:
    await launch_runner(app, ["resume", str(number)], f"Going on with release {number}", same_as)


async def approve(app: MlconsoleApp) -> None:
    """Show the plan, ask, write the decision, go on."""
    view, release, plan = app.view, app.view.latest, app.view.plan
    if release is None or plan is None:
        return
    if plan.is_open:
        await settle(app, plan)
        return
    run = view.run("deploy")
    commands = [f"mlconsole approve {release.number}", *(found.line for found in (run.commands if run else ()))]

    def preview(width: int) -> list[Content]:
        goes = (f"{plan.version} goes to {plan.target.context}: ", STRONG)
        summary = wrapped(line(goes, f"{plan_summary(plan)}."), width)
        judged = verdict_lines(run.verdict, width) if run and run.verdict and run.verdict.reasons else []
        return sections(
            summary, judged, command_preview(commands, width), plan_head(plan, None, view), plan_diff(plan, width)
        )

    typed = typed_name(view, plan.target.context)
    question = Question(f"Approve release {release.number}?", preview, "Approve", typed=typed)
    if await asked(app, question) is None:
        return
    if await decided(app, lambda journal: decisions.approve(journal, release.number, who=decisions.who_am_i())):
        await _resume(app, release.number, f"mlconsole approve {release.number}")


async def override(app: MlconsoleApp) -> None:
    """Show what the gate said, ask for a reason, write the decision, go on."""
    release = app.view.latest
    if release is None:
        return
    runs = app.view.journal.runs.values() if app.view.journal else ()
    refused = next((run for run in runs if run.state == "refused"), None)

    def preview(width: int) -> list[Content]:
        verdict = refused.verdict if refused else None
        found = [heading("The gate said"), *verdict_lines(verdict, width)] if verdict else []
        return sections(found, command_preview([f'mlconsole override {release.number} --reason "…"'], width))

    question = Question(f"Override the gate of release {release.number}?", preview, "Override", wants_reason=True)
    answer = await asked(app, question)
    if answer is None:
        return
    who, reason = decisions.who_am_i(), answer.reason
    if await decided(app, lambda journal: decisions.override(journal, release.number, who=who, reason=reason)):
        await _resume(app, release.number, f"mlconsole override {release.number} --reason {shlex.quote(reason)}")


async def cancel(app: MlconsoleApp) -> None:
    """Ask, then write the decision: the runner ends its release. What the console itself does ends without asking."""
    if app.view.busy_group:
        app.background.stop(app.view.busy_group)
        app.change(busy="Ending it")
        return
    release = app.view.latest
    if release is None:
        return

    def preview(width: int) -> list[Content]:
        words = "The stage that runs is ended with all of its processes; what is finished stays in the journal."
        return sections(wrapped(line(words), width), command_preview([f"mlconsole cancel {release.number}"], width))

    if await asked(app, Question(f"Cancel release {release.number}?", preview, "Cancel it")) is None:
        return
    if await decided(app, lambda journal: decisions.cancel(journal, release.number, who=decisions.who_am_i())):
        app.note_command(f"mlconsole cancel {release.number}")


async def roll_back(app: MlconsoleApp) -> None:
    """Show from where to where, ask, start the rollback."""
    view = app.view
    previous = view.journal.previous if view.journal else ""
    context = view.cluster.context
    version = previous.rpartition("@")[2]

    def preview(width: int) -> list[Content]:
        way = line((view.champion or "nothing", STRONG), (" serves now  →  ", DIM), (previous, STRONG))
        words = line((f"Its manifests are applied again to {context or 'the current context'}.", DIM))
        return sections(
            [way, words], command_preview([shlex.join(["mlconsole", "rollback", version, *app.aimed])], width)
        )

    question = Question(f"Roll back to {previous}?", preview, "Roll back", typed=typed_name(view, context))
    if await asked(app, question) is not None:
        await launch_runner(app, ["rollback", version], f"Rolling back to {previous}")
