"""Metrics that a training writes to JSON files, such as DVC's `metrics.json`, read whenever the files change."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec

from mlconsole.evidence.training import MetricPoint
from mlconsole.services.training.files import State, state
from mlconsole.services.training.output import MOST_METRICS, STEP_NAMES, numbers

LARGEST_FILE = 1 << 20
USUAL = ("metrics.json", *(f"{folder}/metrics.json" for folder in ("reports", "metrics", "results", "dvclive")))


class MetricFiles:
    """Files of metrics. What was there before the training is not of it.

    Args:
        paths: the files; they need not be there yet.
    """

    every = 0.2
    exact = False

    def __init__(self, paths: Iterable[Path]) -> None:
        self._states: dict[Path, State | None] = {path: state(path) for path in dict.fromkeys(paths)}
        self._values: dict[Path, dict[str, float]] = {}

    def look(self) -> Sequence[MetricPoint]:
        """Return the values that are new since the last look; a file that is half written waits for the next."""
        found: list[MetricPoint] = []
        for path, before in self._states.items():
            after = state(path)
            if after is None or after == before or (values := _read(path)) is None:
                continue
            self._states[path] = after
            found += _new_points(self._values.get(path, {}), values)
            self._values[path] = values
        return found

    def present(self) -> Sequence[MetricPoint]:
        """Return all that the files hold, whenever it was written: for a tool that left them as being up to date."""
        return [point for path in self._states for point in _new_points({}, _read(path) or {})]

    def close(self) -> None:
        """Nothing is held open."""


def _new_points(before: dict[str, float], values: dict[str, float]) -> list[MetricPoint]:
    step = next((int(values[name]) for name in STEP_NAMES if 0 <= values.get(name, -1) < 1e12), None)
    same_step = all(before.get(name) == values.get(name) for name in STEP_NAMES)
    return [
        MetricPoint(name=name, value=value, step=step)
        for name, value in values.items()
        if name not in STEP_NAMES and not (same_step and before.get(name) == value)
    ][:MOST_METRICS]


def _read(path: Path) -> dict[str, float] | None:
    try:
        if path.stat().st_size > LARGEST_FILE:
            return {}
        record = msgspec.json.decode(path.read_bytes(), type=dict[str, object])
    except (OSError, msgspec.MsgspecError, ValueError, RecursionError):
        return None
    return dict(numbers("", record, 0))
