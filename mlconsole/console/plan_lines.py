"""A deploy's plan as lines: its head, who else owns a field, and the diff of each object, folded or in full."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from textual.content import Content

from mlconsole.console.paint import BAD, DIM, FAINT, GOOD, KEY, STRONG, WARN, heading, line, wrapped
from mlconsole.console.yaml_lines import yaml_diff_lines
from mlconsole.evidence.cluster import DeployPlan, ObjectChange
from mlconsole.text import count

LONG = 60
"""An object's diff of more lines is folded at first."""
SIGNS = {
    "create": ("+ create", GOOD),
    "change": ("~ change", WARN),
    "none": ("= as it is", DIM),
    "delete": ("- delete", BAD),
}


class Anchor(NamedTuple):
    """The place of an object's heading among lines."""

    key: str
    line: int


def key_of(change: ObjectChange) -> str:
    """What tells an object from others."""
    return f"{change.namespace}/{change.kind}/{change.name}"


def shown_changes(plan: DeployPlan) -> tuple[ObjectChange, ...]:
    """The objects that have a diff."""
    return tuple(change for change in plan.changes if change.diff)


def folded_at_first(plan: DeployPlan) -> frozenset[str]:
    """The objects that are folded until a person unfolds them."""
    return frozenset(key_of(change) for change in shown_changes(plan) if change.diff.count("\n") > LONG)


def diff_lines(
    plan: DeployPlan, folded: Collection[str], pointed: str, start: int, width: int, *, reverse: bool
) -> tuple[list[Content], list[Anchor]]:
    """The diffs, and where each object's heading is.

    Args:
        plan: the plan.
        folded: keys of the objects of which only the heading is shown.
        pointed: the key of the object that keys are for.
        start: the number of the first line.
        width: in cells.
        reverse: whether the keys go here: then the heading that they are for is drawn reversed.
    """
    lines: list[Content] = []
    anchors: list[Anchor] = []
    for change in shown_changes(plan):
        key = key_of(change)
        if lines:
            lines.append(Content(""))
        anchors.append(Anchor(key, start + len(lines)))
        words, style = SIGNS[change.action]
        name = f"{change.kind.lower()}/{change.name}"
        strong = "bold $text-accent" + (" reverse" if reverse and key == pointed else "")
        lines.append(
            line(
                ("▸ " if key in folded else "▾ ", KEY),
                (name, strong),
                (f"  {change.namespace}" if change.namespace else "", DIM),
                (f"  {words}", style),
                (size_of(change), DIM),
            )
        )
        if key not in folded:
            shown = (text for text in change.diff.splitlines() if not text.startswith(("---", "+++")))
            lines += yaml_diff_lines(shown, width, plan.manifests)
    return lines, anchors


def size_of(change: ObjectChange) -> str:
    """How many lines come and go: `  +2 -1`."""
    lines = change.diff.splitlines()
    added = sum(text.startswith("+") and not text.startswith("+++") for text in lines)
    removed = sum(text.startswith("-") and not text.startswith("---") for text in lines)
    return f"  +{added} -{removed}" if added or removed else ""


def conflict_lines(plan: DeployPlan, width: int, keys: tuple[str, str]) -> list[Content]:
    """Who else owns fields that the plan sets, and what can be done about it.

    Args:
        plan: the plan.
        width: in cells.
        keys: that take the fields over, and that leave them.
    """
    if not plan.conflicts:
        return []
    told = {"ask": "a person has to choose", "force": "taken over", "leave": "left to their owners"}
    style = WARN if plan.is_open else DIM
    lines = [
        line(
            (f"{count(len(plan.conflicts), 'field')} owned by others", f"bold {style}"),
            (f"  {told[plan.conflict_choice]}", style),
        )
    ]
    for owner in sorted({found.owner for found in plan.conflicts}):
        lines.append(line(("! " if plan.is_open else "· ", style), (owner, STRONG), (" owns", DIM)))
        for found in plan.conflicts:
            if found.owner == owner:
                name = f"{found.kind.lower()}/{found.name}"
                lines += wrapped(line(f"    {name} ", (found.field, "$text-accent")), width, indent=4)
    if plan.is_open:
        take, leave = keys
        lines.append(line((take, KEY), " take them over   ", (leave, KEY), " leave them to their owners"))
    return lines


def orphan_lines(plan: DeployPlan, width: int) -> list[Content]:
    """What the last release had and this one no longer has."""
    if not plan.orphans:
        return []
    note = "deleted once the rollout has succeeded" if plan.prune else "they stay: mlconsole run --prune deletes them"
    return [
        *wrapped(heading("No longer in the manifests", note), width, indent=2),
        *(
            line(("- ", BAD if plan.prune and not found.kept else FAINT), f"{found.kind.lower()}/{found.name}",
                 (f"  kept: {found.kept}" if found.kept else "", DIM))
            for found in plan.orphans
        ),
    ]  # fmt: skip
