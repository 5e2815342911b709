"""What the release waits for, or why it stopped, and the keys that come next."""

from __future__ import annotations

from textual.content import Content
from textual.geometry import Size
from textual.widget import Widget

from mlconsole.console.live_words import TITLES
from mlconsole.console.paint import (
    BAD,
    BUSY,
    DIM,
    KEY,
    STATE_STYLES,
    WARN,
    fit_line,
    keys,
    line,
    split,
    verdict_lines,
    wrapped,
)
from mlconsole.console.trigger_lines import proposal_banner
from mlconsole.console.view import View
from mlconsole.evidence.base import STAGES
from mlconsole.evidence.cluster import DeployEvidence
from mlconsole.evidence.release import Release, StageRun
from mlconsole.present import glyph, word
from mlconsole.text import count

_GO_ON = (("next_stage", ""), ("go_on", ""))
_NEXT: dict[str | None, tuple[tuple[str, str], ...]] = {
    None: (("clone", "clone a project"), ("next_stage", "first stage"), ("go_on", "run until a gate")),
    "running": (("cancel", ""), ("log", "")),
    "waiting": (("approve", ""),),
    "paused": _GO_ON,
    "refused": (("next_stage", "try again"), ("override", ""), ("log", "")),
    "failed": (("next_stage", "try again"), ("log", "")),
    "interrupted": (("next_stage", "try again"), ("go_on", "")),
    "cancelled": (("next_stage", "new release"), ("go_on", "")),
    "done": (("go_on", "new release"), ("roll_back", "")),
}
"""The actions that come next in a state, with words that fit better there than their own."""


class EvidenceStrip(Widget):
    """A few lines under the panel, as many as are needed and no more than `most`."""

    DEFAULT_CSS = """
    EvidenceStrip { height: auto; background: $surface; padding: 0 1; }
    """

    def __init__(self, view: View) -> None:
        super().__init__()
        self._view = view
        self.most = 4

    def show(self, view: View) -> None:
        """Show a view."""
        self._view = view
        lines = len(strip_lines(view, self.content_size.width or 80, self.most))
        self.refresh(layout=lines != self.content_size.height)

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        """As many lines as there are."""
        return len(strip_lines(self._view, width, self.most))

    def render(self) -> Content:
        """All lines."""
        width = self.content_size.width
        return Content("\n").join(fit_line(text, width) for text in strip_lines(self._view, width, self.most))


def strip_lines(view: View, width: int, most: int) -> list[Content]:
    """The strip in at most `most` lines: the state with its next keys first, then the reasons."""
    if view.runner_problem is not None:
        return _shortened(wrapped(line(("✗ ", BAD), view.runner_problem.sentence), width, indent=2), most)
    if view.journal is not None and view.journal.problem is not None:
        problem = view.journal.problem
        return _shortened(wrapped(line(("✗ ", BAD), f"{problem.sentence} {problem.next_step}"), width, indent=2), most)
    if view.busy:
        return [_with_cancel(line(("◌ ", BUSY), f"{view.busy} …"), view, width)]
    release = view.shown
    banner = proposal_banner(view, width)
    if release is None:
        if view.journal is None:
            return [line(("Reading the journal …", DIM))]
        return [*banner, _with_keys(line("No release yet."), view, None, width)]
    head = line((f"{glyph(release.state)} {_headline(view, release)}", STATE_STYLES[release.state]))
    stopped = _stopped(view)
    is_elsewhere = stopped is not None and stopped.stage != view.selected
    where = f": {STAGES.index(stopped.stage) + 1} shows {TITLES[stopped.stage]}" if stopped and is_elsewhere else ""
    lines = [_with_keys(head, view, release.state, width), *_reasons(view, release, width)]
    return [*banner, *_shortened(lines, most - len(banner), where)]


def _headline(view: View, release: Release) -> str:
    name = f"Release {release.number}"
    stopped = _stopped(view)
    where = f" at {TITLES[stopped.stage]}" if stopped else ""
    match release.state:
        case "running":
            running = next(
                (run for run in (view.journal.runs.values() if view.journal else ()) if run.state == "running"), None
            )
            return f"{name} runs{f': {TITLES[running.stage]}' if running else ''}."
        case "waiting" if view.past:
            return f"{name} was never approved."
        case "waiting":
            return f"{name} waits for your approval{f' to change {view.plan.target.context}' if view.plan else ''}."
        case "paused" if release.already:
            return f"{name} was not needed: {release.already} is the same."
        case "paused":
            return f"{name} is paused{f' before {TITLES[view.next_stage]}' if view.next_stage else ''}."
        case "refused":
            return f"{name} was refused{where}."
        case "failed":
            return f"{name} failed{where}."
        case "interrupted":
            return f"{name} was interrupted{where}: its runner is gone."
        case "done":
            return f"{name} is done{f': {release.version} serves' if release.version else ''}."
        case _:
            return f"{name}: {word(release.state)}{where}."


def _stopped(view: View) -> StageRun | None:
    """The stage at which the shown release stands."""
    runs = view.journal.runs.values() if view.journal else ()
    return next(
        (run for run in runs if run.state in ("refused", "failed", "waiting", "cancelled", "interrupted")), None
    )


def _reasons(view: View, release: Release, width: int) -> list[Content]:
    stopped = _stopped(view)
    if stopped is None or release.state == "done":
        return [line((view.story.last_words, DIM))] if view.story.last_words and release.state == "paused" else []
    lines: list[Content] = []
    if stopped.problem is not None:
        lines += wrapped(line(stopped.problem.sentence), width, indent=2)
        if stopped.problem.next_step:
            lines += wrapped(line(("→ ", KEY), stopped.problem.next_step), width, indent=2)
    if stopped.verdict is not None and stopped.verdict.reasons:
        lines += verdict_lines(stopped.verdict, width)
    if release.state == "waiting" and view.plan is not None and not lines:
        changed = sum(change.action != "none" for change in view.plan.changes)
        lines.append(line(f"{changed} of {len(view.plan.changes)} objects change, for {view.plan.version}."))
    return lines


def _with_keys(head: Content, view: View, state: str | None, width: int) -> Content:
    """The head with the keys that come next at its right, as many as fit."""
    if view.past:
        pairs = [("Esc", "back to the latest")]
    else:
        found = ((view.registry[name], words) for name, words in _next(view, state))
        pairs = [
            (action.key, words or action.words)
            for action, words in found
            if action.key and action.why_not(view) is None
        ]
    while pairs and (space := width - head.cell_length - keys(pairs).cell_length) < 2:
        pairs.pop()
    return Content.assemble(head, " " * space, keys(pairs)) if pairs else head


def _next(view: View, state: str | None) -> tuple[tuple[str, str], ...]:
    """The actions that come next; where the cluster was changed, and then it failed, going back is one of them."""
    found = _NEXT.get(state, ())
    run = view.run("deploy")
    applied = run is not None and isinstance(run.evidence, DeployEvidence) and run.evidence.applied
    return (found[0], ("roll_back", ""), *found[1:]) if applied and state in ("refused", "failed") else found


def _with_cancel(head: Content, view: View, width: int) -> Content:
    """What goes on, with the key that ends it at its right."""
    return split(head, keys([(view.registry["cancel"].key, "end it")] if view.busy_group else []), width)


def _shortened(lines: list[Content], most: int, where: str = "") -> list[Content]:
    if len(lines) <= most:
        return lines
    left = len(lines) - most + 1
    return [*lines[: most - 1], line((f"… {count(left, 'more line', 'more lines')}{where}", WARN))]
