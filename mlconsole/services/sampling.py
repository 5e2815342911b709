"""What a child and all that it started use while they run: processors and memory, looked at about once a second."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from mlconsole.evidence.training import UseSample

if TYPE_CHECKING:
    import psutil

LEAST_SECONDS = 1.0
MOST_SECONDS = 5.0
SAMPLES_BEFORE_SLOWER = 600
"""A run of an hour is looked at as often as draws well, not six times as often."""
COST = 0.01
"""Looking takes at most this part of a processor's time."""


class TreeSampler:
    """Tells now and then what the descendants of a process use. It never fails: what has ended is left out.

    Args:
        pid: the process whose descendants are looked at; itself is not.
        report: takes each sample, in the thread that calls `step`.
    """

    def __init__(self, pid: int, report: Callable[[UseSample], None]) -> None:
        self._pid = pid
        self._report = report
        self._started = self._at = time.monotonic()
        self._due = self._started + LEAST_SECONDS / 2
        self._seconds: dict[tuple[int, float], float] = {}

    def step(self) -> None:
        """Look, where it is time to."""
        at = time.monotonic()
        if at < self._due:
            return
        sample = self._sample(at)
        spent = time.monotonic() - at
        slower = min(max(LEAST_SECONDS, (at - self._started) / SAMPLES_BEFORE_SLOWER), MOST_SECONDS)
        self._due = at + max(slower, spent / COST)
        if sample is not None:
            self._report(sample)

    def _sample(self, at: float) -> UseSample | None:
        import psutil

        memory, used, seconds = 0, 0.0, dict[tuple[int, float], float]()
        for process in self._descendants():
            try:
                with process.oneshot():
                    times = process.cpu_times()
                    memory += process.memory_info().rss
                    key = (process.pid, process.create_time())
            except psutil.Error:
                continue
            seconds[key] = times.user + times.system
            # one that was not there the last time has used all of its time since then
            used += max(seconds[key] - self._seconds.get(key, 0.0), 0.0)
        passed, self._at, self._seconds = at - self._at, at, seconds
        if not seconds or passed <= 0:
            return None
        return UseSample(
            seconds=round(at - self._started, 2),
            processors=round(used / passed, 3),
            memory=memory,
            processes=len(seconds),
        )

    def _descendants(self) -> Iterator[psutil.Process]:
        import psutil

        try:
            yield from psutil.Process(self._pid).children(recursive=True)
        except psutil.Error:
            return
