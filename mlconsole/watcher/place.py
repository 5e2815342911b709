"""Where the watcher stands: alone on a local cluster, or one of several that may watch a shared target."""

from __future__ import annotations

from collections.abc import Callable

from mlconsole.errors import Problem
from mlconsole.project import Project
from mlconsole.release.decisions import who_am_i
from mlconsole.services.kubernetes.connection import Connection, Forbidden
from mlconsole.services.kubernetes.lease import Lease
from mlconsole.services.kubernetes.problems import NotFound
from mlconsole.stages.target import connect
from mlconsole.stages.turn import holder_words, lease_name, this_holder
from mlconsole.watcher.standing import Alone, Standing


def standing_of(project: Project, *, say: Callable[[str], None]) -> Standing:
    """Who acts for this project's target."""
    return Alone() if project.is_local else OneOfSeveral(project, say=say)


class OneOfSeveral:
    """A watcher that acts only while it has the target's lease.

    Args:
        project: whose target.
        say: takes a line where something is worth one.
    """

    def __init__(self, project: Project, *, say: Callable[[str], None]) -> None:
        self._project, self._say = project, say
        self._holder = this_holder(who_am_i(), "watcher")
        self._connection: Connection | None = None
        self._lease: Lease | None = None
        self._allowed = True
        self._told: str | None = None

    def other(self) -> str:
        """Who else acts, or why it can't be known; empty where it is us."""
        if not self._allowed:
            return ""
        try:
            holder = self._own_lease().acquire()
        except (Forbidden, NotFound) as problem:
            self._allowed = False
            self._say(f"nothing keeps others from watching the same target: {problem.sentence}")
            return ""
        except Problem as problem:
            return self._noted(f"who acts is not known ({problem.sentence})")
        return self._noted(f"another acts: {holder_words(holder)}" if holder is not None else "")

    def close(self) -> None:
        """Let others act."""
        if self._lease is not None:
            self._lease.release()
        if self._connection is not None:
            self._connection.close()

    def _own_lease(self) -> Lease:
        if self._lease is None:
            self._connection = connect(self._project)
            name = lease_name(self._project, "-watcher")
            self._lease = Lease(self._connection, name, self._holder, lost=lambda problem: self._say(problem.sentence))
        return self._lease

    def _noted(self, words: str) -> str:
        brief = words.partition(", for ")[0]
        if brief != self._told:
            self._told = brief
            self._say(words or "this watcher acts")
        return words
