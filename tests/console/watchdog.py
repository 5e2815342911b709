"""Measures how long callbacks hold an app's loop."""

from __future__ import annotations

import asyncio
import gc
import sys
import threading
import time
import traceback
from collections.abc import Iterator
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
def watchdog() -> Iterator[list[tuple[float, str]]]:
    """Measure the processor time of every callback of the loop; a busy machine makes it wait, but not work, longer.

    Each has the place where it was last seen, where it took long. The collector's time does not count: here it looks at
    all that the tests before have left, and in a console only at what is new.
    """
    held: list[tuple[float, str]] = []
    handle = asyncio.events.Handle
    run = handle._run
    looker = Looker()
    looker.start()

    collecting = [0.0, 0.0]

    def collected(phase: str, info: dict[str, int]) -> None:
        if threading.get_ident() != looker.watched:
            return
        if phase == "start":
            collecting[0] = time.thread_time()
        else:
            collecting[1] += time.thread_time() - collecting[0]

    def measured(self: asyncio.Handle) -> None:
        what, began = repr(self), time.thread_time()
        collecting[1] = 0.0
        looker.seen, looker.began = "", time.monotonic()
        run(self)
        looker.began = None
        held.append((time.thread_time() - began - collecting[1], f"{what}\n{looker.seen}"))

    handle._run = measured
    gc.callbacks.append(collected)
    try:
        yield held
    finally:
        gc.callbacks.remove(collected)
        handle._run = run
        looker.stop()
