"""What the monitor sees of what serves, below its curves: drift a feature, quality, and how near the rules are."""

from __future__ import annotations

from typing import NamedTuple

from textual.content import Content

from mlconsole.console.paint import BAD, DIM, GOOD, STRONG, WARN, fit, line, wrapped
from mlconsole.evidence.monitoring import DriftWindow, MonitorPoint, MonitorState, RuleState, level_of
from mlconsole.release.monitor_rules import quality_words
from mlconsole.release.monitor_words import compared_words, not_compared_words
from mlconsole.text import count, number

LOOKS = 240
"""How many looks are read for the curves."""
LABEL = 22
MOST_FEATURES = 8


class Monitored(NamedTuple):
    """What the monitor knows, and its latest looks, oldest first."""

    state: MonitorState | None = None
    points: tuple[MonitorPoint, ...] = ()


def monitor_lines(found: Monitored, width: int) -> list[Content]:
    """All of it; empty where nobody monitors."""
    if found.state is None:
        return []
    lines = []
    for rule in sorted(found.state.rules, key=lambda rule: rule.broken_since is None):
        lines += _rule(rule, width)
    for window in found.state.windows:
        if window.version == _newest(found.points):
            lines += _drift(window, width)
    for quality in found.state.quality:
        lines += wrapped(line((f"{quality.version} ", STRONG), quality_words(quality)), width, indent=2)
    for act in reversed(found.state.acts[-3:]):
        said = line((f"{act.at.astimezone():%H:%M:%S} ", DIM), (f"{act.act}: ", WARN), act.sentence)
        lines += wrapped(said, width, indent=2)
    return [*lines, line((f"Last look {found.state.at.astimezone():%H:%M:%S}", DIM))]


def _newest(points: tuple[MonitorPoint, ...]) -> str:
    """The version that came last of those that serve."""
    serving = [entry.version for entry in points[-1].versions] if points else []
    began = {version: index for index, version in reversed(list(_seen(points)))}
    return max(serving, key=lambda version: began.get(version, 0), default="")


def _seen(points: tuple[MonitorPoint, ...]) -> list[tuple[int, str]]:
    return [(index, entry.version) for index, point in enumerate(points) for entry in point.versions]


def _drift(window: DriftWindow, width: int) -> list[Content]:
    report = window.report
    if report is None or not report.tests:
        return wrapped(line(("Drift ", STRONG), (not_compared_words(window), DIM)), width, indent=2)
    style = {"pass": GOOD, "warn": WARN, "fail": BAD}[level_of(report)]
    drifting = len(report.columns_at("warn", "fail"))
    title = "no drift" if not drifting else f"{count(drifting, 'feature')} drift{'s' if drifting == 1 else ''}"
    lines = [line(("Drift ", STRONG), (title, style), (f" in {compared_words(window)}", DIM))]
    worst = sorted(report.tests, key=lambda test: -test.effect / max(test.threshold, 1e-9))
    for test in worst[:MOST_FEATURES]:
        near = min(test.effect / test.threshold, 1.0) if test.threshold else 0.0
        level = {"pass": DIM, "warn": WARN, "fail": BAD}[test.level]
        marks = "█" * round(near * 10)
        words = (
            test.sentence if test.level != "pass" else f"{test.test} {number(test.effect)} of {number(test.threshold)}"
        )
        said = line((f"  {fit(test.column, LABEL - 2)} ", DIM), (f"{marks:10} ", level), words)
        lines += wrapped(said, width, indent=LABEL + 12)
    return lines


def _rule(rule: RuleState, width: int) -> list[Content]:
    """A rule, and how near it is."""
    if rule.value is None:
        return [line((f"{fit(rule.rule, LABEL)} ", DIM), ("not enough to tell", DIM))]
    part = min(rule.value / rule.limit, 1.0) if rule.limit > 0 else float(rule.value > 0)
    style = BAD if rule.broken_since else GOOD
    words = rule.sentence or f"{number(max(rule.value, 0.0))} of {number(rule.limit)}"
    marks = "█" * round(max(part, 0.0) * 10)
    return wrapped(line((f"{fit(rule.rule, LABEL)} ", DIM), (f"{marks:10} ", style), words), width, indent=LABEL + 12)
