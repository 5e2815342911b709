"""What the monitor sees of what serves: curves by version with deploys marked, drift a feature, and the rules."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from textual.content import Content

from mlconsole.console.bars import word
from mlconsole.console.paint import BAD, DIM, FAINT, GOOD, STRONG, WARN, fit, heading, line, wrapped
from mlconsole.evidence.data import DriftReport
from mlconsole.evidence.monitoring import Counters, MonitorPoint, MonitorState, RuleState, level_of
from mlconsole.release.monitor_rules import quality_words
from mlconsole.text import count, duration, number

LOOKS = 240
"""How many looks are read for the curves."""
LABEL, VALUE = 22, 12
MOST_FEATURES = 8


class Monitored(NamedTuple):
    """What the monitor knows, and its latest looks, oldest first."""

    state: MonitorState | None = None
    points: tuple[MonitorPoint, ...] = ()


class _Curve(NamedTuple):
    name: str
    value: Callable[[Counters, float], float | None]
    words: Callable[[float], str]


_CURVES = (
    _Curve("requests/s", lambda counters, seconds: counters.requests / seconds if seconds else None, number),
    _Curve("failed", lambda counters, seconds: counters.error_rate, lambda value: f"{value:.1%}"),
    _Curve("95% within", lambda counters, seconds: counters.quantile(0.95), lambda value: f"{number(value)} s"),
)


def monitor_lines(found: Monitored, width: int) -> list[Content]:
    """All of it; empty where nobody monitors."""
    if found.state is None:
        return []
    lines = [heading("Monitor", f"last look {found.state.at.astimezone():%H:%M:%S}")]
    lines += _curves(found.points, width)
    for window in found.state.windows:
        if window.version == _newest(found.points):
            lines += _drift(window.report, window.counters.rows, width)
    for quality in found.state.quality:
        lines += wrapped(line((f"{quality.version} ", STRONG), quality_words(quality)), width, indent=2)
    for rule in found.state.rules:
        lines += _rule(rule, width)
    for act in reversed(found.state.acts[-3:]):
        said = line((f"{act.at.astimezone():%H:%M:%S} ", DIM), (f"{act.act}: ", WARN), act.sentence)
        lines += wrapped(said, width, indent=2)
    return lines


def _newest(points: tuple[MonitorPoint, ...]) -> str:
    """The version that came last of those that serve."""
    serving = [entry.version for entry in points[-1].versions] if points else []
    began = {version: index for index, version in reversed(list(_seen(points)))}
    return max(serving, key=lambda version: began.get(version, 0), default="")


def _seen(points: tuple[MonitorPoint, ...]) -> list[tuple[int, str]]:
    return [(index, entry.version) for index, point in enumerate(points) for entry in point.versions]


def _curves(points: tuple[MonitorPoint, ...], width: int) -> list[Content]:
    room = max(width - LABEL - VALUE - 2, 8)
    shown = points[-room:]
    if not shown:
        return []
    versions = list(dict.fromkeys(version for _, version in _seen(shown)))
    lines = []
    for curve in _CURVES:
        values = {version: [_value(curve, point, version) for point in shown] for version in versions}
        most = max((value for row in values.values() for value in row if value is not None), default=0.0)
        for version, row in values.items():
            last = next((value for value in reversed(row) if value is not None), None)
            bars = "".join(" " if value is None else _bar(value, most) for value in row)
            label = fit(f"{curve.name} {version.rpartition('@')[2]}", LABEL)
            lines.append(line((f"{label} ", DIM), bars, (f" {curve.words(last)}" if last is not None else "", STRONG)))
    return [*lines, _deploys(shown)]


def _bar(value: float, most: float) -> str:
    return word([value, most])[0] if most > 0 else word([0.0, 1.0])[0]


def _value(curve: _Curve, point: MonitorPoint, version: str) -> float | None:
    entry = next((entry for entry in point.versions if entry.version == version), None)
    return curve.value(entry.counters, point.seconds) if entry is not None else None


def _deploys(points: tuple[MonitorPoint, ...]) -> Content:
    """An axis of time, with a mark where a version came in."""
    axis = ["─"] * len(points)
    known = {entry.version for entry in points[0].versions}
    for index, version in _seen(points):
        if version not in known:
            known.add(version)
            tag = f"▲{version.rpartition('@')[2]}"
            for place, letter in enumerate(tag[: len(points) - index]):
                axis[index + place] = letter
    spans = sum(point.seconds for point in points)
    return line((f"{fit(f'the last {duration(spans)}', LABEL)} ", DIM), ("".join(axis), FAINT))


def _drift(report: DriftReport | None, rows: float, width: int) -> list[Content]:
    if report is None or not report.tests:
        return [line(("Drift ", STRONG), (f"{rows:.0f} rows so far: none compared yet", DIM))]
    style = {"pass": GOOD, "warn": WARN, "fail": BAD}[level_of(report)]
    title = "no drift" if not report.drifting else count(len(report.columns_at("warn", "fail")), "feature") + " drift"
    lines = [line(("Drift ", STRONG), (title, style), (f" in {count(report.rows, 'row')}", DIM))]
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
