"""What the specification of a pod must satisfy."""

from __future__ import annotations

import re
from typing import Any

from mlconsole.localcluster.api.errors import Cause
from mlconsole.localcluster.api.kinds.names import check_label_name, duplicate, required, unsupported, wrong

Object = dict[str, Any]

_PORT_RANGE = "must be between 1 and 65535, inclusive"
_HANDLERS = ("exec", "httpGet", "tcpSocket", "grpc", "sleep")
_UNIT = re.compile(r"^([+-]?[0-9.]+)(m|k|Ki|Mi|Gi|Ti|Pi|M|G|T|P|n|u)?$")
_SCALE = {"n": 1e-9, "u": 1e-6, "m": 1e-3, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15}
_SCALE |= {"Ki": 2.0**10, "Mi": 2.0**20, "Gi": 2.0**30, "Ti": 2.0**40, "Pi": 2.0**50}


def check_pod_spec(spec: Object, field: str) -> list[Cause]:
    """Every reason why a pod can't be made from this specification."""
    volumes, causes = _volumes(spec, field)
    containers = spec.get("containers") or []
    if not containers:
        causes.append(required(f"{field}.containers"))
    names: set[str] = set()
    for group in ("initContainers", "containers"):
        for index, container in enumerate(spec.get(group) or []):
            causes += _container(container, f"{field}.{group}[{index}]", names, volumes)
    policy = spec.get("restartPolicy")
    if policy not in ("Always", "OnFailure", "Never"):
        causes.append(unsupported(f"{field}.restartPolicy", policy, ("Always", "OnFailure", "Never")))
    grace = spec.get("terminationGracePeriodSeconds")
    if isinstance(grace, int) and grace < 0:
        causes.append(wrong(f"{field}.terminationGracePeriodSeconds", grace, "must be greater than or equal to 0"))
    return causes


def _volumes(spec: Object, field: str) -> tuple[set[str], list[Cause]]:
    names: set[str] = set()
    causes: list[Cause] = []
    for index, volume in enumerate(spec.get("volumes") or []):
        place, name = f"{field}.volumes[{index}]", volume.get("name")
        causes += check_label_name(name, f"{place}.name")
        if name in names:
            causes.append(duplicate(f"{place}.name", name))
        names.add(name)
        if len(volume) > 2:
            causes.append(Cause("FieldValueForbidden", "Forbidden: may not specify more than 1 volume type", place))
    return names, causes


def _container(container: Object, field: str, names: set[str], volumes: set[str]) -> list[Cause]:
    name = container.get("name")
    causes = check_label_name(name, f"{field}.name")
    if name and name in names:
        causes.append(duplicate(f"{field}.name", name))
    names.add(name or "")
    image = container.get("image")
    if not image:
        causes.append(required(f"{field}.image"))
    elif image != image.strip():
        causes.append(wrong(f"{field}.image", image, "must not have leading or trailing whitespace"))
    causes += _ports(container, field)
    for index, variable in enumerate(container.get("env") or []):
        causes += _variable(variable, f"{field}.env[{index}]")
    causes += _mounts(container, field, volumes)
    for probe in ("livenessProbe", "readinessProbe", "startupProbe"):
        if container.get(probe) is not None:
            causes += _probe(container[probe], f"{field}.{probe}", ready=probe == "readinessProbe")
    causes += _resources(container.get("resources") or {}, f"{field}.resources")
    policy = container.get("imagePullPolicy")
    if policy not in ("Always", "IfNotPresent", "Never"):
        causes.append(unsupported(f"{field}.imagePullPolicy", policy, ("Always", "IfNotPresent", "Never")))
    return causes


def _ports(container: Object, field: str) -> list[Cause]:
    causes: list[Cause] = []
    names: set[str] = set()
    for index, port in enumerate(container.get("ports") or []):
        place = f"{field}.ports[{index}]"
        number, name = port.get("containerPort"), port.get("name")
        if number is None:
            causes.append(required(f"{place}.containerPort"))
        elif not 1 <= number <= 65535:
            causes.append(wrong(f"{place}.containerPort", number, _PORT_RANGE))
        if name is not None:
            causes += _port_name(name, f"{place}.name")
            if name in names:
                causes.append(duplicate(f"{place}.name", name))
            names.add(name)
        if port.get("protocol") not in ("TCP", "UDP", "SCTP"):
            causes.append(unsupported(f"{place}.protocol", port.get("protocol"), ("SCTP", "TCP", "UDP")))
    return causes


