"""JobSets and TrainJobs: several Jobs that train together, as their operators run them; enough to try them out.

Sources: https://jobset.sigs.k8s.io/docs/concepts/ and https://www.kubeflow.org/docs/components/trainer/ (v1alpha1).
Runtimes of Kubeflow's are not there: a TrainJob runs what its own `trainer` says.
"""

from __future__ import annotations

from collections.abc import Iterable

from mlconsole.localcluster.controllers.base import Controller, owner_key
from mlconsole.localcluster.controllers.objects import (
    controlled_by,
    has_condition,
    is_deleted,
    labels_of,
    owner_reference,
    set_condition,
)
from mlconsole.localcluster.store import Event, Key, Object, clone, key_of, timestamp

JOB_SET = "jobset.x-k8s.io/v1alpha2"
TRAIN_JOB = "trainer.kubeflow.org/v1alpha1"
_LABEL = "jobset.sigs.k8s.io"


def _put(obj: Object, kind: str, reason: str, message: str, *, value: str = "True") -> None:
    new = {"type": kind, "status": value, "lastTransitionTime": timestamp(), "reason": reason, "message": message}
    set_condition(obj.setdefault("status", {}).setdefault("conditions", []), new)


class JobSetController(Controller):
    """Makes the Jobs of JobSets, all of them anew where one fails and that is allowed."""

    watches = ("jobsets", "jobs")

    def keys(self, resource: str, event: Event) -> Iterable[Key]:
        """The JobSet itself, or that of a Job."""
        return [key_of(event.object)] if resource == "jobsets" else owner_key(event.object, "JobSet")

    def reconcile(self, key: Key) -> float | None:
        """Judges the Jobs that are there, then makes and ends what is to be made and ended."""
        jobset = self.find("jobsets", key)
        if (
            jobset is None
            or is_deleted(jobset)
            or has_condition(jobset, "Completed")
            or has_condition(jobset, "Failed")
        ):
            return None
        status = jobset.setdefault("status", {})
        restarts = status.setdefault("restarts", 0)
        owned = [job for job in self.store.scan("jobs", key[0]) if controlled_by(job, jobset)]
        jobs = {job["metadata"]["name"]: job for job in owned if _attempt(job) == restarts}
        for job in owned:
            if _attempt(job) != restarts:
                self.store.delete("jobs", *key_of(job))
        wanted = _jobs_of(jobset, restarts)
        if any(has_condition(job, "Failed") for job in jobs.values()):
            self._fail(jobset)
        elif len(jobs) == len(wanted) and all(has_condition(job, "Complete") for job in jobs.values()):
            _put(jobset, "Completed", "AllJobsCompleted", "jobset completed successfully")
        else:
            self._make(jobset, jobs, wanted)
        self.store.update("jobsets", jobset, status=True)
        return None

    @staticmethod
    def _fail(jobset: Object) -> None:
        status = jobset["status"]
        allowed = (jobset["spec"].get("failurePolicy") or {}).get("maxRestarts", 0)
        if status["restarts"] < allowed:
            status["restarts"] += 1
        else:
            _put(jobset, "Failed", "FailedJobs", "jobset failed due to one or more job failures")

    def _make(self, jobset: Object, jobs: dict[str, Object], wanted: list[Object]) -> None:
        suspended = bool(jobset["spec"].get("suspend"))
        if suspended != has_condition(jobset, "Suspended") and (suspended or "conditions" in jobset["status"]):
            reason = "SuspendedJobs" if suspended else "ResumeJobs"
            words = "suspended" if suspended else "resumed"
            _put(jobset, "Suspended", reason, f"jobset is {words}", value=str(suspended))
        for job in wanted:
            present = jobs.get(job["metadata"]["name"])
            if present is None and not any(
                key_of(other) == key_of(job) for other in self.store.scan("jobs", job["metadata"]["namespace"])
            ):
                self.store.create("jobs", job)
            elif present is not None and bool(present["spec"].get("suspend")) != suspended:
                changed = clone(present)
                changed["spec"]["suspend"] = suspended
                self.store.update("jobs", changed)


def _attempt(job: Object) -> int:
    return int(labels_of(job).get(f"{_LABEL}/restart-attempt", 0))


