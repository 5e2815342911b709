"""Fields that a person changed by hand, and objects that the manifests no longer have, on a real cluster."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from mlconsole.evidence.cluster import WorkloadRef
from mlconsole.journal import Journal
from mlconsole.services.kubernetes.actions import scale
from mlconsole.services.kubernetes.connection import Connection

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Workbench

pytestmark = pytest.mark.end_to_end
EXTRA = "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: extra}\ndata: {a: '1'}\n"


def connection_of(bench: Workbench) -> Connection:
    path: Path = bench.root / ".mlconsole/cluster/kubeconfig"
    return Connection.open(kubeconfig=path)


def config_maps(connection: Connection) -> set[str]:
    items = json.loads(connection.request("GET", "/api/v1/namespaces/default/configmaps"))["items"]
    return {item["metadata"]["name"] for item in items}


def replicas(connection: Connection) -> int:
    return int(
        json.loads(connection.request("GET", "/apis/apps/v1/namespaces/default/deployments/tiny"))["spec"]["replicas"]
    )


@pytest.mark.timeout(300)
def test_a_scaled_deployment_and_an_object_that_went(bench: Workbench) -> None:
    text = (bench.root / "deployment.yaml").read_text()
    bench.write("deployment.yaml", text + EXTRA)
    bench.type("cluster", "start")
    first = bench.type("run", "--approve")
    assert first.returncode == 0, first.stdout + first.stderr
    connection = connection_of(bench)
    scale(connection, WorkloadRef(kind="Deployment", name="tiny", namespace="default"), 3)

    bench.write("deployment.yaml", text.replace("image: tiny:v1", "image: tiny:v2"))
    waiting = bench.type("run", "--approve")
    assert waiting.returncode == 1, waiting.stdout + waiting.stderr
    assert "conflict: .spec.replicas of Deployment tiny, which mlconsole-scale owns" in waiting.stdout
    assert "ConfigMap extra, no longer in the manifests: --prune deletes it" in waiting.stdout
    assert "mlconsole approve 2 --force-conflicts" in waiting.stdout
    refused = bench.type("approve", "2")
    assert (refused.returncode, "Others own fields" in refused.stderr) == (2, True)

    left = bench.type("approve", "2", "--leave-conflicts", "--reason", "three it is")
    assert left.returncode == 0, left.stdout + left.stderr
    assert "leave-conflicts by" in left.stdout
    assert replicas(connection) == 3
    assert "extra" in config_maps(connection)

    bench.write("deployment.yaml", text)
    forced = bench.type("run", "--approve", "--force-conflicts", "--prune")
    assert forced.returncode == 0, forced.stdout + forced.stderr
    assert "configmap/extra deleted" in forced.stdout
    assert replicas(connection) == 2
    assert "extra" not in config_maps(connection)
    journal = Journal(bench.root / ".mlconsole/journal.db")
    assert [decision.kind for decision in journal.decisions(2)] == ["leave-conflicts", "approve"]
    assert [decision.kind for decision in journal.decisions(3)] == ["force-conflicts"]
    both = bench.type("run", "--force-conflicts", "--leave-conflicts")
    assert (both.returncode, "exclude each other" in both.stderr) == (2, True)
    connection.close()
