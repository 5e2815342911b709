"""The columns of each kind, and how a row of it is made."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from mlconsole.localcluster.api.tables import policies, rows
from mlconsole.localcluster.api.tables.pods import pod_row

Object = dict[str, Any]


class Column(NamedTuple):
    """One column; those of priority 1 are shown by ``-o wide`` only."""

    name: str
    kind: str = "string"
    priority: int = 0

    def definition(self) -> Object:
        """The column as the Table object describes it."""
        form = "name" if self.name == "Name" else ""
        kind = {"name": self.name, "type": self.kind, "format": form, "description": self.name}
        return kind | {"priority": self.priority}


@dataclass(frozen=True, slots=True)
class Layout:
    """The columns of a kind and the function that fills them."""

    columns: tuple[Column, ...]
    row: Callable[[Object, datetime], list[Any]]


def _layout(notation: str, row: Callable[[Object, datetime], list[Any]]) -> Layout:
    """Columns separated by commas; ``#`` marks an integer, ``+`` a column of ``-o wide``."""
    columns = []
    for word in notation.split(","):
        name = word.strip()
        wide, number = name.startswith("+"), name.lstrip("+").startswith("#")
        columns.append(Column(name.lstrip("+#"), "integer" if number else "string", int(wide)))
    return Layout(tuple(columns), row)


DEFAULT = _layout("Name, Created At", rows.plain)

LAYOUTS: dict[str, Layout] = {
    "Pod": _layout("Name, Ready, Status, Restarts, Age, +IP, +Node, +Nominated Node, +Readiness Gates", pod_row),
    "Deployment": _layout(
        "Name, Ready, #Up-to-date, #Available, Age, +Containers, +Images, +Selector", rows.deployment
    ),
    "ReplicaSet": _layout("Name, #Desired, #Current, #Ready, Age, +Containers, +Images, +Selector", rows.replica_set),
    "StatefulSet": _layout("Name, Ready, Age, +Containers, +Images", rows.stateful_set),
    "DaemonSet": _layout(
        "Name, #Desired, #Current, #Ready, #Up-to-date, #Available, Node Selector, Age, "
        "+Containers, +Images, +Selector",
        rows.daemon_set,
    ),
    "Job": _layout("Name, Status, Completions, Duration, Age, +Containers, +Images, +Selector", rows.job),
    "Service": _layout("Name, Type, Cluster-IP, External-IP, Port(s), Age, +Selector", rows.service),
    "ConfigMap": _layout("Name, #Data, Age", rows.config_map),
    "Secret": _layout("Name, Type, #Data, Age", rows.secret),
    "Node": _layout(
        "Name, Status, Roles, Age, Version, +Internal-IP, +External-IP, +OS-Image, +Kernel-Version, +Container-Runtime",
        rows.node,
    ),
    "Namespace": _layout("Name, Status, Age", rows.namespace),
    "Event": _layout(
        "Last Seen, Type, Reason, Object, +Subobject, +Source, Message, +First Seen, +#Count, +Name", rows.event
    ),
    "Endpoints": _layout("Name, Endpoints, Age", rows.endpoints),
    "EndpointSlice": _layout("Name, AddressType, Ports, Endpoints, Age", rows.endpoint_slice),
    "ServiceAccount": _layout("Name, #Secrets, Age", rows.service_account),
    "PersistentVolumeClaim": _layout(
        "Name, Status, Volume, Capacity, Access Modes, StorageClass, VolumeAttributesClass, Age, +VolumeMode",
        rows.claim,
    ),
    "ResourceQuota": _layout("Name, Request, Limit, Age", rows.quota),
    "ControllerRevision": _layout("Name, Controller, #Revision, Age", policies.controller_revision),
    "Ingress": _layout("Name, Class, Hosts, Address, Ports, Age", policies.ingress),
    "IngressClass": _layout("Name, Controller, Parameters, Age", policies.ingress_class),
    "NetworkPolicy": _layout("Name, Pod-Selector, Age", policies.network_policy),
    "HorizontalPodAutoscaler": _layout(
        "Name, Reference, Targets, MinPods, #MaxPods, #Replicas, Age", policies.autoscaler
    ),
    "PodDisruptionBudget": _layout(
        "Name, Min Available, Max Unavailable, #Allowed Disruptions, Age", policies.disruption_budget
    ),
    "RoleBinding": _layout("Name, Role, Age, +Users, +Groups, +ServiceAccounts", policies.binding),
    "ClusterRoleBinding": _layout("Name, Role, Age, +Users, +Groups, +ServiceAccounts", policies.binding),
    "StorageClass": _layout(
        "Name, Provisioner, ReclaimPolicy, VolumeBindingMode, AllowVolumeExpansion, Age", policies.storage_class
    ),
    "PriorityClass": _layout("Name, #Value, Global-Default, Age, PreemptionPolicy", policies.priority_class),
    "PersistentVolume": _layout(
        "Name, Capacity, Access Modes, Reclaim Policy, Status, Claim, StorageClass, VolumeAttributesClass, Reason, "
        "Age, +VolumeMode",
        policies.volume,
    ),
    "CronJob": _layout(
        "Name, Schedule, Timezone, Suspend, #Active, Last Schedule, Age, +Containers, +Images, +Selector",
        policies.cron_job,
    ),
    "Lease": _layout("Name, Holder, Age", rows.lease),
}
