"""Values that the API server fills in where a manifest leaves them open."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

from mlconsole.localcluster.api.kinds.parts import Object, items, struct
from mlconsole.localcluster.api.kinds.policies import DEFAULTS
from mlconsole.localcluster.store import clone, random_suffix

STORAGE_CLASS = "local-folder"
"""The storage class of the claims here: each is a folder of the cluster's own."""

_PROBES = ("livenessProbe", "readinessProbe", "startupProbe")
_NODE_LIFE = ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable")


def fill(kind: str, obj: Object) -> None:
    """Fills the defaults of a kind in place; leaves alone what is set or of an unexpected type."""
    default = _BY_KIND.get(kind) or DEFAULTS.get(kind)
    if kind == "CronJob":
        _template(struct(struct(struct(obj, "spec"), "jobTemplate"), "spec"))
    if default is not None:
        default(obj)


def prepare_create(kind: str, obj: Object) -> None:
    """Fills what only a new object gets: its generated name, identity labels and its first status."""
    meta = obj["metadata"]
    if not meta.get("name") and meta.get("generateName"):
        meta["name"] = meta["generateName"] + random_suffix()
    meta["uid"] = str(uuid.uuid4())
    if kind == "Pod":
        _admit_pod(obj)
    elif kind == "Job":
        _identify_job(obj)
    elif kind == "Namespace":
        meta["labels"] = (meta.get("labels") or {}) | {"kubernetes.io/metadata.name": meta.get("name", "")}
        obj["spec"] = {"finalizers": ["kubernetes"]}
    if kind in _FIRST_STATUS:
        obj["status"] = clone(_FIRST_STATUS[kind])


_FIRST_STATUS: dict[str, Object] = {
    "CronJob": {},
    "DaemonSet": dict.fromkeys(
        ("currentNumberScheduled", "numberMisscheduled", "desiredNumberScheduled", "numberReady"), 0
    ),
    "Deployment": {},
    "HorizontalPodAutoscaler": {"currentReplicas": 0, "desiredReplicas": 0},
    "Ingress": {"loadBalancer": {}},
    "Namespace": {"phase": "Active"},
    "PersistentVolume": {"phase": "Available"},
    "PersistentVolumeClaim": {"phase": "Pending"},
    "PodDisruptionBudget": dict.fromkeys(("disruptionsAllowed", "currentHealthy", "desiredHealthy", "expectedPods"), 0),
    "ReplicaSet": {"replicas": 0},
    "Service": {"loadBalancer": {}},
    "StatefulSet": {"replicas": 0},
}
"""What a new object of a kind says of itself."""


def admit(kind: str, obj: Object) -> None:
    """Sets what the server sets for a new object behind its creator's back: nobody is recorded as its manager."""
    if kind == "PersistentVolumeClaim":
        struct(obj, "spec").setdefault("storageClassName", STORAGE_CLASS)


def bind_claim(claim: Object) -> None:
    """Binds a claim to a folder, as a cluster whose storage class makes volumes at once."""
    spec = claim["spec"]
    spec.setdefault("volumeName", f"pvc-{claim['metadata']['uid']}")
    requested = (spec.get("resources") or {}).get("requests") or {}
    claim["status"] = {"phase": "Bound", "accessModes": spec.get("accessModes") or [], "capacity": requested}


def _defaults(owner: Object, **values: Any) -> None:
    for name, value in values.items():
        owner.setdefault(name, value)


def _deployment(obj: Object) -> None:
    spec = struct(obj, "spec")
    _defaults(spec, replicas=1, revisionHistoryLimit=10, progressDeadlineSeconds=600)
    strategy = struct(spec, "strategy")
    _defaults(strategy, type="RollingUpdate")
    if strategy.get("type") == "RollingUpdate":
        _defaults(struct(strategy, "rollingUpdate"), maxUnavailable="25%", maxSurge="25%")
    _template(spec)


def _replica_set(obj: Object) -> None:
    spec = struct(obj, "spec")
    _defaults(spec, replicas=1)
    _template(spec)


