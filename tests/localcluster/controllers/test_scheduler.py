"""Where pods may run, and what is said where they can't."""

from __future__ import annotations

from typing import Any

import pytest

from mlconsole.localcluster.controllers.objects import condition, quantity


def pod(bench: Any, name: str, requests: dict[str, str] | None = None, **spec: Any) -> dict[str, Any]:
    container = {"name": "model", "image": "x", "resources": {"requests": requests or {}}}
    wanted = {
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"containers": [container], **spec},
    }
    bench.store.create("pods", wanted)
    bench.scheduler.reconcile(("default", name))
    found: dict[str, Any] = bench.store.get("pods", "default", name)
    return found


def test_a_pod_that_fits_is_bound(bench: Any) -> None:
    bound = pod(bench, "small", {"cpu": "10m"})
    assert bound["spec"]["nodeName"] == "local"
    assert condition(bound, "PodScheduled")["status"] == "True"
    assert bench.messages("Scheduled") == ["Successfully assigned default/small to local"]


@pytest.mark.parametrize(
    ("requests", "spec", "reason"),
    [
        ({"cpu": "500"}, {}, "1 Insufficient cpu"),
        ({"memory": "900Ti"}, {}, "1 Insufficient memory"),
        ({"nvidia.com/gpu": "1"}, {}, "1 Insufficient nvidia.com/gpu"),
        ({}, {"nodeSelector": {"disk": "ssd"}}, "1 node(s) didn't match Pod's node affinity/selector"),
    ],
)
def test_a_pod_that_does_not_fit_waits_and_says_why(bench: Any, requests: Any, spec: Any, reason: str) -> None:
    waiting = pod(bench, "big", requests, **spec)
    assert "nodeName" not in waiting["spec"]
    found = condition(waiting, "PodScheduled")
    assert (found["status"], found["reason"]) == ("False", "Unschedulable")
    assert found["message"].startswith(f"0/1 nodes are available: {reason}. ")
    assert bench.messages("FailedScheduling") == [found["message"]]


def test_requests_of_all_pods_are_summed(bench: Any) -> None:
    cpus = quantity(bench.store.get("nodes", None, "local")["status"]["allocatable"]["cpu"])
    assert "nodeName" in pod(bench, "first", {"cpu": str(cpus - 1)})["spec"]
    assert "nodeName" not in pod(bench, "second", {"cpu": "1100m"})["spec"]
    bench.store.delete("pods", "default", "first")
    bench.scheduler.reconcile(("default", "second"))
    assert "nodeName" in bench.store.get("pods", "default", "second")["spec"]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("100m", "0.1"),
        ("1", "1"),
        ("64Mi", "67108864"),
        ("1e3", "1000"),
        ("1.5Gi", "1610612736"),
        (2, "2"),
        (None, "0"),
    ],
)
def test_quantities(text: Any, value: str) -> None:
    assert quantity(text) == quantity(value)
    assert str(quantity(text).normalize()) == str(quantity(value).normalize())
