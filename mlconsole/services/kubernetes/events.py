"""Recent events of pods and workloads: what the cluster itself says has happened."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from mlconsole.evidence.cluster import ClusterEvent
from mlconsole.services.kubernetes.objects import Event, ObjectList
from mlconsole.services.kubernetes.pages import pages
from mlconsole.services.kubernetes.resources import EVENTS
from mlconsole.text import clean_line

if TYPE_CHECKING:
    from mlconsole.services.kubernetes.connection import Connection

SINGLE_QUERIES = 4
"""Up to so many objects are asked for one by one; for more, the whole namespace is listed once."""


def recent(connection: Connection, uids: Sequence[str], *, limit: int = 20) -> tuple[ClusterEvent, ...]:
    """Return the latest events of the objects with these uids, oldest first.

    Raises:
        Problem: they can't be listed.
    """
    return tuple(cluster_event(event) for event in in_time(fetch(connection, uids))[-limit:])


def fetch(connection: Connection, uids: Sequence[str]) -> list[Event]:
    """Return all events of these objects as the cluster has them.

    Raises:
        Problem: they can't be listed.
    """
    if len(uids) > SINGLE_QUERIES:
        wanted = set(uids)
        return [event for event in _list(connection, "") if event.involved_object.uid in wanted]
    return [event for uid in uids for event in _list(connection, f"involvedObject.uid={uid}")]


def in_time(events: Iterable[Event]) -> list[Event]:
    """Sort events by the moment at which each was last seen."""
    return sorted(events, key=lambda event: event.at.timestamp() if event.at else 0)


def cluster_event(event: Event) -> ClusterEvent:
    """Make a record of an event, its text cleaned."""
    return ClusterEvent(
        type=clean_line(event.type),
        reason=clean_line(event.reason),
        message=clean_line(event.message.strip().replace("\n", " ")),
        object=clean_line(f"{event.involved_object.kind.lower()}/{event.involved_object.name}"),
        count=times(event),
        at=event.at,
    )


def times(event: Event) -> int:
    """How often it was seen."""
    return max(event.count or 1, event.series.count if event.series else 1)


def line(event: ClusterEvent) -> str:
    """An event in one line: `Warning Unhealthy Readiness probe failed: … (x3)`."""
    return f"{event.type} {event.reason} {event.message}" + (f" (x{event.count})" if event.count > 1 else "")


def _list(connection: Connection, field_selector: str) -> list[Event]:
    query = {"fieldSelector": field_selector} if field_selector else {}
    found = pages(connection, EVENTS.path(connection.namespace), ObjectList[Event], query)
    return [event for page in found for event in page.items or ()]
