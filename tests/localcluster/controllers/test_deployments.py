"""Deployments and ReplicaSets step by step, without processes."""

from __future__ import annotations

from typing import Any

import pytest

from mlconsole.localcluster.controllers.rollout import REVISION


def test_a_first_rollout_says_what_kubernetes_says(bench: Any) -> None:
    bench.deploy()
    bench.step()
    name = next(iter(bench.store.scan("replicasets")))["metadata"]["name"]
    assert bench.messages("ScalingReplicaSet") == [f"Scaled up replica set {name} from 0 to 3"]
    assert bench.progressing()["reason"] == "NewReplicaSetCreated"
    bench.step()
    assert bench.progressing()["reason"] == "ReplicaSetUpdated"
    assert bench.progressing()["message"] == f'ReplicaSet "{name}" is progressing.'
    bench.settle()
    status = bench.deployment()["status"]
    counts = {key: value for key, value in status.items() if key != "conditions"}
    assert counts == {
        "observedGeneration": 1, "replicas": 3, "updatedReplicas": 3, "readyReplicas": 3, "availableReplicas": 3,
        "terminatingReplicas": 0,
    }  # fmt: skip
    said = {item["type"]: (item["status"], item["reason"], item["message"]) for item in status["conditions"]}
    assert said == {
        "Available": ("True", "MinimumReplicasAvailable", "Deployment has minimum availability."),
        "Progressing": ("True", "NewReplicaSetAvailable", f'ReplicaSet "{name}" has successfully progressed.'),
    }


def test_pods_and_replicasets_carry_what_ties_them_together(bench: Any) -> None:
    bench.deploy()
    bench.settle()
    replicaset = bench.store.list("replicasets")[0]
    short = replicaset["metadata"]["labels"]["pod-template-hash"]
    assert replicaset["metadata"]["name"] == f"ml-{short}"
    assert replicaset["spec"]["selector"]["matchLabels"] == {"app": "ml", "pod-template-hash": short}
    assert replicaset["metadata"]["annotations"] == {
        REVISION: "1", "deployment.kubernetes.io/desired-replicas": "3", "deployment.kubernetes.io/max-replicas": "4",
    }  # fmt: skip
    assert bench.deployment()["metadata"]["annotations"][REVISION] == "1"
    for pod in bench.store.scan("pods"):
        assert pod["metadata"]["name"].startswith(f"ml-{short}-")
        owner = pod["metadata"]["ownerReferences"][0]
        assert (owner["kind"], owner["uid"], owner["controller"]) == ("ReplicaSet", replicaset["metadata"]["uid"], True)


def test_a_rolling_update_never_has_too_few_ready_pods(bench: Any) -> None:
    bench.deploy("v1")
    bench.settle()
    bench.deploy("v2")
    assert bench.settle() >= 3
    assert bench.replicaset_sizes() == {"v1": 0, "v2": 3}
    ups = [message.rpartition(" from ")[2] for message in bench.messages("ScalingReplicaSet")]
    assert ups == ["0 to 3", "0 to 1", "3 to 2", "1 to 2", "2 to 1", "2 to 3", "1 to 0"]


def test_an_update_that_never_gets_ready_stops_after_its_surge(bench: Any) -> None:
    bench.deploy("v1")
    bench.settle()
    bench.deploy("v2")
    bench.settle(ready=False)
    assert bench.replicaset_sizes() == {"v1": 3, "v2": 1}
    assert len(bench.ready()) == 3


def test_a_rollout_that_stands_still_passes_its_deadline(bench: Any) -> None:
    bench.deploy(progressDeadlineSeconds=1)
    bench.settle(ready=False)
    late = bench.deployment()
    for condition in late["status"]["conditions"]:
        condition["lastUpdateTime"] = "2026-01-01T00:00:00Z"
    bench.store.update("deployments", late, status=True)
    assert bench.deployments.reconcile(("default", "ml")) is None
    condition = bench.progressing()
    assert (condition["status"], condition["reason"]) == ("False", "ProgressDeadlineExceeded")
    assert condition["message"].endswith("has timed out progressing.")
    bench.settle()
    assert bench.progressing()["reason"] == "NewReplicaSetAvailable"


def test_a_rollout_looks_again_at_its_deadline(bench: Any) -> None:
    bench.deploy(progressDeadlineSeconds=30)
    bench.step()
    wait = bench.deployments.reconcile(("default", "ml"))
    assert 28 <= wait <= 31


