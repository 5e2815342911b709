"""Why a pod, or a rollout, does not get on: what the cluster knows, in one line and with the next step.

Pure functions over decoded objects. Order matters: what will not heal by itself comes first.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from mlconsole.evidence.base import Record
from mlconsole.services.kubernetes.objects import ContainerStatus, Event, Pod, Terminated, Workload
from mlconsole.text import clean_line, shorten

LONGEST_MESSAGE = 240

IMAGE_REASONS = ("ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "ErrImageInspect")
START_REASONS = ("CreateContainerError", "RunContainerError", "StartError", "ContainerCannotRun")
VOLUME_EVENTS = ("FailedMount", "FailedAttachVolume", "FailedCreatePodSandBox", "FailedMapVolume")


class Diagnosis(Record, frozen=True, kw_only=True):
    """What keeps a pod or a workload from being ready.

    `heals` says whether it may pass by itself (a health check that still fails, a full cluster); `container` names
    whose log is worth reading, `previous` whether it is the log of the run before that is.
    """

    kind: str
    sentence: str
    next_step: str = ""
    heals: bool = False
    container: str = ""
    previous: bool = False


def why_not_ready(pod: Pod, events: Sequence[Event] = ()) -> Diagnosis | None:
    """Say why a pod is not ready, or None where it is ready, done, or merely on its way.

    Args:
        pod: the pod.
        events: events of its namespace; those of other objects are left out by uid.
    """
    if pod.metadata.deletion_timestamp is not None or pod.status.phase == "Succeeded":
        return None
    own = [event for event in events if event.involved_object.uid == pod.metadata.uid]
    statuses = [*(pod.status.init_container_statuses or ()), *(pod.status.container_statuses or ())]
    for status in statuses:
        found = _container(status)
        if found is not None:
            return found
    if pod.is_ready:
        return None
    return _evicted(pod) or _unscheduled(pod) or _volume(pod, own) or _unhealthy(pod, own)


def why_restarted(pod: Pod) -> Diagnosis | None:
    """Say how the latest run of a container ended that was started anew, even where it is ready again."""
    ended = [
        (status, status.last_state.terminated)
        for status in pod.status.container_statuses or ()
        if status.restart_count and status.last_state.terminated is not None
    ]
    if not ended:
        return None
    status, terminated = max(ended, key=lambda pair: pair[1].finished_at.timestamp() if pair[1].finished_at else 0)
    return _exited(status, terminated, previous=True)


def why_stuck(workload: Workload) -> Diagnosis | None:
    """Say what a workload itself knows of why it does not get on: no new pods, paused, out of time."""
    failure = workload.condition("ReplicaFailure")
    if failure is not None and failure.status == "True":
        return refused_pods(failure.message)
    if workload.spec.paused:
        return Diagnosis(
            kind="Paused",
            sentence="The rollout is paused.",
            next_step=f"Run `kubectl rollout resume {workload.kind.lower() or 'deployment'}/{workload.metadata.name}`.",
            heals=True,
        )
    progressing = workload.condition("Progressing")
    if progressing is not None and progressing.reason == "ProgressDeadlineExceeded":
        return Diagnosis(
            kind="ProgressDeadlineExceeded",
            sentence="No progress within the deadline; Kubernetes does not roll back by itself.",
            next_step="Look at the pods of the new revision, then roll back or release a fix.",
        )
    return None


def refused_pods(message: str) -> Diagnosis:
    """Say why new pods are refused: a quota, or whatever else `message` (of a FailedCreate) tells."""
    text = _short(message)
    if "exceeded quota" in message:
        quota = re.search(r"exceeded quota: (\S+?),", message)
        name = f" {quota.group(1)}" if quota else ""
        return Diagnosis(
            kind="QuotaExceeded",
            sentence=f"A quota blocks new pods: {_after(text, 'exceeded quota: ')}",
            next_step=f"Ask for a larger quota{name}, lower the requests, or free some of it.",
        )
    if "failed quota: " in message:
        unnamed = _after(text, "must specify ")
        return Diagnosis(
            kind="QuotaExceeded",
            sentence=f"A quota wants every container to say what it takes; the pods lack {unnamed}",
            next_step="Name it under resources in the manifest, or have a LimitRange fill it in.",
        )
    if re.search(r"(maximum|minimum) \S+ usage per (Container|Pod) is ", message):
        return Diagnosis(
            kind="LimitRange",
            sentence=f"The namespace's limits block new pods: {_after(text, 'is forbidden: ')}",
            next_step="Change resources in the manifest, or ask for another LimitRange.",
        )
    return Diagnosis(
        kind="FailedCreate",
        sentence=f"New pods are refused: {text}",
        next_step="Correct what the message names (policy, service account, limits) and deploy again.",
    )


def _container(status: ContainerStatus) -> Diagnosis | None:
    waiting, ended = status.state.waiting, status.state.terminated
    last = status.last_state.terminated
    if waiting is not None:
        found = _waiting(status, waiting.reason, waiting.message, last)
        if found is not None:
            return found
    if ended is not None and ended.exit_code != 0:
        return _exited(status, ended, previous=False)
    if last is not None and last.reason == "OOMKilled" and not status.ready:
        return _exited(status, last, previous=True)
    return None


def _waiting(status: ContainerStatus, reason: str, message: str, last: Terminated | None) -> Diagnosis | None:
    if reason in IMAGE_REASONS:
        detail = _short(_image_detail(message))
        return Diagnosis(
            kind=reason,
            sentence=f"The image {status.image} can't be pulled" + (f": {detail}" if detail else "."),
            next_step="Check the image's name and tag, that it was pushed, and the pull credentials.",
            container=status.name,
        )
    if reason == "CreateContainerConfigError":
        missing = _short(message) or "a ConfigMap, Secret or key is missing"
        return Diagnosis(
            kind=reason,
            sentence=f"Container {status.name} lacks configuration: {missing}",
            next_step="Create what is missing, or correct its name in the manifest.",
            container=status.name,
        )
    if reason in START_REASONS:
        return Diagnosis(
            kind=reason,
            sentence=f"Container {status.name} can't be started: {_short(message) or reason}",
            next_step="Check the command, its arguments and the mounts.",
            container=status.name,
        )
    if reason == "CrashLoopBackOff":
        if last is not None:
            return _exited(status, last, previous=True)
        return Diagnosis(
            kind=reason,
            sentence=f"Container {status.name} ends soon after its start, again and again.",
            next_step="Read its log.",
            container=status.name,
            previous=True,
        )
    return None


def _exited(status: ContainerStatus, ended: Terminated, *, previous: bool) -> Diagnosis:
    if ended.reason == "OOMKilled":
        return Diagnosis(
            kind="OOMKilled",
            sentence=f"Container {status.name} was killed: over its memory limit{_times(status)}.",
            next_step="Raise resources.limits.memory, or load a smaller model.",
            container=status.name,
            previous=previous,
        )
    if ended.reason in START_REASONS:
        return Diagnosis(
            kind=ended.reason,
            sentence=f"Container {status.name} can't be started: {_short(ended.message) or ended.reason}",
            next_step="Check the command, its arguments and the mounts.",
            container=status.name,
        )
    how = f"signal {ended.signal}" if ended.signal else f"exit code {ended.exit_code}"
    return Diagnosis(
        kind="CrashLoopBackOff" if status.restart_count else "Error",
        sentence=f"Container {status.name} ended with {how}{_soon(ended)}{_times(status)}.",
        next_step="Read its last log lines.",
        container=status.name,
        previous=previous,
    )


def _soon(ended: Terminated) -> str:
    if ended.started_at is None or ended.finished_at is None:
        return ""
    return f" after {max((ended.finished_at - ended.started_at).total_seconds(), 0):.0f} s"


def _times(status: ContainerStatus) -> str:
    count = status.restart_count
    return f", restarted {'once' if count == 1 else f'{count} times'}" if count else ""


def _evicted(pod: Pod) -> Diagnosis | None:
    if pod.status.phase != "Failed":
        return None
    reason = pod.status.reason or "Failed"
    detail = f": {_short(pod.status.message)}" if pod.status.message else "."
    return Diagnosis(kind=reason, sentence=f"The pod has failed ({reason}){detail}", next_step="Look at its events.")


def _unscheduled(pod: Pod) -> Diagnosis | None:
    scheduled = pod.condition("PodScheduled")
    if scheduled is None or scheduled.status != "False":
        return None
    if scheduled.reason == "SchedulingGated":
        return Diagnosis(
            kind="SchedulingGated", sentence="The pod is held back by its scheduling gates (queued).", heals=True
        )
    message = _short(scheduled.message.split(" preemption:")[0])
    unbound = "persistentvolumeclaim" in scheduled.message.lower()
    return Diagnosis(
        kind=scheduled.reason or "Unschedulable",
        sentence=f"No node fits: {message}" if message else "No node fits.",
        next_step=(
            "See why the volume claim is pending (storage class, size, zone)."
            if unbound
            else "Lower the requests, correct the node selector, or add a node."
        ),
        heals=True,
    )


def _volume(pod: Pod, events: Sequence[Event]) -> Diagnosis | None:
    if pod.status.phase != "Pending":
        return None
    event = _latest(events, VOLUME_EVENTS)
    if event is None:
        return None
    what = "The pod's network" if event.reason == "FailedCreatePodSandBox" else "A volume"
    return Diagnosis(
        kind=event.reason,
        sentence=f"{what} is not ready: {_short(event.message)}",
        next_step="Check that what the volume names exists, and the node's storage and network.",
        heals=True,
    )


def _unhealthy(pod: Pod, events: Sequence[Event]) -> Diagnosis | None:
    for status in pod.status.container_statuses or ():
        if status.state.running is None or status.ready:
            continue
        event = _latest(events, ("Unhealthy", "ProbeWarning"))
        detail = f": {_short(event.message)}" if event is not None else "."
        return Diagnosis(
            kind="Unhealthy",
            sentence=f"Container {status.name} is up, but not ready{detail}",
            next_step="Check the probe's path and port, and what the container logs at its start.",
            heals=True,
            container=status.name,
        )
    for gate in pod.spec.readiness_gates or ():
        condition = pod.condition(gate.condition_type)
        if condition is None or condition.status != "True":
            return Diagnosis(
                kind="ReadinessGate", sentence=f"Waiting for the readiness gate {gate.condition_type}.", heals=True
            )
    return None


def _latest(events: Sequence[Event], reasons: Sequence[str]) -> Event | None:
    found = [event for event in events if event.reason in reasons]
    return max(found, key=lambda event: event.at.timestamp() if event.at else 0, default=None)


def _image_detail(message: str) -> str:
    """Shorten a chain such as `failed to pull and unpack image "x": failed to resolve image: … no such host`."""
    text = re.sub(r'^Back-off pulling image "[^"]*"(: )?', "", message)
    text = re.sub(r"^(ErrImagePull: )", "", text)
    return re.sub(r'failed to pull (and unpack )?image "[^"]*": ', "", text)


def _after(text: str, mark: str) -> str:
    return text.partition(mark)[2] or text


def _short(message: str) -> str:
    """A message of the cluster's as a sentence, or its end."""
    text = shorten(clean_line(message.strip().replace("\n", " ")), LONGEST_MESSAGE).rstrip(",;: ")
    return text if not text or text.endswith((".", "!", "?", "…")) else f"{text}."
