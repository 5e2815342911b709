"""A quota of pods: who is told, and in which words."""

from __future__ import annotations

from typing import Any

import pytest

from mlconsole.localcluster.controllers.objects import condition
from mlconsole.localcluster.controllers.quota import QuotaController, QuotaExceeded, admit_pod

FULL = "is forbidden: exceeded quota: q, requested: pods=1, used: pods=2, limited: pods=2"


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
        admit_pod(limited.store, "default", "x")
    QuotaController(limited.store, limited.events).reconcile(("default", "q"))
    assert limited.store.get("resourcequotas", "default", "q")["status"]["used"] == {"pods": "2"}
    limited.finish(next(limited.store.scan("pods")), "Succeeded")
    admit_pod(limited.store, "default", "x")
