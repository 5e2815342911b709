"""Counters of every pod, through the API server's proxy: no port need be open, and no service in between.

Protocol: https://kubernetes.io/docs/tasks/access-application-cluster/access-cluster-services/ (pods/proxy)
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING
from urllib.parse import quote

from mlconsole.errors import Problem
from mlconsole.evidence.base import Record
from mlconsole.evidence.monitoring import Reading, Unread
from mlconsole.services.kubernetes.objects import Pod
from mlconsole.services.kubernetes.pages import list_pods
from mlconsole.services.kubernetes.problems import read_status
from mlconsole.services.kubernetes.resources import PODS
from mlconsole.services.kubernetes.rows import model_of
from mlconsole.services.monitoring.metrics import NotMetrics, counters_of, parse, version_of

if TYPE_CHECKING:
    from mlconsole.services.kubernetes.connection import Connection

AT_ONCE = 8
MOST_BYTES = 8 * 1024 * 1024


class Scrape(Record, frozen=True, kw_only=True):
    """Where pods tell their counters: the path, the port by number or name (empty: the first declared)."""

    path: str = "/metrics"
    port: str = ""
    seconds: float = 5


class Readings(Record, frozen=True, kw_only=True):
    """What all pods of a selector said."""

    read: tuple[Reading, ...]
    unread: tuple[Unread, ...] = ()


def read_pods(connection: Connection, selector: str, scrape: Scrape) -> Readings:
    """Read every running pod of a selector. A pod that does not answer is told as unread.

    Raises:
        Problem: the pods can't be listed.
    """
    pods = [pod for pod in list_pods(connection, selector) if pod.status.phase == "Running"]
    with ThreadPoolExecutor(max_workers=AT_ONCE, thread_name_prefix="scrape") as pool:
        found = list(pool.map(lambda pod: read_pod(connection, pod, scrape), pods))
    return Readings(
        read=tuple(entry for entry in found if isinstance(entry, Reading)),
        unread=tuple(entry for entry in found if isinstance(entry, Unread)),
    )


def read_pod(connection: Connection, pod: Pod, scrape: Scrape) -> Reading | Unread:
    """Read one pod. Never raises: that it could not be read is told."""
    version = model_of(pod)[0]
    name = f"{pod.metadata.name}:{scrape.port}" if scrape.port else pod.metadata.name
    path = f"{PODS.path(connection.namespace)}/{quote(name, safe=':')}/proxy{scrape.path}"
    try:
        status, data = connection.exchange("GET", path, timeout=scrape.seconds)
        samples = parse(*_text_of(status, data))
    except Problem as problem:
        return Unread(pod=pod.metadata.name, version=version, sentence=problem.sentence)
    return Reading(
        source=f"{pod.metadata.name} {pod.metadata.uid}",
        version=version or version_of(samples),
        counters=counters_of(samples),
    )


def _text_of(status: int, data: bytes) -> tuple[str, bool]:
    if status != 200:
        said = read_status(data)
        why = said.message if said.kind == "Status" else ""
        raise NotMetrics(f"its metrics were answered with status {status}" + (f": {why}" if why else ""))
    if len(data) > MOST_BYTES:
        raise NotMetrics(f"its metrics are longer than {MOST_BYTES:,} bytes")
    text = data.decode("utf-8", "replace")
    return text, text.rstrip().endswith("# EOF")


def parse_scrape(text: str) -> Reading:
    """Read the text of one server that is not in a cluster: `source` is empty."""
    samples = parse(text, text.rstrip().endswith("# EOF"))
    return Reading(source="", version=version_of(samples), counters=counters_of(samples))
