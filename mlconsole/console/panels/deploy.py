"""What changes in the cluster? The plan object by object, then how the rollout goes and how it ended."""

from __future__ import annotations

from textual.content import Content

from mlconsole.console.paint import (
    BAD,
    DIM,
    FAINT,
    GOOD,
    KEY,
    STRONG,
    WARN,
    bar,
    blank,
    diff_line,
    heading,
    line,
    wrapped,
)
from mlconsole.console.panels.base import DocumentPanel, command_lines, quiet, run_lines, sections
from mlconsole.console.view import View
from mlconsole.evidence.cluster import DeployEvidence, DeployPlan, ObjectChange, RolloutProgress, RolloutVerdict
from mlconsole.evidence.release import StageRun
from mlconsole.present import age
from mlconsole.text import count, duration, short_digest

ACTIONS = {
    "create": ("+ create", GOOD),
    "change": ("~ change", WARN),
    "none": ("= as it is", DIM),
    "delete": ("- delete", BAD),
}


class DeployPanel(DocumentPanel):
    """Where it goes, the verdict or the rollout, and the diff of every object."""

    stage = "deploy"

    def lines(self, view: View, width: int) -> list[Content]:
        """All lines of a view."""
        run, plan = view.run("deploy"), view.plan
        if run is None:
            return _not_yet(view)
        evidence = run.evidence if isinstance(run.evidence, DeployEvidence) else None
        return sections(
            _waits(view, run),
            _verdicts(evidence, width) if evidence else _rollouts(view, width),
            run_lines(run, width),
            plan_head(plan, evidence, view) if plan else [],
            plan_diff(plan) if plan else [],
            command_lines(run),
        ) or quiet("The manifests are being rendered and compared with the cluster …")


def _not_yet(view: View) -> list[Content]:
    if view.past:
        return quiet("This release did not come to its deploy.")
    manifests = view.project.settings.deploy.manifests
    if not manifests:
        return quiet("No manifests were found.", "Name them in mlconsole.toml: [deploy] manifests.")
    return quiet(
        "Not planned yet in this release.",
        f"The manifests: {', '.join(manifests)}. The plan shows what would change, and waits for your approval.",
    )


def _waits(view: View, run: StageRun) -> list[Content]:
    if run.state != "waiting" or view.past:
        return []
    words = ("This plan waits for your approval", STRONG)
    if view.readonly:
        return [line(("? ", WARN), words, ", but not from here: READ-ONLY.")]
    return [line(("? ", WARN), words, ": press ", ("a", KEY), ".")]


def _verdicts(evidence: DeployEvidence, width: int) -> list[Content]:
    lines: list[Content] = []
    for verdict in evidence.rollouts:
        lines += [*([blank()] if lines else []), *verdict_of(verdict, width)]
    return lines


def verdict_of(verdict: RolloutVerdict, width: int) -> list[Content]:
    """How a rollout ended; where it failed: why, what to do, the pods' last words."""
    sign, style = ("✓ ", GOOD) if verdict.succeeded else ("✗ ", BAD)
    lines = wrapped(
        line((sign, style), (verdict.sentence, STRONG), (f"  {duration(verdict.seconds)}", DIM)), width, indent=2
    )
    if verdict.reason:
        lines += wrapped(line(("  ", ""), (verdict.reason, style)), width, indent=2)
    if verdict.next_step:
        lines += wrapped(line(("→ ", KEY), verdict.next_step), width, indent=2)
    if verdict.log_tail:
        lines += [blank(), heading("Last lines of the pod"), *(line(("│ ", FAINT), text) for text in verdict.log_tail)]
    if verdict.events:
        lines += [blank(), heading("Events"), *(line(("│ ", FAINT), text) for text in verdict.events)]
    return lines


def _rollouts(view: View, width: int) -> list[Content]:
    lines: list[Content] = []
    for rollout in view.story.rollouts:
        lines += rollout_lines(rollout, width)
    return [heading("Rollout"), *lines] if lines else []


def rollout_lines(rollout: RolloutProgress, width: int) -> list[Content]:
    """How far a rollout is."""
    wanted = max(rollout.wanted, 1)
    numbers = f" {rollout.updated}/{rollout.wanted} updated  {rollout.ready} ready  {rollout.available} available"
    lines = [
        line((f"{rollout.workload.kind.lower()}/{rollout.workload.name}", STRONG)),
        line(bar(min(rollout.updated, rollout.available) / wanted, max(min(width - len(numbers), 30), 8)), numbers),
        *wrapped(line((rollout.sentence, DIM)), width),
    ]
    return lines + (wrapped(line(("! ", WARN), rollout.problem), width, indent=2) if rollout.problem else [])


def plan_head(plan: DeployPlan, evidence: DeployEvidence | None, view: View) -> list[Content]:
    """Which version goes where, and a line for each object."""
    target = plan.target
    applied = ""
    if evidence is not None and evidence.applied:
        applied = f"applied {age(evidence.applied_at, view.moment)}" if evidence.applied_at else "applied"
    lines = [
        heading("Plan", applied or f"plan {short_digest(plan.digest, 8)}"),
        line((f"{'Version':<11}", DIM), (plan.version, STRONG)),
        line((f"{'Context':<11}", DIM), (target.context, STRONG), (f"  {target.server}" if target.server else "", DIM)),
        line((f"{'Namespace':<11}", DIM), target.namespace or "default", ("  pods ", DIM), target.selector),
    ]
    for change in plan.changes:
        words, style = ACTIONS[change.action]
        lines.append(line((f"{words:<11}", style), f"{change.kind.lower()}/{change.name}", (_size_of(change), DIM)))
    return lines


def _size_of(change: ObjectChange) -> str:
    lines = change.diff.splitlines()
    added = sum(text.startswith("+") and not text.startswith("+++") for text in lines)
    removed = sum(text.startswith("-") and not text.startswith("---") for text in lines)
    return f"  +{added} -{removed}" if added or removed else ""


def plan_diff(plan: DeployPlan) -> list[Content]:
    """The diff of every object that changes."""
    parts = [
        [heading(f"{change.kind.lower()}/{change.name}", change.namespace), *map(diff_line, change.diff.splitlines())]
        for change in plan.changes
        if change.diff
    ]
    return sections(*parts)


def plan_summary(plan: DeployPlan) -> str:
    """The plan in one sentence: `1 object is created, 1 changes, 1 stays as it is`."""
    tally = {action: sum(change.action == action for change in plan.changes) for action in ACTIONS}
    parts = [
        f"{count(tally['create'], 'object')} created" if tally["create"] else "",
        f"{count(tally['change'], 'object')} changed" if tally["change"] else "",
        f"{count(tally['delete'], 'object')} deleted" if tally["delete"] else "",
        f"{tally['none']} left as they are" if tally["none"] else "",
    ]
    return ", ".join(part for part in parts if part) or "nothing changes"
