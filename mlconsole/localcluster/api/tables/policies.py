"""The cells of kinds that are kept and shown, but not acted on."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from mlconsole.localcluster.api.tables.cells import Object, age, name, part
from mlconsole.localcluster.api.tables.durations import since
from mlconsole.localcluster.api.tables.rows import NONE, selector_text

UNSET = "<unset>"
_ACCESS = {"ReadWriteOnce": "RWO", "ReadOnlyMany": "ROX", "ReadWriteMany": "RWX", "ReadWriteOncePod": "RWOP"}


def controller_revision(obj: Object, now: datetime) -> list[Any]:
    """Whose template it keeps, and which one."""
    owners = part(obj, "metadata").get("ownerReferences") or []
    owner = next((item for item in owners if item.get("controller")), None)
    group = str((owner or {}).get("apiVersion", "")).rpartition("/")[0]
    shown = f"{owner['kind'].lower()}.{group}/{owner['name']}" if owner else NONE
    return [name(obj), shown, obj.get("revision", 0), age(obj, now)]


def ingress(obj: Object, now: datetime) -> list[Any]:
    """Hosts, and 443 where one of them has TLS."""
    spec = part(obj, "spec")
    hosts = [rule["host"] for rule in spec.get("rules") or [] if rule.get("host")]
    shown = ",".join(hosts[:3]) + (f" + {len(hosts) - 3} more..." if len(hosts) > 3 else "")
    ports = "80, 443" if spec.get("tls") else "80"
    return [name(obj), spec.get("ingressClassName") or NONE, shown or "*", "", ports, age(obj, now)]


def ingress_class(obj: Object, now: datetime) -> list[Any]:
    """Who serves it."""
    spec = part(obj, "spec")
    parameters = part(spec, "parameters")
    shown = f"{parameters.get('kind', '')}/{parameters.get('name', '')}" if parameters else NONE
    return [name(obj), spec.get("controller", ""), shown, age(obj, now)]


def network_policy(obj: Object, now: datetime) -> list[Any]:
    """The pods that it is about."""
    return [name(obj), selector_text(part(obj, "spec").get("podSelector")), age(obj, now)]


def autoscaler(obj: Object, now: datetime) -> list[Any]:
    """Its target; there are no metrics here, as on a cluster without a metrics server."""
    spec, status = part(obj, "spec"), part(obj, "status")
    target = part(spec, "scaleTargetRef")
    metrics = spec.get("metrics") or []
    targets = ", ".join(_metric(metric) for metric in metrics[:2])
    targets += f" + {len(metrics) - 2} more..." if len(metrics) > 2 else ""
    return [
        name(obj),
        f"{target.get('kind', '')}/{target.get('name', '')}",
        targets or NONE,
        str(spec.get("minReplicas", UNSET)),
        spec.get("maxReplicas", 0),
        status.get("currentReplicas", 0),
        age(obj, now),
    ]


def _metric(metric: Object) -> str:
    kind = str(metric.get("type", ""))
    source = part(metric, kind[:1].lower() + kind[1:])
    target = part(source, "target")
    if "averageUtilization" in target:
        return f"{source.get('name', '')}: <unknown>/{target['averageUtilization']}%"
    wanted = target.get("averageValue") or target.get("value") or ""
    return f"{source.get('name', '')}: <unknown>/{wanted}" if "name" in source else f"<unknown>/{wanted}"


def disruption_budget(obj: Object, now: datetime) -> list[Any]:
    """What may be away at once."""
    spec, status = part(obj, "spec"), part(obj, "status")
    bounds = [str(spec.get(name, "N/A")) for name in ("minAvailable", "maxUnavailable")]
    return [name(obj), *bounds, status.get("disruptionsAllowed", 0), age(obj, now)]


def binding(obj: Object, now: datetime) -> list[Any]:
    """A role and who has it."""
    role = part(obj, "roleRef")
    kinds: dict[str, list[str]] = {"User": [], "Group": [], "ServiceAccount": []}
    for subject in obj.get("subjects") or []:
        prefix = f"{subject.get('namespace', '')}/" if subject.get("kind") == "ServiceAccount" else ""
        kinds.setdefault(str(subject.get("kind")), []).append(prefix + str(subject.get("name", "")))
    who = [", ".join(kinds[kind]) for kind in ("User", "Group", "ServiceAccount")]
    return [name(obj), f"{role.get('kind', '')}/{role.get('name', '')}", age(obj, now), *who]


def storage_class(obj: Object, now: datetime) -> list[Any]:
    """How it makes volumes."""
    annotations = part(part(obj, "metadata"), "annotations")
    default = annotations.get("storageclass.kubernetes.io/is-default-class") == "true"
    return [
        name(obj) + (" (default)" if default else ""),
        obj.get("provisioner", ""),
        obj.get("reclaimPolicy", "Delete"),
        obj.get("volumeBindingMode", "Immediate"),
        str(bool(obj.get("allowVolumeExpansion"))).lower(),
        age(obj, now),
    ]


def priority_class(obj: Object, now: datetime) -> list[Any]:
    """Its value."""
    default = str(bool(obj.get("globalDefault"))).lower()
    return [name(obj), obj.get("value", 0), default, age(obj, now), obj.get("preemptionPolicy", "")]


def volume(obj: Object, now: datetime) -> list[Any]:
    """A volume and the claim that has it."""
    spec, status = part(obj, "spec"), part(obj, "status")
    claim = part(spec, "claimRef")
    return [
        name(obj),
        part(spec, "capacity").get("storage", ""),
        ",".join(_ACCESS.get(mode, mode) for mode in spec.get("accessModes") or []),
        spec.get("persistentVolumeReclaimPolicy", ""),
        status.get("phase", ""),
        f"{claim.get('namespace', '')}/{claim.get('name', '')}" if claim else "",
        spec.get("storageClassName", ""),
        spec.get("volumeAttributesClassName") or UNSET,
        status.get("reason", ""),
        age(obj, now),
        spec.get("volumeMode", UNSET),
    ]


def cron_job(obj: Object, now: datetime) -> list[Any]:
    """When it runs, and how many do."""
    spec, status = part(obj, "spec"), part(obj, "status")
    last = status.get("lastScheduleTime")
    pod = part(part(part(part(spec, "jobTemplate"), "spec"), "template"), "spec")
    containers = pod.get("containers") or []
    return [
        name(obj),
        spec.get("schedule", ""),
        spec.get("timeZone") or NONE,
        {True: "True", False: "False"}.get(bool(spec.get("suspend")), ""),
        len(status.get("active") or []),
        since(last, now) if last else NONE,
        age(obj, now),
        ",".join(str(item.get("name", "")) for item in containers),
        ",".join(str(item.get("image", "")) for item in containers),
        selector_text(part(part(spec, "jobTemplate"), "spec").get("selector")),
    ]
