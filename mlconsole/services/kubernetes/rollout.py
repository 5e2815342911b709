"""Follows rollouts to their end, and says early why one will not get there.

kubectl waits for the progress deadline while a pod crashes again and again, and then gives no reason. Here the pods
of the newest revision are looked at all the while.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from mlconsole.errors import Cancelled, WrongUse
from mlconsole.evidence.cluster import RolloutProgress, RolloutVerdict, WorkloadRef
from mlconsole.services.kubernetes.documents import Manifest
from mlconsole.services.kubernetes.follower import Follower

if TYPE_CHECKING:
    from mlconsole.services.kubernetes.connection import Connection

FOLLOWED_KINDS = ("Deployment", "StatefulSet", "DaemonSet", "Job", "Rollout")
LOOK_SECONDS = 0.5


def workloads_of(manifests: Sequence[Manifest]) -> tuple[WorkloadRef, ...]:
    """Return the workloads among the manifests whose rollout can be followed."""
    return tuple(
        WorkloadRef(kind=manifest.kind, name=manifest.name, namespace=manifest.namespace)
        for manifest in manifests
        if manifest.kind in FOLLOWED_KINDS
    )


def follow(
    connection: Connection,
    workloads: Sequence[WorkloadRef],
    *,
    report: Callable[[RolloutProgress], None],
    cancelled: threading.Event,
    timeout: float = 600,
    crash_limit: int = 3,
) -> tuple[RolloutVerdict, ...]:
    """Follow rollouts until each is done or will not get done.

    Args:
        connection: to their cluster; its namespace is theirs.
        workloads: what was applied.
        report: called in this thread whenever one of them has moved on.
        cancelled: once set, this raises Cancelled; the rollouts go on in the cluster.
        timeout: seconds after which those that are not done are given up.
        crash_limit: restarts of a container after which its crash loop is taken as final.

    Raises:
        Cancelled: see above.
        Forbidden: the workloads may not be read.
        WrongUse: a kind's rollout can't be followed.
    """
    for workload in workloads:
        if workload.kind not in FOLLOWED_KINDS:
            raise WrongUse(f"The rollout of a {workload.kind} can't be followed.")
    changed = threading.Event()
    followers = [Follower(connection, workload, changed.set, crash_limit) for workload in workloads]
    deadline = time.monotonic() + timeout
    verdicts: dict[int, RolloutVerdict] = {}
    try:
        for follower in followers:
            follower.start()
        while len(verdicts) < len(followers):
            if cancelled.is_set():
                raise Cancelled(
                    "The rollout is no longer followed.", "It goes on in the cluster; roll back if need be."
                )
            late = time.monotonic() > deadline
            for number, follower in enumerate(followers):
                if number not in verdicts:
                    verdict = follower.look(report, late, timeout)
                    if verdict is not None:
                        verdicts[number] = verdict
            if len(verdicts) < len(followers):
                _wait(changed, cancelled)
    finally:
        for follower in followers:
            follower.stop()
    return tuple(verdicts[number] for number in range(len(followers)))


def _wait(changed: threading.Event, cancelled: threading.Event) -> None:
    """Wait for a change, but not long: some causes count by how long they last."""
    until = time.monotonic() + LOOK_SECONDS
    while not changed.wait(0.05):
        if cancelled.is_set() or time.monotonic() > until:
            break
    changed.clear()
