"""How long a run of tests still takes: by what the same tests took in an earlier release, and by how this one goes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

PRIOR_SECONDS = 1.0
"""So many seconds are taken to have gone as fast as the last time: what is told of the first test alone says little."""


class TimeLeft:
    """Counts tests that are still to end, and what those took that did.

    Args:
        past: how many seconds each test took in an earlier release, by node id.
    """

    def __init__(self, past: Mapping[str, float]) -> None:
        self.past = past
        self._ended = self._unknown = 0
        self._left = 0.0
        self._took = [0.0, 0.0]
        """Seconds of the tests that ended: of those that are not known from the past, and of those that are."""
        self._took_before = 0.0

    @classmethod
    def of(cls, past: Mapping[str, float], tests: Iterable[tuple[str, float | None]]) -> TimeLeft:
        """The same of tests that are known already; their seconds, or None where they have not ended."""
        found = cls(past)
        for nodeid, seconds in tests:
            found.add(nodeid)
            if seconds is not None:
                found.end(nodeid, seconds)
        return found

    def add(self, nodeid: str) -> None:
        """One more test is to end."""
        self._wait(nodeid, 1)

    def end(self, nodeid: str, seconds: float) -> None:
        """A test has ended."""
        self._wait(nodeid, -1)
        self._ended += 1
        self._took[nodeid in self.past] += seconds
        self._took_before += self.past.get(nodeid, 0.0)

    def _wait(self, nodeid: str, sign: int) -> None:
        if (seconds := self.past.get(nodeid)) is None:
            self._unknown += sign
        else:
            self._left += sign * seconds

    def seconds(self, elapsed: float) -> float | None:
        """How many seconds it still takes from the end of the last test on; None: nobody knows.

        Args:
            elapsed: seconds from the first test's begin until the last one ended.
        """
        if not self._ended:
            return self._left if self._left and not self._unknown else None
        took = sum(self._took)
        known = elapsed * (self._took[1] / took if took else 1.0)
        left = self._left * (known + PRIOR_SECONDS) / (self._took_before + PRIOR_SECONDS)
        return max(left, 0.0) + self._unknown * elapsed / self._ended
