"""StatefulSets and DaemonSets, with the tests in the kubelet's place."""

from __future__ import annotations

from typing import Any

import pytest

from mlconsole.localcluster.controllers.daemonsets import DaemonSetController
from mlconsole.localcluster.controllers.statefulsets import StatefulSetController

KEY = ("default", "db")


class Ordered:
    """A StatefulSet ``db`` and its pods."""

    def __init__(self, bench: Any) -> None:
        self.bench, self.store = bench, bench.store
        self.controller = StatefulSetController(bench.store, bench.events)

    def put(self, image: str = "db:v1", **spec: Any) -> None:
        template = {"metadata": {"labels": {"app": "db"}}, "spec": {"containers": [{"name": "db", "image": image}]}}
        wanted = {"selector": {"matchLabels": {"app": "db"}}, "template": template, "replicas": 3, **spec}
        obj = {"kind": "StatefulSet", "metadata": {"name": "db", "namespace": "default"}, "spec": wanted}
        if any(self.store.scan("statefulsets")):
            self.store.update("statefulsets", self.store.get("statefulsets", *KEY) | {"spec": wanted})
        else:
            self.store.create("statefulsets", obj)

    def step(self) -> list[str]:
        """One round, after which every pod is ready and those that were to go are gone; what happened."""
        before = self.images()
        self.controller.reconcile(KEY)
        going = [pod["metadata"]["name"] for pod in self.store.scan("pods") if "deletionTimestamp" in pod["metadata"]]
        made = sorted(self.images().keys() - before.keys())
        self.bench.make_ready()
        self.bench.bury()
        return [f"+{name}" for name in made] + [f"-{name}" for name in going]

    def images(self) -> dict[str, str]:
        return {pod["metadata"]["name"]: pod["spec"]["containers"][0]["image"] for pod in self.store.scan("pods")}

    def bind(self) -> None:
        """Gives every pod a node, so that its end is asked for and not done at once."""
        for pod in list(self.store.scan("pods")):
            self.store.update("pods", pod | {"spec": pod["spec"] | {"nodeName": "local"}})

    def status(self) -> dict[str, Any]:
        return self.store.get("statefulsets", *KEY)["status"]


@pytest.fixture
def ordered(bench: Any) -> Ordered:
    return Ordered(bench)


def test_pods_are_made_one_after_the_other_each_when_the_one_before_is_ready(ordered: Ordered) -> None:
    ordered.put()
    ordered.controller.reconcile(KEY)
    ordered.controller.reconcile(KEY)
    assert list(ordered.images()) == ["db-0"]
    ordered.bench.make_ready()
    assert [ordered.step() for _ in range(3)] == [["+db-1"], ["+db-2"], []]
    status = ordered.status()
    assert (status["replicas"], status["readyReplicas"], status["availableReplicas"]) == (3, 3, 3)
    assert status["currentRevision"] == status["updateRevision"]


def test_parallel_pods_are_made_at_once(ordered: Ordered) -> None:
    ordered.put(podManagementPolicy="Parallel")
    assert ordered.step() == ["+db-0", "+db-1", "+db-2"]


def test_an_update_goes_from_the_last_pod_to_the_first(ordered: Ordered) -> None:
    ordered.put(podManagementPolicy="Parallel")
    ordered.step()
    ordered.bind()
    ordered.put("db:v2", podManagementPolicy="Parallel")
    seen = [step for _ in range(12) if (step := ordered.step()) or ordered.bind()]
    ordered.bind()
    assert [word for step in seen for word in step] == ["-db-2", "+db-2", "-db-1", "+db-1", "-db-0", "+db-0"]
    assert set(ordered.images().values()) == {"db:v2"}
    assert ordered.status()["currentRevision"] == ordered.status()["updateRevision"]


def test_a_partition_and_a_broken_pod_hold_an_update(ordered: Ordered) -> None:
    ordered.put(podManagementPolicy="Parallel")
    ordered.step()
    ordered.put("db:v2", updateStrategy={"type": "RollingUpdate", "rollingUpdate": {"partition": 2}})
    for _ in range(5):
        ordered.step()
    assert ordered.images() == {"db-0": "db:v1", "db-1": "db:v1", "db-2": "db:v2"}
    assert (ordered.status()["updatedReplicas"], ordered.status()["currentReplicas"]) == (1, 2)
    ordered.bench.make_ready([ordered.store.get("pods", "default", "db-2")], ready=False)
    ordered.put("db:v2")
    for _ in range(3):
        ordered.controller.reconcile(KEY)
    assert ordered.images()["db-1"] == "db:v1"


def test_a_pod_below_the_partition_comes_back_as_it_was(ordered: Ordered) -> None:
    ordered.put(podManagementPolicy="Parallel")
    ordered.step()
    ordered.put("db:v2", updateStrategy={"type": "RollingUpdate", "rollingUpdate": {"partition": 2}})
    for _ in range(5):
        ordered.step()
    for name in ("db-0", "db-2"):
        ordered.store.delete("pods", "default", name)
    for _ in range(3):
        ordered.step()
    assert ordered.images() == {"db-0": "db:v1", "db-1": "db:v1", "db-2": "db:v2"}


