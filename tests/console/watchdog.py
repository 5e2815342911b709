"""Measures how long callbacks hold an app's loop."""

from __future__ import annotations

import asyncio
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
        self._loop = threading.get_ident()
        self._ended = threading.Event()
        self.began: float | None = None
        self.seen = ""

    def run(self) -> None:
        while not self._ended.wait(LIMIT / 5):
            began = self.began
            frame = sys._current_frames().get(self._loop)
            if began is not None and frame is not None and time.monotonic() - began > LIMIT / 2:
                self.seen = "".join(traceback.format_stack(frame)[-8:])

    def stop(self) -> None:
        """End."""
        self._ended.set()


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

    def measured(self: asyncio.Handle) -> None:
        what, began = repr(self), time.thread_time()
        looker.seen, looker.began = "", time.monotonic()
        run(self)
        looker.began = None
        held.append((time.thread_time() - began, f"{what}\n{looker.seen}"))

    handle._run = measured
    try:
        yield held
    finally:
        handle._run = run
        looker.stop()
