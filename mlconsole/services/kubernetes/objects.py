"""Kubernetes objects, reduced to the fields that are read here.

Decoding these Structs costs a small part of what the client's typed models cost. Field names are the API's own, in
snake case. What a server may leave out or send as null has a default.
"""

from __future__ import annotations

from datetime import datetime
from typing import Generic, TypeVar

import msgspec

T = TypeVar("T")


class Object(msgspec.Struct, rename="camel", kw_only=True, gc=False):
    """A part of a Kubernetes object; camel case on the wire."""


class OwnerReference(Object):
    """Who made an object and deletes it with itself."""

    kind: str = ""
    name: str = ""
    uid: str = ""
    controller: bool | None = None


class Metadata(Object):
    """An object's name, identity and marks."""

    name: str = ""
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""
    generation: int = 0
    creation_timestamp: datetime | None = None
    deletion_timestamp: datetime | None = None
    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None
    owner_references: list[OwnerReference] | None = None

    @property
    def owner(self) -> OwnerReference | None:
        """The controller that owns the object, if one does."""
        return next((owner for owner in self.owner_references or () if owner.controller), None)


class Condition(Object):
    """One of an object's conditions."""

    type: str = ""
    status: str = ""
    reason: str = ""
    message: str = ""
    last_transition_time: datetime | None = None


class Waiting(Object):
    """A container that does not run yet."""

    reason: str = ""
    message: str = ""


class Running(Object):
    """A container that runs."""

    started_at: datetime | None = None


class Terminated(Object):
    """A container that ended."""

    exit_code: int = 0
    signal: int = 0
    reason: str = ""
    message: str = ""
    started_at: datetime | None = None
    finished_at: datetime | None = None


class ContainerState(Object):
    """One of the three is set, or none: then it waits."""

    waiting: Waiting | None = None
    running: Running | None = None
    terminated: Terminated | None = None


class ContainerStatus(Object):
    """How a container of a pod stands."""

    name: str = ""
    ready: bool = False
    started: bool | None = None
    restart_count: int = 0
    image: str = ""
    state: ContainerState = msgspec.field(default_factory=ContainerState)
    last_state: ContainerState = msgspec.field(default_factory=ContainerState)


class EnvironmentVariable(Object):
    """A variable of a container; `value` is empty where it comes from elsewhere."""

    name: str = ""
    value: str = ""


class ContainerPort(Object):
    """A port that a container declares."""

    name: str = ""
    container_port: int = 0


class Container(Object):
    """What a container is to run."""

    name: str = ""
    image: str = ""
    ports: list[ContainerPort] | None = None
    env: list[EnvironmentVariable] | None = None
    restart_policy: str = ""


class ReadinessGate(Object):
    """A condition that a pod has to have before it counts as ready."""

    condition_type: str = ""


class PodSpec(Object):
    """What a pod is to run, and where."""

    containers: list[Container] | None = None
    init_containers: list[Container] | None = None
    node_name: str = ""
    restart_policy: str = ""
    readiness_gates: list[ReadinessGate] | None = None


class PodStatus(Object):
    """How a pod stands."""

    phase: str = ""
    reason: str = ""
    message: str = ""
    conditions: list[Condition] | None = None
    container_statuses: list[ContainerStatus] | None = None
    init_container_statuses: list[ContainerStatus] | None = None
    pod_ip: str = msgspec.field(default="", name="podIP")


class Pod(Object):
    """A pod."""

    metadata: Metadata = msgspec.field(default_factory=Metadata)
    spec: PodSpec = msgspec.field(default_factory=PodSpec)
    status: PodStatus = msgspec.field(default_factory=PodStatus)

    def condition(self, name: str) -> Condition | None:
        """The condition of this type, if the pod has it."""
        return next((entry for entry in self.status.conditions or () if entry.type == name), None)

    @property
    def is_ready(self) -> bool:
        """Whether it takes traffic: its condition Ready is True and it is not on its way out."""
        ready = self.condition("Ready")
        return ready is not None and ready.status == "True" and self.metadata.deletion_timestamp is None

    @property
    def restart_count(self) -> int:
        """Restarts of its containers, init containers left out."""
        return sum(status.restart_count for status in self.status.container_statuses or ())


class PodTemplate(Object):
    """What the pods of a workload look like."""

    metadata: Metadata = msgspec.field(default_factory=Metadata)
    spec: PodSpec = msgspec.field(default_factory=PodSpec)


class Expression(Object):
    """One requirement of a selector, such as `tier in (a, b)`."""

    key: str = ""
    operator: str = ""
    values: list[str] | None = None


class Selector(Object):
    """A label selector."""

    match_labels: dict[str, str] | None = None
    match_expressions: list[Expression] | None = None

    def text(self) -> str:
        """The selector as `labelSelector=` takes it."""
        parts = [f"{key}={value}" for key, value in sorted((self.match_labels or {}).items())]
        for entry in self.match_expressions or ():
            values = ",".join(sorted(entry.values or ()))
            parts.append(
                {
                    "In": f"{entry.key} in ({values})",
                    "NotIn": f"{entry.key} notin ({values})",
                    "Exists": entry.key,
                    "DoesNotExist": f"!{entry.key}",
                }.get(entry.operator, entry.key)
            )
        return ",".join(parts)


class RollingUpdate(Object):
    """How a StatefulSet or DaemonSet is updated, as far as it changes what `updated` means."""

    partition: int | None = None


class UpdateStrategy(Object):
    """How a workload's pods are replaced."""

    type: str = ""
    rolling_update: RollingUpdate | None = None