def _stateful_set(obj: Object) -> None:
    spec = struct(obj, "spec")
    _defaults(spec, replicas=1, revisionHistoryLimit=10, podManagementPolicy="OrderedReady")
    strategy = struct(spec, "updateStrategy")
    _defaults(strategy, type="RollingUpdate")
    if strategy.get("type") == "RollingUpdate":
        _defaults(struct(strategy, "rollingUpdate"), partition=0)
    _defaults(struct(spec, "persistentVolumeClaimRetentionPolicy"), whenDeleted="Retain", whenScaled="Retain")
    for claim in items(spec, "volumeClaimTemplates"):
        _defaults(claim, apiVersion="v1", kind="PersistentVolumeClaim", status={"phase": "Pending"})
        _claim(claim)
    _template(spec)


def _daemon_set(obj: Object) -> None:
    spec = struct(obj, "spec")
    _defaults(spec, revisionHistoryLimit=10)
    strategy = struct(spec, "updateStrategy")
    _defaults(strategy, type="RollingUpdate")
    if strategy.get("type") == "RollingUpdate":
        _defaults(struct(strategy, "rollingUpdate"), maxUnavailable=1, maxSurge=0)
    _template(spec)


def _job(obj: Object) -> None:
    spec = struct(obj, "spec")
    if spec.get("completions") is None and spec.get("parallelism") is None:
        spec["completions"] = 1
    _defaults(
        spec,
        parallelism=1,
        backoffLimit=6,
        completionMode="NonIndexed",
        suspend=False,
        podReplacementPolicy="Failed" if spec.get("podFailurePolicy") else "TerminatingOrFailed",
    )
    _template(spec)


def _identify_job(obj: Object) -> None:
    spec, meta = obj["spec"], obj["metadata"]
    obj["status"] = {}
    if spec.get("manualSelector"):
        return
    identity = {"batch.kubernetes.io/controller-uid": meta["uid"], "batch.kubernetes.io/job-name": meta.get("name", "")}
    spec["selector"] = {"matchLabels": {"batch.kubernetes.io/controller-uid": meta["uid"]}}
    labels = struct(struct(struct(spec, "template"), "metadata"), "labels")
    labels |= identity | {"controller-uid": meta["uid"], "job-name": meta.get("name", "")}


def _template(spec: Object) -> None:
    template = struct(spec, "template")
    struct(template, "metadata")
    _pod_spec(struct(template, "spec"))


def _pod(obj: Object) -> None:
    _pod_spec(struct(obj, "spec"))


