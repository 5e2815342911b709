"""One pod told in full: what it is, what its containers do, what the cluster says has happened; and its YAML."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from mlconsole.evidence.cluster import WorkloadRef
from mlconsole.services.kubernetes import events
from mlconsole.services.kubernetes.diagnosis import why_not_ready
from mlconsole.services.kubernetes.differences import MASK, tidy
from mlconsole.services.kubernetes.documents import Body, Manifest, to_yaml
from mlconsole.services.kubernetes.objects import Event, Pod, Workload
from mlconsole.services.kubernetes.problems import Forbidden, decode
from mlconsole.services.kubernetes.resources import PODS, WORKLOADS
from mlconsole.services.kubernetes.rows import age, pod_row
from mlconsole.text import clean, clean_line

if TYPE_CHECKING:
    from mlconsole.services.kubernetes.connection import Connection

SECRET_NAME = re.compile(r"token|secret|passw|credential|api_?key|private_?key|access_?key", re.IGNORECASE)
"""Environment variables whose values are not shown."""


class Section(NamedTuple):
    """A heading with rows of a name and a text each; all text is cleaned."""

    title: str
    rows: tuple[tuple[str, str], ...]


def describe(connection: Connection, namespace: str, name: str, now: datetime) -> tuple[Section, ...]:
    """Tell all that matters of a pod, in sections.

    Raises:
        Problem: it can't be had.
    """
    data = connection.request("GET", PODS.path(namespace, name))
    pod, body = decode(data, Pod), msgspec.json.decode(data)
    try:
        happened = events.in_time(events.fetch(connection, [pod.metadata.uid]))
    except Forbidden:
        happened = []
    found = [_what(pod, happened, now), *_containers(body, now), _conditions(pod, now), _events(happened, now)]
    return tuple(Section(section.title, _cleaned(section.rows)) for section in found if section.rows)


def event_section(connection: Connection, namespace: str, name: str, now: datetime) -> Section:
    """Tell what the cluster says has happened to a pod.

    Raises:
        Problem: it can't be had.
    """
    pod = decode(connection.request("GET", PODS.path(namespace, name)), Pod)
    section = _events(events.in_time(events.fetch(connection, [pod.metadata.uid])), now)
    return Section(section.title, _cleaned(section.rows))


def workload_of(connection: Connection, namespace: str, name: str) -> WorkloadRef | None:
    """Return the workload that a pod belongs to in the end: a Deployment rather than its ReplicaSet; None: to none.

    Raises:
        Problem: the cluster can't be asked.
    """
    owner = decode(connection.request("GET", PODS.path(namespace, name)), Pod).metadata.owner
    if owner is None or owner.kind not in WORKLOADS:
        return None
    if owner.kind == "ReplicaSet":
        path = WORKLOADS["ReplicaSet"].path(namespace, owner.name)
        above = decode(connection.request("GET", path), Workload).metadata.owner
        owner = above if above is not None and above.kind in WORKLOADS else owner
    return WorkloadRef(kind=owner.kind, name=owner.name, namespace=namespace)


def pod_yaml(connection: Connection, namespace: str, name: str) -> str:
    """Return a pod as YAML, without what the server alone writes, and without secret values.

    Raises:
        Problem: it can't be had.
    """
    body: Body = msgspec.json.decode(connection.request("GET", PODS.path(namespace, name)))
    shown = tidy(body)
    if "status" in body:
        shown["status"] = body["status"]
    return clean(to_yaml([Manifest(source="", document=1, body=masked(shown))]).removeprefix("---\n"))


def masked(body: Body) -> Body:
    """Copy a pod's object with the values of variables masked that are secret by their name."""
    found = copy.deepcopy(body)
    spec = found.get("spec") or {}
    for container in [*(spec.get("containers") or ()), *(spec.get("initContainers") or ())]:
        for entry in container.get("env") or ():
            if "value" in entry and SECRET_NAME.search(entry.get("name", "")):
                entry["value"] = MASK
    annotations = (found.get("metadata") or {}).get("annotations") or {}
    annotations.pop("kubectl.kubernetes.io/last-applied-configuration", None)
    return found