def _port_name(name: str, field: str) -> list[Cause]:
    if len(name) > 15:
        return [wrong(field, name, "must be no more than 15 characters")]
    if not re.fullmatch(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?", name):
        return [wrong(field, name, "must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)")]
    return [] if re.search("[a-z]", name) else [wrong(field, name, "must contain at least one letter (a-z)")]


def _variable(variable: Object, field: str) -> list[Cause]:
    name, source = variable.get("name"), variable.get("valueFrom")
    if not name:
        return [required(f"{field}.name")]
    if any(char == "=" or not char.isprintable() for char in name):
        why = "a valid environment variable name must consist only of printable ASCII characters other than '='"
        return [wrong(f"{field}.name", name, why)]
    if source is None:
        return []
    if variable.get("value"):
        return [wrong(f"{field}.valueFrom", "", "may not be specified when `value` is not empty")]
    if len(source) != 1:
        why = "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef` or `secretKeyRef`"
        return [wrong(f"{field}.valueFrom", "", why)]
    kind, reference = next(iter(source.items()))
    if kind in ("configMapKeyRef", "secretKeyRef") and not reference.get("key"):
        return [required(f"{field}.valueFrom.{kind}.key")]
    return []


def _mounts(container: Object, field: str, volumes: set[str]) -> list[Cause]:
    causes: list[Cause] = []
    paths: set[str] = set()
    for index, mount in enumerate(container.get("volumeMounts") or []):
        place, name, path = f"{field}.volumeMounts[{index}]", mount.get("name"), mount.get("mountPath")
        if not name:
            causes.append(required(f"{place}.name"))
        elif name not in volumes:
            causes.append(Cause("FieldValueNotFound", f'Not found: "{name}"', f"{place}.name"))
        if not path:
            causes.append(required(f"{place}.mountPath"))
        elif path in paths:
            causes.append(wrong(f"{place}.mountPath", path, "must be unique"))
        paths.add(path or "")
    return causes


def _probe(probe: Object, field: str, *, ready: bool) -> list[Cause]:
    handlers = [name for name in _HANDLERS if probe.get(name) is not None]
    causes: list[Cause] = []
    if not handlers:
        causes.append(required(field, "must specify a handler type"))
    for name in handlers[1:]:
        why = "Forbidden: may not specify more than 1 handler type"
        causes.append(Cause("FieldValueForbidden", why, f"{field}.{name}"))
    for name in handlers[:1]:
        causes += _handler(probe[name], f"{field}.{name}", name)
    for name in ("initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold"):
        if probe.get(name, 0) < 0:
            causes.append(wrong(f"{field}.{name}", probe[name], "must be greater than or equal to 0"))
    if not ready and probe.get("successThreshold", 1) != 1:
        causes.append(wrong(f"{field}.successThreshold", probe["successThreshold"], "must be 1"))
    return causes


def _handler(action: Object, field: str, name: str) -> list[Cause]:
    if name == "exec":
        return [] if action.get("command") else [required(f"{field}.command")]
    if name not in ("httpGet", "tcpSocket", "grpc"):
        return []
    port = action.get("port")
    if port is None:
        return [wrong(f"{field}.port", 0, _PORT_RANGE)]
    if isinstance(port, str):
        return _port_name(port, f"{field}.port")
    return [] if 1 <= port <= 65535 else [wrong(f"{field}.port", port, _PORT_RANGE)]


def _resources(resources: Object, field: str) -> list[Cause]:
    causes: list[Cause] = []
    limits = resources.get("limits") or {}
    for name, text in (resources.get("requests") or {}).items():
        request, limit = quantity(text), quantity(limits.get(name))
        if request is not None and request < 0:
            causes.append(wrong(f"{field}.requests[{name}]", text, "must be greater than or equal to 0"))
        elif request is not None and limit is not None and request > limit:
            why = f"must be less than or equal to {name} limit of {limits[name]}"
            causes.append(wrong(f"{field}.requests", text, why))
    return causes


def quantity(text: Any) -> float | None:
    """The number that a quantity such as ``100m`` or ``2Gi`` stands for; None where it can't be read."""
    match = _UNIT.match(str(text)) if text is not None else None
    if match is None:
        return None
    try:
        return float(match[1]) * _SCALE.get(match[2] or "", 1.0)
    except ValueError:
        return None