def _admit_pod(obj: Object) -> None:
    spec = obj["spec"]
    _defaults(spec, enableServiceLinks=True, priority=0, preemptionPolicy="PreemptLowerPriority")
    _defaults(spec, serviceAccountName="default", automountServiceAccountToken=False)
    spec.setdefault("serviceAccount", spec["serviceAccountName"])
    tolerations = spec.setdefault("tolerations", [])
    for key in _NODE_LIFE:
        if not any(item.get("key") == key for item in tolerations):
            tolerations.append({"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300})
    obj["status"] = {"phase": "Pending", "qosClass": qos_class(spec)}


def qos_class(spec: Object) -> str:
    """Guaranteed, Burstable or BestEffort, by the containers' requests and limits of cpu and memory."""
    containers = items(spec, "containers") + items(spec, "initContainers")
    resources = [container.get("resources") or {} for container in containers]
    if not any(part.get(name) for part in resources for name in ("requests", "limits")):
        return "BestEffort"
    full = all({"cpu", "memory"} <= (part.get("limits") or {}).keys() for part in resources)
    equal = all((part.get("requests") or {}).items() <= (part.get("limits") or {}).items() for part in resources)
    return "Guaranteed" if full and equal else "Burstable"


def _pod_spec(spec: Object) -> None:
    _defaults(
        spec,
        restartPolicy="Always",
        terminationGracePeriodSeconds=30,
        dnsPolicy="ClusterFirst",
        schedulerName="default-scheduler",
    )
    struct(spec, "securityContext")
    for volume in items(spec, "volumes"):
        _volume(volume)
    for name in ("initContainers", "containers"):
        for container in items(spec, name):
            _container(container)


def _volume(volume: Object) -> None:
    if len(volume) == 1 and "name" in volume:
        volume["emptyDir"] = {}
    for name in ("configMap", "secret", "projected", "downwardAPI"):
        if isinstance(volume.get(name), dict):
            volume[name].setdefault("defaultMode", 420)
    if isinstance(volume.get("hostPath"), dict):
        volume["hostPath"].setdefault("type", "")


def _container(container: Object) -> None:
    resources = struct(container, "resources")
    if isinstance(resources.get("limits"), dict):
        requests = struct(resources, "requests")
        _defaults(requests, **resources["limits"])
    _defaults(
        container,
        terminationMessagePath="/dev/termination-log",
        terminationMessagePolicy="File",
        imagePullPolicy=_pull_policy(str(container.get("image") or "")),
    )
    for port in items(container, "ports"):
        port.setdefault("protocol", "TCP")
    for variable in items(container, "env"):
        _environment(variable)
    for name in _PROBES:
        if isinstance(container.get(name), dict):
            _probe(container[name])
    lifecycle = container.get("lifecycle")
    if isinstance(lifecycle, dict):
        for name in ("postStart", "preStop"):
            _http_get(lifecycle.get(name) or {})


def _pull_policy(image: str) -> str:
    if "@" in image:
        return "IfNotPresent"
    _, _, tag = image.rpartition("/")[2].partition(":")
    return "Always" if tag in ("", "latest") else "IfNotPresent"


def _environment(variable: Object) -> None:
    source = variable.get("valueFrom")
    if isinstance(source, dict) and isinstance(source.get("fieldRef"), dict):
        source["fieldRef"].setdefault("apiVersion", "v1")


def _probe(probe: Object) -> None:
    _http_get(probe)
    _defaults(probe, timeoutSeconds=1, periodSeconds=10, successThreshold=1, failureThreshold=3)


def _http_get(handler: Object) -> None:
    action = handler.get("httpGet")
    if isinstance(action, dict):
        _defaults(action, path="/", scheme="HTTP")


def _service(obj: Object) -> None:
    spec = struct(obj, "spec")
    _defaults(spec, type="ClusterIP", sessionAffinity="None")
    if spec["type"] != "ExternalName":
        _defaults(spec, internalTrafficPolicy="Cluster", ipFamilies=["IPv4"], ipFamilyPolicy="SingleStack")
    if spec["type"] in ("NodePort", "LoadBalancer"):
        _defaults(spec, externalTrafficPolicy="Cluster")
    if spec["type"] == "LoadBalancer":
        _defaults(spec, allocateLoadBalancerNodePorts=True)
    for port in items(spec, "ports"):
        port.setdefault("protocol", "TCP")
        if "port" in port:
            port.setdefault("targetPort", port["port"])


def _secret(obj: Object) -> None:
    import base64

    obj.setdefault("type", "Opaque")
    plain = obj.pop("stringData", None)
    if isinstance(plain, dict):
        encoded = {key: base64.b64encode(str(value).encode()).decode() for key, value in plain.items()}
        obj["data"] = (obj.get("data") or {}) | encoded


def _claim(obj: Object) -> None:
    _defaults(struct(obj, "spec"), volumeMode="Filesystem")


def _event(obj: Object) -> None:
    for name in ("involvedObject", "source"):
        struct(obj, name)
    for name in ("firstTimestamp", "lastTimestamp", "eventTime"):
        obj.setdefault(name, None)
    for name in ("reportingComponent", "reportingInstance"):
        obj.setdefault(name, "")


_BY_KIND: dict[str, Callable[[Object], None]] = {
    "Deployment": _deployment,
    "ReplicaSet": _replica_set,
    "StatefulSet": _stateful_set,
    "DaemonSet": _daemon_set,
    "Job": _job,
    "Pod": _pod,
    "Service": _service,
    "Secret": _secret,
    "PersistentVolumeClaim": _claim,
    "Event": _event,
}