class WorkloadSpec(Object):
    """What a Deployment, StatefulSet, DaemonSet, ReplicaSet or Job asks for."""

    replicas: int | None = None
    paused: bool = False
    selector: Selector | None = None
    template: PodTemplate = msgspec.field(default_factory=PodTemplate)
    update_strategy: UpdateStrategy | None = None
    completions: int | None = None
    parallelism: int | None = None
    backoff_limit: int | None = None


class WorkloadStatus(Object):
    """How a workload stands; which of the numbers are set depends on its kind."""

    observed_generation: int | str = 0
    replicas: int = 0
    updated_replicas: int = 0
    ready_replicas: int = 0
    available_replicas: int = 0
    current_replicas: int = 0
    current_revision: str = ""
    update_revision: str = ""
    current_number_scheduled: int = 0
    desired_number_scheduled: int = 0
    updated_number_scheduled: int = 0
    number_available: int = 0
    number_ready: int = 0
    active: int = 0
    ready: int = 0
    succeeded: int = 0
    failed: int = 0
    phase: str = ""
    message: str = ""
    conditions: list[Condition] | None = None

    @property
    def observed(self) -> int:
        """The generation that the controller has seen; an Argo Rollout writes it as text."""
        text = str(self.observed_generation)
        return int(text) if text.isdecimal() else 0


ARGO_REVISION = "rollout.argoproj.io/revision"


class Workload(Object):
    """A Deployment, StatefulSet, DaemonSet, ReplicaSet or Job, or an Argo Rollout (then with `status.phase`)."""

    kind: str = ""
    metadata: Metadata = msgspec.field(default_factory=Metadata)
    spec: WorkloadSpec = msgspec.field(default_factory=WorkloadSpec)
    status: WorkloadStatus = msgspec.field(default_factory=WorkloadStatus)

    def condition(self, name: str) -> Condition | None:
        """The condition of this type, if the workload has it."""
        return next((entry for entry in self.status.conditions or () if entry.type == name), None)

    @property
    def revision(self) -> int:
        """The revision of a ReplicaSet, Deployment or Rollout; 0 before its controller has set one."""
        annotations = self.metadata.annotations or {}
        text = annotations.get("deployment.kubernetes.io/revision") or annotations.get(ARGO_REVISION, "")
        return int(text) if text.isdigit() else 0


class ServicePort(Object):
    """One port of a Service."""

    name: str = ""
    port: int = 0


class ServiceSpec(Object):
    """Which pods a Service sends to."""

    selector: dict[str, str] | None = None
    ports: list[ServicePort] | None = None


class Ingress(Object):
    """Where a load balancer answers."""

    ip: str = ""
    hostname: str = ""


class LoadBalancer(Object):
    """The addresses that a load balancer was given."""

    ingress: list[Ingress] | None = None


class ServiceStatus(Object):
    """How a Service stands."""

    load_balancer: LoadBalancer = msgspec.field(default_factory=LoadBalancer)


class Service(Object):
    """A Service."""

    metadata: Metadata = msgspec.field(default_factory=Metadata)
    spec: ServiceSpec = msgspec.field(default_factory=ServiceSpec)
    status: ServiceStatus = msgspec.field(default_factory=ServiceStatus)


class ObjectReference(Object):
    """What an event is about."""

    kind: str = ""
    name: str = ""
    namespace: str = ""
    uid: str = ""


class Series(Object):
    """How often a new-style event was seen again."""

    count: int = 0
    last_observed_time: datetime | None = None


class Event(Object):
    """An event of the core group; new-style ones have `event_time` and `series` in place of count and timestamps."""

    metadata: Metadata = msgspec.field(default_factory=Metadata)
    involved_object: ObjectReference = msgspec.field(default_factory=ObjectReference)
    type: str = ""
    reason: str = ""
    message: str = ""
    count: int | None = None
    first_timestamp: datetime | None = None
    last_timestamp: datetime | None = None
    event_time: datetime | None = None
    series: Series | None = None

    @property
    def at(self) -> datetime | None:
        """When it was last seen."""
        observed = self.series.last_observed_time if self.series else None
        return observed or self.last_timestamp or self.event_time or self.metadata.creation_timestamp


class ListMetadata(msgspec.Struct, rename="camel"):
    """A list's version, and where its next page starts."""

    resource_version: str = ""
    continue_: str = msgspec.field(default="", name="continue")


class ObjectList(msgspec.Struct, Generic[T]):
    """One page of a list."""

    items: list[T] | None = None
    metadata: ListMetadata = msgspec.field(default_factory=ListMetadata)


class Cause(msgspec.Struct):
    """One of a refusal's causes, by field."""

    reason: str = ""
    message: str = ""
    field: str = ""


class StatusDetails(msgspec.Struct, rename="camel"):
    """What a refusal is about."""

    name: str = ""
    group: str = ""
    kind: str = ""
    causes: list[Cause] | None = None
    retry_after_seconds: int = 0


class Status(msgspec.Struct):
    """The answer of a server that refuses."""

    kind: str = ""
    reason: str = ""
    message: str = ""
    code: int = 0
    details: StatusDetails | None = None


class WatchEvent(msgspec.Struct):
    """One line of a watch; `object` stays raw until its type is known."""

    type: str
    object: msgspec.Raw


class Versioned(msgspec.Struct):
    """The only part of a bookmark that counts."""

    metadata: Metadata = msgspec.field(default_factory=Metadata)
