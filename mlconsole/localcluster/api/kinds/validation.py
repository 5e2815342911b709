"""What an object must satisfy to be stored, beyond the types of its fields."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from mlconsole.localcluster.api.errors import Cause
from mlconsole.localcluster.api.kinds.defaults import fill
from mlconsole.localcluster.api.kinds.names import (
    check_key,
    check_label_name,
    check_labels,
    check_object_name,
    duplicate,
    required,
    selects,
    unsupported,
    wrong,
)
from mlconsole.localcluster.api.kinds.pods import check_pod_spec
from mlconsole.localcluster.api.kinds.policies import CHECKS
from mlconsole.localcluster.store import clone

Object = dict[str, Any]

NOT_NEGATIVE = "must be greater than or equal to 0"
IMMUTABLE = "field is immutable"


def check(kind: str, obj: Object, old: Object | None) -> list[Cause]:
    """Every reason why the object can't be stored in place of ``old`` (None: as a new one)."""
    meta = obj.get("metadata") or {}
    causes = check_object_name(kind, meta)
    causes += check_labels(meta.get("labels"), "metadata.labels")
    for key in meta.get("annotations") or {}:
        causes += check_key(key, "metadata.annotations")
    of_kind = _BY_KIND.get(kind) or CHECKS.get(kind)
    if of_kind is not None:
        causes += of_kind(obj, old)
    return causes


def _not_negative(spec: Object, *names: str) -> list[Cause]:
    values = ((name, spec.get(name)) for name in names)
    return [wrong(f"spec.{name}", v, NOT_NEGATIVE) for name, v in values if isinstance(v, int) and v < 0]


def _template(spec: Object, *, restart: tuple[str, ...]) -> list[Cause]:
    template = spec.get("template") or {}
    labels = (template.get("metadata") or {}).get("labels") or {}
    causes = check_labels(labels, "spec.template.metadata.labels")
    pod = template.get("spec") or {}
    causes += check_pod_spec(pod, "spec.template.spec")
    policy = pod.get("restartPolicy")
    if policy in ("Always", "OnFailure", "Never") and policy not in restart:
        causes.append(unsupported("spec.template.spec.restartPolicy", policy, restart))
    return causes


def _selector(spec: Object) -> list[Cause]:
    selector = spec.get("selector")
    labels = ((spec.get("template") or {}).get("metadata") or {}).get("labels") or {}
    if not selector:
        return [
            required("spec.selector"),
            wrong("spec.template.metadata.labels", labels, "`selector` does not match template `labels`"),
        ]
    causes: list[Cause] = []
    if not (selector.get("matchLabels") or selector.get("matchExpressions")):
        causes.append(wrong("spec.selector", selector, "empty selector is invalid for deployment"))
    elif not selects(selector, labels):
        causes.append(wrong("spec.template.metadata.labels", labels, "`selector` does not match template `labels`"))
    return causes


def _deployment(obj: Object, old: Object | None) -> list[Cause]:
    spec = obj.get("spec") or {}
    causes = _not_negative(spec, "replicas") + _selector(spec)
    causes += _template(spec, restart=("Always",)) + _strategy(spec.get("strategy") or {})
    causes += _not_negative(spec, "minReadySeconds", "revisionHistoryLimit", "progressDeadlineSeconds")
    deadline, ready = spec.get("progressDeadlineSeconds"), spec.get("minReadySeconds", 0)
    if isinstance(deadline, int) and 0 <= deadline <= ready:
        causes.append(wrong("spec.progressDeadlineSeconds", deadline, "must be greater than minReadySeconds"))
    return causes + _same_selector(spec, old)


def _same_selector(spec: Object, old: Object | None) -> list[Cause]:
    selector = spec.get("selector")
    if old is None or (old.get("spec") or {}).get("selector") == selector:
        return []
    return [wrong("spec.selector", selector, IMMUTABLE)]


