"""Jobs: pods that run to their end, so many at once, so many successes, with a limit of failures and of time."""

from __future__ import annotations

from collections.abc import Iterable

from mlconsole.localcluster.controllers import job_policy
from mlconsole.localcluster.controllers.base import Controller, owner_key
from mlconsole.localcluster.controllers.events import EventRecorder
from mlconsole.localcluster.controllers.objects import (
    annotations_of,
    has_condition,
    is_active,
    is_deleted,
    is_ready,
    seconds_since,
    set_condition,
)
from mlconsole.localcluster.controllers.pods import PodWriter, owned_pods
from mlconsole.localcluster.controllers.quota import QuotaExceeded
from mlconsole.localcluster.store import Event, Key, Object, Store, clone, key_of, timestamp

COUNTED = "local.mlconsole.dev/counted"
"""Marks a finished pod whose end is in the Job's status, so that its removal changes no count."""

LONGEST_BACKOFF = 600.0


class JobController(Controller):
    """Creates the pods of Jobs and judges their ends.

    Args:
        backoff: seconds before a failed pod is replaced; doubled with each failure.
    """

    watches = ("jobs", "pods")

    def __init__(self, store: Store, events: EventRecorder, backoff: float = 10.0) -> None:
        super().__init__(store, events)
        self._backoff = backoff
        self._pods = PodWriter(store, events, "job-controller", "batch/v1", "Job")

    def keys(self, resource: str, event: Event) -> Iterable[Key]:
        """The Job itself, or that of a pod."""
        return [key_of(event.object)] if resource == "jobs" else owner_key(event.object, "Job")

    def reconcile(self, key: Key) -> float | None:
        """Counts what ended, judges, creates what is missing and writes the status."""
        job = self.find("jobs", key)
        if job is None or is_deleted(job):
            return None
        if _is_final(job):
            return self._expire(job)
        status = job.setdefault("status", {})
        if not status.get("startTime") and not job["spec"].get("suspend"):
            status["startTime"] = timestamp()
        failure = self._count_ends(job)
        failure = failure or self._limit_reached(job)
        try:
            wait = self._end(job, *failure) if failure else self._continue(job)
        except QuotaExceeded:
            wait = self._retry_delay(key)
        self._write(job)
        return wait

    def _count_ends(self, job: Object) -> tuple[str, str] | None:
        """Counts pods that ended since the last look; returns reason and message where the Job fails by policy."""
        status, failure = job["status"], None
        for pod in owned_pods(self.store, job):
            phase = pod.get("status", {}).get("phase")
            gone = is_deleted(pod) and phase not in ("Succeeded", "Failed")
            if gone or COUNTED in annotations_of(pod) or phase not in ("Succeeded", "Failed"):
                continue
            verdict = job_policy.judge_failure(job, pod) if phase == "Failed" else job_policy.Verdict("Succeeded")
            if verdict.action == "Succeeded":
                self._count_success(job, pod)
            elif verdict.action != "Ignore":
                status["failed"] = status.get("failed", 0) + 1
            if verdict.action == "FailJob":
                failure = failure or ("PodFailurePolicy", verdict.message)
            counted = clone(pod)
            counted["metadata"].setdefault("annotations", {})[COUNTED] = "true"
            self.store.update("pods", counted)
        return failure

    @staticmethod
    def _count_success(job: Object, pod: Object) -> None:
        status = job["status"]
        if job["spec"].get("completionMode") == "Indexed":
            done = job_policy.parse_indexes(status.get("completedIndexes", "")) | {job_policy.index_of(pod)}
            status["completedIndexes"] = job_policy.print_indexes(done)
            status["succeeded"] = len(done)
        else:
            status["succeeded"] = status.get("succeeded", 0) + 1

    def _limit_reached(self, job: Object) -> tuple[str, str] | None:
        spec, status = job["spec"], job["status"]
        deadline = spec.get("activeDeadlineSeconds")
        if deadline is not None and status.get("startTime") and seconds_since(status["startTime"]) >= deadline:
            return "DeadlineExceeded", "Job was active longer than specified deadline"
        limit = spec.get("backoffLimit")
        limit = 6 if limit is None else limit
        restarts = 0
        if job_policy.restarts_on_failure(job):
            active = [pod for pod in owned_pods(self.store, job) if is_active(pod)]
            restarts = job_policy.restarts_of(active)
        if status.get("failed", 0) > limit or (restarts and restarts >= limit):
            return "BackoffLimitExceeded", "Job has reached the specified backoff limit"
        return None

    def _continue(self, job: Object) -> float | None:
        active = [pod for pod in owned_pods(self.store, job) if is_active(pod)]
        if job["spec"].get("suspend"):
            self._suspend(job, active)
            return None
        if has_condition(job, "Suspended"):
            _put(job, "Suspended", "JobResumed", "Job resumed", value="False")
            self._say(job, "Resumed", "Job resumed")
        if self._is_complete(job, active):
            return self._complete(job)
        missing = self._missing(job, len(active))
        wait = self._wait_after_failure(job) if missing > 0 else None
        if wait:
            return min(wait, self._until_deadline(job) or wait)
        for _ in range(missing):
            self._create_pod(job)
        for pod in active[: max(0, -missing)]:
            self._pods.end(job, pod)
        return self._until_deadline(job)

    def _create_pod(self, job: Object) -> None:
        pods = [pod for pod in owned_pods(self.store, job) if is_active(pod)]
        done = job_policy.parse_indexes(job["status"].get("completedIndexes", ""))
        index = job_policy.free_index(job, pods, done)
        name = job["metadata"]["name"]
        if index is None:
            self._pods.create(job, f"{name}-")
        else:
            self._pods.create(job, f"{name}-{index}-", {job_policy.INDEX: str(index)})

    @staticmethod
    def _missing(job: Object, active: int) -> int:
        spec, succeeded = job["spec"], job["status"].get("succeeded", 0)
        parallelism = 1 if spec.get("parallelism") is None else spec["parallelism"]
        completions = spec.get("completions")
        if completions is None:
            wanted = active if succeeded else parallelism
        else:
            wanted = min(parallelism, completions - succeeded)
        return int(wanted) - active

    @staticmethod
    def _is_complete(job: Object, active: list[Object]) -> bool:
        completions, succeeded = job["spec"].get("completions"), job["status"].get("succeeded", 0)
        return succeeded > 0 and not active if completions is None else succeeded >= completions

    def _wait_after_failure(self, job: Object) -> float | None:
        failed = [pod for pod in owned_pods(self.store, job) if pod.get("status", {}).get("phase") == "Failed"]
        failures = job["status"].get("failed", 0)
        if not failed or not failures:
            return None
        ages = [seconds_since(_finished_at(pod)) for pod in failed]
        left = min(self._backoff * 2 ** min(failures - 1, 12), LONGEST_BACKOFF) - min(ages)
        return left if left > 0 else None

    @staticmethod
    def _until_deadline(job: Object) -> float | None:
        deadline, start = job["spec"].get("activeDeadlineSeconds"), job["status"].get("startTime")
        return None if deadline is None or not start else max(0.05, deadline - seconds_since(start) + 0.02)

    def _suspend(self, job: Object, active: list[Object]) -> None:
        for pod in active:
            self._pods.end(job, pod)
        if not has_condition(job, "Suspended"):
            _put(job, "Suspended", "JobSuspended", "Job suspended")
            self._say(job, "Suspended", "Job suspended")
        job["status"].pop("startTime", None)

    def _complete(self, job: Object) -> float | None:
        message = "Reached expected number of succeeded pods"
        _put(job, "SuccessCriteriaMet", "CompletionsReached", message)
        _put(job, "Complete", "CompletionsReached", message)
        job["status"]["completionTime"] = timestamp()
        self._say(job, "Completed", "Job completed")
        return _ttl(job)

    def _end(self, job: Object, reason: str, message: str) -> float | None:
        """Ends what runs; the condition Failed follows when nothing runs any more."""
        pods = owned_pods(self.store, job)
        for pod in [pod for pod in pods if is_active(pod)]:
            self._pods.end(job, pod)
            if pod["spec"].get("nodeName"):
                job["status"]["failed"] = job["status"].get("failed", 0) + 1
        _put(job, "FailureTarget", reason, message)
        _put(job, "Failed", reason, message)
        self._say(job, reason, message, warning=True)
        return _ttl(job)

    def _write(self, job: Object) -> None:
        pods = owned_pods(self.store, job)
        active = [pod for pod in pods if is_active(pod)]
        status = job["status"]
        status["active"] = len(active)
        status["ready"] = sum(is_ready(pod) for pod in active)
        status["terminating"] = sum(is_deleted(pod) for pod in pods)
        status["uncountedTerminatedPods"] = {}
        if not active:
            status.pop("active")
        self.store.update("jobs", job, status=True)

    def _expire(self, job: Object) -> float | None:
        self._write(job)
        wait = _ttl(job)
        if wait is None or wait > 0:
            return wait
        self.store.delete("jobs", *key_of(job))
        return None

    def _say(self, job: Object, reason: str, message: str, *, warning: bool = False) -> None:
        self.events.record("job-controller", "Job", job, reason, message, warning=warning)


def _is_final(job: Object) -> bool:
    return has_condition(job, "Complete") or has_condition(job, "Failed")


def _put(job: Object, kind: str, reason: str, message: str, *, value: str = "True") -> None:
    now = timestamp()
    new = {"type": kind, "status": value, "lastProbeTime": now, "lastTransitionTime": now,
           "reason": reason, "message": message}  # fmt: skip
    set_condition(job["status"].setdefault("conditions", []), new)


def _ttl(job: Object) -> float | None:
    """Seconds until a finished Job is removed, None where it stays."""
    ttl = job["spec"].get("ttlSecondsAfterFinished")
    ends = [
        item["lastTransitionTime"] for item in job["status"]["conditions"] if item["type"] in ("Complete", "Failed")
    ]
    return None if ttl is None or not ends else max(0.0, ttl - seconds_since(ends[0]))


def _finished_at(pod: Object) -> str:
    ends = [
        container["state"]["terminated"]["finishedAt"]
        for container in (pod.get("status") or {}).get("containerStatuses") or []
        if (container.get("state") or {}).get("terminated", {}).get("finishedAt")
    ]
    latest: str = max(ends, default=pod["metadata"]["creationTimestamp"])
    return latest
