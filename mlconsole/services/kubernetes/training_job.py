"""One training as a Job: made or found again, followed to its end, taken away where it is cancelled.

A record beside the release's log names the Job, by a label that only this training has. It is written before the Job
is made: a runner that dies leaves both, and the next one goes on with them.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from mlconsole.errors import Cancelled, OutsideFailed, Problem, Refused
from mlconsole.evidence.base import Record
from mlconsole.services.kubernetes.documents import Body
from mlconsole.services.kubernetes.in_pod.job_wrapper import NO_MODEL
from mlconsole.services.kubernetes.job_follow import PASSING, JobEnd, JobFollower, JobRef, JobStuck
from mlconsole.services.kubernetes.job_log import JobLog, write_whole
from mlconsole.services.kubernetes.job_manifest import (
    PLAN_ANNOTATION,
    TRAINING_LABEL,
    JobPlan,
    config_map,
    copies_of,
    encoded,
    job,
)
from mlconsole.services.kubernetes.job_telling import Copies, Facts, JobResult, Watch, fill_gaps
from mlconsole.services.kubernetes.jobs import JOBS, Job
from mlconsole.services.kubernetes.objects import ObjectList, Pod
from mlconsole.services.kubernetes.problems import ApplyConflict, NotFound, decode
from mlconsole.services.kubernetes.resources import KNOWN, PODS, Resource
from mlconsole.text import clean_line

if TYPE_CHECKING:
    from mlconsole.services.kubernetes.connection import Connection

CONFIG_MAPS = KNOWN["v1", "ConfigMap"]
DELETE_SECONDS = 90.0
POLL_SECONDS = 0.1


class TrainingJobFailed(Refused):
    """The training ran on the cluster and failed there."""


class JobNotDeleted(OutsideFailed):
    """A Job that should go is still there."""


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What is to run on the cluster.

    Attributes:
        digest: equal for what is the same training.
        make: the objects of a training of this token; the Job itself (or JobSet, TrainJob) last.
        resource: how the Job is served.
        queue: Kueue's, where it waits in one.
        retries: how often it is tried again.
        deadline: seconds after which it is ended.
        together: its pods run at the same time.
        doing: what it does, in words that a sentence begins with.
    """

    digest: str
    make: Callable[[str], Sequence[tuple[Resource, Body]]]
    resource: Resource = JOBS
    queue: str = ""
    retries: int = 0
    deadline: float | None = None
    together: bool = False
    doing: str = "Training"

    @classmethod
    def of(cls, plan: JobPlan, doing: str = "Training") -> Wanted:
        """A plan, with the wrapper that it needs."""
        return cls(
            digest=plan.digest,
            make=lambda token: ((CONFIG_MAPS, config_map(plan, token)), (JOBS, job(plan, token))),
            queue=plan.queue,
            retries=plan.retries,
            deadline=plan.deadline,
            doing=doing,
        )


class JobRecord(Record, frozen=True, kw_only=True):
    """Which Job a release made: what another runner needs to find it again."""

    token: str
    server: str
    namespace: str
    plan: str


def run(
    connection: Connection,
    wanted: Wanted,
    *,
    record_path: Path,
    log_path: Path,
    watch: Watch,
    copies: Copies,
    cancelled: threading.Event,
) -> JobResult:
    """Run a training as a Job, or go on with the one that an earlier runner made for the same.

    Args:
        connection: to the cluster; the Job goes into its namespace.
        wanted: what is to run.
        record_path: where it is kept which Job that is; taken away again where the training failed.
        log_path: gets the output.
        watch: what is told meanwhile.
        copies: the store, with the pods' own copies of their output.
        cancelled: once set, the Job is deleted.

    Raises:
        Cancelled: it was cancelled, and its pods are gone.
        JobNotDeleted: it was cancelled, but is still there.
        TrainingJobFailed: the training failed, with the reason.
        JobStuck: its pods can't start.
        Problem: the Job can't be made.
    """
    ref, found = _find_or_make(connection, wanted, record_path, watch)
    if found:
        watch.note(f"{ref.title} goes on: an earlier runner made it.")
    facts = Facts(watch)
    log = JobLog(log_path, ref.name, facts.line, facts.mark, together=wanted.together)
    try:
        end = JobFollower(
            connection,
            ref,
            log,
            report=watch.state,
            note=watch.note,
            cancelled=cancelled,
            look=watch.look,
            together=wanted.together,
        ).run()
        facts.complete(end.message)
        fill_gaps(log, facts, copies, watch)
    except Cancelled:
        delete(connection, ref)
        record_path.unlink(missing_ok=True)
        raise Cancelled(f"{wanted.doing} was cancelled, and its Job deleted.") from None
    except JobStuck:
        delete(connection, ref)
        record_path.unlink(missing_ok=True)
        raise
    finally:
        log.close()
    copies.remove(copies_of(ref.name))
    if not end.succeeded:
        record_path.unlink(missing_ok=True)
        raise failure(ref, end, facts, wanted)
    return facts.result(ref.name, log)


def failure(ref: JobRef, end: JobEnd, facts: Facts, wanted: Wanted) -> Problem:
    """Say why a training failed: its own words before the pod's, the pod's before the Job's."""
    tail = tuple(facts.tail)
    told = str(facts.end.get("error", ""))
    if told and end.exit_code == NO_MODEL:
        return TrainingJobFailed(
            clean_line(told), "Look at its log.", command=f"kubectl logs job/{ref.name}", tail=tail
        )
    if end.reason == "DeadlineExceeded":
        sentence = f"{wanted.doing} did not end within {wanted.deadline or 0:.0f} s and was stopped (DeadlineExceeded)."
        return TrainingJobFailed(sentence, "Allow it more time: [train] timeout.", tail=tail)
    cause = end.cause or end.state.sentence
    if "OOMKilled" in cause:
        hint = "Give it more memory ([train] memory), train on less data or in smaller batches."
    else:
        hint = "Its last lines say why." if tail else f"Look at it: kubectl describe job/{ref.name}"
    attempts = (
        f" {wanted.retries + 1} attempts failed." if wanted.retries and end.reason == "BackoffLimitExceeded" else ""
    )
    return TrainingJobFailed(f"{wanted.doing} failed on the cluster: {cause}{attempts}", hint, tail=tail)


