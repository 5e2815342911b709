"""Measures how long something takes but for the collector, and how long callbacks hold an app's loop."""

from __future__ import annotations

import asyncio
import gc
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager

LIMIT = 0.050
"""Seconds: one callback that takes longer is felt."""


class Looker(threading.Thread):
    """Looks where the loop's thread is, while one callback takes long: its name alone seldom tells."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.watched = threading.get_ident()
        self._ended = threading.Event()
        self.began: float | None = None
        self.seen = ""

    def run(self) -> None:
        while not self._ended.wait(LIMIT / 5):
            began = self.began
            frame = sys._current_frames().get(self.watched)
            if began is not None and frame is not None and time.monotonic() - began > LIMIT / 2:
                self.seen = "".join(traceback.format_stack(frame)[-25:])

    def stop(self) -> None:
        """End."""
        self._ended.set()


@contextmanager
def without_collector(clock: Callable[[], float]) -> Iterator[Callable[[], float]]:
    """The same clock, but that it stands still while this thread collects garbage.

    Here the collector looks at all that the tests before have left, and in a console only at what is new.
    """
    thread, began, collecting = threading.get_ident(), 0.0, 0.0

    def collect(phase: str, info: dict[str, int]) -> None:
        nonlocal began, collecting
        if threading.get_ident() != thread:
            return
        if phase == "start":
            began = clock()
        else:
            collecting += clock() - began

    gc.callbacks.append(collect)
    try:
        yield lambda: clock() - collecting
    finally:
        gc.callbacks.remove(collect)


@contextmanager
def watchdog() -> Iterator[list[tuple[float, str]]]:
    """Measure the processor time of every callback of the loop; a busy machine makes it wait, but not work, longer.

    Each has the place where it was last seen, where it took long.
    """
    held: list[tuple[float, str]] = []
    handle = asyncio.events.Handle
    run = handle._run
    looker = Looker()
    looker.start()

    with without_collector(time.thread_time) as worked:

        def measured(self: asyncio.Handle) -> None:
            what, began = repr(self), worked()
            looker.seen, looker.began = "", time.monotonic()
            run(self)
            looker.began = None
            held.append((worked() - began, f"{what}\n{looker.seen}"))

        handle._run = measured
        try:
            yield held
        finally:
            handle._run = run
            looker.stop()
