"""What a training tells, from everywhere that it tells it: its output, exact reports, files of metrics, MLflow."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Protocol

from mlconsole.evidence.training import MetricPoint, Parameter, TrainingProgress
from mlconsole.services.training.output import OutputReader
from mlconsole.services.training.reports import Told

PROGRESS_A_SECOND = 20


class Source(Protocol):
    """A place that is looked at beside the output."""

    @property
    def every(self) -> float:
        """Seconds between two looks."""

    @property
    def exact(self) -> bool:
        """Whether it tells a metric better than the output does: then the output's points of that metric are left."""

    def look(self) -> Sequence[Told]:
        """Return what is new."""

    def close(self) -> None:
        """Let go of it."""


class Collector:
    """Hands on every metric, and as much of the progress as a person can follow, some thirty times a second at most.

    Progress has a budget that refills: a burst of a few goes through at once, and only a flood, which goes on, is
    thinned out. So what was seen last is never held back for long.

    Args:
        report: takes what was told since it was last called, in its order; in the thread that calls `look`.
        sources: looked at beside the output.
    """

    def __init__(
        self, report: Callable[[Sequence[MetricPoint | TrainingProgress]], None], sources: Sequence[Source] = ()
    ) -> None:
        self.last: dict[str, MetricPoint] = {}
        self.points = 0
        self.parameters: dict[str, Parameter] = {}
        self._report = report
        self._sources = [(source, [0.0]) for source in sources]
        self._reader = OutputReader()
        self._exact: set[str] = set()
        self._waiting: list[MetricPoint | TrainingProgress] = []
        self._held: TrainingProgress | None = None
        self._budget = float(PROGRESS_A_SECOND)
        self._refilled = time.monotonic()

    def text(self, text: str) -> None:
        """Take in lines of the output, each with a newline at its end."""
        for line in self._reader.telling(text):
            self.line(line)

    def line(self, line: str) -> None:
        """Take in a line of the output."""
        for told in self._reader.feed(line):
            if not (isinstance(told, MetricPoint) and told.name in self._exact):
                self._take(told)

    def look(self) -> None:
        """Look at the sources whose time has come, and report what waits."""
        at = time.monotonic()
        for source, due in self._sources:
            if at >= due[0]:
                self._look_at(source)
                due[0] = at + source.every
        self._flush(at)

    def end(self) -> None:
        """Look at everything a last time."""
        for source, _ in self._sources:
            self._look_at(source)
        self._budget = max(self._budget, 1.0)
        self._flush(time.monotonic())

    def add(self, points: Sequence[MetricPoint]) -> None:
        """Take in metrics from elsewhere, and report them."""
        for point in points:
            self._take(point)
        self._flush(time.monotonic())

    def _look_at(self, source: Source) -> None:
        for told in source.look():
            if isinstance(told, Parameter):
                self.parameters[told.name] = told
                continue
            if isinstance(told, MetricPoint):
                known = told.name in self._exact
                if source.exact:
                    self._exact.add(told.name)
                if known != source.exact and (known or self._is_known(told)):
                    continue
            self._take(told)

    def _is_known(self, point: MetricPoint) -> bool:
        """Whether the last value is this one: what is printed at the end is mostly written to a file, too."""
        last = self.last.get(point.name)
        return last is not None and last.value == point.value and point.step in (None, last.step)

    def _take(self, told: MetricPoint | TrainingProgress) -> None:
        if isinstance(told, MetricPoint):
            self.points += 1
            self.last[told.name] = told
            self._waiting.append(told)
        else:
            self._held = told
            if self._budget >= 1:
                self._budget -= 1
                self._release()

    def _release(self) -> None:
        if self._held is not None:
            self._waiting.append(self._held)
            self._held = None

    def _flush(self, at: float) -> None:
        self._budget = min(self._budget + (at - self._refilled) * PROGRESS_A_SECOND, PROGRESS_A_SECOND)
        self._refilled = at
        if self._held is not None and self._budget >= 1:
            self._budget -= 1
            self._release()
        if self._waiting:
            waiting, self._waiting = self._waiting, []
            self._report(waiting)