def test_an_old_template_gets_its_replicaset_back_under_a_new_revision(bench: Any) -> None:
    for version in ("v1", "v2", "v1"):
        bench.deploy(version)
        bench.settle()
    assert bench.replicaset_sizes() == {"v1": 3, "v2": 0}
    revisions = {
        item["spec"]["template"]["spec"]["containers"][0]["image"]: item["metadata"]["annotations"]
        for item in bench.store.scan("replicasets")
    }
    assert revisions["ml-model:v1"][REVISION] == "3"
    assert revisions["ml-model:v1"]["deployment.kubernetes.io/revision-history"] == "1"
    assert revisions["ml-model:v2"][REVISION] == "2"
    assert bench.deployment()["metadata"]["annotations"][REVISION] == "3"


def test_old_replicasets_beyond_the_limit_are_forgotten(bench: Any) -> None:
    for number in range(5):
        bench.deploy(f"v{number}", revisionHistoryLimit=1)
        bench.settle()
    assert bench.replicaset_sizes() == {"v3": 0, "v4": 3}


def test_recreate_ends_the_old_pods_before_new_ones_start(bench: Any) -> None:
    bench.deploy("v1", strategy={"type": "Recreate"})
    bench.settle()
    bench.deploy("v2", strategy={"type": "Recreate"})
    for pod in bench.store.list("pods"):
        bench.scheduler.reconcile(("default", pod["metadata"]["name"]))
    bench.step()
    bench.step()
    assert bench.replicaset_sizes() == {"v1": 0}
    assert len(bench.store.list("pods")) == 3
    bench.settle()
    assert bench.replicaset_sizes() == {"v1": 0, "v2": 3}


def test_a_paused_deployment_scales_but_does_not_roll(bench: Any) -> None:
    bench.deploy("v1")
    bench.settle()
    bench.deploy("v2", paused=True, replicas=5)
    bench.settle()
    assert bench.replicaset_sizes() == {"v1": 5}
    assert bench.progressing()["reason"] == "DeploymentPaused"
    bench.deploy("v2", replicas=5)
    bench.settle()
    assert bench.replicaset_sizes() == {"v1": 0, "v2": 5}


def test_scaling_in_the_middle_of_a_rollout_keeps_the_proportions(bench: Any) -> None:
    bench.deploy("v1", replicas=10)
    bench.settle()
    bench.deploy("v2", replicas=10)
    bench.settle(ready=False)
    assert bench.replicaset_sizes() == {"v1": 8, "v2": 5}
    bench.deploy("v2", replicas=20)
    bench.step()
    sizes = bench.replicaset_sizes()
    assert sum(sizes.values()) == 25
    assert sizes["v1"] > sizes["v2"] > 5


def test_a_pod_has_to_stay_ready_to_count_as_available(bench: Any) -> None:
    bench.deploy(minReadySeconds=60)
    bench.settle()
    status = bench.deployment()["status"]
    assert (status["readyReplicas"], status.get("availableReplicas", 0)) == (3, 0)
    wait = bench.replicasets.reconcile(("default", bench.store.list("replicasets")[0]["metadata"]["name"]))
    assert 55 < wait <= 60


def test_scaling_down_spares_the_pods_that_are_ready(bench: Any) -> None:
    bench.deploy(replicas=4)
    bench.settle()
    sick = bench.ready()[1]
    bench.make_ready([sick], ready=False)
    bench.deploy(replicas=3)
    bench.step()
    bench.bury()
    assert sick["metadata"]["name"] not in {pod["metadata"]["name"] for pod in bench.store.scan("pods")}
    assert bench.messages("SuccessfulDelete") == [f"Deleted pod: {sick['metadata']['name']}"]


def test_pods_without_an_owner_are_taken_over(bench: Any) -> None:
    bench.deploy()
    bench.settle()
    orphan = bench.store.list("pods")[0]
    orphan["metadata"].pop("ownerReferences")
    bench.store.update("pods", orphan)
    bench.settle()
    assert len(bench.store.list("pods")) == 3
    assert all(pod["metadata"].get("ownerReferences") for pod in bench.store.scan("pods"))


@pytest.mark.parametrize(
    ("surge", "unavailable", "least", "most"), [(1, 0, 3, 4), (0, 1, 2, 3), ("100%", 0, 3, 6), ("0%", "0%", 2, 3)]
)
def test_surge_and_unavailability_are_bounds(bench: Any, surge: Any, unavailable: Any, least: int, most: int) -> None:
    strategy = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": surge, "maxUnavailable": unavailable}}
    bench.deploy("v1", strategy=strategy)
    bench.settle()
    bench.deploy("v2", strategy=strategy)
    sizes = []
    for _ in range(40):
        bench.step()
        sizes.append(sum(bench.replicaset_sizes().values()))
        assert len(bench.ready()) >= least
        bench.bury()
        bench.make_ready()
    assert max(sizes) == most
    assert bench.replicaset_sizes() == {"v1": 0, "v2": 3}
