"""A release's turn at a target that others release to as well: nobody gets between its plan and its ready pods."""

from __future__ import annotations

import os
import re
import socket
import time
import uuid
from types import TracebackType

from mlconsole.errors import Cancelled, Problem, Refused
from mlconsole.evidence.base import now
from mlconsole.project import Project
from mlconsole.services.kubernetes.connection import Connection, Forbidden
from mlconsole.services.kubernetes.lease import Holder, Lease, LeaseLost
from mlconsole.services.kubernetes.problems import NotFound
from mlconsole.stages.base import StageContext, needed
from mlconsole.text import duration

ASK_SECONDS = 2.0
LONGEST_WAIT = 1800.0


class OtherReleases(Refused):
    """Somebody else releases to the same place, and does not come to an end."""


def lease_name(project: Project, suffix: str = "") -> str:
    """The name of a project's lease in its namespace."""
    name = re.sub(r"[^a-z0-9-]+", "-", project.settings.name.lower()).strip("-") or "model"
    return f"mlconsole-{name[:200]}{suffix}"


def this_holder(who: str, what: str) -> str:
    """A name for this process that no other has, and that tells people who it is."""
    return f"{who}@{socket.gethostname()}, {what} ({os.getpid()}-{uuid.uuid4().hex[:6]})"


def holder_words(holder: Holder) -> str:
    """Say who has a lease, and for how long."""
    since = f", for {duration((now() - holder.since).total_seconds())}" if holder.since else ""
    return f"{holder.name}{since}"


class Turn:
    """While it is open, this release is the only one to change its target.

    Where the credentials don't allow leases, that is told, and the journal's own lock is all there is.

    Args:
        context: of the stage that is about to change the target.
        connection: to the target; it is closed at the end.
    """

    def __init__(self, context: StageContext, connection: Connection) -> None:
        self._context, self._connection = context, connection
        release = needed(context.release)
        self._lease = Lease(
            connection,
            lease_name(context.project),
            this_holder(release.started_by, f"release {release.number}"),
            lost=self._lost,
        )

    def __enter__(self) -> Turn:
        """Wait until it is our turn.

        Raises:
            Cancelled: the release was.
            OtherReleases: it takes too long.
        """
        told = ""
        deadline = time.monotonic() + LONGEST_WAIT
        while (holder := self._asked()) is not None:
            if holder.name != told:
                told = holder.name
                self._context.note(f"{holder_words(holder)} releases there at the moment: waiting")
            if time.monotonic() > deadline:
                raise OtherReleases(
                    f"{holder_words(holder)} releases there and does not end.", "Ask them, then resume."
                )
            if self._context.cancelled.wait(ASK_SECONDS):
                raise Cancelled
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lease.release()
        self._connection.close()

    def _asked(self) -> Holder | None:
        try:
            return self._lease.acquire()
        except (Forbidden, NotFound) as problem:
            self._context.note(f"Nothing keeps others from releasing there meanwhile: {problem.sentence}")
        except Problem:
            # a cluster that can't be asked is told of by the deploy itself, in its own words
            return None
        return None

    def _lost(self, problem: LeaseLost) -> None:
        self._context.note(f"{problem.sentence} The release ends here.")
        self._context.cancelled.set()
