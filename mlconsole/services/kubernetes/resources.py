"""From a kind to its path in the API: a table of the usual kinds, and discovery for all others."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

import msgspec

from mlconsole.evidence.base import Record
from mlconsole.services.kubernetes.problems import NotFound

if TYPE_CHECKING:
    from mlconsole.services.kubernetes.connection import Connection


class Resource(Record, frozen=True, kw_only=True):
    """How the API serves a kind: `deployments` of `apps/v1`, in namespaces."""

    group_version: str
    kind: str
    plural: str
    namespaced: bool = True

    @property
    def group(self) -> str:
        """The API group; empty for the core group."""
        return self.group_version.rpartition("/")[0]

    def path(self, namespace: str = "", name: str = "") -> str:
        """The path of the whole collection, or of one object."""
        root = "/apis/" if "/" in self.group_version else "/api/"
        where = f"/namespaces/{quote(namespace, safe='')}" if self.namespaced and namespace else ""
        return f"{root}{self.group_version}{where}/{self.plural}" + (f"/{quote(name, safe=':')}" if name else "")


def _table(group_version: str, namespaced: bool, **kinds: str) -> list[Resource]:
    return [
        Resource(group_version=group_version, kind=kind, plural=plural, namespaced=namespaced)
        for kind, plural in kinds.items()
    ]


KNOWN = {
    (entry.group_version, entry.kind): entry
    for entry in (
        *_table(
            "v1",
            True,
            Pod="pods",
            Service="services",
            ConfigMap="configmaps",
            Secret="secrets",
            ServiceAccount="serviceaccounts",
            PersistentVolumeClaim="persistentvolumeclaims",
            ReplicationController="replicationcontrollers",
            ResourceQuota="resourcequotas",
            LimitRange="limitranges",
            Event="events",
            Endpoints="endpoints",
        ),
        *_table("v1", False, Namespace="namespaces", Node="nodes", PersistentVolume="persistentvolumes"),
        *_table(
            "apps/v1",
            True,
            Deployment="deployments",
            ReplicaSet="replicasets",
            StatefulSet="statefulsets",
            DaemonSet="daemonsets",
        ),
        *_table("batch/v1", True, Job="jobs", CronJob="cronjobs"),
        *_table("networking.k8s.io/v1", True, Ingress="ingresses", NetworkPolicy="networkpolicies"),
        *_table("networking.k8s.io/v1", False, IngressClass="ingressclasses"),
        *_table("policy/v1", True, PodDisruptionBudget="poddisruptionbudgets"),
        *_table("autoscaling/v2", True, HorizontalPodAutoscaler="horizontalpodautoscalers"),
        *_table("rbac.authorization.k8s.io/v1", True, Role="roles", RoleBinding="rolebindings"),
        *_table(
            "rbac.authorization.k8s.io/v1", False, ClusterRole="clusterroles", ClusterRoleBinding="clusterrolebindings"
        ),
        *_table("apiextensions.k8s.io/v1", False, CustomResourceDefinition="customresourcedefinitions"),
        *_table("storage.k8s.io/v1", False, StorageClass="storageclasses"),
        *_table("scheduling.k8s.io/v1", False, PriorityClass="priorityclasses"),
        *_table("argoproj.io/v1alpha1", True, Rollout="rollouts"),
    )
}

PODS = KNOWN["v1", "Pod"]
EVENTS = KNOWN["v1", "Event"]
SERVICES = KNOWN["v1", "Service"]
DEPLOYMENTS = KNOWN["apps/v1", "Deployment"]
REPLICA_SETS = KNOWN["apps/v1", "ReplicaSet"]

WORKLOADS = {
    kind: KNOWN[version, kind]
    for version, kind in (
        ("apps/v1", "Deployment"),
        ("apps/v1", "StatefulSet"),
        ("apps/v1", "DaemonSet"),
        ("apps/v1", "ReplicaSet"),
        ("batch/v1", "Job"),
        ("argoproj.io/v1alpha1", "Rollout"),
    )
}
"""Kinds that run pods and whose rollout can be followed."""


class _Entry(msgspec.Struct):
    name: str = ""
    kind: str = ""
    namespaced: bool = False


class _Discovery(msgspec.Struct):
    resources: list[_Entry] = []


def resource_of(connection: Connection, api_version: str, kind: str) -> Resource:
    """Return how the cluster serves a kind; asks the cluster only for those that are not in the table.

    Raises:
        NotFound: the cluster does not know it.
    """
    known = KNOWN.get((api_version, kind))
    if known is not None:
        return known
    path = f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}"
    unknown = NotFound(
        f"The cluster does not know {kind} of {api_version}.",
        "Correct apiVersion and kind in the manifest, or install the CustomResourceDefinition that defines them.",
    )
    try:
        found = msgspec.json.decode(connection.request("GET", path), type=_Discovery)
    except (NotFound, msgspec.MsgspecError) as error:
        raise unknown from error
    for entry in found.resources:
        if entry.kind == kind and "/" not in entry.name:
            return Resource(group_version=api_version, kind=kind, plural=entry.name, namespaced=entry.namespaced)
    raise unknown
