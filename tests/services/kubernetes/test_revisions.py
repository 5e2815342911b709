"""Only pods of the newest revision tell of a rollout, and the cluster says how many there are to be."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from mlconsole.services.kubernetes.manifests import from_yaml
from mlconsole.services.kubernetes.objects import Pod, Workload
from mlconsole.services.kubernetes.revisions import lacks_pods, pods_of_newest, wanted_pods
from tests.services.kubernetes.fake_cluster import Reply, Request, serving


def pod(name: str, owner: str, *, image: str = "m:2", version: str = "v2", revision: str = "b") -> Pod:
    body = {
        "metadata": {
            "name": name,
            "labels": {"app": "m", "controller-revision-hash": revision},
            "annotations": {"mlconsole.dev/model-version": version, "other": "x"},
            "ownerReferences": [{"uid": owner, "controller": True}],
        },
        "spec": {"containers": [{"name": "m", "image": image, "env": [{"name": "A", "value": version}]}]},
    }
    return msgspec.convert(body, Pod)


def workload(kind: str, **status: Any) -> Workload:
    template = {
        "metadata": {"labels": {"app": "m"}, "annotations": {"mlconsole.dev/model-version": "v2"}},
        "spec": {"containers": [{"name": "m", "image": "m:2", "env": [{"name": "A", "value": "v2"}]}]},
    }
    body = {"kind": kind, "metadata": {"uid": "w"}, "spec": {"template": template}, "status": status}
    return msgspec.convert(body, Workload)


@pytest.mark.parametrize("kind", ["Deployment", "Rollout", "DaemonSet"])
def test_where_no_replica_set_is_seen_the_template_tells_new_pods_from_old(kind: str) -> None:
    owner = "w" if kind == "DaemonSet" else "some replica set"
    pods = [pod("new", owner), pod("old", owner, version="v1"), pod("older", owner, image="m:1")]
    assert [found.metadata.name for found in pods_of_newest(workload(kind), None, pods)] == ["new"]


def test_a_stateful_sets_new_pods_are_those_of_its_update_revision() -> None:
    pods = [pod("m-1", "w"), pod("m-0", "w", revision="a"), pod("x-0", "another")]
    found = pods_of_newest(workload("StatefulSet", updateRevision="b"), None, pods)
    assert [entry.metadata.name for entry in found] == ["m-1"]


@pytest.mark.parametrize(
    ("kind", "status", "lacks"),
    [
        ("Job", {}, True),
        ("Job", {"failed": 1}, False),
        ("DaemonSet", {"desiredNumberScheduled": 2, "currentNumberScheduled": 1}, True),
        ("DaemonSet", {"desiredNumberScheduled": 2, "currentNumberScheduled": 2}, False),
        ("ReplicaSet", {"replicas": 0}, True),
        ("StatefulSet", {"replicas": 1}, False),
    ],
)
def test_who_lacks_pods(kind: str, status: dict[str, int], lacks: bool) -> None:
    assert lacks_pods(workload(kind, **status)) is lacks


def test_the_cluster_says_how_many_pods_are_wanted(tmp_path: Path) -> None:
    live: dict[str, Any] = {
        "deployments/scaled": {"spec": {"replicas": 5}},
        "statefulsets/one": {"spec": {}},
        "daemonsets/agent": {"status": {"desiredNumberScheduled": 4}},
        "deployments/other": {"spec": {"replicas": 7}},
    }

    def respond(request: Request) -> Reply:
        found = live.get("/".join(request.path.split("/")[-2:]))
        return Reply(body=found) if found else Reply(404, {"kind": "Status", "details": {"name": "x", "kind": "y"}})

    def manifest(kind: str, name: str, app: str = "m") -> str:
        template = f"{{metadata: {{labels: {{app: {app}}}}}}}"
        return f"{{apiVersion: apps/v1, kind: {kind}, metadata: {{name: {name}}}, spec: {{template: {template}}}}}"

    text = "\n---\n".join(
        [
            manifest("Deployment", "scaled"),
            manifest("StatefulSet", "one"),
            manifest("DaemonSet", "agent"),
            manifest("Deployment", "other", app="another"),
            manifest("Deployment", "gone"),
            "{apiVersion: v1, kind: Service, metadata: {name: m}}",
        ]
    )
    with serving(respond, tmp_path) as (_, connection):
        assert wanted_pods(connection, from_yaml(text), "app=m") == 10