def _strategy(strategy: Object) -> list[Cause]:
    kind = strategy.get("type")
    if kind not in ("Recreate", "RollingUpdate"):
        return [unsupported("spec.strategy.type", kind, ("Recreate", "RollingUpdate"))]
    if kind == "Recreate":
        if not strategy.get("rollingUpdate"):
            return []
        why = "may not be specified when strategy `type` is 'Recreate'"
        return [Cause("FieldValueForbidden", f"Forbidden: {why}", "spec.strategy.rollingUpdate")]
    rolling = strategy.get("rollingUpdate") or {}
    causes = [
        wrong(f"spec.strategy.rollingUpdate.{name}", rolling[name], _AMOUNT)
        for name in ("maxUnavailable", "maxSurge")
        if name in rolling and not _is_amount(rolling[name])
    ]
    if not causes and all(rolling.get(name) in (0, "0%") for name in ("maxUnavailable", "maxSurge")):
        why = "may not be 0 when `maxSurge` is 0"
        causes.append(wrong("spec.strategy.rollingUpdate.maxUnavailable", rolling["maxUnavailable"], why))
    return causes


_AMOUNT = (
    "a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or '93%', regex used for "
    "validation is '[0-9]+%')"
)


def _is_amount(value: Any) -> bool:
    if isinstance(value, int):
        return value >= 0
    return isinstance(value, str) and value.endswith("%") and value[:-1].isdecimal()


def _replica_set(obj: Object, old: Object | None) -> list[Cause]:
    spec = obj.get("spec") or {}
    causes = _not_negative(spec, "replicas", "minReadySeconds") + _selector(spec)
    return causes + _template(spec, restart=("Always",)) + _same_selector(spec, old)


_STATEFUL_UPDATES = (
    "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', "
    "'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden"
)


def _stateful_set(obj: Object, old: Object | None) -> list[Cause]:
    spec = obj.get("spec") or {}
    causes = _not_negative(spec, "replicas", "minReadySeconds", "revisionHistoryLimit") + _selector(spec)
    causes += _template(spec, restart=("Always",)) + _update_strategy(spec) + _claim_names(spec)
    causes += _no_rolling_update(spec)
    if spec.get("podManagementPolicy") not in ("OrderedReady", "Parallel"):
        known = ("OrderedReady", "Parallel")
        causes.append(unsupported("spec.podManagementPolicy", spec.get("podManagementPolicy"), known))
    before = (old or obj).get("spec") or {}
    fixed = ("selector", "serviceName", "podManagementPolicy", "volumeClaimTemplates")
    if any(before.get(name) != spec.get(name) for name in fixed):
        causes.append(Cause("FieldValueForbidden", f"Forbidden: {_STATEFUL_UPDATES}", "spec"))
    return causes


def _claim_names(spec: Object) -> list[Cause]:
    claims = spec.get("volumeClaimTemplates") or []
    return [
        required(f"spec.volumeClaimTemplates[{index}].metadata.name")
        for index, claim in enumerate(claims)
        if not (claim.get("metadata") or {}).get("name")
    ]


def _daemon_set(obj: Object, old: Object | None) -> list[Cause]:
    spec = obj.get("spec") or {}
    causes = _not_negative(spec, "minReadySeconds", "revisionHistoryLimit") + _selector(spec)
    causes += _template(spec, restart=("Always",)) + _update_strategy(spec)
    return causes + _same_selector(spec, old)


def _update_strategy(spec: Object) -> list[Cause]:
    kind, known = (spec.get("updateStrategy") or {}).get("type"), ("OnDelete", "RollingUpdate")
    return [] if kind in known else [unsupported("spec.updateStrategy.type", kind, known)]


def _no_rolling_update(spec: Object) -> list[Cause]:
    strategy = spec.get("updateStrategy") or {}
    if strategy.get("type") != "OnDelete" or not strategy.get("rollingUpdate"):
        return []
    why = "only allowed for updateStrategy 'RollingUpdate'"
    return [wrong("spec.updateStrategy.rollingUpdate", strategy["rollingUpdate"], why)]


def _job(obj: Object, old: Object | None) -> list[Cause]:
    spec = obj.get("spec") or {}
    causes = _not_negative(
        spec, "parallelism", "completions", "activeDeadlineSeconds", "backoffLimit", "ttlSecondsAfterFinished"
    )
    pod = (spec.get("template") or {}).get("spec") or {}
    if pod.get("restartPolicy") == "Always":
        causes += _template(spec, restart=("Always",))
        why = 'Required value: valid values: "OnFailure", "Never"'
        causes.append(Cause("FieldValueRequired", why, "spec.template.spec.restartPolicy"))
    else:
        causes += _template(spec, restart=("OnFailure", "Never"))
    if old is not None:
        before = old.get("spec") or {}
        for name in ("completions", "selector", "template", "completionMode"):
            if before.get(name) != spec.get(name) and not (name == "template" and before.get("suspend")):
                causes.append(wrong(f"spec.{name}", spec.get(name), IMMUTABLE))
    return causes


