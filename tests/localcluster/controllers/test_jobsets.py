"""JobSets and TrainJobs step by step, without processes."""

from __future__ import annotations

from typing import Any

from mlconsole.localcluster.controllers.jobsets import JobSetController, TrainJobController
from mlconsole.localcluster.controllers.objects import set_condition
from mlconsole.localcluster.store import timestamp

KEY = ("default", "big")


class Lab:
    """The two controllers over a bench's store."""

    def __init__(self, bench: Any) -> None:
        self.store = bench.store
        self.jobsets = JobSetController(bench.store, bench.events)
        self.trainjobs = TrainJobController(bench.store, bench.events)

    def create(self, resource: str, kind: str, **spec: Any) -> None:
        metadata = {"name": KEY[1], "namespace": KEY[0]}
        self.store.create(resource, {"kind": kind, "metadata": metadata, "spec": spec})

    def jobset(self, **spec: Any) -> None:
        pods = {"spec": {"containers": [{"name": "m", "image": "x"}]}}
        group = {"name": "w", "replicas": 2, "template": {"spec": {"template": pods}}}
        self.create("jobsets", "JobSet", replicatedJobs=[group], **spec)

    def step(self) -> None:
        for controller, resource in ((self.trainjobs, "trainjobs"), (self.jobsets, "jobsets")):
            if any(True for _ in self.store.scan(resource)):
                controller.reconcile(KEY)

    def end(self, name: str, kind: str) -> None:
        """A Job ends."""
        job = self.store.get("jobs", KEY[0], name)
        new = {"type": kind, "status": "True", "lastTransitionTime": timestamp(), "reason": "", "message": ""}
        set_condition(job.setdefault("status", {}).setdefault("conditions", []), new)
        self.store.update("jobs", job, status=True)

    def held(self, resource: str) -> set[str]:
        status = self.store.get(resource, *KEY).get("status") or {}
        return {entry["type"] for entry in status.get("conditions") or [] if entry["status"] == "True"}

    @property
    def jobs(self) -> list[str]:
        return [job["metadata"]["name"] for job in self.store.list("jobs")]


def test_a_jobset_is_complete_when_all_of_its_jobs_are(bench: Any) -> None:
    lab = Lab(bench)
    lab.jobset()
    lab.step()
    assert lab.jobs == ["big-w-0", "big-w-1"]
    labels = lab.store.get("jobs", "default", "big-w-1")["spec"]["template"]["metadata"]["labels"]
    assert labels["jobset.sigs.k8s.io/jobset-name"] == "big"
    assert labels["job-name"] == "big-w-1"
    lab.end("big-w-0", "Complete")
    lab.step()
    assert lab.held("jobsets") == set()
    lab.end("big-w-1", "Complete")
    lab.step()
    assert lab.held("jobsets") == {"Completed"}


def test_a_job_that_fails_has_all_of_them_made_anew_as_often_as_is_allowed(bench: Any) -> None:
    lab = Lab(bench)
    lab.jobset(failurePolicy={"maxRestarts": 1})
    lab.step()
    first = {job["metadata"]["uid"] for job in lab.store.list("jobs")}
    lab.end("big-w-0", "Failed")
    for _ in range(3):
        lab.step()
    second = {job["metadata"]["uid"] for job in lab.store.list("jobs")}
    assert len(second) == 2 and not first & second
    assert lab.store.get("jobsets", *KEY)["status"]["restarts"] == 1
    lab.end("big-w-1", "Failed")
    lab.step()
    assert lab.held("jobsets") == {"Failed"}


def test_a_suspended_one_has_suspended_jobs_until_it_is_resumed(bench: Any) -> None:
    lab = Lab(bench)
    lab.jobset(suspend=True)
    lab.step()
    assert [job["spec"]["suspend"] for job in lab.store.list("jobs")] == [True, True]
    assert lab.held("jobsets") == {"Suspended"}
    resumed = lab.store.get("jobsets", *KEY)
    resumed["spec"]["suspend"] = False
    lab.store.update("jobsets", resumed)
    lab.step()
    assert [job["spec"]["suspend"] for job in lab.store.list("jobs")] == [False, False]
    assert lab.held("jobsets") == set()


def test_a_trainjob_is_a_jobset_of_as_many_nodes_and_stands_as_that_does(bench: Any) -> None:
    lab = Lab(bench)
    trainer = {"numNodes": 3, "image": "x", "command": ["python", "t.py"], "env": [{"name": "A", "value": "1"}]}
    lab.create("trainjobs", "TrainJob", runtimeRef={"name": "torch-distributed"}, trainer=trainer)
    lab.step()
    lab.step()
    (job,) = lab.store.list("jobs")
    (container,) = job["spec"]["template"]["spec"]["containers"]
    assert (job["spec"]["parallelism"], job["spec"]["completionMode"]) == (3, "Indexed")
    assert (container["command"], container["env"]) == (["python", "t.py"], [{"name": "A", "value": "1"}])
    lab.end(job["metadata"]["name"], "Complete")
    lab.step()
    lab.step()
    assert lab.held("trainjobs") == {"Complete"}