def _find_or_make(connection: Connection, wanted: Wanted, record_path: Path, watch: Watch) -> tuple[JobRef, bool]:
    """The Job that is wanted: that of an earlier runner, or a new one."""
    record = _read_record(record_path)
    here = (connection.server, connection.namespace)
    if record is not None and (record.server, record.namespace) == here:
        earlier = _labelled(connection, wanted.resource, record.token)
        if earlier is not None:
            ref = _ref(earlier, wanted)
            if (earlier.metadata.annotations or {}).get(PLAN_ANNOTATION) == wanted.digest:
                return ref, True
            watch.note(f"{ref.title} was made for something else: it is deleted.")
            delete(connection, ref)
    token = uuid.uuid4().hex[:12]
    made = JobRecord(token=token, server=connection.server, namespace=connection.namespace, plan=wanted.digest)
    _write_record(record_path, made)
    return _make(connection, wanted, token), False


def _make(connection: Connection, wanted: Wanted, token: str) -> JobRef:
    """Make the objects of a training; where the Job itself can't be made, the others go again."""
    *beside, (resource, body) = wanted.make(token)
    done: list[tuple[Resource, Body]] = []
    try:
        for other, other_body in beside:
            _create(connection, other, other_body)
            done.append((other, other_body))
        made = decode(_create(connection, resource, body), Job)
    except Problem:
        for other, other_body in done:
            _delete_quietly(connection, other.path(connection.namespace, other_body["metadata"]["name"]))
        raise
    for other, other_body in done:
        _own(connection, resource, made, other.path(connection.namespace, other_body["metadata"]["name"]))
    return _ref(made, wanted)


def _create(connection: Connection, resource: Resource, body: Body) -> bytes:
    """Create an object; one of this name is ours: an answer of before was lost."""
    path = resource.path(connection.namespace)
    for attempt in range(4):
        try:
            return connection.request("POST", path, query={"fieldValidation": "Strict"}, body=encoded(body))
        except ApplyConflict:
            return connection.request("GET", f"{path}/{body['metadata']['name']}")
        except PASSING:
            if attempt == 3:
                raise
            time.sleep(2**attempt)
    raise AssertionError("not reached")


def _own(connection: Connection, resource: Resource, made: Job, path: str) -> None:
    """Let the object at a path go with its Job."""
    reference = {
        "apiVersion": resource.group_version,
        "kind": resource.kind,
        "name": made.metadata.name,
        "uid": made.metadata.uid,
    }
    connection.request(
        "PATCH",
        path,
        body=msgspec.json.encode({"metadata": {"ownerReferences": [reference]}}),
        content_type="application/merge-patch+json",
    )


def _labelled(connection: Connection, resource: Resource, token: str) -> Job | None:
    query = {"labelSelector": f"{TRAINING_LABEL}={token}"}
    found = decode(connection.request("GET", resource.path(connection.namespace), query=query), ObjectList[Job])
    alive = [entry for entry in found.items or () if entry.metadata.deletion_timestamp is None]
    return alive[0] if alive else None


def _ref(found: Job, wanted: Wanted) -> JobRef:
    metadata = found.metadata
    return JobRef(resource=wanted.resource, name=metadata.name, uid=metadata.uid, queue=wanted.queue)


def delete(connection: Connection, ref: JobRef, *, timeout: float = DELETE_SECONDS) -> None:
    """Delete a Job with its pods, and wait until all of them are gone.

    Raises:
        JobNotDeleted: they are not within `timeout` seconds, or the cluster does not answer.
    """
    deadline = time.monotonic() + timeout
    path = ref.resource.path(connection.namespace, ref.name)
    options = {"propagationPolicy": "Foreground", "preconditions": {"uid": ref.uid}}
    last = "it is still there"
    while time.monotonic() < deadline:
        try:
            if _is_deleted(connection, path, options) and not _pods_of(connection, ref):
                return
        except PASSING as problem:
            last = problem.sentence
            time.sleep(1)
        time.sleep(POLL_SECONDS)
    hint = f"Delete it by hand: kubectl -n {connection.namespace} delete {ref.resource.kind.lower()}/{ref.name}"
    raise JobNotDeleted(f"{ref.title} could not be deleted within {timeout:.0f} s: {last}.".replace("..", "."), hint)


def _is_deleted(connection: Connection, path: str, options: dict[str, Any]) -> bool:
    """Ask for a Job's end; says whether it was gone already."""
    try:
        connection.request("DELETE", path, body=msgspec.json.encode(options))
    except (NotFound, ApplyConflict):
        # a conflict: another one of this name has another uid
        return True
    return False


def _pods_of(connection: Connection, ref: JobRef) -> list[Pod]:
    query = {"labelSelector": ref.selector}
    answer = connection.request("GET", PODS.path(connection.namespace), query=query)
    return list(decode(answer, ObjectList[Pod]).items or ())


def _delete_quietly(connection: Connection, path: str) -> None:
    try:
        connection.request("DELETE", path)
    except Problem:
        # what is to be told is why the Job could not be made
        return


def _read_record(path: Path) -> JobRecord | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=JobRecord)
    except (OSError, msgspec.MsgspecError):
        return None


def _write_record(path: Path, record: JobRecord) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, msgspec.json.encode(record))
