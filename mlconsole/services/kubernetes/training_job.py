"""One training as a Job: made or found again, followed to its end, taken away where it is cancelled.

A record beside the release's log names the Job, by a label that only this training has. It is written before the Job
is made: a runner that dies leaves both, and the next one goes on with them.
"""

from __future__ import annotations

import threading
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from mlconsole.errors import Cancelled, OutsideFailed, Problem, Refused
from mlconsole.evidence.base import CommandRun, Record
from mlconsole.evidence.training import ModelFile, Package, UseSample
from mlconsole.services.kubernetes.in_pod.job_wrapper import NO_MODEL
from mlconsole.services.kubernetes.job_follow import PASSING, JobEnd, JobFollower, JobRef, JobStuck
from mlconsole.services.kubernetes.job_log import JobLog, copied, write_whole
from mlconsole.services.kubernetes.job_manifest import (
    PLAN_ANNOTATION,
    TRAINING_LABEL,
    JobPlan,
    config_map,
    copies_of,
    encoded,
    job,
)
from mlconsole.services.kubernetes.jobs import JOBS, Job, JobState
from mlconsole.services.kubernetes.objects import ObjectList, Pod
from mlconsole.services.kubernetes.problems import ApplyConflict, NotFound, decode
from mlconsole.services.kubernetes.resources import KNOWN, PODS
from mlconsole.text import clean_line, count

if TYPE_CHECKING:
    from mlconsole.services.kubernetes.connection import Connection

CONFIG_MAPS = KNOWN["v1", "ConfigMap"]
DELETE_SECONDS = 90.0
POLL_SECONDS = 0.1
TAIL_LINES = 20


class TrainingJobFailed(Refused):
    """The training ran on the cluster and failed there."""


class JobNotDeleted(OutsideFailed):
    """A Job that should go is still there."""


class JobRecord(Record, frozen=True, kw_only=True):
    """Which Job a release made: what another runner needs to find it again."""

    token: str
    server: str
    namespace: str
    plan: str


class JobResult(Record, frozen=True, kw_only=True):
    """A training that ended well on the cluster.

    `model` is what its pod says that it brought to the store, `found` where it was unless it is where it was asked to
    be; `outputs` are what it brought beside it. `missing` counts lines of the log that nobody has.
    """

    job: str
    model: ModelFile | None
    seconds: float
    cpu_seconds: float
    peak_memory: int
    lines: int
    tail: tuple[str, ...]
    python: str = ""
    executable: str = ""
    packages: tuple[Package, ...] = ()
    missing: int = 0
    found: str = ""
    outputs: tuple[ModelFile, ...] = ()
    missing_outputs: tuple[str, ...] = ()


class Watch(Protocol):
    """Who is told of a training while it runs; every call comes in the thread that follows it."""

    def line(self, text: str) -> None:
        """It printed a line."""

    def look(self) -> None:
        """A moment has gone by: this comes a few times a second."""

    def report(self, text: str) -> None:
        """The helper `mlconsole.report` wrote a line."""

    def file(self, name: str, text: str) -> None:
        """A file of metrics changed to this."""

    def use(self, sample: UseSample) -> None:
        """Its processes use this."""

    def state(self, state: JobState) -> None:
        """The Job stands differently."""

    def note(self, text: str) -> None:
        """Something is worth a line."""

    def again(self, lines: list[str], gaps: list[tuple[int, int]], reports: list[str]) -> None:
        """Here is all that it told: the lines of the gaps (first and last + 1) and some reports had not been read."""


class Copies(Protocol):
    """Where pods keep copies of their output: the store."""

    def read(self, name: str) -> bytes | None:
        """A file, None where there is none."""

    def remove(self, folder: str) -> None:
        """Remove a folder, as far as that can be done."""


