"""Counts what a model is asked and what it answers, in the bins of the data that it was trained on.

One file without a dependency: copy it beside your server (`mlconsole monitor --client > monitor_client.py`).

    monitor = Monitor.from_environment()           # MODEL_REFERENCE, which a release fills in where it is declared
    monitor.count(row, prediction)                 # for each row of each request: a few microseconds
    "\\n".join([*monitor.lines(), "# EOF", ""])     # at /metrics, in OpenMetrics text format 1.0

Memory does not grow with requests: a value that the training data never had is counted as one of those. Without
a reference nothing but rows and predictions is counted. It may be used from several threads.
"""

from __future__ import annotations

import json
import math
import os
import threading
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from typing import Any

VARIABLE = "MODEL_REFERENCE"
ABSENT = object()


class Histogram:
    """Counts of numbers by upper bound, as OpenMetrics defines them."""

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = [*bounds, math.inf]
        self.counts = [0] * len(self.bounds)
        self.sum = 0.0
        self.missing = 0
        self.has_negative = any(bound < 0 for bound in bounds)

    def add(self, value: Any) -> None:
        """Count one value; None and what is no number are missing."""
        try:
            if value != value:
                self.missing += 1
                return
            self.counts[bisect_left(self.bounds, value)] += 1
            self.sum += value
            if value < 0:
                self.has_negative = True
        except TypeError:
            self.missing += 1

    def lines(self, name: str, label: str = "") -> list[str]:
        """Its samples, cumulative."""
        lines, total, before = [], 0, f"{label}," if label else ""
        for bound, count in zip(self.bounds, self.counts, strict=True):
            total += count
            le = "+Inf" if math.isinf(bound) else repr(float(bound))
            lines.append(f'{name}_bucket{{{before}le="{le}"}} {total}')
        braces = f"{{{label}}}" if label else ""
        if self.has_negative or not math.isfinite(self.sum):
            # the format allows no sum of numbers that may be negative, and no count without a sum
            return lines
        return [*lines, f"{name}_count{braces} {total}", f"{name}_sum{braces} {self.sum!r}"]


class Values:
    """Counts of the values that the training data had, and of all others together."""

    def __init__(self, values: Sequence[str]) -> None:
        self.values = list(values)
        self.counts = [0] * len(self.values)
        self.unseen = self.missing = 0
        self._known: dict[Any, int] = {}
        for index, text in enumerate(self.values):
            for key in _spellings(text):
                self._known.setdefault(key, index)

    def add(self, value: Any) -> None:
        """Count one value; None and NaN are missing."""
        try:
            index = self._known.get(value)
        except TypeError:
            index = None
        if index is not None:
            self.counts[index] += 1
        elif value is None or value != value:
            self.missing += 1
        else:
            self.unseen += 1


class Monitor:
    """Counts rows, their features and their predictions.

    Args:
        reference: the bins as JSON, `{"features": {"temp": {"edges": […]}, "season": {"values": […]}},
            "prediction": {"edges": […]}}`; what can't be read counts as none.
        predictions: upper bounds for predictions where the reference has none.
    """

    def __init__(self, reference: str = "", predictions: Sequence[float] = ()) -> None:
        found = _read(reference)
        self._lock = threading.Lock()
        self.rows = 0
        self.features: dict[str, Histogram | Values] = {}
        for name, bins in found.get("features", {}).items():
            self.features[name] = Histogram(bins["edges"]) if "edges" in bins else Values(bins["values"])
        self._adding = [(name, feature.add) for name, feature in self.features.items()]
        self.predictions = Histogram(found.get("prediction", {}).get("edges") or predictions)

    @classmethod
    def from_environment(cls, predictions: Sequence[float] = ()) -> Monitor:
        """One with the reference that the environment holds."""
        return cls(os.environ.get(VARIABLE, ""), predictions)

    def count(self, row: Mapping[str, Any], prediction: Any = None) -> None:
        """Count one row and what was predicted for it."""
        get = row.get
        with self._lock:
            self.rows += 1
            for name, add in self._adding:
                value = get(name, ABSENT)
                if value is not ABSENT:
                    add(value)
            if prediction is not None:
                self.predictions.add(prediction)

    def lines(self) -> list[str]:
        """All of it as lines of OpenMetrics, without the end mark."""
        with self._lock:
            lines = ["# TYPE model_rows counter", "# HELP model_rows Rows that were predicted."]
            lines.append(f"model_rows_total {self.rows}")
            lines += ["# TYPE model_predictions histogram", "# HELP model_predictions Predicted values."]
            lines += self.predictions.lines("model_predictions")
            lines += self._feature_lines()
        return lines

    def _feature_lines(self) -> list[str]:
        if not self.features:
            return []
        numbers, values, unseen, missing = [], [], [], []
        for name, feature in self.features.items():
            label = f'feature="{_escaped(name)}"'
            missing.append(f"model_feature_missing_total{{{label}}} {feature.missing}")
            if isinstance(feature, Histogram):
                numbers += feature.lines("model_feature", label)
                continue
            unseen.append(f"model_feature_unseen_total{{{label}}} {feature.unseen}")
            for text, count in zip(feature.values, feature.counts, strict=True):
                values.append(f'model_feature_values_total{{{label},value="{_escaped(text)}"}} {count}')
        parts = (
            ("model_feature histogram", "Numbers, in the bins of the training data.", numbers),
            ("model_feature_values counter", "Values that the training data had.", values),
            ("model_feature_unseen counter", "Values that the training data never had.", unseen),
            ("model_feature_missing counter", "Rows without a value.", missing),
        )
        lines = []
        for kind, help_text, samples in parts:
            if samples:
                lines += [f"# TYPE {kind}", f"# HELP {kind.partition(' ')[0]} {help_text}", *samples]
        return lines


def _read(reference: str) -> dict[str, Any]:
    try:
        found = json.loads(reference or "{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _spellings(text: str) -> list[Any]:
    """What a value that is written so may be in a row: `1` is 1 and 1.0, `true` is True."""
    words = {"true": True, "false": False}
    keys: list[Any] = [text]
    if text.lower() in words:
        keys += [words[text.lower()], text.lower(), text.capitalize()]
    else:
        try:
            keys.append(float(text))
        except ValueError:
            return keys
    return keys


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')
