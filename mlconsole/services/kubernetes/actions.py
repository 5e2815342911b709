"""Small changes that a person makes by hand: delete a pod, scale, restart."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from mlconsole.errors import WrongUse
from mlconsole.evidence.base import now
from mlconsole.evidence.cluster import WorkloadRef
from mlconsole.services.kubernetes.objects import Workload
from mlconsole.services.kubernetes.problems import decode
from mlconsole.services.kubernetes.resources import PODS, WORKLOADS, Resource

if TYPE_CHECKING:
    from mlconsole.services.kubernetes.connection import Connection

MERGE_TYPE = "application/merge-patch+json"
SCALED = ("Deployment", "StatefulSet", "ReplicaSet")
RESTARTED_AT = "kubectl.kubernetes.io/restartedAt"


def delete_pod(connection: Connection, namespace: str, name: str) -> None:
    """Delete a pod; its workload makes another in its place.

    Raises:
        Problem: it is not there, or may not be deleted.
    """
    connection.request("DELETE", PODS.path(namespace, name))


def replicas_of(connection: Connection, workload: WorkloadRef) -> int:
    """Return how many pods a workload is to have.

    Raises:
        WrongUse: the kind has no replicas.
        Problem: it can't be had.
    """
    if workload.kind not in SCALED:
        raise WrongUse(f"A {workload.kind} can't be scaled.")
    data = connection.request("GET", WORKLOADS[workload.kind].path(workload.namespace, workload.name))
    wanted = decode(data, Workload).spec.replicas
    return 1 if wanted is None else wanted


def scale(connection: Connection, workload: WorkloadRef, replicas: int) -> None:
    """Set how many pods a workload is to have.

    The field then belongs to `mlconsole-scale`: a later deploy whose manifest says another number tells so.

    Raises:
        WrongUse: the number is negative, or the kind has no replicas.
        Problem: the cluster refuses.
    """
    if replicas < 0:
        raise WrongUse(f"{replicas} is no number of replicas.", "Give 0 or more.")
    if workload.kind not in SCALED:
        raise WrongUse(f"A {workload.kind} can't be scaled.")
    _patch(connection, workload, {"spec": {"replicas": replicas}}, "mlconsole-scale")


def restart(connection: Connection, workload: WorkloadRef) -> None:
    """Roll a workload's pods anew, as `kubectl rollout restart` does.

    Raises:
        WrongUse: the kind can't be restarted.
        Problem: the cluster refuses.
    """
    if workload.kind not in ("Deployment", "StatefulSet", "DaemonSet"):
        raise WrongUse(f"A {workload.kind} can't be restarted.")
    moment = now().replace(microsecond=0).isoformat().replace("+00:00", "Z")
    template = {"metadata": {"annotations": {RESTARTED_AT: moment}}}
    _patch(connection, workload, {"spec": {"template": template}}, "mlconsole-restart")


def _patch(connection: Connection, workload: WorkloadRef, body: dict[str, Any], manager: str) -> None:
    resource: Resource = WORKLOADS[workload.kind]
    connection.request(
        "PATCH",
        resource.path(workload.namespace, workload.name),
        query={"fieldManager": manager},
        body=msgspec.json.encode(body),
        content_type=MERGE_TYPE,
    )
