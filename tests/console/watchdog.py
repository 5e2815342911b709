"""Measures how long callbacks hold an app's loop."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager

LIMIT = 0.050
"""Seconds: one callback that takes longer is felt."""


@contextmanager
def watchdog() -> Iterator[list[tuple[float, str]]]:
    """Measure the processor time of every callback of the loop; a busy machine makes it wait, but not work, longer."""
    held: list[tuple[float, str]] = []
    handle = asyncio.events.Handle
    run = handle._run

    def measured(self: asyncio.Handle) -> None:
        what, began = repr(self), time.thread_time()
        run(self)
        held.append((time.thread_time() - began, what))

    handle._run = measured
    try:
        yield held
    finally:
        handle._run = run