_POD_UPDATES = (
    "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,"
    "`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),"
    "`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)"
)


def _pod(obj: Object, old: Object | None) -> list[Cause]:
    causes = check_pod_spec(obj.get("spec") or {}, "spec")
    if old is not None and _fixed_part(obj) != _fixed_part(_filled(old)):
        causes.append(Cause("FieldValueForbidden", f"Forbidden: {_POD_UPDATES}", "spec"))
    return causes


def _filled(pod: Object) -> Object:
    """As it would be with its defaults: a controller may have stored it without."""
    filled = clone(pod)
    fill("Pod", filled)
    return filled


def _fixed_part(pod: Object) -> Object:
    changeable = ("activeDeadlineSeconds", "tolerations", "nodeName", "ephemeralContainers")
    spec = {key: value for key, value in (pod.get("spec") or {}).items() if key not in changeable}
    for name in ("containers", "initContainers"):
        if name in spec:
            spec[name] = [{k: v for k, v in item.items() if k != "image"} for item in spec[name]]
    return spec


_SERVICE_TYPES = ("ClusterIP", "ExternalName", "LoadBalancer", "NodePort")


def _service(obj: Object, old: Object | None) -> list[Cause]:
    spec = obj.get("spec") or {}
    causes: list[Cause] = []
    if spec.get("type") not in _SERVICE_TYPES:
        causes.append(unsupported("spec.type", spec.get("type"), _SERVICE_TYPES))
    ports = spec.get("ports") or []
    if not ports and spec.get("type") != "ExternalName" and spec.get("clusterIP") != "None":
        causes.append(required("spec.ports"))
    names: set[str] = set()
    places: set[tuple[Any, Any]] = set()
    for index, port in enumerate(ports):
        causes += _service_port(port, f"spec.ports[{index}]", len(ports) > 1, names, places)
    return causes + check_labels(spec.get("selector"), "spec.selector")


def _service_port(
    port: Object, field: str, several: bool, names: set[str], places: set[tuple[Any, Any]]
) -> list[Cause]:
    causes: list[Cause] = []
    name = port.get("name")
    if several and not name:
        causes.append(required(f"{field}.name"))
    elif name:
        causes += check_label_name(name, f"{field}.name")
        if name in names:
            causes.append(duplicate(f"{field}.name", name))
        names.add(name)
    number = port.get("port", 0)
    if not 1 <= number <= 65535:
        causes.append(wrong(f"{field}.port", number, "must be between 1 and 65535, inclusive"))
    place = (number, port.get("protocol"))
    if place in places:
        causes.append(duplicate(field, {"port": number, "protocol": port.get("protocol")}))
    places.add(place)
    if port.get("protocol") not in ("TCP", "UDP", "SCTP"):
        causes.append(unsupported(f"{field}.protocol", port.get("protocol"), ("SCTP", "TCP", "UDP")))
    node_port = port.get("nodePort")
    if node_port and not 30000 <= node_port <= 32767:
        why = "provided port is not in the valid range. The range of valid ports is 30000-32767"
        causes.append(wrong(f"{field}.nodePort", node_port, why))
    return causes


def _keys(obj: Object, old: Object | None) -> list[Cause]:
    causes: list[Cause] = []
    for part in ("data", "binaryData"):
        for key in obj.get(part) or {}:
            causes += [] if _CONFIG_KEY.fullmatch(key) else [wrong(f"{part}[{key}]", key, _KEY_RULE)]
    if old is not None and old.get("immutable"):
        for part in ("data", "binaryData"):
            if obj.get(part) != old.get(part):
                why = "Forbidden: field is immutable when `immutable` is set"
                causes.append(Cause("FieldValueForbidden", why, part))
    return causes


_CONFIG_KEY = re.compile("[-._a-zA-Z0-9]{1,253}")

_KEY_RULE = (
    "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or "
    "'key-name', regex used for validation is '[-._a-zA-Z0-9]+')"
)

_BY_KIND: dict[str, Callable[[Object, Object | None], list[Cause]]] = {
    "Deployment": _deployment,
    "ReplicaSet": _replica_set,
    "StatefulSet": _stateful_set,
    "DaemonSet": _daemon_set,
    "Job": _job,
    "Pod": _pod,
    "Service": _service,
    "ConfigMap": _keys,
    "Secret": _keys,
}
