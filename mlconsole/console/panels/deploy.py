"""What changes in the cluster? The plan object by object, then how the rollout goes and how it ended."""

from __future__ import annotations

from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.content import Content
from textual.events import Click
from textual.message import Message

from mlconsole.console.messages import Perform
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
    heading,
    line,
    wrapped,
)
from mlconsole.console.panels.base import DocumentPanel, command_lines, quiet, run_lines, sections
from mlconsole.console.plan_lines import (
    SIGNS,
    Anchor,
    conflict_lines,
    diff_lines,
    folded_at_first,
    key_of,
    orphan_lines,
    shown_changes,
    size_of,
)
from mlconsole.console.view import View
from mlconsole.console.widgets.lines import Document
from mlconsole.evidence.cluster import DeployEvidence, DeployPlan, RolloutProgress, RolloutVerdict
from mlconsole.evidence.release import StageRun
from mlconsole.present import age
from mlconsole.text import count, duration, short_digest


class PlanDocument(Document):
    """The document of a plan: Enter and a click fold and unfold an object."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("enter,space", "fold", "fold", show=False)]

    class Clicked(Message):
        """A click on a line."""

        def __init__(self, index: int) -> None:
            super().__init__()
            self.index = index

    def action_fold(self) -> None:
        """Fold or unfold the object that is pointed at."""
        self.post_message(Perform("plan_fold"))

    def on_click(self, event: Click) -> None:
        """Tell which line it was."""
        if not self.was_dragged:
            self.post_message(self.Clicked(self.scroll_offset.y + event.y))


class DeployPanel(DocumentPanel):
    """Where it goes, the verdict or the rollout, and the diff of every object."""

    stage = "deploy"

    def __init__(self, view: View) -> None:
        super().__init__(view)
        self.document = PlanDocument()
        self._plan = ""
        self._folded: set[str] = set()
        self._pointed = ""
        self._anchors: list[Anchor] = []

    def draw(self, view: View) -> None:
        """Make the lines of a view; another plan is folded anew."""
        plan = view.plan
        if plan is not None and plan.digest != self._plan:
            self._plan, self._folded = plan.digest, set(folded_at_first(plan))
            self._pointed = next(map(key_of, shown_changes(plan)), "")
        super().draw(view)

    def lines(self, view: View, width: int) -> list[Content]:
        """All lines of a view."""
        run, plan = view.run("deploy"), view.plan
        self._anchors = []
        if run is None:
            return _not_yet(view, width)
        evidence = run.evidence if isinstance(run.evidence, DeployEvidence) else None
        registry = view.registry
        keys = (registry["conflicts_force"].way, registry["conflicts_leave"].way)
        before = sections(
            _waits(view, run),
            _verdicts(evidence, width) if evidence else _rollouts(view, width),
            conflict_lines(plan, width, keys) if plan else [],
            run_lines(run, width),
            plan_head(plan, evidence, view) if plan else [],
            orphan_lines(plan, width) if plan else [],
        )
        if plan is not None and shown_changes(plan):
            start = len(before) + 1
            inside = self.document.has_focus
            found, self._anchors = diff_lines(plan, self._folded, self._pointed, start, width, reverse=inside)
            before = [*before, blank(), *found]
        return sections(before, command_lines(run, view, width)) or quiet(
            "The manifests are being rendered and compared with the cluster …"
        )

    # folding

    def fold(self, key: str = "") -> None:
        """Fold or unfold an object; the one that is pointed at where none is named."""
        self._pointed = key or self._pointed
        if self._pointed:
            self._folded ^= {self._pointed}
            self.draw(self.view)

    def fold_all(self) -> None:
        """Fold all objects, or unfold all where all are folded."""
        every = {anchor.key for anchor in self._anchors}
        self._folded = set() if every <= self._folded else every
        self.draw(self.view)

    def point_beside(self, step: int) -> bool:
        """Go to the next object, or the one before; false where there is no other one."""
        keys = [anchor.key for anchor in self._anchors]
        if not keys:
            return False
        before = self._pointed
        at = keys.index(self._pointed) if self._pointed in keys else -step
        self._pointed = keys[(at + step) % len(keys)]
        self.draw(self.view)
        index = next(anchor.line for anchor in self._anchors if anchor.key == self._pointed)
        self.document.scroll_to(y=index, animate=False)
        return self._pointed != before

    def on_plan_document_clicked(self, message: PlanDocument.Clicked) -> None:
        """A click on an object's heading folds or unfolds it."""
        message.stop()
        for anchor in self._anchors:
            if anchor.line == message.index:
                self.fold(anchor.key)

    def on_descendant_focus(self) -> None:
        """The heading that keys are for is marked."""
        super().on_descendant_focus()
        self.draw(self.view)

    def on_descendant_blur(self) -> None:
        """The heading is no longer marked."""
        super().on_descendant_blur()
        self.draw(self.view)


def _not_yet(view: View, width: int) -> list[Content]:
    if view.past:
        return quiet("This release did not come to its deploy.")
    deploy = view.project.settings.deploy
    manifests = deploy.manifests or ((deploy.render,) if deploy.render else ())
    if not manifests:
        return quiet("No manifests were found.", "Name them in mlconsole.toml: [deploy] manifests.")
    return quiet(
        "Not planned yet in this release.",
        f"The manifests: {', '.join(manifests)}. The plan shows what would change, and waits for your approval.",
        width=width,
    )


def _waits(view: View, run: StageRun) -> list[Content]:
    if run.state != "waiting" or view.past:
        return []
    words = ("This plan waits for your approval", STRONG)
    if view.readonly:
        return [line(("? ", WARN), words, ", but not from here: READ-ONLY.")]
    return [line(("? ", WARN), words, ": press ", (view.registry["approve"].way, KEY), ".")]


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
    pod, _, reason = verdict.reason.partition(": ")
    if reason and reason in verdict.sentence:
        # said already: what is left to say is where it was seen
        lines += wrapped(line("  ", ("seen at ", DIM), pod), width, indent=2)
    elif verdict.reason:
        lines += wrapped(line("  ", (verdict.reason, style)), width, indent=2)
    if verdict.next_step:
        lines += wrapped(line(("→ ", KEY), verdict.next_step), width, indent=2)
    if verdict.log_tail:
        lines += [blank(), heading("Last lines of the pod"), *(line(("│ ", FAINT), text) for text in verdict.log_tail)]
    if verdict.events:
        lines += [blank(), heading("Events")]
        for text in verdict.events:
            lines += wrapped(line(("│ ", FAINT), text), width, indent=2)
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
        words, style = SIGNS[change.action]
        lines.append(line((f"{words:<11}", style), f"{change.kind.lower()}/{change.name}", (size_of(change), DIM)))
    return lines


def plan_diff(plan: DeployPlan, width: int) -> list[Content]:
    """The diff of every object that changes, in full."""
    return diff_lines(plan, (), "", 0, width, reverse=False)[0]


def plan_summary(plan: DeployPlan) -> str:
    """The plan in one sentence: `1 object is created, 1 changes, 1 stays as it is`."""
    tally = {action: sum(change.action == action for change in plan.changes) for action in SIGNS}
    parts = [
        f"{count(tally['create'], 'object')} created" if tally["create"] else "",
        f"{count(tally['change'], 'object')} changed" if tally["change"] else "",
        f"{count(tally['delete'], 'object')} deleted" if tally["delete"] else "",
        f"{tally['none']} left as they are" if tally["none"] else "",
    ]
    return ", ".join(part for part in parts if part) or "nothing changes"
