"""Verdicts over rollouts of a running cluster: in kubectl's words, and early where they will not heal."""

from __future__ import annotations

import json
import subprocess
import threading
import time

import pytest

from mlconsole.errors import Problem
from mlconsole.evidence.cluster import RolloutVerdict
from mlconsole.localcluster import control
from mlconsole.services.kubernetes import follower
from mlconsole.services.kubernetes.apply import apply
from mlconsole.services.kubernetes.connection import Connection
from mlconsole.services.kubernetes.documents import read_documents
from mlconsole.services.kubernetes.manifests import from_yaml
from mlconsole.services.kubernetes.planning import plan
from mlconsole.services.kubernetes.rollout import follow, workloads_of
from tests.localcluster.kubectls import newest
from tests.services.kubernetes.conftest import deployment

pytestmark = pytest.mark.end_to_end
RESOURCES = "\n                resources: {requests: {cpu: 100m}, limits: {memory: 64Mi}}"


def of_kind(kind: str, version: str, *, more: str = "") -> str:
    """The test server as one of the kinds whose rollout kubectl follows."""
    text = deployment().replace("value: none", f"value: {version}").replace("kind: Deployment", f"kind: {kind}")
    if kind != "Deployment":
        text = text.replace("  progressDeadlineSeconds: 30\n", "")
    if kind == "StatefulSet":
        text = text.replace("  replicas: 2\n", "  replicas: 2\n  serviceName: ml-model\n")
    if kind == "DaemonSet":
        text = text.replace("  replicas: 2\n", "")
    return text.replace("spec:\n  ", f"spec:\n  {more}\n  ", 1) if more else text


def follow_all(connection: Connection, text: str, timeout: float = 60) -> RolloutVerdict:
    (verdict,) = follow(
        connection,
        workloads_of(from_yaml(text)),
        report=lambda progress: None,
        cancelled=threading.Event(),
        timeout=timeout,
    )
    return verdict


def release(connection: Connection, text: str) -> RolloutVerdict:
    apply(connection, plan(connection, from_yaml(text), selector="app=ml-model", version=""), report=lambda line: None)
    return follow_all(connection, text)


def command(cluster: control.ClusterInfo, connection: Connection, *arguments: str) -> tuple[int, str]:
    """What the newest kubectl says, on either of its outputs, and its exit code."""
    if not newest().name:
        pytest.skip("kubectl is not installed")
    where = ["--kubeconfig", str(cluster.kubeconfig), "-n", connection.namespace]
    found = subprocess.run([str(newest()), *where, *arguments], capture_output=True, text=True, timeout=60, check=False)
    return found.returncode, (found.stdout + found.stderr).strip()


KINDS = ("Deployment", "StatefulSet", "DaemonSet")


@pytest.mark.parametrize("kind", KINDS)
def test_status_history_and_undo_of_kubectl_agree_with_the_verdict(
    connection: Connection, local_cluster: control.ClusterInfo, kind: str
) -> None:
    place = f"{kind.lower()}/ml-model-deployment"

    def kubectl(*arguments: str) -> str:
        code, said = command(local_cluster, connection, "rollout", *arguments)
        assert code == 0, said
        return said

    for version in ("v1", "v2"):
        verdict = release(connection, of_kind(kind, version))
        assert verdict.succeeded, verdict
        assert kubectl("status", place).splitlines()[-1] == verdict.sentence
    assert [line.split()[0] for line in kubectl("history", place).splitlines()[2:]] == ["1", "2"]
    assert "v2" in kubectl("history", place, "--revision=2")
    kubectl("undo", place)
    verdict = follow_all(connection, of_kind(kind, "v1"))
    assert verdict.succeeded
    assert kubectl("status", place).splitlines()[-1] == verdict.sentence
    assert [line.split()[0] for line in kubectl("history", place).splitlines()[2:]] == ["2", "3"]
    _, image = command(
        local_cluster, connection, "get", place, "-o", "jsonpath={.spec.template.spec.containers[0].env[0].value}"
    )
    assert image == "v1"


def test_a_partition_is_told_as_kubectl_tells_it(connection: Connection, local_cluster: control.ClusterInfo) -> None:
    assert release(connection, of_kind("StatefulSet", "v1")).succeeded
    partition = "updateStrategy: {type: RollingUpdate, rollingUpdate: {partition: 1}}"
    verdict = release(connection, of_kind("StatefulSet", "v2", more=partition))
    assert (verdict.succeeded, verdict.sentence) == (
        True,
        "partitioned roll out complete: 1 new pods have been updated...",
    )
    _, said = command(local_cluster, connection, "rollout", "status", "sts/ml-model-deployment")
    assert said == verdict.sentence