def run(
    connection: Connection,
    plan: JobPlan,
    *,
    record_path: Path,
    log_path: Path,
    watch: Watch,
    copies: Copies,
    cancelled: threading.Event,
) -> JobResult:
    """Run a training as a Job, or go on with the one that an earlier runner made for the same plan.

    Args:
        connection: to the cluster; the Job goes into its namespace.
        plan: what is to run.
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
    ref, found = _find_or_make(connection, plan, record_path, watch)
    if found:
        watch.note(f"{ref.title} goes on: an earlier runner made it.")
    facts = _Facts(watch)
    log = JobLog(log_path, ref.name, facts.line, facts.mark)
    try:
        end = JobFollower(
            connection, ref, log, report=watch.state, note=watch.note, cancelled=cancelled, look=watch.look
        ).run()
        _fill_gaps(log, facts, copies, watch)
    except Cancelled:
        delete(connection, ref)
        record_path.unlink(missing_ok=True)
        raise Cancelled("Training was cancelled, and its Job deleted.") from None
    except JobStuck:
        delete(connection, ref)
        record_path.unlink(missing_ok=True)
        raise
    finally:
        log.close()
    copies.remove(copies_of(ref.name))
    if not end.succeeded:
        record_path.unlink(missing_ok=True)
        raise failure(ref, end, facts, plan)
    return facts.result(ref.name, log)


def commands(ref: JobRef, connection: Connection) -> tuple[CommandRun, ...]:
    """The kubectl lines that show a Job and its log."""
    base = f"kubectl --context {connection.context} -n {connection.namespace}"
    kind = ref.resource.kind.lower()
    return (
        CommandRun(line=f"{base} get {kind}/{ref.name}"),
        CommandRun(line=f"{base} logs -f -l {ref.selector}"),
    )


class _Facts:
    """What the wrapper's marks and the last lines say of a training."""

    def __init__(self, watch: Watch) -> None:
        self._watch = watch
        self._packages: list[Package] = []
        self.tail: list[str] = []
        self.start: dict[str, Any] = {}
        self.end: dict[str, Any] = {}
        self.ended_pod = ""

    def line(self, text: str) -> None:
        if text.strip():
            self.tail = [*self.tail[1 - TAIL_LINES :], text]
        self._watch.line(text)

    def mark(self, uid: str, mark: dict[str, Any]) -> None:
        for kind, value in mark.items():
            if kind == "start":
                self.start, self.end, self._packages = value, {}, []
            elif kind == "packages":
                pairs = (pair for pair in value if len(pair) == 2)
                self._packages += [Package(name=_package(name), version=clean_line(str(ver))) for name, ver in pairs]
            elif kind == "use":
                self._watch.use(msgspec.convert(value, UseSample))
            elif kind == "report":
                self._watch.report(str(value))
            elif kind == "file":
                self._watch.file(str(value.get("name", "")), str(value.get("text", "")))
            elif kind == "end":
                self.end, self.ended_pod = value, uid

    def result(self, name: str, log: JobLog) -> JobResult:
        model = self.end.get("model")
        return JobResult(
            job=name,
            model=msgspec.convert(model, ModelFile) if model else None,
            seconds=float(self.end.get("seconds", 0)),
            cpu_seconds=float(self.end.get("cpu_seconds", 0)),
            peak_memory=int(self.end.get("peak_memory", 0)),
            lines=log.lines,
            tail=tuple(self.tail),
            python=clean_line(str(self.start.get("python", ""))),
            executable=clean_line(str(self.start.get("executable", ""))),
            packages=tuple(sorted({entry.name: entry for entry in self._packages}.values(), key=lambda e: e.name)),
            missing=log.missing,
            found=clean_line(str(self.end.get("found", ""))),
            outputs=msgspec.convert(self.end.get("outputs", ()), tuple[ModelFile, ...]),
            missing_outputs=tuple(clean_line(str(name)) for name in self.end.get("missing", ())),
        )


def _package(name: object) -> str:
    return clean_line(str(name)).replace("_", "-").replace(".", "-").lower()


def _fill_gaps(log: JobLog, facts: _Facts, copies: Copies, watch: Watch) -> None:
    """Put the last pod's own copy in the place of what was read, where lines of it are missing."""
    pod = log.pods.get(facts.ended_pod)
    if pod is None or not pod.missing:
        return
    name = facts.end.get("copy")
    data = copies.read(str(name)) if name else None
    lost, gaps = pod.missing, list(pod.gaps)
    try:
        lines, reports = copied(data) if data is not None else ([], [])
    except ValueError:
        lines, reports = [], []
    if len(lines) < facts.end.get("lines", 0):
        watch.note(f"{count(lost, 'line')} of the log went by while the cluster was out of reach, and nobody has them.")
        return
    log.replace(facts.ended_pod, lines)
    watch.note(f"{count(lost, 'line')} of the log went by while the cluster was out of reach: they are there again.")
    watch.again(lines, gaps, reports)


