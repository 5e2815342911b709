"""A quota of pods: who is told, and in which words."""

from __future__ import annotations

from typing import Any

import pytest

from mlconsole.localcluster.controllers.objects import condition
from mlconsole.localcluster.controllers.quota import QuotaController, QuotaExceeded, admit_object, admit_pod

FULL = "is forbidden: exceeded quota: q, requested: pods=1, used: pods=2, limited: pods=2"


def pod(**resources: Any) -> dict[str, Any]:
    """A pod that asks for `requests` and `limits`."""
    container = {"name": "model", "image": "m", "resources": resources}
    return {"metadata": {"name": "x", "namespace": "default"}, "spec": {"containers": [container]}}


def kept(bench: Any, kind: str, spec: dict[str, Any]) -> None:
    """Stores a quota or a limit."""
    obj = {"kind": kind, "metadata": {"name": kind.lower(), "namespace": "default"}, "spec": spec}
    bench.store.create(f"{kind.lower()}s", obj)


@pytest.fixture
def limited(bench: Any) -> Any:
    """A namespace in which two pods may be."""
    meta = {"name": "q", "namespace": "default"}
    bench.store.create("resourcequotas", {"kind": "ResourceQuota", "metadata": meta, "spec": {"hard": {"pods": "2"}}})
    return bench


def test_a_replica_set_and_its_deployment_say_why_pods_are_missing(limited: Any) -> None:
    limited.deploy()
    for _ in range(4):
        limited.step()
    assert len(list(limited.store.scan("pods"))) == 2
    (replicaset,) = limited.store.scan("replicasets")
    for obj in (replicaset, limited.deployment()):
        failure = condition(obj, "ReplicaFailure")
        assert failure is not None and (failure["status"], failure["reason"]) == ("True", "FailedCreate")
        assert failure["message"].endswith(FULL)
    assert any(text.startswith("Error creating: pods ") for text in limited.messages("FailedCreate"))


def test_room_in_the_quota_lets_the_pods_come_and_the_failure_go(limited: Any) -> None:
    limited.deploy()
    limited.step()
    quota = limited.store.get("resourcequotas", "default", "q")
    limited.store.update("resourcequotas", quota | {"spec": {"hard": {"pods": "9"}}})
    limited.settle()
    assert len(list(limited.store.scan("pods"))) == 3
    assert condition(limited.deployment(), "ReplicaFailure") is None


def test_finished_pods_do_not_count_and_use_is_shown(limited: Any) -> None:
    limited.deploy(replicas=2)
    limited.step()
    with pytest.raises(QuotaExceeded, match='pods "x" is forbidden'):
        admit_pod(limited.store, pod())
    QuotaController(limited.store, limited.events).reconcile(("default", "q"))
    assert limited.store.get("resourcequotas", "default", "q")["status"]["used"] == {"pods": "2"}
    limited.finish(next(limited.store.scan("pods")), "Succeeded")
    admit_pod(limited.store, pod())


def test_processors_and_memory_are_counted_as_well(bench: Any) -> None:
    kept(bench, "ResourceQuota", {"hard": {"requests.cpu": "1", "limits.memory": "1Gi"}})
    bench.store.create("pods", pod(requests={"cpu": "600m"}, limits={"memory": "512Mi"}) | {"kind": "Pod"})
    with pytest.raises(QuotaExceeded) as raised:
        admit_pod(bench.store, pod(requests={"cpu": "500m"}, limits={"memory": "768Mi"}))
    assert str(raised.value) == (
        'pods "x" is forbidden: exceeded quota: resourcequota, requested: limits.memory=768Mi,requests.cpu=500m, '
        "used: limits.memory=512Mi,requests.cpu=600m, limited: limits.memory=1Gi,requests.cpu=1"
    )
    admit_pod(bench.store, pod(requests={"cpu": "400m"}, limits={"memory": "512Mi"}))
    QuotaController(bench.store, bench.events).reconcile(("default", "resourcequota"))
    used = bench.store.get("resourcequotas", "default", "resourcequota")["status"]["used"]
    assert used == {"requests.cpu": "600m", "limits.memory": "512Mi"}


def test_a_quota_of_what_containers_do_not_name_refuses_them(bench: Any) -> None:
    kept(bench, "ResourceQuota", {"hard": {"requests.cpu": "1", "limits.memory": "1Gi"}})
    with pytest.raises(QuotaExceeded, match=r"failed quota: resourcequota: must specify limits\.memory for: model"):
        admit_pod(bench.store, pod())


def test_a_limit_fills_what_is_not_named_and_refuses_what_is_too_much(bench: Any) -> None:
    container = {"type": "Container", "default": {"memory": "256Mi"}, "defaultRequest": {"memory": "128Mi"}}
    kept(bench, "LimitRange", {"limits": [container | {"max": {"memory": "1Gi"}}]})
    kept(bench, "ResourceQuota", {"hard": {"limits.memory": "1Gi"}})
    filled = pod()
    admit_pod(bench.store, filled)
    assert filled["spec"]["containers"][0]["resources"] == {
        "requests": {"memory": "128Mi"},
        "limits": {"memory": "256Mi"},
    }
    told = "LimitRanger plugin set: memory request for container model; memory limit for container model"
    assert filled["metadata"]["annotations"] == {"kubernetes.io/limit-ranger": told}
    with pytest.raises(QuotaExceeded, match="maximum memory usage per Container is 1Gi, but limit is 2Gi"):
        admit_pod(bench.store, pod(limits={"memory": "2Gi"}))


@pytest.mark.parametrize("key", ["secrets", "count/secrets"])
def test_objects_of_other_kinds_are_counted(bench: Any, key: str) -> None:
    kept(bench, "ResourceQuota", {"hard": {key: "1"}})
    admit_object(bench.store, "secrets", "", "default", "a")
    bench.store.create("secrets", {"kind": "Secret", "metadata": {"name": "a", "namespace": "default"}})
    with pytest.raises(QuotaExceeded, match=f'secrets "b" is forbidden: exceeded quota: .*used: {key}=1'):
        admit_object(bench.store, "secrets", "", "default", "b")
    admit_object(bench.store, "configmaps", "", "default", "b")