@pytest.mark.parametrize(("kind", "word"), [("StatefulSet", "statefulset"), ("DaemonSet", "daemon set")])
def test_what_is_rolled_by_deleting_pods_is_told(
    connection: Connection, local_cluster: control.ClusterInfo, kind: str, word: str
) -> None:
    for version in ("v1", "v2"):
        verdict = release(connection, of_kind(kind, version, more="updateStrategy: {type: OnDelete}"))
    assert (verdict.succeeded, verdict.sentence.partition(";")[0]) == (True, f"{word} updated")
    # kubectl does not follow it at all.
    code, said = command(local_cluster, connection, "rollout", "status", f"{kind.lower()}/ml-model-deployment")
    assert (code, said) == (1, "error: rollout status is only available for RollingUpdate strategy type")


def make(connection: Connection, kind: str, spec: str) -> None:
    plural = f"{kind.lower()}s"
    body = {"apiVersion": "v1", "kind": kind, "metadata": {"name": "small"}, "spec": json.loads(spec)}
    path = f"/api/v1/namespaces/{connection.namespace}/{plural}"
    connection.request("POST", path, body=json.dumps(body).encode())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("limit", "spec", "reason"),
    [
        (
            "ResourceQuota",
            '{"hard": {"requests.cpu": "150m"}}',
            "A quota blocks new pods: small, requested: requests.cpu=100m, used: requests.cpu=100m, limited: "
            "requests.cpu=150m",
        ),
        (
            "ResourceQuota",
            '{"hard": {"requests.memory": "1Gi", "limits.cpu": "1"}}',
            "A quota wants every container to say what it takes; the pods lack limits.cpu for: model",
        ),
        (
            "LimitRange",
            '{"limits": [{"type": "Container", "max": {"memory": "32Mi"}}]}',
            "The namespace's limits block new pods: maximum memory usage per Container is 32Mi, but limit is 64Mi",
        ),
    ],
    ids=["full quota", "unnamed", "limit"],
)
def test_pods_that_are_refused_end_the_rollout_early_with_the_reason(
    connection: Connection, monkeypatch: pytest.MonkeyPatch, kind: str, limit: str, spec: str, reason: str
) -> None:
    if kind != "Deployment":
        # One kind is waited for as long as a person has to wait.
        monkeypatch.setitem(follower.PATIENCE, "QuotaExceeded", 1.0)
        monkeypatch.setitem(follower.PATIENCE, "LimitRange", 1.0)
    if kind == "DaemonSet":
        # One pod, so that a quota for one and a half is none.
        spec = spec.replace("150m", "50m")
        reason = reason.replace("150m", "50m").replace("used: requests.cpu=100m", "used: requests.cpu=0")
    make(connection, limit, spec)
    text = of_kind(kind, "v1").replace("image: ml-model:latest", "image: ml-model:latest" + RESOURCES.strip("\n"), 1)
    text = text.replace("latest                resources", "latest\n        resources")
    began = time.monotonic()
    verdict = release(connection, text)
    assert not verdict.succeeded
    assert reason in verdict.reason
    assert verdict.next_step
    assert time.monotonic() - began < 25, "the deadline is 30 s for a Deployment, and none for the others"
    assert any("FailedCreate" in line for line in verdict.events)


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ("replicas: 2", "replicas: two", r"k8s\.yaml, document 1, line 5: .*\.spec\.replicas has a value of a wrong"),
        ("replicas: 2", "replcas: 2", r"k8s\.yaml, document 1, line 5: .*\.spec\.replcas does not exist"),
        ("periodSeconds", "periodSecond", r"k8s\.yaml, document 1, line \d\d: .*periodSecond does not exist"),
        ("{port: 80, ", "{port: 80000, ", r"k8s\.yaml, document 2, line \d\d: .*ports\[0\]\.port.* must be between"),
    ],
)
def test_what_the_cluster_does_not_take_is_told_with_file_document_and_line(
    connection: Connection, before: str, after: str, told: str
) -> None:
    text = deployment().replace(before, after)
    assert text != deployment()
    with pytest.raises(Problem, match=told):
        plan(connection, read_documents(text, "k8s.yaml"), selector="", version="")
