"""How long a watcher waits for what: its limits, delays that grow, and calls that are never too many."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds.

    Args:
        first_delay: before the second try of what failed; doubled, up to `longest_delay`, and jittered.
        longest_delay: between two tries, also where the server asks for more.
        calm: without a failure for so long, delays start small again.
        forbidden_delay: before what is forbidden is tried again.
        answer: without a byte of a list's answer for so long, it is given up.
        silence: a watch that says nothing for so long is dead: bookmarks come about every 60 s.
        settle: what a watch says so long after its begin is news, not what was missed before it.
        relist_after: where the objects were last known to be the cluster's longer ago than this, they are listed
            again rather than watched on.
        batch: between two calls of `on_change`.
    """

    first_delay: float = 0.8
    longest_delay: float = 30.0
    calm: float = 120.0
    forbidden_delay: float = 60.0
    answer: float = 15.0
    silence: float = 75.0
    settle: float = 1.0
    relist_after: float = 30.0
    batch: float = 0.1

    @property
    def limit(self) -> float:
        """What is called live equals what the cluster had at most so long ago."""
        return self.relist_after + self.silence + self.settle


class Backoff:
    """Delays that double, with jitter, and start small again after calm."""

    def __init__(self, pace: Pace) -> None:
        self.attempt = 0
        self._pace = pace
        self._delay = pace.first_delay
        self._last = 0.0

    def next(self) -> float:
        """The delay before the next try."""
        pace, moment = self._pace, time.monotonic()
        if moment - self._last > pace.calm + self._delay:
            self.attempt, self._delay = 0, pace.first_delay
        self._last = moment
        self.attempt += 1
        delay = self._delay * random.uniform(1, 1.5)
        self._delay = min(self._delay * 2, pace.longest_delay)
        return min(delay, pace.longest_delay)


class Notifier:
    """Calls back at once, then not again before a batch's time is over, and never forgets the last change."""

    def __init__(self, on_change: Callable[[], None], batch: float) -> None:
        self._on_change = on_change
        self._batch = batch
        self._lock = threading.Lock()
        self._last = 0.0
        self._timer: threading.Timer | None = None
        self._stopped = False

    def changed(self) -> None:
        """Something changed."""
        with self._lock:
            if self._stopped or self._timer is not None:
                return
            wait = self._last + self._batch - time.monotonic()
            if wait > 0:
                self._timer = threading.Timer(wait, self._late)
                self._timer.daemon = True
                self._timer.start()
                return
            self._last = time.monotonic()
        self._on_change()

    def stop(self) -> None:
        """Call no more."""
        with self._lock:
            self._stopped = True
            if self._timer is not None:
                self._timer.cancel()

    def _late(self) -> None:
        with self._lock:
            self._timer = None
            self._last = time.monotonic()
            if self._stopped:
                return
        self._on_change()