def failure(ref: JobRef, end: JobEnd, facts: _Facts, plan: JobPlan) -> Problem:
    """Say why a training failed: its own words before the pod's, the pod's before the Job's."""
    tail = tuple(facts.tail)
    told = str(facts.end.get("error", ""))
    if told and end.exit_code == NO_MODEL:
        return TrainingJobFailed(
            clean_line(told), "Look at its log.", command=f"kubectl logs job/{ref.name}", tail=tail
        )
    if end.reason == "DeadlineExceeded":
        sentence = f"Training did not end within {plan.deadline or 0:.0f} s and was stopped (DeadlineExceeded)."
        return TrainingJobFailed(sentence, "Allow it more time: [train] timeout.", tail=tail)
    cause = end.cause or end.state.sentence
    if "OOMKilled" in cause:
        hint = "Give it more memory ([train] memory), train on less data or in smaller batches."
    else:
        hint = "Its last lines say why." if tail else f"Look at it: kubectl describe job/{ref.name}"
    attempts = f" {plan.retries + 1} attempts failed." if plan.retries and end.reason == "BackoffLimitExceeded" else ""
    return TrainingJobFailed(f"Training failed on the cluster: {cause}{attempts}", hint, tail=tail)


def _find_or_make(connection: Connection, plan: JobPlan, record_path: Path, watch: Watch) -> tuple[JobRef, bool]:
    """The Job of this plan: that of an earlier runner, or a new one."""
    record = _read_record(record_path)
    here = (connection.server, connection.namespace)
    if record is not None and (record.server, record.namespace) == here:
        earlier = _labelled(connection, record.token)
        if earlier is not None:
            ref = _ref(earlier, plan)
            if (earlier.metadata.annotations or {}).get(PLAN_ANNOTATION) == plan.digest:
                return ref, True
            watch.note(f"{ref.title} was made for something else: it is deleted.")
            delete(connection, ref)
    token = uuid.uuid4().hex[:12]
    made = JobRecord(token=token, server=connection.server, namespace=connection.namespace, plan=plan.digest)
    _write_record(record_path, made)
    return _make(connection, plan, token), False


def _make(connection: Connection, plan: JobPlan, token: str) -> JobRef:
    body = job(plan, token)
    wrapper = _create(connection, CONFIG_MAPS.path(connection.namespace), config_map(plan, token))
    try:
        made = decode(_create(connection, JOBS.path(connection.namespace), body), Job)
    except Problem:
        _delete_quietly(connection, CONFIG_MAPS.path(connection.namespace, body["metadata"]["name"]))
        raise
    if not made.metadata.uid:
        found = _labelled(connection, token)
        made = found if found is not None else made
    _own(connection, made, wrapper)
    return _ref(made, plan)


def _create(connection: Connection, path: str, body: dict[str, Any]) -> bytes:
    """Create an object; one of this name is ours: an answer of before was lost."""
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


def _own(connection: Connection, made: Job, wrapper: bytes) -> None:
    """Let the ConfigMap go with its Job."""
    reference = {
        "apiVersion": JOBS.group_version,
        "kind": JOBS.kind,
        "name": made.metadata.name,
        "uid": made.metadata.uid,
    }
    connection.request(
        "PATCH",
        CONFIG_MAPS.path(connection.namespace, made.metadata.name),
        body=msgspec.json.encode({"metadata": {"ownerReferences": [reference]}}),
        content_type="application/merge-patch+json",
    )


def _labelled(connection: Connection, token: str) -> Job | None:
    query = {"labelSelector": f"{TRAINING_LABEL}={token}"}
    found = decode(connection.request("GET", JOBS.path(connection.namespace), query=query), ObjectList[Job])
    alive = [entry for entry in found.items or () if entry.metadata.deletion_timestamp is None]
    return alive[0] if alive else None


def _ref(found: Job, plan: JobPlan) -> JobRef:
    return JobRef(resource=JOBS, name=found.metadata.name, uid=found.metadata.uid, queue=plan.queue)


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
