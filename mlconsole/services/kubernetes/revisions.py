"""Which replica set and which pods belong to the newest revision of a workload, and how many pods it is to have."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from mlconsole.services.kubernetes.documents import Manifest
from mlconsole.services.kubernetes.facts import SERVING_KINDS
from mlconsole.services.kubernetes.objects import Container, Pod, Workload
from mlconsole.services.kubernetes.problems import NotFound, decode
from mlconsole.services.kubernetes.resources import WORKLOADS
from mlconsole.services.kubernetes.selectors import matches

if TYPE_CHECKING:
    from mlconsole.services.kubernetes.connection import Connection


def newest_replica_set(workload: Workload, replica_sets: Iterable[Workload]) -> Workload | None:
    """Return the replica set of a workload's present template; None where there is none, or it can't be seen."""
    own = [
        entry
        for entry in replica_sets
        if entry.metadata.owner is not None and entry.metadata.owner.uid == workload.metadata.uid
    ]
    return max(own, key=lambda entry: entry.revision, default=None)


def pods_of_newest(workload: Workload, newest: Workload | None, pods: Iterable[Pod]) -> list[Pod]:
    """Return the pods of the newest revision, in order of name.

    By their owner where that is known; where replica sets may not be listed, and for a DaemonSet, by the template.

    Args:
        workload: with its kind.
        newest: its newest replica set, where it has such and it can be seen.
        pods: those that its selector matches.
    """
    owned = [pod for pod in pods if pod.metadata.owner is not None]
    if newest is not None:
        found = [pod for pod in owned if pod.metadata.owner and pod.metadata.owner.uid == newest.metadata.uid]
    elif workload.kind in ("Deployment", "Rollout"):
        found = [pod for pod in owned if _is_of_template(pod, workload)]
    else:
        found = [pod for pod in owned if pod.metadata.owner and pod.metadata.owner.uid == workload.metadata.uid]
        revision = workload.status.update_revision
        if workload.kind == "StatefulSet" and revision:
            label = "controller-revision-hash"
            found = [pod for pod in found if (pod.metadata.labels or {}).get(label) == revision]
        elif workload.kind == "DaemonSet":
            found = [pod for pod in found if _is_of_template(pod, workload)]
    return sorted(found, key=lambda pod: pod.metadata.name)


def lacks_pods(maker: Workload) -> bool:
    """Whether what makes pods (a ReplicaSet, StatefulSet, DaemonSet or Job) has fewer than it should."""
    status = maker.status
    if maker.kind == "Job":
        return not (status.active or status.succeeded or status.failed)
    if maker.kind == "DaemonSet":
        return status.current_number_scheduled < status.desired_number_scheduled
    return status.replicas < (1 if maker.spec.replicas is None else maker.spec.replicas)


def wanted_pods(connection: Connection, manifests: Sequence[Manifest], selector: str) -> int:
    """Ask how many pods the workloads want whose pods `selector` matches.

    The cluster's number counts, since the manifests may leave it to an autoscaler or to the nodes.

    Raises:
        Problem: the cluster can't be asked.
    """
    wanted = 0
    for manifest in manifests:
        template = (manifest.body.get("spec") or {}).get("template") or {}
        labels = (template.get("metadata") or {}).get("labels") or {}
        if manifest.kind not in SERVING_KINDS or not matches(selector, {key: str(labels[key]) for key in labels}):
            continue
        path = WORKLOADS[manifest.kind].path(manifest.namespace or connection.namespace, manifest.name)
        try:
            live = decode(connection.request("GET", path), Workload)
        except NotFound:
            continue
        if manifest.kind == "DaemonSet":
            wanted += live.status.desired_number_scheduled
        else:
            wanted += 1 if live.spec.replicas is None else live.spec.replicas
    return wanted


def _is_of_template(pod: Pod, workload: Workload) -> bool:
    """Whether a pod was made by a workload's present template, as far as can be told from the pod."""
    template = workload.spec.template
    for wanted, own in (
        (template.metadata.labels, pod.metadata.labels),
        (template.metadata.annotations, pod.metadata.annotations),
    ):
        if not (wanted or {}).items() <= (own or {}).items():
            return False
    containers = {entry.name: entry for entry in pod.spec.containers or ()}
    return all(_is_same(entry, containers.get(entry.name)) for entry in template.spec.containers or ())


def _is_same(wanted: Container, own: Container | None) -> bool:
    if own is None or own.image != wanted.image:
        return False
    values = {entry.name: entry.value for entry in own.env or ()}
    return all(values.get(entry.name) == entry.value for entry in wanted.env or ())
