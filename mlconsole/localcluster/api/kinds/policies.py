"""Defaults of, and rules for, kinds that are kept and shown, but not acted on."""

from __future__ import annotations

import re
from collections.abc import Callable

from mlconsole.localcluster.api.errors import Cause
from mlconsole.localcluster.api.kinds.names import required, unsupported, wrong
from mlconsole.localcluster.api.kinds.parts import Object, items, struct

RBAC = "rbac.authorization.k8s.io"
_CRON = re.compile(r"@(?:yearly|annually|monthly|weekly|daily|midnight|hourly)|@every \S+|(?:\S+\s+){4}\S+")
_PATH_TYPES = ("Exact", "ImplementationSpecific", "Prefix")


def network_policy(obj: Object) -> None:
    """The directions that it speaks of, and TCP."""
    spec = struct(obj, "spec")
    spec.setdefault("policyTypes", ["Ingress"] + (["Egress"] if "egress" in spec else []))
    for rule in (*items(spec, "ingress"), *items(spec, "egress")):
        for port in items(rule, "ports"):
            port.setdefault("protocol", "TCP")


def autoscaler(obj: Object) -> None:
    """One pod at least, and four fifths of the processors asked for."""
    spec = struct(obj, "spec")
    spec.setdefault("minReplicas", 1)
    usual = {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}}
    spec.setdefault("metrics", [{"type": "Resource", "resource": usual}])


def binding(obj: Object) -> None:
    """The groups of roles and of people."""
    struct(obj, "roleRef").setdefault("apiGroup", RBAC)
    for subject in items(obj, "subjects"):
        if subject.get("kind") in ("User", "Group"):
            subject.setdefault("apiGroup", RBAC)


def storage_class(obj: Object) -> None:
    """Volumes go with their claims, and are made at once."""
    obj.setdefault("reclaimPolicy", "Delete")
    obj.setdefault("volumeBindingMode", "Immediate")


def priority_class(obj: Object) -> None:
    """It pushes others aside."""
    obj.setdefault("preemptionPolicy", "PreemptLowerPriority")


def volume(obj: Object) -> None:
    """It is kept when its claim goes."""
    spec = struct(obj, "spec")
    spec.setdefault("persistentVolumeReclaimPolicy", "Retain")
    spec.setdefault("volumeMode", "Filesystem")


def limit_range(obj: Object) -> None:
    """Limits hold for requests too, and the largest for what names none."""
    for item in items(struct(obj, "spec"), "limits"):
        if item.get("type") != "Container":
            continue
        default, requested = struct(item, "default"), struct(item, "defaultRequest")
        for name, amount in struct(item, "max").items():
            default.setdefault(name, amount)
        for name, amount in default.items():
            requested.setdefault(name, amount)
        for name, amount in struct(item, "min").items():
            requested.setdefault(name, amount)
        for name in ("max", "min", "default", "defaultRequest"):
            if not item[name]:
                del item[name]


def cron_job(obj: Object) -> None:
    """Runs may overlap; three that went well and one that did not are kept."""
    spec = struct(obj, "spec")
    for name, value in {
        "concurrencyPolicy": "Allow",
        "suspend": False,
        "successfulJobsHistoryLimit": 3,
        "failedJobsHistoryLimit": 1,
    }.items():
        spec.setdefault(name, value)


DEFAULTS: dict[str, Callable[[Object], None]] = {
    "NetworkPolicy": network_policy,
    "HorizontalPodAutoscaler": autoscaler,
    "RoleBinding": binding,
    "ClusterRoleBinding": binding,
    "StorageClass": storage_class,
    "PriorityClass": priority_class,
    "PersistentVolume": volume,
    "LimitRange": limit_range,
    "CronJob": cron_job,
}


