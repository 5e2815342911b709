"""Where others may watch the same target, who acts is said when it changes, and not otherwise."""

from __future__ import annotations

from datetime import timedelta

import pytest

from mlconsole.evidence.base import now
from mlconsole.project import Project
from mlconsole.services.kubernetes.lease import Holder
from mlconsole.services.kubernetes.problems import Unreachable
from mlconsole.watcher.place import OneOfSeveral


class Told:
    """A lease that a test gives to somebody."""

    def __init__(self) -> None:
        self.holder: Holder | None = None
        self.problem: Unreachable | None = None

    def acquire(self) -> Holder | None:
        if self.problem is not None:
            raise self.problem
        return self.holder


def test_who_acts_is_said_once_each_time_it_changes(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    lease = Told()
    standing = OneOfSeveral(project, say=said.append)
    monkeypatch.setattr(standing, "_own_lease", lambda: lease)
    assert [standing.other(), standing.other()] == ["", ""]
    assert said == ["this watcher acts"]
    for seconds in (1, 5):
        lease.holder = Holder(name="ada", since=now() - timedelta(seconds=seconds))
        assert standing.other().startswith("another acts: ada, for ")
    assert (len(said), said[1].startswith("another acts: ada")) == (2, True)
    lease.problem = Unreachable("Can't reach the cluster.")
    assert standing.other() == "who acts is not known (Can't reach the cluster.)"
    lease.holder = lease.problem = None
    assert standing.other() == ""
    assert said[2:] == ["who acts is not known (Can't reach the cluster.)", "this watcher acts"]
