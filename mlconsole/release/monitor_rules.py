"""The rules of `[monitor]`: what they measure of a version, beside the version before on the same minutes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

import msgspec

from mlconsole.evidence.base import Record
from mlconsole.evidence.monitoring import Counters, DriftWindow, MonitorPoint, Quality, RuleState
from mlconsole.project.settings import MonitorRule, seconds
from mlconsole.services.monitoring.adding import total
from mlconsole.text import count, duration, listed, number


class Seen(Record, frozen=True, kw_only=True):
    """All that rules are judged by."""

    points: tuple[MonitorPoint, ...]
    windows: tuple[DriftWindow, ...]
    quality: tuple[Quality, ...]
    window_seconds: float
    moment: datetime


class Judged(Record, frozen=True, kw_only=True):
    """A rule's new state, and what follows from it: `is_due` that it acts now, `is_common` that the version before
    is bad on the same minutes, too, so that to bring it back would help nobody."""

    state: RuleState
    is_due: bool = False
    is_common: bool = False


def name_of(rule: MonitorRule) -> str:
    """What people call a rule."""
    return rule.name or f"{rule.metric} {rule.then}"


def judge(rule: MonitorRule, earlier: RuleState | None, version: str, before: str, seen: Seen) -> Judged:
    """Judge a rule of the version that serves.

    Args:
        rule: the rule.
        earlier: its state at the look before.
        version: the version that serves.
        before: the version that served before; empty where there is none.
        seen: what was seen of both.
    """
    value = _measure(rule, version, seen, _since(seen))
    rival, same_minutes = _of_before(rule, before, seen)
    limit = max(rule.above, rule.times * rival if rule.times and rival is not None else 0.0)
    state = earlier if earlier is not None and earlier.version == version else None
    state = state or RuleState(rule=name_of(rule), version=version)
    is_broken = value is not None and value > limit
    since = (state.broken_since or seen.moment) if is_broken else None
    state = msgspec.structs.replace(state, value=value, limit=limit, before=rival, broken_since=since)
    if value is None or since is None:
        return Judged(state=msgspec.structs.replace(state, sentence=""))
    sentence = (
        f"{version}: {_words(rule, value, limit, version, seen)}{_rival_words(rule, before, rival, same_minutes)}."
    )
    held = (seen.moment - since).total_seconds()
    rested = state.acted_at is None or seen.moment - state.acted_at >= _time(rule.cool_down, "cool_down")
    return Judged(
        state=msgspec.structs.replace(state, sentence=sentence),
        is_due=held >= _time(rule.hold, "hold").total_seconds() and rested,
        # a rule that compares both has said already that the version before is better
        is_common=same_minutes and rival is not None and rival > rule.above and not rule.times,
    )


def _time(text: str, name: str) -> timedelta:
    return timedelta(seconds=seconds(text, f"monitor.rules.{name}") or 0)


def _since(seen: Seen) -> datetime:
    return seen.moment - timedelta(seconds=seen.window_seconds)


def _measure(rule: MonitorRule, version: str, seen: Seen, since: datetime) -> float | None:
    """What a rule measures of a version; None where nobody can tell."""
    if rule.metric == "drift":
        window = next((entry for entry in seen.windows if entry.version == version), None)
        return None if window is None or window.report is None else float(len(_drifting(window)))
    if rule.metric == "quality":
        found = next((entry for entry in seen.quality if entry.version == version), None)
        return found.worse_by if found is not None else None
    return _of_counters(rule, counted(version, (point for point in seen.points if point.at > since)))


def _of_counters(rule: MonitorRule, counters: Counters) -> float | None:
    if counters.requests < max(rule.least, 1):
        return None
    return counters.error_rate if rule.metric == "errors" else counters.quantile(rule.quantile)


def counted(version: str, points: Iterable[MonitorPoint]) -> Counters:
    """What a version counted at some points together."""
    return total(entry.counters for point in points for entry in point.versions if entry.version == version)


def _of_before(rule: MonitorRule, before: str, seen: Seen) -> tuple[float | None, bool]:
    """The same of the version before: on the same minutes, else on its last; and which of both it is."""
    if not before or rule.metric in ("drift", "quality"):
        return None, False
    now = _measure(rule, before, seen, _since(seen))
    if now is not None:
        return now, True
    served = [point for point in seen.points if counted(before, [point]).requests]
    if not served:
        return None, False
    since = served[-1].at - timedelta(seconds=seen.window_seconds)
    return _of_counters(rule, counted(before, (point for point in served if point.at > since))), False


def _drifting(window: DriftWindow) -> tuple[str, ...]:
    return window.report.columns_at("warn", "fail") if window.report is not None else ()


def _words(rule: MonitorRule, value: float, limit: float, version: str, seen: Seen) -> str:
    minutes = f"in the last {duration(seen.window_seconds)}"
    match rule.metric:
        case "errors":
            return f"{value:.1%} of the requests failed {minutes}, {limit:.1%} may"
        case "latency":
            part = f"the {rule.quantile:.0%} quantile of the latency"
            return f"{part} was {number(value)} s {minutes}, {number(limit)} s may be"
        case "drift":
            window = next(entry for entry in seen.windows if entry.version == version)
            columns = _drifting(window)
            rows = count(window.report.rows if window.report else 0, "row")
            return f"{listed(columns, 5)} drift{'s' if len(columns) == 1 else ''} from the training data in {rows}"
        case _:
            found = next(entry for entry in seen.quality if entry.version == version)
            return quality_words(found)


def quality_words(found: Quality) -> str:
    """The quality by late labels in words, beside what was promised."""
    between = f"from {number(found.low)} to {number(found.high)}"
    promised = f", promised was {number(found.promised)}" if found.promised is not None else ""
    return f"{found.metric} is {number(found.value)} ({between}) in {count(found.rows, 'labelled row')}{promised}"


def _rival_words(rule: MonitorRule, before: str, rival: float | None, same_minutes: bool) -> str:
    if rival is None:
        return ""
    said = f"{rival:.1%}" if rule.metric == "errors" else f"{number(rival)} s"
    return f" ({before}: {said} on {'the same' if same_minutes else 'its last'} minutes)"


def judge_all(
    rules: Sequence[MonitorRule], earlier: Sequence[RuleState], version: str, before: str, seen: Seen
) -> tuple[tuple[MonitorRule, Judged], ...]:
    """Judge every rule of the version that serves."""
    states = {(state.rule, state.version): state for state in earlier}
    return tuple((rule, judge(rule, states.get((name_of(rule), version)), version, before, seen)) for rule in rules)
