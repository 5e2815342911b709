"""What a child and all that it started use while they run: processors, memory, threads and disk.

They are looked at about once a second.
"""

from __future__ import annotations

import contextlib
import functools
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from mlconsole.evidence.training import UseSample
from mlconsole.services.gpu import Gpus, GpuUse, open_gpus

if TYPE_CHECKING:
    import psutil

LEAST_SECONDS = 1.0
MOST_SECONDS = 5.0
SAMPLES_BEFORE_SLOWER = 600
"""A run of an hour is looked at as often as draws well, not six times as often."""
COST = 0.003
"""Looking takes at most this part of a processor's time."""


class _Used(NamedTuple):
    """What a process has used since it began: seconds of processors, bytes of disks."""

    seconds: float = 0
    read: float = 0
    written: float = 0


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
        self._before: dict[tuple[int, float], _Used] = {}
        self._gpus: Gpus | None = None
        self._looked_for_gpus = False

    def step(self) -> None:
        """Look, where it is time to."""
        if time.monotonic() < self._due:
            return
        began = time.thread_time()
        sample = self._sample()
        at = self._at
        spent = time.thread_time() - began
        slower = min(max(LEAST_SECONDS, (at - self._started) / SAMPLES_BEFORE_SLOWER), MOST_SECONDS)
        self._due = at + max(slower, spent / COST)
        if sample is not None:
            self._report(sample)

    def _sample(self) -> UseSample | None:
        import psutil

        # not before what may take long, as an import does: what they use until they are looked at is of that time, too
        at = time.monotonic()
        memory, threads, now = 0, 0, dict[tuple[int, float], _Used]()
        total = _Used()
        for process in self._descendants():
            try:
                with process.oneshot():
                    times = process.cpu_times()
                    memory += process.memory_info().rss
                    threads += process.num_threads()
                    key = (process.pid, process.create_time())
            except psutil.Error:
                continue
            now[key] = _Used(times.user + times.system, *_disk(process))
            # one that was not there the last time has used all of it since then
            total = _Used(*map(_grown, total, now[key], self._before.get(key, _Used())))
        passed, self._at, self._before = at - self._at, at, now
        gpu = self._gpu({pid for pid, _ in now})
        if not now or passed <= 0:
            return None
        return UseSample(
            seconds=round(at - self._started, 2),
            processors=round(total.seconds / passed, 3),
            memory=memory,
            processes=len(now),
            threads=threads,
            disk_read=round(total.read / passed),
            disk_written=round(total.written / passed),
            gpu=gpu.share,
            gpu_memory=gpu.memory,
        )

    def _gpu(self, pids: set[int]) -> GpuUse:
        """What they use of GPUs. Whether there are any is found out beside, which may take its time."""
        if not self._looked_for_gpus:
            self._looked_for_gpus = True
            threading.Thread(target=self._look_for_gpus, name="gpus", daemon=True).start()
        return self._gpus.use_of(pids) if self._gpus is not None else GpuUse()

    def _look_for_gpus(self) -> None:
        self._gpus = open_gpus()

    def _descendants(self) -> Iterator[psutil.Process]:
        import psutil

        if not _tells_children():
            # every process of the machine is asked for its parent
            with contextlib.suppress(psutil.Error):
                yield from psutil.Process(self._pid).children(recursive=True)
            return
        waiting = [self._pid]
        while waiting:
            for child in _children(waiting.pop()):
                waiting.append(child)
                with contextlib.suppress(psutil.Error):
                    yield psutil.Process(child)


@functools.cache
def _tells_children() -> bool:
    """Whether the system keeps the children of each thread, as most Linux kernels do."""
    return Path("/proc/thread-self/children").exists()


def _children(pid: int) -> list[int]:
    """The children that the threads of a process started; what ended meanwhile has none."""
    found: list[int] = []
    with contextlib.suppress(OSError):
        for thread in Path(f"/proc/{pid}/task").iterdir():
            with contextlib.suppress(OSError):
                found += map(int, (thread / "children").read_bytes().split())
    return found


def _disk(process: psutil.Process) -> tuple[int, int]:
    """The bytes that a process has read from disks and written to them; none where the system does not tell."""
    import psutil

    counters = getattr(process, "io_counters", None)
    try:
        found = counters() if counters is not None else None
    except (psutil.Error, OSError):
        found = None
    return (found.read_bytes, found.write_bytes) if found is not None else (0, 0)


def _grown(total: float, now: float, before: float) -> float:
    return total + max(now - before, 0)
