"""Releases to a running cluster, as the stages make them."""

from __future__ import annotations

import json
import threading
import urllib.error
import urllib.request
from collections.abc import Callable

import pytest

from mlconsole.evidence.cluster import (
    ConflictChoice,
    DeployOptions,
    PodsEvidence,
    PodsSnapshot,
    RolloutVerdict,
)
from mlconsole.services.kubernetes.apply import apply
from mlconsole.services.kubernetes.connection import Connection
from mlconsole.services.kubernetes.manifests import Manifest, ReleaseFacts, find_selector, from_yaml, with_facts
from mlconsole.services.kubernetes.planning import plan
from mlconsole.services.kubernetes.rollout import follow, workloads_of
from mlconsole.services.kubernetes.settle import settle
from tests.services.kubernetes.conftest import deployment

WORKLOAD = "ml-model-deployment"


def release(text: str, connection: Connection, number: int) -> tuple[Manifest, ...]:
    facts = ReleaseFacts(
        name="ml-model",
        version=f"v{number}",
        label=f"ml-model@v{number}",
        model_uri="file:///model",
        model_digest=f"sha256:{number}",
        data_digest="sha256:d",
        commit="12e4567",
        release=number,
        changed_by="ada",
        change_cause=f"release {number}",
    )
    manifests = from_yaml(text)
    return with_facts(manifests, facts, selector=find_selector(manifests), namespace=connection.namespace)


def deploy(connection: Connection, manifests: tuple[Manifest, ...], conflicts: ConflictChoice = "ask") -> list[str]:
    lines: list[str] = []
    options = DeployOptions(conflicts=conflicts)
    made = plan(connection, manifests, selector="app=ml-model", version="v", options=options)
    apply(connection, made, report=lines.append)
    return lines


def roll_out(connection: Connection, manifests: tuple[Manifest, ...], crash_limit: int = 1) -> RolloutVerdict:
    (verdict,) = follow(
        connection,
        workloads_of(manifests),
        report=lambda progress: None,
        cancelled=threading.Event(),
        timeout=90,
        crash_limit=crash_limit,
    )
    return verdict


def settled(
    connection: Connection,
    version: str,
    wanted: int,
    seconds: float,
    report: Callable[[PodsSnapshot], None] = lambda snapshot: None,
    arrival: float = 60,
) -> PodsEvidence:
    return settle(
        connection,
        connection.target("app=ml-model"),
        version=version,
        wanted=wanted,
        seconds=seconds,
        report=report,
        cancelled=threading.Event(),
        arrival=arrival,
    )


def ready_pod(connection: Connection) -> str:
    manifests = release(deployment(replicas=1), connection, 1)
    deploy(connection, manifests)
    assert roll_out(connection, manifests).succeeded
    return settled(connection, "ml-model@v1", 1, 0).rows[0].name


def die(connection: Connection) -> None:
    body = connection.request("GET", f"/api/v1/namespaces/{connection.namespace}/services/ml-model")
    address = json.loads(body)["metadata"]["annotations"]["local.mlconsole.dev/address"]
    with pytest.raises((urllib.error.URLError, ConnectionError)):
        urllib.request.urlopen(f"http://{address}/die", timeout=40)