def test_on_delete_leaves_pods_as_they_are_until_they_are_deleted(ordered: Ordered) -> None:
    ordered.put(podManagementPolicy="Parallel")
    ordered.step()
    ordered.put("db:v2", updateStrategy={"type": "OnDelete"})
    for _ in range(3):
        ordered.step()
    assert set(ordered.images().values()) == {"db:v1"}
    ordered.store.delete("pods", "default", "db-1")
    for _ in range(3):
        ordered.step()
    assert ordered.images() == {"db-0": "db:v1", "db-1": "db:v2", "db-2": "db:v1"}
    assert (ordered.status()["updatedReplicas"], ordered.status()["currentReplicas"]) == (1, 2)


def test_each_template_is_kept_as_a_revision_and_an_old_one_becomes_the_newest_again(ordered: Ordered) -> None:
    def kept() -> list[tuple[int, str]]:
        return sorted(
            (item["revision"], item["data"]["spec"]["template"]["spec"]["containers"][0]["image"])
            for item in ordered.store.scan("controllerrevisions")
        )

    for image in ("db:v1", "db:v2", "db:v3"):
        ordered.put(image)
        ordered.step()
    assert kept() == [(1, "db:v1"), (2, "db:v2"), (3, "db:v3")]
    ordered.put("db:v1")
    ordered.step()
    assert kept() == [(2, "db:v2"), (3, "db:v3"), (4, "db:v1")]
    ordered.put("db:v4", revisionHistoryLimit=1)
    for _ in range(12):
        ordered.step()
    assert [image for _, image in kept()][-1] == "db:v4" and len(kept()) == 2


def test_pods_too_many_go_from_the_last_one_at_a_time(ordered: Ordered) -> None:
    ordered.put(podManagementPolicy="Parallel")
    ordered.step()
    ordered.bind()
    ordered.put(replicas=1)
    assert [ordered.step() for _ in range(3)] == [["-db-2"], ["-db-1"], []]


def test_each_pod_has_a_name_of_its_own_and_a_claim_that_outlives_it(ordered: Ordered) -> None:
    claim = {"metadata": {"name": "data"}, "spec": {"resources": {"requests": {"storage": "1Gi"}}}}
    ordered.put(volumeClaimTemplates=[claim], serviceName="dbs")
    ordered.step()
    pod = ordered.store.get("pods", "default", "db-0")
    assert pod["spec"]["volumes"] == [{"name": "data", "persistentVolumeClaim": {"claimName": "data-db-0"}}]
    assert (pod["spec"]["hostname"], pod["spec"]["subdomain"]) == ("db-0", "dbs")
    assert pod["metadata"]["labels"]["apps.kubernetes.io/pod-index"] == "0"
    ordered.store.delete("pods", "default", "db-0")
    ordered.step()
    assert [item["metadata"]["name"] for item in ordered.store.scan("persistentvolumeclaims")] == ["data-db-0"]


def test_a_daemon_set_has_one_pod_on_the_node_where_it_may_be(bench: Any) -> None:
    controller = DaemonSetController(bench.store, bench.events)
    template = {"metadata": {"labels": {"app": "d"}}, "spec": {"containers": [{"name": "d", "image": "d:v1"}]}}
    spec = {"selector": {"matchLabels": {"app": "d"}}, "template": template}
    made = bench.store.create(
        "daemonsets", {"kind": "DaemonSet", "metadata": {"name": "d", "namespace": "default"}, "spec": spec}
    )
    controller.reconcile(("default", "d"))
    bench.make_ready()
    controller.reconcile(("default", "d"))
    status = bench.store.get("daemonsets", "default", "d")["status"]
    assert (status["desiredNumberScheduled"], status["numberAvailable"], status["updatedNumberScheduled"]) == (1, 1, 1)
    first = [pod["metadata"]["name"] for pod in bench.store.scan("pods")]
    changed = {**template, "spec": {"containers": [{"name": "d", "image": "d:v2"}]}}
    bench.store.update("daemonsets", made | {"spec": spec | {"template": changed}, "metadata": _plain(made)})
    controller.reconcile(("default", "d"))
    controller.reconcile(("default", "d"))
    after = {pod["metadata"]["name"]: pod["spec"]["containers"][0]["image"] for pod in bench.store.scan("pods")}
    assert list(after.values()) == ["d:v2"] and first != list(after)
    nowhere = {**changed, "spec": changed["spec"] | {"nodeSelector": {"gpu": "yes"}}}
    bench.store.update("daemonsets", made | {"spec": spec | {"template": nowhere}, "metadata": _plain(made)})
    controller.reconcile(("default", "d"))
    assert list(bench.store.scan("pods")) == []
    assert bench.store.get("daemonsets", "default", "d")["status"]["desiredNumberScheduled"] == 0


def _plain(obj: dict[str, Any]) -> dict[str, Any]:
    return {"name": obj["metadata"]["name"], "namespace": obj["metadata"]["namespace"]}
