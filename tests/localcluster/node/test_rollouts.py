"""Deployments with real processes: how fast, how smooth, and in Kubernetes' words."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mlconsole.localcluster.controllers.addresses import ADDRESS
from mlconsole.localcluster.node import proxy
from tests.localcluster.node.conftest import QUICK

Box = Callable[..., dict[str, Any]]

RECORDINGS = Path(__file__).parents[4] / "shared" / "kubernetes-recordings" / "scenarios"


def spec(box: Box, version: str, **fields: Any) -> dict[str, Any]:
    model = box(
        ports=[{"containerPort": 8080}],
        env=[{"name": "MODEL_VERSION", "value": version}],
        readinessProbe={"httpGet": {"path": "/", "port": 8080}},
    )
    template = {"metadata": {"labels": {"app": "ml"}}, "spec": {"containers": [model]}}
    return {"replicas": 3, "selector": {"matchLabels": {"app": "ml"}}, "template": template, **fields}


def change(world: Any, wanted: dict[str, Any]) -> None:
    deployment = world.store.get("deployments", "default", "ml")
    world.store.update("deployments", deployment | {"spec": wanted})


def is_done(world: Any, replicas: int = 3) -> bool:
    deployment = world.store.get("deployments", "default", "ml")
    status = deployment["status"]
    counts = [status.get(name) for name in ("replicas", "updatedReplicas", "availableReplicas")]
    return bool(status["observedGeneration"] == deployment["metadata"]["generation"] and counts == [replicas] * 3)


def service(world: Any) -> None:
    world.create("services", "ml", {"selector": {"app": "ml"}, "ports": [{"port": 80, "targetPort": 8080}]})


async def ask(host: str, port: int) -> bytes:
    reader, writer = await asyncio.open_connection(host, port)
    writer.write(b"GET / HTTP/1.0\r\n\r\n")
    reply = await reader.read()
    writer.close()
    if b" 200 " not in reply.partition(b"\r\n")[0]:
        raise ConnectionError(reply)
    return reply.rpartition(b"\r\n")[2]


async def test_three_pods_are_ready_as_soon_as_they_listen_and_not_a_period_later(world: Any, box: Box) -> None:
    wanted = spec(box, "v1")
    wanted["template"]["spec"]["containers"][0]["readinessProbe"] |= {"periodSeconds": 600, "timeoutSeconds": 40}
    world.create("deployments", "ml", wanted)
    await world.until(lambda: is_done(world))


# what was asked before the pod was taken out of the Service has so long to be answered, also on a busy machine
@pytest.mark.parametrize("timing", [replace(QUICK, drain=1.0)], ids=["slow drain"])
async def test_no_request_fails_while_every_pod_is_exchanged(world: Any, box: Box) -> None:
    world.create("deployments", "ml", spec(box, "v1"))
    service(world)
    await world.until(lambda: is_done(world))
    address = await world.until(lambda: world.cluster.service_address("default", "ml", 80))
    answers: Counter[bytes] = Counter()
    going = True

    async def client() -> None:
        while going:
            answers[await ask(*address)] += 1

    clients = [asyncio.create_task(client()) for _ in range(3)]
    await world.until(lambda: answers[b"v1"] > 20)
    change(world, spec(box, "v2"))
    await world.until(lambda: is_done(world))
    change(world, spec(box, "v3"))
    await world.until(lambda: is_done(world) and len(world.pods()) == 3)
    seen = answers[b"v3"]
    await world.until(lambda: answers[b"v3"] > seen + 20)
    going = False
    await asyncio.gather(*clients)
    assert set(answers) == {b"v1", b"v2", b"v3"}


async def test_a_rollout_that_never_gets_ready_passes_its_deadline(world: Any, box: Box) -> None:
    world.create("deployments", "ml", spec(box, "v1"))
    await world.until(lambda: is_done(world))
    wanted = spec(box, "v2", progressDeadlineSeconds=1)
    wanted["template"]["spec"]["containers"][0]["readinessProbe"]["httpGet"]["path"] = "/absent"
    change(world, wanted)

    def progressing() -> Any:
        conditions = world.store.get("deployments", "default", "ml")["status"]["conditions"]
        return next(item for item in conditions if item["type"] == "Progressing")

    await world.until(lambda: progressing()["reason"] == "ProgressDeadlineExceeded")
    assert len(world.ready()) == 3


async def test_scaling_to_nothing_leaves_nothing(world: Any, box: Box) -> None:
    world.create("deployments", "ml", spec(box, "v1"))
    await world.until(lambda: is_done(world))
    change(world, spec(box, "v1", replicas=0))
    await world.until(lambda: not world.pods() and not world.shims())


async def test_deleting_a_deployment_takes_its_pods_along(world: Any, box: Box) -> None:
    world.create("deployments", "ml", spec(box, "v1"))
    await world.until(lambda: is_done(world))
    world.store.delete("deployments", "default", "ml")
    await world.until(lambda: not world.pods() and not world.store.list("replicasets"))


async def test_endpoints_name_the_ready_pods_at_their_real_ports(world: Any, box: Box) -> None:
    world.create("deployments", "ml", spec(box, "v1", replicas=2))
    service(world)

    def backends() -> Any:
        subsets = world.store.get("endpoints", "default", "ml").get("subsets") or []
        return {
            (subset["addresses"][0]["ip"], subset["ports"][0]["port"]) for subset in subsets if "addresses" in subset
        }

    found = await world.until(lambda: len(backends()) == 2 and backends())
    real = {world.cluster.pod_address("default", pod["metadata"]["name"], 8080) for pod in world.pods()}
    assert found == real
    slices = world.store.list("endpointslices")
    assert {item["ports"][0]["port"] for item in slices} == {port for _, port in real}
    assert all(item["endpoints"][0]["conditions"]["ready"] for item in slices)
    world.store.mark_deleted("pods", "default", world.pods()[0]["metadata"]["name"], 5)
    await world.until(lambda: len(world.pods()) == 2 and len(backends()) == 2 and backends() != found)


async def test_a_service_keeps_its_address_and_answers_only_when_somebody_is_ready(
    world: Any, make_world: Any, box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(proxy, "WAIT_FOR_READY", 40.0)
    service(world)
    address = await world.until(lambda: world.cluster.service_address("default", "ml", 80))
    assert (
        world.store.get("services", "default", "ml")["metadata"]["annotations"][ADDRESS] == f"{address[0]}:{address[1]}"
    )
    waiting = asyncio.create_task(ask(*address))
    world.create("deployments", "ml", spec(box, "v1", replicas=1))
    assert await waiting == b"v1"
    await world.cluster.stop(kill_pods=False)
    world.cluster = make_world(world.root, world.store).cluster
    await world.cluster.start()
    assert await world.until(lambda: world.cluster.service_address("default", "ml", 80)) == address
    assert await ask(*address) == b"v1"


async def test_a_node_port_is_the_port_that_listens(world: Any, box: Box) -> None:
    ports = [{"port": 80, "targetPort": 8080, "name": "http"}, {"port": 81, "targetPort": 8080, "name": "again"}]
    world.create("services", "ml", {"type": "LoadBalancer", "selector": {"app": "ml"}, "ports": ports})
    found = await world.until(
        lambda: world.cluster.service_address("default", "ml", "again") and world.store.get("services", "default", "ml")
    )
    given = [entry["nodePort"] for entry in found["spec"]["ports"]]
    assert all(30000 <= port <= 32767 for port in given) and len(set(given)) == 2
    assert found["status"]["loadBalancer"]["ingress"] == [{"ip": "127.0.0.1"}]
    assert found["metadata"]["annotations"][f"{ADDRESS}.again"] == f"127.0.0.1:{given[1]}"
    assert world.cluster.service_address("default", "ml", 80) == ("127.0.0.1", given[0])
    world.store.delete("services", "default", "ml")
    await world.until(lambda: world.cluster.service_address("default", "ml", 80) is None)


async def test_a_job_runs_to_its_end_and_a_failing_one_gives_up(world: Any, py: Box) -> None:
    for name, code in (("train", "print('loss=0.5')"), ("broken", "raise SystemExit(2)")):
        template = {"metadata": {"labels": {"job": name}}, "spec": {"restartPolicy": "Never", "containers": [py(code)]}}
        world.create("jobs", name, {"completions": 1, "parallelism": 1, "backoffLimit": 1, "template": template})
    await world.until(lambda: world.condition(world.store.get("jobs", "default", "train"), "Complete") == "True")
    await world.until(lambda: world.condition(world.store.get("jobs", "default", "broken"), "Failed") == "True")
    assert world.store.get("jobs", "default", "broken")["status"]["failed"] == 2
    pod = next(pod for pod in world.pods() if pod["metadata"]["name"].startswith("train-"))
    assert world.log(pod["metadata"]["name"]) == "loss=0.5"


@pytest.mark.skipif(not RECORDINGS.is_dir(), reason="the recordings of a real cluster are not beside the checkout")
async def test_a_rollout_tells_what_a_real_cluster_tells(world: Any, box: Box) -> None:
    world.create("deployments", "ml", spec(box, "v1"))
    await world.until(lambda: is_done(world))
    change(world, spec(box, "v2"))
    await world.until(lambda: is_done(world) and len(world.pods()) == 3)
    stream = json.loads((RECORDINGS / "rollout-update.json").read_text())["stream"]
    recorded = [item["object"] for item in stream if item["kind"] == "Event" and item["type"] == "ADDED"]

    def told(events: list[dict[str, Any]]) -> set[tuple[str, str, str]]:
        return {
            (event["involvedObject"]["kind"], event["reason"], event["type"])
            for event in events
            if event["reason"] != "Unhealthy"
        }

    assert told(world.store.list("events")) == told(recorded)
    last = [item["object"] for item in stream if item["kind"] == "Deployment" and item["type"] == "MODIFIED"][-1]
    status = world.store.get("deployments", "default", "ml")["status"]
    assert {key for key in status if key != "terminatingReplicas"} <= {
        *last["status"],
        "availableReplicas",
        "readyReplicas",
    }
    reasons = {(item["type"], item["reason"]) for item in status["conditions"]}
    assert reasons == {(item["type"], item["reason"]) for item in last["status"]["conditions"]}
