"""What the monitor sees, in words."""

from __future__ import annotations

from mlconsole.evidence.monitoring import DriftWindow, MonitorPoint, MonitorState, VersionPoint, level_of
from mlconsole.release.monitor_rules import quality_words
from mlconsole.text import count, listed, number


def point_words(point: MonitorPoint) -> str:
    """A look on a line: each version with its pods, requests a second, errors and latency."""
    parts = [version_words(entry, point.seconds) for entry in point.versions]
    if point.unread:
        first = point.unread[0]
        parts.append(f"{count(len(point.unread), 'pod')} can't be read ({first.pod}: {first.sentence})")
    return "; ".join(parts) or "nothing serves"


def version_words(entry: VersionPoint, seconds: float) -> str:
    """One version of a look."""
    counters, words = entry.counters, [f"{entry.version or 'no version'}: {count(entry.pods, 'pod')}"]
    if seconds:
        words.append(f"{counters.requests / seconds:.1f} requests/s")
    if counters.error_rate:
        words.append(f"{counters.error_rate:.1%} failed")
    if (latency := counters.quantile(0.95)) is not None:
        words.append(f"95% within {number(latency)} s")
    return ", ".join(words)


def not_compared_words(window: DriftWindow) -> str:
    """Why the rows of a window were not compared yet."""
    rows = count(round(window.counters.rows), "row")
    if window.worth is None:
        return f"{rows} so far, too few to compare, or in too few looks"
    return f"{rows} so far; as traffic comes in runs, they are worth {window.worth:.0f} independent ones: too few"


RUNS = 5.0
"""Rows that are worth less than the part of this of independent ones come in runs: below, chance may look like it."""


def compared_words(window: DriftWindow) -> str:
    """Of how many rows the last comparison was, and what rows are worth as they come in runs."""
    rows = count(window.report.rows if window.report else 0, "row")
    whole = window.counters.rows
    each = whole / window.worth if window.worth and whole else 1.0
    return f"{rows}; they come in runs, {each:.0f} are worth an independent one" if each >= RUNS else rows


def state_lines(state: MonitorState) -> tuple[str, ...]:
    """How drift, quality and the rules stand, and what was done last; the newest of that first."""
    lines = []
    for window in state.windows:
        report = window.report
        if report is None or not report.tests:
            lines.append(f"drift of {window.version}: {not_compared_words(window)}")
            continue
        verdict = {"pass": "none", "warn": "yes", "fail": "strong"}[level_of(report)]
        columns = f": {listed(report.columns_at('warn', 'fail'), 8)}" if report.drifting else ""
        lines.append(f"drift of {window.version}: {verdict} in {compared_words(window)}{columns}")
        lines += [f"  {test.sentence}" for test in report.drifting]
    lines += [f"quality of {found.version}: {quality_words(found)}" for found in state.quality]
    for rule in state.rules:
        value = "not enough to tell" if rule.value is None else f"{number(rule.value)}, limit {number(rule.limit)}"
        lines.append(f"rule {rule.rule}: {value}{f': {rule.sentence}' if rule.sentence else ''}")
    lines += [f"{act.at:%H:%M:%S} {act.act}: {act.sentence}" for act in reversed(state.acts[-5:])]
    return tuple(lines)
