"""The watcher under fire: whatever goes wrong, in the end it is right, and meanwhile it never claims what is not so."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import NamedTuple

import pytest

from mlconsole.services.kubernetes.connection import Connection
from mlconsole.services.kubernetes.pace import Pace
from mlconsole.services.kubernetes.watch import PodWatcher
from tests.services.kubernetes.chaos import ChaoticCluster, Write

FAULTS = 1000
QUICK = Pace(
    first_delay=0.005,
    longest_delay=0.015,
    calm=0.5,
    forbidden_delay=0.02,
    answer=0.25,
    silence=0.2,
    settle=0.1,
    relist_after=0.4,
    batch=0.02,
)
SLACK = 1.0
"""Seconds that a busy machine may let a thread wait."""


class Seen(NamedTuple):
    """What the watcher showed at a moment: its state, and the version of each pod."""

    at: float
    state: str
    versions: dict[str, int]


class Witness(threading.Thread):
    """Notes what a watcher shows, all the time."""

    def __init__(self, watcher: PodWatcher) -> None:
        super().__init__(daemon=True)
        self.seen: list[Seen] = []
        self._watcher = watcher
        self._over = threading.Event()

    def run(self) -> None:
        while not self._over.wait(0.015):
            self.seen.append(self.look())

    def look(self) -> Seen:
        moment = time.monotonic()
        state = self._watcher.snapshot().watch.state
        pods = self._watcher.pods()
        return Seen(moment, state, {uid: int(pod.metadata.resource_version) for uid, pod in pods.items()})

    def end(self) -> None:
        self._over.set()
        self.join()

    @property
    def longest_pause(self) -> float:
        """So long the machine let this thread wait, and so may have any other."""
        return max((later.at - earlier.at for earlier, later in pairwise(self.seen)), default=0.0)


def lies(seen: list[Seen], writes: list[Write], limit: float) -> list[str]:
    """Where something live was older than the limit: a pod's version of before, or a pod that was gone by then."""
    found, known, position = [], dict[str, int](), 0
    for look in seen:
        while position < len(writes) and writes[position].at <= look.at - limit:
            known[writes[position].uid] = writes[position].version
            position += 1
        if look.state != "live":
            continue
        for uid, version in known.items():
            shown = look.versions.get(uid)
            if (shown is not None) if version == 0 else (shown is not None and shown < version):
                found.append(f"at {look.at:.2f} pod {uid} was shown as of {shown}, but was at {version}")
        last = {write.uid: write.version for write in writes if write.at <= look.at + SLACK}
        missing = [uid for uid, version in known.items() if version and last[uid] and uid not in look.versions]
        found += [f"at {look.at:.2f} pod {uid} was not shown" for uid in missing]
    return found


def test_the_judge_of_the_test_below_sees_old_missing_and_gone_pods() -> None:
    writes = [Write(0, "a", 1), Write(0, "b", 2), Write(1, "a", 3), Write(2, "b", 0)]
    assert lies([Seen(1.5, "live", {"a": 1, "b": 2})], writes, 1) == []
    assert len(lies([Seen(2.5, "live", {"a": 1, "b": 2})], writes, 1)) == 1
    assert len(lies([Seen(3.5, "live", {"a": 3, "b": 2})], writes, 1)) == 1
    assert len(lies([Seen(0.9, "live", {"b": 2})], writes, 0.5)) == 1
    assert lies([Seen(9, "reconnecting", {"b": 2})], writes, 1) == []


@pytest.mark.end_to_end
def test_the_cluster_of_the_test_below_is_there_when_it_settles_amid_a_restart(tmp_path: Path) -> None:
    cluster = ChaoticCluster(tmp_path, Random(1), FAULTS)
    try:
        deadline = time.monotonic() + 100
        while not cluster.counts["restart"]:
            assert time.monotonic() < deadline
            time.sleep(0.001)
        cluster.settle()
        with contextlib.closing(Connection.open(kubeconfig=cluster.kubeconfig)) as connection:
            assert b'"gitVersion"' in connection.request("GET", "/version")
    finally:
        cluster.close()


@pytest.mark.end_to_end
@pytest.mark.timeout(500)
def test_a_thousand_faults_leave_the_right_pods_and_nothing_old_was_called_live(tmp_path: Path) -> None:
    seed = int(os.environ.get("CHAOS_SEED", time.time_ns() % 100_000))
    print(f"CHAOS_SEED={seed}")  # noqa: T201 - pytest shows it where the test fails
    cluster = ChaoticCluster(tmp_path, Random(seed), FAULTS)
    watcher = PodWatcher(lambda: Connection.open(kubeconfig=cluster.kubeconfig), "", lambda: None, pace=QUICK)
    witness = Witness(watcher)
    try:
        watcher.start()
        witness.start()
        deadline = time.monotonic() + 300
        while cluster.faults < FAULTS:
            assert time.monotonic() < deadline, f"only {cluster.faults} faults in time: {cluster.counts}"
            time.sleep(0.02)
        truth = cluster.settle()
        deadline = time.monotonic() + 90
        while (last := witness.look()).state != "live" or last.versions != truth:
            assert time.monotonic() < deadline, f"it stays {last.state} with other pods than the server's"
            time.sleep(0.02)
    finally:
        witness.end()
        watcher.stop()
        cluster.close()
    limit = QUICK.limit + SLACK + 2 * witness.longest_pause
    assert lies(witness.seen, cluster.writes, limit) == [], (
        f"the witness waited for up to {witness.longest_pause:.2f} s"
    )
    states = {look.state for look in witness.seen}
    assert {"live", "reconnecting"} <= states
    assert sum(look.state == "live" for look in witness.seen) > len(witness.seen) / 10
