"""What the pods that serve say of requests and rows, what is made of it, and what followed."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from mlconsole.evidence.base import GateLevel, Record
from mlconsole.evidence.data import DriftReport

RuleMetric = Literal["errors", "latency", "drift", "quality"]
"""`errors`: the part of the requests that failed. `latency`: seconds of a quantile. `drift`: columns that drift.
`quality`: how much worse the metric is than the tests promised, as a part of that."""

Act = Literal["warn", "retrain", "roll back"]


class FeatureCounts(Record, frozen=True, kw_only=True):
    """How the rows of one feature fell: into bins by upper bound (the last bin has none), or by value."""

    bounds: tuple[float, ...] = ()
    counts: tuple[float, ...] = ()
    values: dict[str, float] = {}
    unseen: float = 0
    """Rows with a value that the training data never had."""
    missing: float = 0

    @property
    def total(self) -> float:
        """The rows that had this feature, with a value or without."""
        return sum(self.counts) + sum(self.values.values()) + self.unseen + self.missing


class Counters(Record, frozen=True, kw_only=True):
    """What a server counted: since its start, or between two moments.

    `latency` is requests by upper bound in seconds, each in one bin only; `predictions` likewise.
    """

    requests: float = 0
    errors: float = 0
    rows: float = 0
    latency: dict[float, float] = {}
    predictions: dict[float, float] = {}
    features: dict[str, FeatureCounts] = {}

    @property
    def error_rate(self) -> float | None:
        """The part of the requests that failed; None without requests."""
        return self.errors / self.requests if self.requests else None

    def quantile(self, part: float) -> float | None:
        """A quantile of the latency in seconds, by straight lines within its bin; None without requests.

        Source: `histogram_quantile` of Prometheus; of the last, endless bin the answer is its lower bound.
        """
        total = sum(self.latency.values())
        if not total:
            return None
        seen, lower = 0.0, 0.0
        for bound, count in sorted(self.latency.items()):
            if count and seen + count >= part * total:
                if bound == float("inf"):
                    return lower
                return lower + (bound - lower) * (part * total - seen) / count
            seen, lower = seen + count, bound
        return lower


class Reading(Record, frozen=True, kw_only=True):
    """What one pod says: `source` tells it from every other, and from itself before a restart where that is known."""

    source: str
    version: str
    counters: Counters


class Unread(Record, frozen=True, kw_only=True):
    """A pod that could not be read, and why."""

    pod: str
    version: str
    sentence: str


class VersionPoint(Record, frozen=True, kw_only=True):
    """What one version did between a look and the one before; without its features, which are added up elsewhere."""

    version: str
    pods: int
    counters: Counters


class MonitorPoint(Record, frozen=True, kw_only=True):
    """One look at all pods: a point of every curve."""

    at: datetime
    seconds: float
    """Since the look before."""
    versions: tuple[VersionPoint, ...]
    unread: tuple[Unread, ...] = ()


class Block(Record, frozen=True, kw_only=True):
    """The rows of some looks that follow each other: how blocks differ tells what their rows are worth."""

    counters: Counters
    looks: int = 1


class DriftWindow(Record, frozen=True, kw_only=True):
    """The rows of one version that are added up for drift, when they are compared next, and what came of it last.

    `looks` counts the comparisons of this window: each may only have its part of the false alarms of all of them.
    `worth` is how many independent rows its rows are worth; None as long as that can't be told.
    """

    version: str
    since: datetime
    counters: Counters = Counters()
    next_rows: float = 0
    looks: int = 0
    blocks: tuple[Block, ...] = ()
    worth: float | None = None
    report: DriftReport | None = None


class Quality(Record, frozen=True, kw_only=True):
    """How good the predictions of a version were, by labels that came later.

    `value` is the metric over the last `rows` that have a label, `low` and `high` its interval of 95 %; `promised` is
    what the tests said of the version.
    """

    version: str
    metric: str
    rows: int
    value: float
    low: float
    high: float
    promised: float | None = None
    lower_is_better: bool = True

    @property
    def worse_by(self) -> float | None:
        """How much worse it is than was promised, as a part of that: by the end of the interval nearer to it."""
        if not self.promised:
            return None
        nearer = self.low if self.lower_is_better else self.high
        gap = nearer - self.promised if self.lower_is_better else self.promised - nearer
        return gap / abs(self.promised)


class RuleState(Record, frozen=True, kw_only=True):
    """How a rule stands for a version: what it measures, since when that is too much, and when it acted last."""

    rule: str
    version: str
    value: float | None = None
    limit: float = 0
    before: float | None = None
    """The same of the version before: on the same minutes, or its last ones."""
    broken_since: datetime | None = None
    acted_at: datetime | None = None
    sentence: str = ""


class MonitorActed(Record, frozen=True, kw_only=True):
    """What the monitor did."""

    at: datetime
    rule: str
    version: str
    act: Act
    sentence: str


class MonitorState(Record, frozen=True, kw_only=True):
    """All that a monitor has to know to go on after it was killed."""

    at: datetime
    last: tuple[Reading, ...] = ()
    windows: tuple[DriftWindow, ...] = ()
    rules: tuple[RuleState, ...] = ()
    quality: tuple[Quality, ...] = ()
    acts: tuple[MonitorActed, ...] = ()
    asked_back: str = ""
    """The version that a rollback was asked for; empty once it serves."""

    def window(self, version: str) -> DriftWindow | None:
        """The rows of one version."""
        return next((window for window in self.windows if window.version == version), None)


def level_of(report: DriftReport | None) -> GateLevel:
    """The worst that live traffic's drift has."""
    levels = {test.level for test in report.tests} if report else set()
    return "fail" if "fail" in levels else "warn" if "warn" in levels else "pass"