def _ingress(obj: Object, old: Object | None) -> list[Cause]:
    spec = obj.get("spec") or {}
    if not spec.get("rules") and not spec.get("defaultBackend"):
        return [wrong("spec", {}, "either `defaultBackend` or `rules` must be specified")]
    causes: list[Cause] = []
    for index, rule in enumerate(spec.get("rules") or []):
        for number, path in enumerate((rule.get("http") or {}).get("paths") or []):
            field = f"spec.rules[{index}].http.paths[{number}]"
            kind = path.get("pathType")
            if not kind:
                causes.append(required(f"{field}.pathType", "pathType must be specified"))
            elif kind not in _PATH_TYPES:
                causes.append(unsupported(f"{field}.pathType", kind, _PATH_TYPES))
            elif kind != "ImplementationSpecific" and not str(path.get("path") or "").startswith("/"):
                causes.append(wrong(f"{field}.path", path.get("path") or "", "must be an absolute path"))
            if not (path.get("backend") or {}).get("service") and not (path.get("backend") or {}).get("resource"):
                causes.append(required(f"{field}.backend", "port name or number is required"))
    return causes


def _autoscaler(obj: Object, old: Object | None) -> list[Cause]:
    spec = obj.get("spec") or {}
    causes: list[Cause] = []
    least, most = spec.get("minReplicas", 1), spec.get("maxReplicas", 0)
    if most < 1:
        causes.append(wrong("spec.maxReplicas", most, "must be greater than 0"))
    if least < 1:
        causes.append(wrong("spec.minReplicas", least, "must be greater than or equal to 1"))
    if most < least:
        causes.append(wrong("spec.maxReplicas", most, "must be greater than or equal to `minReplicas`"))
    target = spec.get("scaleTargetRef") or {}
    return causes + [required(f"spec.scaleTargetRef.{name}") for name in ("kind", "name") if not target.get(name)]


def _budget(obj: Object, old: Object | None) -> list[Cause]:
    spec = obj.get("spec") or {}
    if "minAvailable" in spec and "maxUnavailable" in spec:
        shown = {name: spec[name] for name in ("minAvailable", "maxUnavailable")}
        return [wrong("spec", shown, "minAvailable and maxUnavailable cannot be both set")]
    return []


def _rules(obj: Object, old: Object | None) -> list[Cause]:
    causes: list[Cause] = []
    for index, rule in enumerate(obj.get("rules") or []):
        if not rule.get("verbs"):
            causes.append(required(f"rules[{index}].verbs", "verbs must contain at least one value"))
        if not rule.get("resources") and not rule.get("nonResourceURLs"):
            why = "resource rules must supply at least one resource"
            causes.append(required(f"rules[{index}].resources", why))
    return causes


def _binding(obj: Object, old: Object | None) -> list[Cause]:
    role = obj.get("roleRef") or {}
    causes = [required("roleRef.name")] if not role.get("name") else []
    if role.get("kind") not in ("Role", "ClusterRole"):
        causes.append(unsupported("roleRef.kind", role.get("kind", ""), ("ClusterRole", "Role")))
    if old is not None and old.get("roleRef") != role:
        causes.append(wrong("roleRef", role, "cannot change roleRef"))
    return causes


def _cron_job(obj: Object, old: Object | None) -> list[Cause]:
    spec = obj.get("spec") or {}
    schedule = str(spec.get("schedule") or "")
    causes: list[Cause] = []
    if not schedule:
        causes.append(required("spec.schedule"))
    elif not _CRON.fullmatch(schedule.strip()):
        count = len(schedule.split())
        causes.append(wrong("spec.schedule", schedule, f"expected exactly 5 fields, found {count}: [{schedule}]"))
    policy, known = spec.get("concurrencyPolicy"), ("Allow", "Forbid", "Replace")
    if policy not in known:
        causes.append(unsupported("spec.concurrencyPolicy", policy, known))
    return causes


CHECKS: dict[str, Callable[[Object, Object | None], list[Cause]]] = {
    "Ingress": _ingress,
    "HorizontalPodAutoscaler": _autoscaler,
    "PodDisruptionBudget": _budget,
    "Role": _rules,
    "ClusterRole": _rules,
    "RoleBinding": _binding,
    "ClusterRoleBinding": _binding,
    "CronJob": _cron_job,
}
