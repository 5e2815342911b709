"""Lines of scikit-learn and CatBoost that make sense only with those before them, or in a form of their own."""

from __future__ import annotations

import re
from collections.abc import Sequence

from mlconsole.evidence.training import MetricPoint
from mlconsole.services.training.progress import Counter

_BOOSTING_HEAD = re.compile(r"\s{0,12}Iter\s+Train Loss(?P<oob>\s+OOB Improve)?\s+Remaining Time\s*")
_BOOSTING_ROW = re.compile(
    r"\s{0,12}(?P<step>\d{1,9})\s+(?P<loss>-?\d[\d.e+-]{0,30})(?:\s+(?P<oob>-?\d[\d.e+-]{0,30}))?\s+[\d.]{1,12}[smh]\s*"
)
_REPORT_HEAD = re.compile(r"\s*precision\s+recall\s+f1-score\s+support\s*")
_REPORT_ROW = re.compile(r"\s*(?P<name>macro avg|weighted avg)\s+([\d.]{1,8})\s+([\d.]{1,8})\s+([\d.]{1,8})\s+\d+\s*")
_REPORT_ACCURACY = re.compile(r"\s*accuracy\s+(?P<value>[\d.]{1,8})\s+\d+\s*")
_INERTIA = re.compile(r"Iteration (?P<step>\d{1,9}), inertia (?P<value>\d[\d.e+-]{0,40}?)\.?\s*")
_FITS = re.compile(r"Fitting \d+ folds for each of \d+ candidates, totalling (?P<fits>\d{1,9}) fits")
_FIT_ENDED = re.compile(r"\[CV(?: \d+/\d+)?\] END .*?(?:score=(?P<score>-?[\d.]{1,20}))?(?: total time=.*)?")
_CATBOOST = re.compile(
    r"\d{1,9}:\s.*\btotal: (?P<total>[\d.]{1,9})(?P<total_unit>us|ms|s|m|h).*"
    r"\bremaining: (?P<left>[\d.]{1,9})(?P<left_unit>us|ms|s|m|h)\b.*"
)
OPENING = ("Train Loss", "f1-score", "inertia")
"""Words of the lines that are, or begin, such ones, where nothing else in the line shows that it tells something."""
_SECONDS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}


class OwnLines:
    """Reads such lines in their order."""

    def __init__(self) -> None:
        self._columns: tuple[str, ...] = ()
        self._in_report = False
        self._fits = self._fitted = 0

    @property
    def is_amid(self) -> bool:
        """Whether a line may belong to those before it."""
        return bool(self._columns) or self._in_report

    def feed(self, text: str) -> tuple[Sequence[MetricPoint], Counter | None] | None:
        """Return the metrics of a line, and how far it says that all is; None where it is none of these."""
        first = text.lstrip()[:1]
        if first.isdigit():
            return self._boosting(text) or self._catboost(text)
        if first == "I":
            return self._inertia(text) or self._heading(text)
        if first == "[" or first == "F":
            return self._search(text)
        return self._report(text)

    def _heading(self, text: str) -> tuple[Sequence[MetricPoint], None] | None:
        match = _BOOSTING_HEAD.fullmatch(text)
        if match is None:
            return None
        self._columns = ("Train Loss", "OOB Improve") if match["oob"] else ("Train Loss",)
        return (), None

    def _boosting(self, text: str) -> tuple[Sequence[MetricPoint], None] | None:
        match = _BOOSTING_ROW.fullmatch(text) if self._columns else None
        if match is None:
            return None
        values = [_number(value) for value in (match["loss"], match["oob"])]
        step = int(match["step"])
        return [
            MetricPoint(name=name, value=value, step=step)
            for name, value in zip(self._columns, values, strict=False)
            if value is not None
        ], None

    def _catboost(self, text: str) -> tuple[Sequence[MetricPoint], Counter] | None:
        """CatBoost does not say how many trees there will be; how long they take says how far it is."""
        match = _CATBOOST.fullmatch(text)
        if match is None:
            return None
        past, left = (_number(match[key]) or 0.0 for key in ("total", "left"))
        past, left = past * _SECONDS[match["total_unit"]], left * _SECONDS[match["left_unit"]]
        if past + left <= 0:
            return None
        tree = f"tree {int(text.split(':')[0]) + 1}"
        # the metrics of the line are read as those of any other
        return (), Counter(kind="plain", label=tree, done=past, total=past + left, span=(0, 0))

    def _inertia(self, text: str) -> tuple[Sequence[MetricPoint], None] | None:
        match = _INERTIA.fullmatch(text)
        value = _number(match["value"]) if match else None
        if match is None or value is None:
            return None
        return [MetricPoint(name="inertia", value=value, step=int(match["step"]))], None

    def _search(self, text: str) -> tuple[Sequence[MetricPoint], Counter | None] | None:
        if match := _FITS.fullmatch(text):
            self._fits, self._fitted = int(match["fits"]), 0
            return (), None
        match = _FIT_ENDED.fullmatch(text) if self._fits else None
        if match is None:
            return None
        self._fitted = min(self._fitted + 1, self._fits)
        value = _number(match["score"]) if match["score"] else None
        points = [MetricPoint(name="score", value=value, step=self._fitted)] if value is not None else []
        label = f"fit {self._fitted}/{self._fits}"
        return points, Counter(kind="plain", label=label, done=self._fitted, total=self._fits, span=(0, 0))

    def _report(self, text: str) -> tuple[Sequence[MetricPoint], None] | None:
        """The table of `classification_report`: its averages; the rows of classes are named by people's labels."""
        if _REPORT_HEAD.fullmatch(text):
            self._in_report = True
            return (), None
        if not self._in_report:
            return None
        if match := _REPORT_ACCURACY.fullmatch(text):
            value = _number(match["value"])
            return ([MetricPoint(name="accuracy", value=value)] if value is not None else []), None
        match = _REPORT_ROW.fullmatch(text)
        if match is None:
            return None
        self._in_report = match["name"] != "weighted avg"
        values = zip(("precision", "recall", "f1-score"), match.groups()[1:], strict=True)
        found = [(name, _number(text)) for name, text in values]
        return [
            MetricPoint(name=f"{match['name']} {name}", value=value) for name, value in found if value is not None
        ], None


def _number(text: str | None) -> float | None:
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if value - value == 0 else None
