"""The cells of kinds that are kept and shown, but not acted on."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from mlconsole.localcluster.api.tables.durations import since
from mlconsole.localcluster.api.tables.rows import NONE, selector_text

Object = dict[str, Any]

UNSET = "<unset>"
_ACCESS = {"ReadWriteOnce": "RWO", "ReadOnlyMany": "ROX", "ReadWriteMany": "RWX", "ReadWriteOncePod": "RWOP"}


def _part(obj: Object, name: str) -> Object:
    value = obj.get(name)
    return value if isinstance(value, dict) else {}


def _name(obj: Object) -> str:
    return str(_part(obj, "metadata").get("name", ""))


def _age(obj: Object, now: datetime) -> str:
    return since(_part(obj, "metadata").get("creationTimestamp"), now)


def controller_revision(obj: Object, now: datetime) -> list[Any]:
    """Whose template it keeps, and which one."""
    owners = _part(obj, "metadata").get("ownerReferences") or []
    owner = next((item for item in owners if item.get("controller")), None)
    group = str((owner or {}).get("apiVersion", "")).rpartition("/")[0]
    shown = f"{owner['kind'].lower()}.{group}/{owner['name']}" if owner else NONE
    return [_name(obj), shown, obj.get("revision", 0), _age(obj, now)]


def ingress(obj: Object, now: datetime) -> list[Any]:
    """Hosts, and 443 where one of them has TLS."""
    spec = _part(obj, "spec")
    hosts = [rule["host"] for rule in spec.get("rules") or [] if rule.get("host")]
    shown = ",".join(hosts[:3]) + (f" + {len(hosts) - 3} more..." if len(hosts) > 3 else "")
    ports = "80, 443" if spec.get("tls") else "80"
    return [_name(obj), spec.get("ingressClassName") or NONE, shown or "*", "", ports, _age(obj, now)]


def ingress_class(obj: Object, now: datetime) -> list[Any]:
    """Who serves it."""
    spec = _part(obj, "spec")
    parameters = _part(spec, "parameters")
    shown = f"{parameters.get('kind', '')}/{parameters.get('name', '')}" if parameters else NONE
    return [_name(obj), spec.get("controller", ""), shown, _age(obj, now)]


def network_policy(obj: Object, now: datetime) -> list[Any]:
    """The pods that it is about."""
    return [_name(obj), selector_text(_part(obj, "spec").get("podSelector")), _age(obj, now)]


def autoscaler(obj: Object, now: datetime) -> list[Any]:
    """Its target; there are no metrics here, as on a cluster without a metrics server."""
    spec, status = _part(obj, "spec"), _part(obj, "status")
    target = _part(spec, "scaleTargetRef")
    metrics = spec.get("metrics") or []
    targets = ", ".join(_metric(metric) for metric in metrics[:2])
    targets += f" + {len(metrics) - 2} more..." if len(metrics) > 2 else ""
    return [
        _name(obj),
        f"{target.get('kind', '')}/{target.get('name', '')}",
        targets or NONE,
        str(spec.get("minReplicas", UNSET)),
        spec.get("maxReplicas", 0),
        status.get("currentReplicas", 0),
        _age(obj, now),
    ]


def _metric(metric: Object) -> str:
    kind = str(metric.get("type", ""))
    source = _part(metric, kind[:1].lower() + kind[1:])
    target = _part(source, "target")
    if "averageUtilization" in target:
        return f"{source.get('name', '')}: <unknown>/{target['averageUtilization']}%"
    wanted = target.get("averageValue") or target.get("value") or ""
    return f"{source.get('name', '')}: <unknown>/{wanted}" if "name" in source else f"<unknown>/{wanted}"


def disruption_budget(obj: Object, now: datetime) -> list[Any]:
    """What may be away at once."""
    spec, status = _part(obj, "spec"), _part(obj, "status")
    bounds = [str(spec.get(name, "N/A")) for name in ("minAvailable", "maxUnavailable")]
    return [_name(obj), *bounds, status.get("disruptionsAllowed", 0), _age(obj, now)]


def binding(obj: Object, now: datetime) -> list[Any]:
    """A role and who has it."""
    role = _part(obj, "roleRef")
    kinds: dict[str, list[str]] = {"User": [], "Group": [], "ServiceAccount": []}
    for subject in obj.get("subjects") or []:
        prefix = f"{subject.get('namespace', '')}/" if subject.get("kind") == "ServiceAccount" else ""
        kinds.setdefault(str(subject.get("kind")), []).append(prefix + str(subject.get("name", "")))
    who = [", ".join(kinds[kind]) for kind in ("User", "Group", "ServiceAccount")]
    return [_name(obj), f"{role.get('kind', '')}/{role.get('name', '')}", _age(obj, now), *who]


def storage_class(obj: Object, now: datetime) -> list[Any]:
    """How it makes volumes."""
    annotations = _part(_part(obj, "metadata"), "annotations")
    default = annotations.get("storageclass.kubernetes.io/is-default-class") == "true"
    return [
        _name(obj) + (" (default)" if default else ""),
        obj.get("provisioner", ""),
        obj.get("reclaimPolicy", "Delete"),
        obj.get("volumeBindingMode", "Immediate"),
        str(bool(obj.get("allowVolumeExpansion"))).lower(),
        _age(obj, now),
    ]


def priority_class(obj: Object, now: datetime) -> list[Any]:
    """Its value."""
    default = str(bool(obj.get("globalDefault"))).lower()
    return [_name(obj), obj.get("value", 0), default, _age(obj, now), obj.get("preemptionPolicy", "")]


def volume(obj: Object, now: datetime) -> list[Any]:
    """A volume and the claim that has it."""
    spec, status = _part(obj, "spec"), _part(obj, "status")
    claim = _part(spec, "claimRef")
    return [
        _name(obj),
        _part(spec, "capacity").get("storage", ""),
        ",".join(_ACCESS.get(mode, mode) for mode in spec.get("accessModes") or []),
        spec.get("persistentVolumeReclaimPolicy", ""),
        status.get("phase", ""),
        f"{claim.get('namespace', '')}/{claim.get('name', '')}" if claim else "",
        spec.get("storageClassName", ""),
        spec.get("volumeAttributesClassName") or UNSET,
        status.get("reason", ""),
        _age(obj, now),
        spec.get("volumeMode", UNSET),
    ]


def cron_job(obj: Object, now: datetime) -> list[Any]:
    """When it runs, and how many do."""
    spec, status = _part(obj, "spec"), _part(obj, "status")
    last = status.get("lastScheduleTime")
    pod = _part(_part(_part(_part(spec, "jobTemplate"), "spec"), "template"), "spec")
    containers = pod.get("containers") or []
    return [
        _name(obj),
        spec.get("schedule", ""),
        spec.get("timeZone") or NONE,
        {True: "True", False: "False"}.get(bool(spec.get("suspend")), ""),
        len(status.get("active") or []),
        since(last, now) if last else NONE,
        _age(obj, now),
        ",".join(str(item.get("name", "")) for item in containers),
        ",".join(str(item.get("image", "")) for item in containers),
        selector_text(_part(_part(spec, "jobTemplate"), "spec").get("selector")),
    ]
