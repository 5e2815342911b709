"""The cells that kubectl prints for each kind."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from mlconsole.localcluster.api.tables.columns import LAYOUTS

Object = dict[str, Any]

NOW = datetime(2026, 11, 23, 6, 0, 0, tzinfo=UTC)
META = {"name": "x", "creationTimestamp": "2026-11-23T05:58:30Z"}
POD = {"spec": {"containers": [{"name": "a", "image": "a:1"}, {"name": "b", "image": "b:2"}]}}


def shown(kind: str, **parts: Any) -> list[str]:
    return [str(cell) for cell in LAYOUTS[kind].row({"metadata": META} | parts, NOW)]


def test_a_deployment_shows_ready_of_wanted() -> None:
    spec = {"replicas": 3, "selector": {"matchLabels": {"app": "m"}}, "template": POD}
    status = {"readyReplicas": 2, "updatedReplicas": 3, "availableReplicas": 2}
    assert shown("Deployment", spec=spec, status=status) == ["x", "2/3", "3", "2", "90s", "a,b", "a:1,b:2", "app=m"]


def test_a_selector_of_expressions_is_written_in_words() -> None:
    expressions = [
        {"key": "tier", "operator": "In", "values": ["b", "a"]},
        {"key": "old", "operator": "DoesNotExist"},
        {"key": "new", "operator": "Exists"},
    ]
    cells = shown("ReplicaSet", spec={"replicas": 1, "selector": {"matchExpressions": expressions}, "template": POD})
    assert cells == ["x", "1", "0", "0", "90s", "a,b", "a:1,b:2", "tier in (a,b),!old,new"]


@pytest.mark.parametrize(
    ("spec", "status", "expected"),
    [
        ({"completions": 1}, {"startTime": "2026-11-23T05:59:00Z"}, ["Running", "0/1", "60s"]),
        (
            {"completions": 2},
            {
                "succeeded": 2,
                "startTime": "2026-11-23T05:59:00Z",
                "completionTime": "2026-11-23T05:59:05Z",
                "conditions": [{"type": "Complete", "status": "True"}],
            },
            ["Complete", "2/2", "5s"],
        ),
        ({"parallelism": 3}, {"conditions": [{"type": "Failed", "status": "True"}]}, ["Failed", "0/1 of 3", ""]),
        ({"completions": 1}, {"conditions": [{"type": "Suspended", "status": "True"}]}, ["Suspended", "0/1", ""]),
    ],
)
def test_a_job_shows_how_far_it_is(spec: Object, status: Object, expected: list[str]) -> None:
    assert shown("Job", spec=spec, status=status)[1:4] == expected


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        (
            {"type": "ClusterIP", "clusterIP": "127.0.0.1", "ports": [{"port": 80, "protocol": "TCP"}]},
            ["ClusterIP", "127.0.0.1", "<none>", "80/TCP"],
        ),
        (
            {"type": "NodePort", "ports": [{"port": 80, "nodePort": 30123, "protocol": "TCP"}]},
            ["NodePort", "<none>", "<none>", "80:30123/TCP"],
        ),
        ({"type": "LoadBalancer"}, ["LoadBalancer", "<none>", "<pending>", "<none>"]),
        ({"type": "ExternalName", "externalName": "a.b"}, ["ExternalName", "<none>", "a.b", "<none>"]),
    ],
)
def test_a_service_shows_where_it_answers(spec: Object, expected: list[str]) -> None:
    assert shown("Service", spec=spec)[1:5] == expected


def test_a_node_shows_what_is_wrong_with_it() -> None:
    labels = META | {"labels": {"node-role.kubernetes.io/worker": ""}}
    status = {"conditions": [{"type": "Ready", "status": "False"}], "nodeInfo": {"kubeletVersion": "v1"}}
    cells = shown("Node", metadata=labels, spec={"unschedulable": True}, status=status)
    assert cells[:5] == ["x", "NotReady,SchedulingDisabled", "worker", "90s", "v1"]


def test_an_event_shows_its_last_occurrence_and_what_it_is_about() -> None:
    event = {
        "involvedObject": {"kind": "Pod", "name": "p", "fieldPath": "spec.containers{c}"},
        "source": {"component": "kubelet", "host": "local"},
        "firstTimestamp": "2026-11-23T05:50:00Z",
        "lastTimestamp": "2026-11-23T05:59:58Z",
        "type": "Warning",
        "reason": "BackOff",
        "message": "Back-off restarting\n",
        "count": 4,
    }
    cells = shown("Event", **event)
    assert cells[:4] == ["2s", "Warning", "BackOff", "pod/p"]
    assert cells[4:] == ["spec.containers{c}", "kubelet, local", "Back-off restarting", "10m", "4", "x"]


def test_many_endpoints_are_shortened() -> None:
    subset = {"addresses": [{"ip": f"10.0.0.{i}"} for i in range(5)], "ports": [{"port": 80}]}
    assert shown("Endpoints", subsets=[subset])[1] == "10.0.0.0:80,10.0.0.1:80,10.0.0.2:80 + 2 more..."
    assert shown("Endpoints")[1] == "<none>"


def test_the_keys_of_configuration_are_counted() -> None:
    assert shown("ConfigMap", data={"a": "1"}, binaryData={"b": "Yg=="}) == ["x", "2", "90s"]
    assert shown("Secret", type="Opaque", data={"a": "Yg=="}) == ["x", "Opaque", "1", "90s"]
