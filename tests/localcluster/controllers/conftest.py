"""Controllers without a node: the tests reconcile by hand and play the kubelet."""

from __future__ import annotations

from typing import Any

import pytest

from mlconsole.localcluster.controllers.deployments import DeploymentController
from mlconsole.localcluster.controllers.events import EventRecorder
from mlconsole.localcluster.controllers.jobs import JobController
from mlconsole.localcluster.controllers.objects import is_active
from mlconsole.localcluster.controllers.replicasets import ReplicaSetController
from mlconsole.localcluster.controllers.scheduler import Scheduler
from mlconsole.localcluster.node.machine import register_node
from mlconsole.localcluster.store import Store, clone, key_of, timestamp


class Bench:
    """A store, the controllers, and what a test does in place of the kubelet."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.events = EventRecorder(store)
        self.deployments = DeploymentController(store, self.events)
        self.replicasets = ReplicaSetController(store, self.events)
        self.jobs = JobController(store, self.events, backoff=0.0)
        self.scheduler = Scheduler(store, self.events)

    def deploy(self, version: str = "v1", name: str = "ml", **spec: Any) -> dict[str, Any]:
        """Creates a Deployment or changes the one that is there."""
        template = {
            "metadata": {"labels": {"app": name}},
            "spec": {"containers": [{"name": "model", "image": f"ml-model:{version}"}]},
        }
        wanted = {"selector": {"matchLabels": {"app": name}}, "template": template, "replicas": 3, **spec}
        obj = {"kind": "Deployment", "metadata": {"name": name, "namespace": "default"}, "spec": wanted}
        if any(key_of(item) == ("default", name) for item in self.store.scan("deployments")):
            old = self.store.get("deployments", "default", name)
            return self.store.update("deployments", old | {"spec": wanted})
        return self.store.create("deployments", obj)

    def step(self, name: str = "ml") -> None:
        """One round of both controllers."""
        self.deployments.reconcile(("default", name))
        for replicaset in list(self.store.scan("replicasets")):
            self.replicasets.reconcile(key_of(replicaset))

    def settle(self, name: str = "ml", *, ready: bool = True, rounds: int = 60) -> int:
        """Rounds until nothing changes any more; pods become ready and leave at once. Returns the lowest number of
        ready pods that was seen after the first round."""
        lowest = 10**6
        for _ in range(rounds):
            before = self.store.version
            self.step(name)
            if ready:
                self.make_ready()
            lowest = min(lowest, len(self.ready()))
            self.bury()
            if self.store.version == before:
                return lowest
        raise AssertionError("it does not settle")

    def make_ready(self, pods: list[dict[str, Any]] | None = None, *, ready: bool = True) -> None:
        for pod in pods if pods is not None else [pod for pod in self.store.scan("pods") if is_active(pod)]:
            wanted = clone(pod)
            status = "True" if ready else "False"
            conditions = (wanted.get("status") or {}).get("conditions") or [{}]
            if conditions[0].get("status") != status:
                condition = {"type": "Ready", "status": status, "lastTransitionTime": timestamp()}
                wanted["status"] = {"phase": "Running", "conditions": [condition]}
                self.store.update("pods", wanted, status=True)

    def finish(self, pod: dict[str, Any], phase: str, code: int = 0) -> None:
        ended = {"exitCode": code, "finishedAt": timestamp()}
        status = {"phase": phase, "containerStatuses": [{"name": "model", "state": {"terminated": ended}}]}
        self.store.update("pods", pod | {"status": status}, status=True)

    def bury(self) -> None:
        for pod in list(self.store.scan("pods")):
            if "deletionTimestamp" in pod["metadata"]:
                self.store.delete("pods", *key_of(pod))

    def ready(self) -> list[dict[str, Any]]:
        return [
            pod
            for pod in self.store.scan("pods")
            if is_active(pod) and ((pod.get("status") or {}).get("conditions") or [{}])[0].get("status") == "True"
        ]

    def deployment(self, name: str = "ml") -> dict[str, Any]:
        return self.store.get("deployments", "default", name)

    def progressing(self, name: str = "ml") -> dict[str, Any]:
        conditions = self.deployment(name)["status"]["conditions"]
        return next(item for item in conditions if item["type"] == "Progressing")

    def replicaset_sizes(self) -> dict[str, int]:
        """Sizes by the image of the template."""
        return {
            item["spec"]["template"]["spec"]["containers"][0]["image"].partition(":")[2]: item["spec"]["replicas"]
            for item in self.store.scan("replicasets")
        }

    def messages(self, reason: str) -> list[str]:
        events = [event for event in self.store.scan("events") if event["reason"] == reason]
        return [event["message"] for event in sorted(events, key=lambda item: item["metadata"]["name"].split(".")[-1])]


@pytest.fixture
def bench(tmp_path: Any) -> Bench:
    store = Store(None)
    register_node(store, tmp_path)
    return Bench(store)