def _jobs_of(jobset: Object, restarts: int) -> list[Object]:
    """The Jobs that a JobSet asks for."""
    meta, spec = jobset["metadata"], jobset["spec"]
    made = []
    for group in spec.get("replicatedJobs") or []:
        for index in range(group.get("replicas", 1)):
            name = f"{meta['name']}-{group['name']}-{index}"
            labels = {
                f"{_LABEL}/jobset-name": meta["name"],
                f"{_LABEL}/replicatedjob-name": group["name"],
                f"{_LABEL}/job-index": str(index),
                f"{_LABEL}/restart-attempt": str(restarts),
            }
            job = clone(group["template"])
            pods = job["spec"]["template"]
            own = {"job-name": name, "batch.kubernetes.io/job-name": name}
            pods["metadata"] = pods.get("metadata") or {}
            pods["metadata"]["labels"] = (pods["metadata"].get("labels") or {}) | labels | own
            pods["spec"].setdefault("restartPolicy", "OnFailure")
            job["spec"]["suspend"] = bool(spec.get("suspend"))
            given = (job.get("metadata") or {}).get("labels") or {}
            metadata = {"name": name, "namespace": meta["namespace"], "labels": given | labels}
            metadata["ownerReferences"] = [owner_reference(jobset, JOB_SET, "JobSet")]
            made.append({"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": job["spec"]})
    return made


class TrainJobController(Controller):
    """Makes a JobSet of each TrainJob, and takes over how that stands."""

    watches = ("trainjobs", "jobsets")

    def keys(self, resource: str, event: Event) -> Iterable[Key]:
        """The TrainJob itself, or that of a JobSet."""
        return [key_of(event.object)] if resource == "trainjobs" else owner_key(event.object, "TrainJob")

    def reconcile(self, key: Key) -> float | None:
        """Makes the JobSet that is missing, and copies its conditions."""
        trainjob = self.find("trainjobs", key)
        if trainjob is None or is_deleted(trainjob):
            return None
        jobset = self.find("jobsets", key)
        if jobset is None:
            self.store.create("jobsets", _jobset_of(trainjob))
            return None
        suspended = bool(trainjob["spec"].get("suspend"))
        if bool(jobset["spec"].get("suspend")) != suspended:
            jobset["spec"]["suspend"] = suspended
            self.store.update("jobsets", jobset)
        for theirs, ours, reason in (
            ("Completed", "Complete", "JobsCompleted"),
            ("Failed", "Failed", "JobsFailed"),
            ("Suspended", "Suspended", "Suspended"),
        ):
            held = has_condition(trainjob, ours)
            if has_condition(jobset, theirs) != held:
                _put(trainjob, ours, reason, f"the JobSet says {theirs}", value=str(not held))
        self.store.update("trainjobs", trainjob, status=True)
        return None


def _jobset_of(trainjob: Object) -> Object:
    """The JobSet of a TrainJob: one Job with as many pods as nodes are asked for."""
    meta, trainer = trainjob["metadata"], trainjob["spec"].get("trainer") or {}
    nodes = trainer.get("numNodes", 1)
    container = {"name": "node", "image": trainer.get("image", "")}
    container |= {key: clone(trainer[key]) for key in ("command", "args", "env") if key in trainer}
    if "resourcesPerNode" in trainer:
        container["resources"] = clone(trainer["resourcesPerNode"])
    pods = {"metadata": {}, "spec": {"restartPolicy": "Never", "containers": [container]}}
    job = {"parallelism": nodes, "completions": nodes, "completionMode": "Indexed", "backoffLimit": 0, "template": pods}
    metadata = {
        "name": meta["name"],
        "namespace": meta["namespace"],
        "labels": dict(trainjob["spec"].get("labels") or {}),
        "ownerReferences": [owner_reference(trainjob, TRAIN_JOB, "TrainJob")],
    }
    spec = {
        "suspend": bool(trainjob["spec"].get("suspend")),
        "replicatedJobs": [{"name": "node", "replicas": 1, "template": {"spec": job}}],
    }
    return {"apiVersion": JOB_SET, "kind": "JobSet", "metadata": metadata, "spec": spec}
