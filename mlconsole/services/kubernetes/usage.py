"""What pods use at the moment, where the cluster has a metrics server (`metrics.k8s.io`)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import msgspec

from mlconsole.evidence.cluster import PodUsage
from mlconsole.services.kubernetes.objects import Metadata
from mlconsole.services.kubernetes.problems import Forbidden, NotFound, ServerFailed, decode
from mlconsole.services.kubernetes.resources import Resource

if TYPE_CHECKING:
    from mlconsole.services.kubernetes.connection import Connection

POD_METRICS = Resource(group_version="metrics.k8s.io/v1beta1", kind="PodMetrics", plural="pods")
_QUANTITY = re.compile(r"^([+-]?[0-9.]+(?:[eE][+-]?\d+)?)(|[numkMGTPE]|[KMGTPE]i)$")
_FACTORS = {"": 1.0, "n": 1e-9, "u": 1e-6, "m": 1e-3, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15, "E": 1e18} | {
    f"{letter}i": 1024.0**power for power, letter in enumerate("KMGTPE", 1)
}


class _Used(msgspec.Struct):
    cpu: str = "0"
    memory: str = "0"


class _Container(msgspec.Struct):
    name: str = ""
    usage: _Used = msgspec.field(default_factory=_Used)


class _PodMetrics(msgspec.Struct):
    metadata: Metadata = msgspec.field(default_factory=Metadata)
    containers: list[_Container] | None = None


class _PodMetricsList(msgspec.Struct):
    items: list[_PodMetrics] | None = None


def pods_usage(connection: Connection, namespace: str, selector: str) -> dict[str, PodUsage] | None:
    """Return what each pod uses, by its name; None where the cluster does not say.

    Raises:
        Problem: the cluster can't be reached.
    """
    try:
        data = connection.request("GET", POD_METRICS.path(namespace), query={"labelSelector": selector})
    except (NotFound, Forbidden, ServerFailed):
        return None
    return {
        item.metadata.name: PodUsage(
            cpu=sum(quantity(part.usage.cpu) for part in item.containers or ()),
            memory=round(sum(quantity(part.usage.memory) for part in item.containers or ())),
        )
        for item in decode(data, _PodMetricsList).items or ()
    }


def quantity(text: str) -> float:
    """Read a Kubernetes quantity such as `12m`, `250Mi` or `1e3`; 0 where it is none."""
    found = _QUANTITY.match(text)
    if found is None:
        return 0.0
    try:
        return float(found.group(1)) * _FACTORS[found.group(2)]
    except ValueError:
        return 0.0
