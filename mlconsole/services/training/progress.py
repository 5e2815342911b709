"""How far a training is, from the counters and bars in its output."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from typing import Literal

from mlconsole.evidence.training import TrainingProgress
from mlconsole.text import shorten

_WORDS = r"global[ _]step|step|iteration|iter|batch|round|fold|trial|tree|done|cv|fit(?:ting)?|processed"
_LABELLED = re.compile(
    rf"(?<![\w/.])(?P<word>epochs?|{_WORDS})[ \t]{{0,4}}[:=#]?[ \t]{{0,4}}[\[(]?(?P<done>\d{{1,12}})(?![\d.]*\d)"
    r"(?:[ \t]{0,4}(?:/|of|out of)[ \t]{0,4}(?P<total>\d{1,12})(?![\d.]*\d)(?!/))?[\])]?[:,]?(?![\w%])",
    re.IGNORECASE,
)
_PERCENT_BAR = re.compile(
    r"(?<![\d.])(?P<percent>\d{1,3})%\s{0,4}\|[^|]{0,300}\|\s{0,4}"
    r"(?:(?P<done>\d{1,12}(?:\.\d{1,6})?[kMG]?)/(?P<total>\d{1,12}(?:\.\d{1,6})?[kMG]?))?"
)
# rich: a bar of strokes, its percentage, and the time left, which is the time taken once it is full
_STROKES = re.compile(r"[━╸╺]{6,200}\s{1,4}(?P<percent>\d{1,3})%(?:\s{1,4}(?P<left>\d{1,3}:\d\d:\d\d)(?!\S))?")
_PERCENT = re.compile(
    r"(?:\bprogress|\bcompleted?|\bdone|\btraining)\b[^%\d]{0,20}(?P<percent>\d{1,3}(?:\.\d{1,6})?)\s?%", re.I
)
_PLAIN = re.compile(
    r"^[ \t]{0,8}(?P<open>[\[(])?[ \t]{0,8}(?P<done>\d{1,12})[ \t]{0,2}/[ \t]{0,2}(?P<total>\d{1,12})(?![\d./])"
    r"(?(open)[ \t]{0,8}[\])])(?![\w%])"
)
_INNER = re.compile(r"(?<=\s)[\[(](?P<done>\d{1,12})/(?P<total>\d{1,12})[\])](?!\w)")
# `[12]` of XGBoost and LightGBM, `12:` of CatBoost.
_LEADING = re.compile(r"^(?:\[(?P<square>\d{1,9})\](?=\s)|(?P<colon>\d{1,9}):(?=\s{1,8}(?:learn|test|total):))")
_HEADING = re.compile(r"Epoch \d{1,12}/\d{1,12}")
_TQDM_LEFT = re.compile(r"\[\d+:\d\d(?::\d\d)?<(?:(?P<days>\d{1,3}) days?, ?)?(?P<clock>\d{1,3}:\d\d(?::\d\d)?)")
_TOLD_LEFT = re.compile(
    r"\b(?:eta|remaining|time left)\b[: ]{1,6}(?:(?P<clock>\d{1,3}:\d\d(?::\d\d)?)(?!\d)"
    r"|(?P<amount>\d{1,9}(?:\.\d{1,6})?)\s?(?P<unit>ms|s|sec|seconds|m|min|minutes|h|hours)\b)",
    re.IGNORECASE,
)
_UNIT_SECONDS = {
    "ms": 0.001,
    "s": 1,
    "sec": 1,
    "seconds": 1,
    "m": 60,
    "min": 60,
    "minutes": 60,
    "h": 3600,
    "hours": 3600,
}
_SCALE = {"k": 1e3, "M": 1e6, "G": 1e9}


Kind = Literal["epoch", "step", "bar", "plain"]
MOST_COUNTERS = 16


@dataclass(frozen=True)
class Counter:
    """One count in a line: `total` is None where only a position is told; `span` is where it stands.

    A bar may have a `name`, by which bars inside each other are told apart.
    """

    kind: Kind
    label: str
    done: float
    total: float | None
    span: tuple[int, int]
    name: str = ""

    @property
    def rank(self) -> int:
        """The order in which counters are asked for the step."""
        return ("epoch", "step", "plain", "bar").index(self.kind)

    @property
    def fraction(self) -> float | None:
        """The part that is done, from 0 to 1."""
        if not self.total or self.done > self.total:
            return None
        return self.done / self.total


def counters(text: str) -> list[Counter]:
    """The counters in a line, none overlapping another. Dates and ratios (`80/20`, `a/3/10`) are none."""
    found = [_labelled(match) for match in islice(_LABELLED.finditer(text), MOST_COUNTERS) if _counts(match)]
    if "%" in text and (bar := _bar(text, found)):
        found.append(bar)
    if "/" in text:
        found += [
            _counter("plain", plain, float(plain["done"]), float(plain["total"]))
            for plain in (_PLAIN.search(text), _INNER.search(text))
            if plain and _counts(plain)
        ]
    if leading := _LEADING.match(text):
        found.append(_counter("step", leading, float(leading["square"] or leading["colon"]), None))
    return _apart(found) if len(found) > 1 else found


def _bar(text: str, found: list[Counter]) -> Counter | None:
    """The bar or percentage in a line."""
    if bar := _PERCENT_BAR.search(text):
        done, total = (_amount(bar["done"]), _amount(bar["total"])) if bar["done"] else (0.0, 0.0)
        exact = total > 0 and done <= total
        made = _counter("bar", bar, done if exact else float(bar["percent"]), total if exact else 100.0)
        return _named(made, text[: bar.start()], found)
    if strokes := _STROKES.search(text):
        return _named(_counter("bar", strokes, float(strokes["percent"]), 100.0), text[: strokes.start()], found)
    if percent := _PERCENT.search(text):
        return _counter("bar", percent, float(percent["percent"]), 100.0)
    return None


def _counts(match: re.Match[str]) -> bool:
    return match["total"] is None or 0 < int(match["total"]) >= int(match["done"])


def _labelled(match: re.Match[str]) -> Counter:
    kind: Kind = "epoch" if match["word"].lower().startswith("epoch") else "step"
    return _counter(kind, match, float(match["done"]), float(match["total"]) if match["total"] else None)


def _counter(kind: Kind, match: re.Match[str], done: float, total: float | None) -> Counter:
    if kind == "bar" and total:
        label = f"{100 * done / total:.0f}%" if total == 100 else f"{done:g}/{total:g}"
    else:
        label = " ".join(match[0].split()).strip(":, ")
        label = label.strip("[]()") if label[:1] in "[(" else label
        label = label.rstrip("])") if not re.search(r"[\[(]", label) else label
    return Counter(kind=kind, label=shorten(label, 40), done=done, total=total, span=match.span())


def _named(bar: Counter, before: str, found: list[Counter]) -> Counter:
    """A bar with the words that stand before it, unless they are a count themselves."""
    name = " ".join(before.split()).strip(":, ")
    if not name or any(counter.span[1] <= len(before) for counter in found):
        return bar
    name = shorten(name, 24)
    return dataclasses.replace(bar, label=f"{name} {bar.label}", name=name)


def _apart(found: list[Counter]) -> list[Counter]:
    kept: list[Counter] = []
    for counter in found:
        start, end = counter.span
        if all(end <= other.span[0] or start >= other.span[1] for other in kept):
            kept.append(counter)
    return kept


def _amount(text: str) -> float:
    return float(text.rstrip("kMG")) * _SCALE.get(text[-1], 1)


def own_seconds_left(text: str) -> float | None:
    """The time left in the output's own words: tqdm's `[00:12<00:15, …]`, `ETA: 0:01:23`, `remaining: 4.9s`."""
    if match := _TQDM_LEFT.search(text):
        return int(match["days"] or 0) * 86400 + _clock(match["clock"])
    if (match := _STROKES.search(text)) and match["left"]:
        return 0.0 if match["percent"] == "100" else _clock(match["left"])
    if match := _TOLD_LEFT.search(text):
        if match["clock"]:
            return _clock(match["clock"])
        return float(match["amount"]) * _UNIT_SECONDS[match["unit"].lower()]
    return None


def _clock(text: str) -> float:
    seconds = 0
    for part in text.split(":"):
        seconds = seconds * 60 + int(part)
    return float(seconds)


class ProgressMeter:
    """Joins counters into one progress: a bar inside an epoch is a part of that epoch.

    Args:
        clock: seconds that only grow.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._since = clock()
        self._at_start = 0.0
        self._last = 0.0
        self._epoch: Counter | None = None
        self._bars_within = False
        self._outer: Counter | None = None
        self._inner: Counter | None = None

    def step(self, found: list[Counter]) -> int | None:
        """The step of a line such as Keras' `12/50 ━━━ loss: 0.1` below `Epoch 2/10`: counted from the start, 62."""
        inner = next((counter for counter in found if counter.kind == "plain"), None)
        if self._epoch is None or inner is None or not inner.total or any(one.kind == "epoch" for one in found):
            return None
        return int(max(self._epoch.done - 1, 0) * inner.total + inner.done)

    def see(self, found: list[Counter], seconds_left: float | None, *, heading: bool) -> TrainingProgress | None:
        """Return the progress after a line with these counters, or None where it tells none.

        Args:
            found: the counters of the line.
            seconds_left: the time left, where the line tells it; it counts for the innermost counter only.
            heading: the line holds no metric, so an epoch in it may only be beginning.
        """
        counting = [counter for counter in found if counter.fraction is not None]
        epoch = next((counter for counter in counting if counter.kind == "epoch"), None)
        inner = next((counter for counter in counting if counter.kind != "epoch"), None)
        if epoch and heading:
            self._epoch = epoch
            self._bars_within = self._bars_within or _HEADING.fullmatch(epoch.label) is not None
        elif epoch and not inner:
            self._epoch = None
        outer = epoch or self._epoch
        if outer and inner and outer.total:
            self._bars_within = self._bars_within or epoch is None
            fraction = (max(outer.done - 1, 0) + (inner.fraction or 0)) / outer.total
            return self._progress(fraction, f"{outer.label}, {inner.label}", None)
        if epoch and epoch.total:
            done = epoch.done - 1 if heading and self._bars_within else epoch.done
            return self._progress(max(done, 0) / epoch.total, epoch.label, seconds_left)
        if inner and inner.name:
            return self._nested(inner, seconds_left)
        if inner:
            return self._progress(inner.fraction or 0, inner.label, seconds_left)
        return None

    def _nested(self, bar: Counter, seconds_left: float | None) -> TrainingProgress:
        """A bar with a name; one that begins while another is not full is inside that one."""
        before = self._inner
        if before is not None and before.name != bar.name and (before.fraction or 0) < 1 and self._outer is None:
            self._outer = before
        if self._outer is not None and self._outer.name == bar.name:
            self._outer, self._inner = (None, bar) if bar.fraction == 1 else (bar, None)
            return self._progress(bar.fraction or 0, bar.label, seconds_left)
        self._inner = bar
        outer = self._outer
        if outer is None or not outer.total:
            return self._progress(bar.fraction or 0, bar.label, seconds_left)
        fraction = (outer.done + (bar.fraction or 0)) / outer.total
        return self._progress(fraction, f"{outer.label}, {bar.label}", None)

    def _progress(self, fraction: float, message: str, seconds_left: float | None) -> TrainingProgress:
        fraction = min(max(fraction, 0.0), 1.0)
        at = self._clock()
        # what passes before anything is done, such as imports, says nothing of what is left
        if fraction < self._last or fraction == self._at_start:
            self._since, self._at_start = at, fraction
        self._last = fraction
        gained, passed = fraction - self._at_start, at - self._since
        if seconds_left is None and gained > 0 and passed > 0:
            seconds_left = (1 - fraction) * passed / gained
        return TrainingProgress(fraction=fraction, message=message, seconds_left=seconds_left)
