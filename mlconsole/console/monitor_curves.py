"""What the monitor counted as curves: by version, with deploys marked."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

from mlconsole.console.curves import Group
from mlconsole.console.widgets.plot import Series
from mlconsole.evidence.monitoring import Counters, MonitorPoint


class _Curve(NamedTuple):
    measure: str
    value: Callable[[Counters, float], float | None]


CURVES = (
    _Curve("requests/s", lambda counters, seconds: counters.requests / seconds if seconds else None),
    _Curve("failed, %", lambda counters, seconds: None if counters.error_rate is None else 100 * counters.error_rate),
    _Curve("95% within, s", lambda counters, seconds: counters.quantile(0.95)),
)


class Monitoring(NamedTuple):
    """Curves over time in seconds since 1970, and the moments at which a version came in, with its tag."""

    groups: tuple[Group, ...] = ()
    deploys: tuple[tuple[float, str], ...] = ()


def monitoring_of(points: tuple[MonitorPoint, ...]) -> Monitoring:
    """The curves of some looks; a curve has a gap where its version did not serve, or was not asked."""
    versions = list(dict.fromkeys(entry.version for point in points for entry in point.versions))
    groups = []
    for curve in CURVES:
        series = tuple(Series(_tag(version), _points(curve, version, points)) for version in versions)
        told = tuple(entry for entry in series if any(math.isfinite(value) for _, value in entry.points))
        if told:
            groups.append(Group(curve.measure, told))
    return Monitoring(tuple(groups), _deploys(points))


def _tag(version: str) -> str:
    return version.rpartition("@")[2] or "no version"


def _points(curve: _Curve, version: str, points: tuple[MonitorPoint, ...]) -> tuple[tuple[float, float], ...]:
    found = []
    for point in points:
        entry = next((entry for entry in point.versions if entry.version == version), None)
        value = curve.value(entry.counters, point.seconds) if entry is not None else None
        found.append((point.at.timestamp(), math.nan if value is None else value))
    return tuple(found)


def _deploys(points: tuple[MonitorPoint, ...]) -> tuple[tuple[float, str], ...]:
    """When each version came in that was not there a look before: also one that was brought back."""
    found: list[tuple[float, str]] = []
    before = {entry.version for entry in points[0].versions} if points else set()
    for point in points[1:]:
        # where nothing could be read, nobody knows what serves
        if point.versions:
            now = {entry.version for entry in point.versions}
            found += [(point.at.timestamp(), _tag(version)) for version in sorted(now - before)]
            before = now
    return tuple(found)