def _cleaned(rows: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
    return tuple((clean_line(name), clean_line(text.replace("\n", " "))) for name, text in rows if text)


def _what(pod: Pod, happened: list[Event], now: datetime) -> Section:
    row, owner, why = pod_row(pod, now, happened), pod.metadata.owner, why_not_ready(pod, happened)
    labels = ", ".join(f"{key}={value}" for key, value in sorted((pod.metadata.labels or {}).items()))
    return Section(
        "Pod",
        (
            ("Status", f"{row.status}, {row.ready} ready"),
            ("Why", why.sentence if why else ""),
            ("To do", why.next_step if why else ""),
            ("Model", f"{row.version}  {row.model_digest}".strip()),
            ("Age", age(pod.metadata.creation_timestamp, now)),
            ("Node", row.node or "none yet"),
            ("Address", row.ip),
            ("Made by", f"{owner.kind} {owner.name}" if owner else "nobody: it does not come back when it is deleted"),
            ("Labels", labels),
        ),
    )


def _containers(body: Body, now: datetime) -> Iterator[Section]:
    spec, status = body.get("spec") or {}, body.get("status") or {}
    states = {entry.get("name"): entry for entry in status.get("containerStatuses") or ()}
    states |= {entry.get("name"): entry for entry in status.get("initContainerStatuses") or ()}
    for kind, key in (("Container", "containers"), ("Init container", "initContainers")):
        for entry in spec.get(key) or ():
            yield Section(
                f"{kind} {entry.get('name', '')}", tuple(_container(entry, states.get(entry.get("name")) or {}))
            )


def _container(entry: Body, status: Body) -> Iterator[tuple[str, str]]:
    yield "Image", str(entry.get("image", ""))
    yield "State", _state(status.get("state") or {})
    yield "Before", _state(status.get("lastState") or {})
    if status.get("restartCount"):
        yield "Restarts", str(status["restartCount"])
    yield "Command", " ".join(map(str, [*(entry.get("command") or ()), *(entry.get("args") or ())]))
    yield (
        "Ports",
        ", ".join(f"{port.get('containerPort')}/{port.get('protocol', 'TCP')}" for port in entry.get("ports") or ()),
    )
    resources = entry.get("resources") or {}
    for name, key in (("Requests", "requests"), ("Limits", "limits")):
        yield name, ", ".join(f"{what} {amount}" for what, amount in (resources.get(key) or {}).items())
    for name, key in (("Readiness", "readinessProbe"), ("Liveness", "livenessProbe"), ("Startup", "startupProbe")):
        yield name, _probe(entry.get(key) or {})
    for variable in entry.get("env") or ():
        yield "Variable", f"{variable.get('name')} = {_value(variable)}"


def _state(state: Body) -> str:
    for name, found in state.items():
        detail = found or {}
        if name == "terminated":
            how = f"signal {detail['signal']}" if detail.get("signal") else f"exit code {detail.get('exitCode')}"
            return f"ended with {how} at {detail.get('finishedAt', '?')} {detail.get('reason', '')}".strip()
        if name == "waiting":
            return f"waiting: {detail.get('reason', '')} {detail.get('message', '')}".strip()
        if name == "running":
            return f"running since {detail.get('startedAt', '?')}"
    return ""


def _probe(probe: Body) -> str:
    if not probe:
        return ""
    http, how = probe.get("httpGet"), ""
    if http:
        how = f"GET :{http.get('port')}{http.get('path', '/')}"
    elif probe.get("exec"):
        how = " ".join(map(str, (probe["exec"] or {}).get("command") or ()))
    elif probe.get("tcpSocket"):
        how = f"TCP :{probe['tcpSocket'].get('port')}"
    period, failures = probe.get("periodSeconds", 10), probe.get("failureThreshold", 3)
    return f"{how}, every {period} s, fails after {failures}"


def _value(variable: Body) -> str:
    if SECRET_NAME.search(str(variable.get("name", ""))) and "value" in variable:
        return MASK
    source: dict[str, Any] = variable.get("valueFrom") or {}
    for kind, reference in source.items():
        where = ".".join(str(part) for part in (reference or {}).values())
        return f"from {kind.removesuffix('Ref').removesuffix('Key')} {where}"
    return str(variable.get("value", ""))


def _conditions(pod: Pod, now: datetime) -> Section:
    rows = tuple(
        (
            entry.type,
            f"{entry.status} since {age(entry.last_transition_time, now)}  {entry.reason} {entry.message}".rstrip(),
        )
        for entry in pod.status.conditions or ()
    )
    return Section("Conditions", rows)


def _events(happened: list[Event], now: datetime) -> Section:
    rows = tuple(
        (
            f"{age(entry.at, now)} ago",
            f"{entry.type} {entry.reason}{f' ({entry.count}×)' if (entry.count or 1) > 1 else ''}: {entry.message}",
        )
        for entry in happened[-40:]
    )
    return Section("Events", rows)
