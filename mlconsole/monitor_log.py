"""What the monitor saw and knows, in the journal: points of the curves, and the state to go on from after a kill."""

from __future__ import annotations

from typing import TypeVar

import msgspec

from mlconsole.evidence.base import Record
from mlconsole.evidence.monitoring import MonitorPoint, MonitorState
from mlconsole.journal import Journal

KEPT_POINTS = 6_000
"""A day of a look every 15 seconds."""
TABLES_SINCE = 3
_R = TypeVar("_R", bound=Record)


class MonitorLog:
    """The monitor's tables of a project's journal."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    def save(self, point: MonitorPoint, state: MonitorState) -> None:
        """Keep a look and what is known after it: both or neither."""
        with self._journal.transaction():
            number = self._journal.keep("INSERT INTO monitor_points (body) VALUES (?)", msgspec.json.encode(point))
            self._journal.keep("DELETE FROM monitor_points WHERE id <= ?", number - KEPT_POINTS)
            self.save_state(state)

    def save_state(self, state: MonitorState) -> None:
        """Keep what is known."""
        statement = "INSERT INTO monitor_state VALUES (1, ?) ON CONFLICT DO UPDATE SET body = excluded.body"
        self._journal.keep(statement, msgspec.json.encode(state))

    def state(self) -> MonitorState | None:
        """What is known; None where nobody looked yet."""
        return next(iter(self._read(MonitorState, "SELECT body FROM monitor_state")), None)

    def points(self, most: int = 500) -> tuple[MonitorPoint, ...]:
        """The latest looks, the oldest of them first."""
        found = self._read(MonitorPoint, "SELECT body FROM monitor_points ORDER BY id DESC LIMIT ?", most)
        return tuple(reversed(found))

    def _read(self, kind: type[_R], query: str, *values: object) -> tuple[_R, ...]:
        return self._journal.kept_records("a look of the monitor", kind, TABLES_SINCE, query, *values)
