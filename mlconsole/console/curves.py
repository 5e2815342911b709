"""Metrics of this training and of earlier ones, put together by what they measure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from mlconsole.console.related import Metrics, PastRun
from mlconsole.console.widgets.plot import Series
from mlconsole.evidence.training import MetricPoint

_PART = "train|training|val|valid|validation|test|eval|dev|holdout"
_PREFIX = re.compile(rf"^(?:{_PART})[_\-/. ]+(?=.)", re.IGNORECASE)
_SUFFIX = re.compile(rf"(?<=.)[_\-/. ]+(?:{_PART})$", re.IGNORECASE)


class Group(NamedTuple):
    """Curves on one scale: `train_mae` and `valid_mae` both measure `mae`."""

    measure: str
    series: tuple[Series, ...]


def measure_of(name: str) -> str:
    """What a metric measures, whichever rows it was taken on."""
    return _SUFFIX.sub("", _PREFIX.sub("", name))


def groups(metrics: Metrics, past_runs: Sequence[PastRun] = ()) -> tuple[Group, ...]:
    """The curves of this training by what they measure, with those of the same name of earlier ones."""
    found: dict[str, list[Series]] = {}
    for name, points in metrics:
        if len(points) > 1:
            found.setdefault(measure_of(name), []).append(Series(name, _steps(points)))
    for run in past_runs:
        for name, points in run.metrics:
            group = found.get(measure_of(name))
            if group is not None and len(points) > 1 and any(entry.name == name for entry in group):
                group.append(Series(f"{run.label} {name}", _steps(points), past=True))
    return tuple(Group(measure, tuple(series)) for measure, series in found.items())


def _steps(points: Sequence[MetricPoint]) -> tuple[tuple[float, float], ...]:
    """Points by their step, or by their number where steps are not told or go back."""
    steps = [point.step for point in points]
    told = all(step is not None for step in steps)
    rising = told and all((a or 0) <= (b or 0) for a, b in pairwise(steps))
    return tuple(
        (float(point.step or 0) if rising else float(place), point.value) for place, point in enumerate(points, 1)
    )


def results(metrics: Metrics, past_runs: Sequence[PastRun] = ()) -> tuple[tuple[str, float, str, float | None], ...]:
    """The last value of each metric that has no curve, with the last training's: name, value, its label, value."""
    before = past_runs[0] if past_runs else None
    earlier = {name: points[-1].value for name, points in before.metrics} if before else {}
    label = before.label if before else ""
    return tuple((name, points[-1].value, label, earlier.get(name)) for name, points in metrics if len(points) == 1)
