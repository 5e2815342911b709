"""A pod in full, its YAML and what it uses, as a cluster's answers tell it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from mlconsole.services.kubernetes.describe import describe, event_section, pod_yaml, workload_of
from mlconsole.services.kubernetes.problems import NotFound
from mlconsole.services.kubernetes.usage import pods_usage, quantity

NOW = datetime(2026, 5, 1, 12, 0, tzinfo=UTC)
POD: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {
        "name": "ml-model-x1",
        "namespace": "ml",
        "uid": "u1",
        "creationTimestamp": "2026-05-01T11:00:00Z",
        "managedFields": [{"manager": "kubectl"}],
        "ownerReferences": [{"kind": "ReplicaSet", "name": "ml-model-77", "uid": "r", "controller": True}],
    },
    "spec": {
        "containers": [
            {
                "name": "server",
                "image": "ml-model:v2",
                "env": [{"name": "API_TOKEN", "value": "hunter2"}, {"name": "MODEL_VERSION", "value": "v2"}],
                "readinessProbe": {"httpGet": {"path": "/healthz", "port": 8080}},
            }
        ]
    },
    "status": {
        "phase": "Running",
        "containerStatuses": [
            {
                "name": "server",
                "restartCount": 3,
                "state": {"waiting": {"reason": "CrashLoopBackOff"}},
                "lastState": {"terminated": {"exitCode": 1, "finishedAt": "2026-05-01T11:59:00Z"}},
            }
        ],
    },
}
EVENT = {
    "metadata": {"name": "e"},
    "involvedObject": {"uid": "u1"},
    "type": "Warning",
    "reason": "BackOff",
    "message": "Back-off \x1b[31mrestarting",
    "count": 3,
    "lastTimestamp": "2026-05-01T11:59:30Z",
}


class Answers:
    """A connection that answers from a table of paths."""

    namespace = "ml"

    def __init__(self, **more: Any) -> None:
        self._answers = {
            "/api/v1/namespaces/ml/pods/ml-model-x1": POD,
            "/api/v1/namespaces/ml/events": {"items": [EVENT]},
            "/apis/apps/v1/namespaces/ml/replicasets/ml-model-77": {
                "metadata": {
                    "name": "ml-model-77",
                    "ownerReferences": [{"kind": "Deployment", "name": "ml-model", "uid": "d", "controller": True}],
                }
            },
            **more,
        }

    def request(self, method: str, path: str, *, query: Mapping[str, str] = {}, timeout: float = 15) -> bytes:
        if path not in self._answers:
            raise NotFound("There is no such thing.")
        return msgspec.json.encode(self._answers[path])


def test_a_pod_is_told_in_full_and_no_secret_with_it() -> None:
    told = describe(Answers(), "ml", "ml-model-x1", NOW)  # type: ignore[arg-type]
    rows = {(section.title, name): text for section in told for name, text in section.rows}
    assert rows["Pod", "Status"] == "CrashLoopBackOff, 0/1 ready"
    assert "ended with exit code 1" in rows["Pod", "Why"]
    assert rows["Container server", "Readiness"] == "GET :8080/healthz, every 10 s, fails after 3"
    assert rows["Events", "30s ago"] == "Warning BackOff (3×): Back-off restarting"
    assert "hunter2" not in str(told)
    assert event_section(Answers(), "ml", "ml-model-x1", NOW).rows == told[-1].rows  # type: ignore[arg-type]


def test_the_yaml_is_without_noise_and_secrets() -> None:
    text = pod_yaml(Answers(), "ml", "ml-model-x1")  # type: ignore[arg-type]
    assert text.startswith("apiVersion: v1\nkind: Pod\n")
    assert "phase: Running" in text
    assert "managedFields" not in text
    assert "hunter2" not in text
    assert "MODEL_VERSION" in text


def test_a_pod_belongs_to_the_deployment_above_its_replica_set() -> None:
    workload = workload_of(Answers(), "ml", "ml-model-x1")  # type: ignore[arg-type]
    assert workload is not None
    assert (workload.kind, workload.name, workload.namespace) == ("Deployment", "ml-model", "ml")


def test_what_pods_use_is_the_sum_of_their_containers() -> None:
    containers = [{"usage": {"cpu": "12345678n", "memory": "100Ki"}}, {"usage": {"cpu": "1", "memory": "1Mi"}}]
    metrics = {"items": [{"metadata": {"name": "a"}, "containers": containers}]}
    served = Answers(**{"/apis/metrics.k8s.io/v1beta1/namespaces/ml/pods": metrics})
    found = pods_usage(served, "ml", "app=x")  # type: ignore[arg-type]
    assert found is not None
    assert found["a"].cpu == pytest.approx(1.012345678)
    assert found["a"].memory == 1024 * 1124


def test_a_cluster_without_metrics_says_nothing() -> None:
    assert pods_usage(Answers(), "ml", "app=x") is None  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "value"), [("12m", 0.012), ("250Mi", 250 * 1024**2), ("1e3", 1000), ("2k", 2000), ("", 0), ("1.2.3", 0)]
)
def test_quantities(text: str, value: float) -> None:
    assert quantity(text) == pytest.approx(value)
