"""What Kueue says of a Job that waits in one of its queues.

Source: https://kueue.sigs.k8s.io/docs/concepts/workload/ (a Workload object for each Job, with conditions).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from mlconsole.services.kubernetes.objects import Condition, Metadata, Object, ObjectList
from mlconsole.services.kubernetes.problems import Forbidden, NotFound, decode
from mlconsole.services.kubernetes.resources import Resource
from mlconsole.text import clean_line, shorten

if TYPE_CHECKING:
    from mlconsole.services.kubernetes.connection import Connection

GROUP = "kueue.x-k8s.io"
QUEUE_LABEL = f"{GROUP}/queue-name"
JOB_LABEL = f"{GROUP}/job-uid"


class _Status(Object):
    conditions: list[Condition] | None = None


class Workload(Object):
    """Kueue's own record of a Job that waits."""

    metadata: Metadata = msgspec.field(default_factory=Metadata)
    status: _Status = msgspec.field(default_factory=_Status)


class _Version(msgspec.Struct):
    version: str = ""


class _Group(msgspec.Struct, rename="camel"):
    preferred_version: _Version = msgspec.field(default_factory=_Version)


def look(connection: Connection, uid: str, queue: str) -> str:
    """Say in a sentence why the Job of a uid is not started yet.

    Raises:
        Problem: the cluster can't be asked at the moment.
    """
    try:
        group = decode(connection.request("GET", f"/apis/{GROUP}"), _Group)
        version = group.preferred_version.version or "v1beta1"
        resource = Resource(group_version=f"{GROUP}/{version}", kind="Workload", plural="workloads")
        query = {"labelSelector": f"{JOB_LABEL}={uid}"}
        answer = connection.request("GET", resource.path(connection.namespace), query=query)
    except NotFound:
        return f"Queued in {queue}, but the cluster has no Kueue that would start it." if queue else ""
    except Forbidden:
        return f"Queued in {queue}; why, may not be read here (workloads of {GROUP})." if queue else ""
    found = decode(answer, ObjectList[Workload]).items or ()
    return words(found[0], queue) if found else f"Queued in {queue}." if queue else ""


def words(workload: Workload, queue: str) -> str:
    """What a Workload's conditions say: that it waits for quota and why, was preempted, or is about to start."""
    conditions = {entry.type: entry for entry in workload.status.conditions or ()}
    where = f"Queued in {queue}" if queue else "Queued"
    admitted, reserved = conditions.get("Admitted"), conditions.get("QuotaReserved")
    if admitted is not None and admitted.status == "True":
        return f"{where}: admitted, about to start."
    evicted = conditions.get("Evicted")
    if evicted is not None and evicted.status == "True":
        return f"{where} again: {_said(evicted)}"
    if reserved is not None and reserved.status == "True":
        return f"{where}: its quota is reserved, and it waits for the checks before it starts."
    return f"{where}: {_said(reserved)}" if reserved is not None and reserved.message else f"{where}."


def _said(condition: Condition) -> str:
    text = condition.message or condition.reason
    return shorten(clean_line(text.strip().replace("\n", " ")), 240).rstrip(".") + "."
