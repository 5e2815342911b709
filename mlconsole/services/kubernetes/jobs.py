"""A Job, JobSet or TrainJob, and in words how it stands: queued, pending, running, tried again, done or failed.

Only their conditions Complete (of a JobSet: Completed) and Failed are final. Pure functions over decoded objects.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec

from mlconsole.evidence.base import Record
from mlconsole.services.kubernetes.diagnosis import IMAGE_REASONS, Diagnosis, refused_pods, why_not_ready
from mlconsole.services.kubernetes.events import in_time
from mlconsole.services.kubernetes.objects import Condition, ContainerStatus, Event, Metadata, Object, Pod, Terminated
from mlconsole.services.kubernetes.resources import Resource
from mlconsole.text import clean_line, count, shorten

Phase = Literal["queued", "pending", "running", "retrying", "complete", "failed"]
LONGEST_MESSAGE = 240

JOBS = Resource(group_version="batch/v1", kind="Job", plural="jobs")
JOB_SETS = Resource(group_version="jobset.x-k8s.io/v1alpha2", kind="JobSet", plural="jobsets")
TRAIN_JOBS = Resource(group_version="trainer.kubeflow.org/v1alpha1", kind="TrainJob", plural="trainjobs")

POD_LABELS = {
    "Job": "job-name",
    "JobSet": "jobset.sigs.k8s.io/jobset-name",
    "TrainJob": "jobset.sigs.k8s.io/jobset-name",
}
"""By which label the pods of each kind name it. A TrainJob makes a JobSet of its own name."""


class JobSpec(Object):
    """What a Job asks for, as far as it is read here."""

    suspend: bool | None = None
    backoff_limit: int | None = None
    active_deadline_seconds: int | None = None


class JobStatus(Object):
    """How a Job stands."""

    failed: int = 0
    conditions: list[Condition] | None = None


class Job(Object):
    """A Job, a JobSet or a TrainJob."""

    metadata: Metadata = msgspec.field(default_factory=Metadata)
    spec: JobSpec = msgspec.field(default_factory=JobSpec)
    status: JobStatus = msgspec.field(default_factory=JobStatus)

    def holds(self, *types: str) -> Condition | None:
        """The first condition of these types that is True."""
        return next(
            (entry for entry in self.status.conditions or () if entry.type in types and entry.status == "True"), None
        )

    @property
    def is_complete(self) -> bool:
        """Whether it has done what it should."""
        return self.holds("Complete", "Completed") is not None

    @property
    def is_final(self) -> bool:
        """Whether nothing more comes of it."""
        return self.holds("Complete", "Completed", "Failed") is not None

    @property
    def is_suspended(self) -> bool:
        """Whether it waits to be started by someone else, such as a queue."""
        return bool(self.spec.suspend) or self.holds("Suspended") is not None


class JobState(Record, frozen=True, kw_only=True):
    """How a Job stands, for a person. `lasting` names a cause that does not pass by itself."""

    phase: Phase
    sentence: str
    next_step: str = ""
    lasting: str = ""


def state_of(job: Job, pods: Sequence[Pod], events: Sequence[Event] = (), queued: str = "") -> JobState:
    """Say how a Job stands.

    Args:
        job: the Job.
        pods: its pods.
        events: of its namespace.
        queued: what the queue that it waits in says; empty where it says nothing, or there is none.
    """
    if job.is_complete:
        return JobState(phase="complete", sentence="Complete.")
    failed = job.holds("Failed")
    if failed is not None:
        return JobState(phase="failed", sentence=_short(failed.message or failed.reason or "It failed."))
    if job.is_suspended:
        sentence = queued or "Suspended: it waits for someone to start it."
        return JobState(phase="queued", sentence=sentence)
    active = [pod for pod in in_order(pods) if is_active(pod)]
    if not active:
        return _without_pods(job, pods, events)
    causes = [cause for pod in active if (cause := why_not_ready(pod, events)) is not None]
    cause = min(causes, key=lambda found: found.heals, default=None)
    if cause is not None and cause.kind != "Unhealthy":
        return JobState(
            phase="pending", sentence=cause.sentence, next_step=cause.next_step, lasting=_lasting(cause, active)
        )
    running = [pod for pod in active if pod.status.phase == "Running"]
    if len(running) < len(active):
        what = f"{len(running)} of {count(len(active), 'pod')} run" if len(active) > 1 else "Its pod is being started"
        return JobState(phase="pending", sentence=f"{what}.")
    again = f", attempt {job.status.failed + 1} of {limit_of(job) + 1}" if job.status.failed else ""
    where = running[0].spec.node_name
    what = count(len(running), "pod") if len(running) > 1 else f"pod {running[0].metadata.name}"
    return JobState(phase="running", sentence=f"Running in {what}{f' on {where}' if where else ''}{again}.")


def _without_pods(job: Job, pods: Sequence[Pod], events: Sequence[Event]) -> JobState:
    own = [event for event in in_time(events) if event.involved_object.uid == job.metadata.uid]
    refused = [event for event in own if event.reason == "FailedCreate"]
    if refused and own[-1] is refused[-1]:
        cause = refused_pods(refused[-1].message)
        return JobState(phase="pending", sentence=cause.sentence, next_step=cause.next_step)
    # the Job's own count may be behind its pods
    failed = max(job.status.failed, sum(pod.status.phase == "Failed" for pod in pods))
    limit = limit_of(job)
    if any(pod.status.phase == "Succeeded" for pod in pods):
        return JobState(phase="running", sentence="Its pod has ended well.")
    if not failed:
        return JobState(phase="pending", sentence="It waits for its pod.")
    ended = next((how for pod in reversed(in_order(pods)) if (how := how_ended(pod))), "")
    words = f"Attempt {failed} of {limit + 1} failed{f': {ended}' if ended else '.'}"
    return JobState(phase="retrying", sentence=f"{words} The next one is on its way." if failed <= limit else words)


def limit_of(job: Job) -> int:
    """How many pods may fail before it does."""
    return 6 if job.spec.backoff_limit is None else job.spec.backoff_limit


def in_order(pods: Sequence[Pod]) -> list[Pod]:
    """Pods in the order of their making."""
    return sorted(pods, key=lambda pod: (_seconds(pod), pod.metadata.name))


def is_active(pod: Pod) -> bool:
    """Whether it has still to end."""
    return pod.status.phase not in ("Succeeded", "Failed") and pod.metadata.deletion_timestamp is None


def has_begun(pod: Pod, container: str = "") -> bool:
    """Whether there is, or was, anything that writes a log."""
    status = container_of(pod, container)
    return status is not None and (status.state.running is not None or ended_of(status) is not None)


def container_of(pod: Pod, container: str = "") -> ContainerStatus | None:
    """The status of a container, of the first where it is not named."""
    statuses = pod.status.container_statuses or ()
    first = container or next((entry.name for entry in pod.spec.containers or ()), "")
    return next((entry for entry in statuses if entry.name == first), None)


def ended_of(status: ContainerStatus | None) -> Terminated | None:
    """How a container ended the last time that it did."""
    return (status.state.terminated or status.last_state.terminated) if status is not None else None


def how_ended(pod: Pod, container: str = "") -> str:
    """In a sentence how the pod of a training ended; empty where it has not, or ended well."""
    ended = ended_of(container_of(pod, container))
    if ended is not None and ended.reason == "OOMKilled":
        return "It was killed: over its memory limit (OOMKilled)."
    if pod.status.phase == "Failed" and pod.status.reason:
        detail = f": {_short(pod.status.message)}" if pod.status.message else ""
        return f"The pod was ended ({clean_line(pod.status.reason)}){detail.rstrip('.')}."
    if ended is None or not ended.exit_code:
        return ""
    if ended.reason in ("StartError", "ContainerCannotRun"):
        return f"It could not be started: {_short(ended.message).rstrip('.')}."
    signal = ended.signal or (ended.exit_code - 128 if ended.exit_code > 128 else 0)
    killed = {9: " (it was killed)", 15: " (it was asked to end)"}.get(signal, "")
    return f"It ended with {f'signal {signal}' if signal else f'exit code {ended.exit_code}'}{killed}."


def _lasting(cause: Diagnosis, active: Sequence[Pod]) -> str:
    """A cause for which it makes no sense to wait, by the pod that has it."""
    final = (*IMAGE_REASONS, "CreateContainerConfigError", "CreateContainerError", "RunContainerError")
    return f"{active[0].metadata.uid} {cause.kind in IMAGE_REASONS}" if cause.kind in final else ""


def _seconds(pod: Pod) -> float:
    return pod.metadata.creation_timestamp.timestamp() if pod.metadata.creation_timestamp else 0.0


def _short(message: str) -> str:
    return shorten(clean_line(message.strip().replace("\n", " ")), LONGEST_MESSAGE)
