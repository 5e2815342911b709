"""How long the node waits for what; tests shorten it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Timing:
    """Seconds.

    Args:
        crash_backoff: wait before the second restart of a container; doubled with each further one.
        crash_backoff_cap: the longest such wait.
        crash_reset: a container that ran this long starts with no wait again.
        image_backoff: as crash_backoff, for images that nothing is known of.
        config_retry: wait before a missing ConfigMap or Secret is looked for again.
        settle: how long the state ``terminated`` shows before ``CrashLoopBackOff`` does.
        drain: between taking a pod out of the Services and SIGTERM.
        stop_grace: the longest grace when the whole cluster is stopped.
        job_backoff: wait before a failed pod of a Job is replaced; doubled with each failure.
        memory_check: between two looks at the memory of containers that have a limit.
    """

    crash_backoff: float = 10.0
    crash_backoff_cap: float = 300.0
    crash_reset: float = 600.0
    image_backoff: float = 10.0
    config_retry: float = 2.0
    settle: float = 1.0
    drain: float = 0.4
    stop_grace: float = 3.0
    job_backoff: float = 10.0
    memory_check: float = 1.0


class BackOff:
    """Waits that grow: none, then ``base``, doubled up to ``cap``; a long good run forgets them."""

    def __init__(self, base: float, cap: float, reset: float) -> None:
        self._base = base
        self._cap = cap
        self._reset = reset
        self._failures = 0

    def next(self, ran_for: float = 0.0) -> float:
        """The wait after a run of so many seconds."""
        if ran_for >= self._reset:
            self._failures = 0
        self._failures += 1
        return 0.0 if self._failures == 1 else float(min(self._cap, self._base * 2 ** min(self._failures - 2, 16)))


def go_duration(seconds: float) -> str:
    """A duration as Go prints it: ``10s``, ``1m20s``, ``5m0s``."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}m{rest}s" if minutes else f"{rest}s" if seconds >= 1 else f"{seconds * 1000:.0f}ms"
