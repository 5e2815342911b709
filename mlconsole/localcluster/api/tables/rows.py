"""The cells of every kind but pods."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from mlconsole.localcluster.api.tables.cells import Object, age, name, part
from mlconsole.localcluster.api.tables.durations import UNKNOWN, human_duration, parse_time, since

NONE = "<none>"


def plain(obj: Object, now: datetime) -> list[Any]:
    """Name and creation time: the row of a kind without columns of its own."""
    return [name(obj), part(obj, "metadata").get("creationTimestamp")]


def selector_text(selector: Any) -> str:
    """A label selector object in the words of ``kubectl get -l``."""
    if not isinstance(selector, dict) or not selector:
        return NONE
    parts = [f"{key}={value}" for key, value in sorted((selector.get("matchLabels") or {}).items())]
    for item in selector.get("matchExpressions") or []:
        key, listed = item.get("key", ""), ",".join(sorted(item.get("values") or []))
        words = {"In": f"{key} in ({listed})", "NotIn": f"{key} notin ({listed})", "Exists": key}
        parts.append(words.get(item.get("operator", ""), f"!{key}"))
    return ",".join(parts) or NONE


def _workload(spec: Object) -> list[str]:
    containers = part(part(spec, "template"), "spec").get("containers") or []
    names = ",".join(str(item.get("name", "")) for item in containers)
    images = ",".join(str(item.get("image", "")) for item in containers)
    return [names, images, selector_text(spec.get("selector"))]


def deployment(obj: Object, now: datetime) -> list[Any]:
    """READY counts ready of wanted pods."""
    spec, status = part(obj, "spec"), part(obj, "status")
    ready = f"{status.get('readyReplicas', 0)}/{spec.get('replicas', 0)}"
    counts = [status.get("updatedReplicas", 0), status.get("availableReplicas", 0)]
    return [name(obj), ready, *counts, age(obj, now), *_workload(spec)]


def replica_set(obj: Object, now: datetime) -> list[Any]:
    """Wanted, existing and ready pods."""
    spec, status = part(obj, "spec"), part(obj, "status")
    counts = [spec.get("replicas", 0), status.get("replicas", 0), status.get("readyReplicas", 0)]
    return [name(obj), *counts, age(obj, now), *_workload(spec)]


def stateful_set(obj: Object, now: datetime) -> list[Any]:
    """Ready of wanted pods."""
    spec, status = part(obj, "spec"), part(obj, "status")
    ready = f"{status.get('readyReplicas', 0)}/{spec.get('replicas', 0)}"
    return [name(obj), ready, age(obj, now), *_workload(spec)[:2]]


def daemon_set(obj: Object, now: datetime) -> list[Any]:
    """Wanted, existing, ready, updated and available pods, and where they go."""
    spec, status = part(obj, "spec"), part(obj, "status")
    names = ("desiredNumberScheduled", "currentNumberScheduled", "numberReady", "updatedNumberScheduled")
    counts = [status.get(name, 0) for name in (*names, "numberAvailable")]
    nodes = part(part(part(spec, "template"), "spec"), "nodeSelector")
    where = ",".join(f"{key}={value}" for key, value in sorted(nodes.items())) or NONE
    return [name(obj), *counts, where, age(obj, now), *_workload(spec)]


def job(obj: Object, now: datetime) -> list[Any]:
    """STATUS is the final condition where there is one."""
    spec, status = part(obj, "spec"), part(obj, "status")
    succeeded, parallelism = status.get("succeeded", 0), spec.get("parallelism") or 0
    if spec.get("completions") is not None:
        completions = f"{succeeded}/{spec['completions']}"
    else:
        completions = f"{succeeded}/1 of {parallelism}" if parallelism > 1 else f"{succeeded}/1"
    return [name(obj), _job_status(obj), completions, _job_duration(status, now), age(obj, now), *_workload(spec)]


def _job_status(obj: Object) -> str:
    conditions = part(obj, "status").get("conditions") or []
    true = {item.get("type") for item in conditions if item.get("status") == "True"}
    if part(obj, "metadata").get("deletionTimestamp"):
        return "Terminating"
    for condition, shown in _JOB_STATUS.items():
        if condition in true:
            return shown
    return "Running"


_JOB_STATUS = {
    "Complete": "Complete",
    "Failed": "Failed",
    "Suspended": "Suspended",
    "FailureTarget": "FailureTarget",
    "SuccessCriteriaMet": "SuccessCriteriaMet",
}


def _job_duration(status: Object, now: datetime) -> str:
    started = parse_time(status.get("startTime"))
    if started is None:
        return ""
    ended = parse_time(status.get("completionTime")) or now
    return human_duration(int((ended - started).total_seconds()))


def service(obj: Object, now: datetime) -> list[Any]:
    """CLUSTER-IP and the ports at which the service answers."""
    spec = part(obj, "spec")
    ports = [
        f"{port.get('port')}{':' + str(port['nodePort']) if port.get('nodePort') else ''}/{port.get('protocol')}"
        for port in spec.get("ports") or []
    ]
    selector = ",".join(f"{key}={value}" for key, value in sorted(part(spec, "selector").items()))
    cells = [spec.get("type"), spec.get("clusterIP") or NONE, _external(obj), ",".join(ports) or NONE]
    return [name(obj), *cells, age(obj, now), selector or NONE]


def _external(obj: Object) -> str:
    spec = part(obj, "spec")
    if spec.get("type") == "ExternalName":
        return str(spec.get("externalName", NONE))
    addresses = list(spec.get("externalIPs") or [])
    if spec.get("type") == "LoadBalancer":
        ingress = part(part(obj, "status"), "loadBalancer").get("ingress") or []
        addresses += [item.get("ip") or item.get("hostname") or "" for item in ingress]
        return ",".join(addresses) or "<pending>"
    return ",".join(addresses) or NONE


def config_map(obj: Object, now: datetime) -> list[Any]:
    """How many keys it has."""
    return [name(obj), len(part(obj, "data")) + len(part(obj, "binaryData")), age(obj, now)]


def secret(obj: Object, now: datetime) -> list[Any]:
    """Its type and how many keys it has."""
    return [name(obj), obj.get("type", ""), len(part(obj, "data")), age(obj, now)]


def node(obj: Object, now: datetime) -> list[Any]:
    """Ready or not, and what runs on it."""
    spec, status = part(obj, "spec"), part(obj, "status")
    ready = next((c for c in status.get("conditions") or [] if c.get("type") == "Ready"), None)
    words = ["Unknown" if ready is None else "Ready" if ready.get("status") == "True" else "NotReady"]
    words += ["SchedulingDisabled"] if spec.get("unschedulable") else []
    prefix = "node-role.kubernetes.io/"
    labels = part(part(obj, "metadata"), "labels")
    roles = sorted(key.removeprefix(prefix) for key in labels if key.startswith(prefix))
    info = part(status, "nodeInfo")
    addresses = {item.get("type"): item.get("address") for item in status.get("addresses") or []}
    return [
        name(obj),
        ",".join(words),
        ",".join(roles) or NONE,
        age(obj, now),
        info.get("kubeletVersion", ""),
        addresses.get("InternalIP", NONE),
        addresses.get("ExternalIP", NONE),
        info.get("osImage") or UNKNOWN,
        info.get("kernelVersion") or UNKNOWN,
        info.get("containerRuntimeVersion") or UNKNOWN,
    ]


def namespace(obj: Object, now: datetime) -> list[Any]:
    """Active or Terminating."""
    return [name(obj), part(obj, "status").get("phase", ""), age(obj, now)]


def event(obj: Object, now: datetime) -> list[Any]:
    """What happened to which object."""
    about, source = part(obj, "involvedObject"), part(obj, "source")
    first = obj.get("firstTimestamp") or obj.get("eventTime")
    last = obj.get("lastTimestamp") or first
    origin = source.get("component") or obj.get("reportingComponent") or ""
    if source.get("host") or obj.get("reportingInstance"):
        origin += f", {source.get('host') or obj.get('reportingInstance')}"
    return [
        since(last, now),
        obj.get("type", ""),
        obj.get("reason", ""),
        f"{str(about.get('kind', '')).lower()}/{about.get('name', '')}",
        about.get("fieldPath", ""),
        origin,
        str(obj.get("message", "")).strip(),
        since(first, now),
        obj.get("count") or 1,
        name(obj),
    ]


def endpoints(obj: Object, now: datetime) -> list[Any]:
    """At most three addresses, as kubectl prints them."""
    places: list[str] = []
    for subset in obj.get("subsets") or []:
        addresses = [item.get("ip", "") for item in subset.get("addresses") or []]
        ports = subset.get("ports") or []
        places += [f"{address}:{port.get('port')}" for port in ports for address in addresses] if ports else addresses
    return [name(obj), _shortened(places), age(obj, now)]


def _shortened(items: list[str]) -> str:
    if not items:
        return NONE
    more = f" + {len(items) - 3} more..." if len(items) > 3 else ""
    return ",".join(items[:3]) + more


def endpoint_slice(obj: Object, now: datetime) -> list[Any]:
    """Ports and addresses."""
    ports = [str(port.get("port", "*")) for port in obj.get("ports") or []]
    addresses = [address for item in obj.get("endpoints") or [] for address in item.get("addresses") or []]
    unset = "<unset>"
    shown = [_shortened(ports) if ports else unset, _shortened(addresses) if addresses else unset]
    return [name(obj), obj.get("addressType", ""), *shown, age(obj, now)]


def service_account(obj: Object, now: datetime) -> list[Any]:
    """How many secrets it names."""
    return [name(obj), len(obj.get("secrets") or []), age(obj, now)]


_ACCESS = {"ReadWriteOnce": "RWO", "ReadOnlyMany": "ROX", "ReadWriteMany": "RWX", "ReadWriteOncePod": "RWOP"}


def claim(obj: Object, now: datetime) -> list[Any]:
    """A claim and the volume bound to it."""
    spec, status = part(obj, "spec"), part(obj, "status")
    bound = bool(spec.get("volumeName"))
    capacity = part(status, "capacity").get("storage", "") if bound else ""
    modes = ",".join(_ACCESS.get(mode, mode) for mode in status.get("accessModes") or []) if bound else ""
    classes = [spec.get("storageClassName", ""), spec.get("volumeAttributesClassName") or "<unset>"]
    cells = [status.get("phase", ""), spec.get("volumeName", ""), capacity, modes, *classes]
    return [name(obj), *cells, age(obj, now), spec.get("volumeMode", "")]


def quota(obj: Object, now: datetime) -> list[Any]:
    """What is used of what there is; limits in a column of their own."""
    status = part(obj, "status")
    hard, used = part(status, "hard"), part(status, "used")
    told = [(name, f"{name}: {used.get(name, 0)}/{hard[name]}") for name in sorted(hard)]
    limits = ", ".join(text for name, text in told if name.startswith("limits"))
    return [name(obj), ", ".join(text for name, text in told if not name.startswith("limits")), limits, age(obj, now)]


def lease(obj: Object, now: datetime) -> list[Any]:
    """Who holds it."""
    return [name(obj), part(obj, "spec").get("holderIdentity", ""), age(obj, now)]
