"""What happens after "successfully rolled out" is seen."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from mlconsole.errors import Cancelled
from mlconsole.evidence.cluster import PodsEvidence, PodsSnapshot
from mlconsole.services.kubernetes import reflector
from mlconsole.services.kubernetes.pace import Pace
from mlconsole.services.kubernetes.problems import Forbidden, Unreachable
from mlconsole.services.kubernetes.settle import addresses, settle
from tests.services.kubernetes.fake_cluster import Held, Recorded, Reply, Request, playing, serving


def watched(
    recorded: Held, folder: Path, version: str, wanted: int, seconds: float, arrival: float = 5
) -> tuple[PodsEvidence, list[PodsSnapshot]]:
    seen: list[PodsSnapshot] = []

    def report(snapshot: PodsSnapshot) -> None:
        seen.append(snapshot)
        if snapshot.watch.state == "live":
            recorded.go()

    with playing(recorded, folder) as (_, connection):
        evidence = settle(
            connection,
            connection.target("app=ml-model"),
            version=version,
            wanted=wanted,
            seconds=seconds,
            report=report,
            cancelled=threading.Event(),
            arrival=arrival,
        )
    return evidence, seen


def test_a_pod_that_is_killed_right_after_its_rollout_is_in_the_evidence(tmp_path: Path) -> None:
    evidence, _ = watched(Held("oom-killed", 4, start=1.2), tmp_path, "v1", 1, 1)
    assert (evidence.serving, evidence.restarts) == (0, 1)
    reasons = {event.reason for event in evidence.events}
    assert "OOMKilled" in reasons
    assert any("over its memory limit" in event.message for event in evidence.events)


def test_old_pods_are_waited_for_and_a_quiet_time_is_clean(tmp_path: Path) -> None:
    recorded = Held("rollout-update", 8, start=9, end=16)
    # The recording goes on with an undo; of that, only the end of the last old pod belongs here.
    recorded.scenario["stream"] = [
        event for event in recorded.scenario["stream"] if event["at"] < 12.95 or event["type"] == "DELETED"
    ]
    evidence, seen = watched(recorded, tmp_path, "v2", 3, 0.5)
    assert (evidence.serving, evidence.restarts, evidence.events) == (3, 0, ())
    assert {row.version for row in evidence.rows} == {"v2"}
    assert any("v1" in {row.version for row in snapshot.rows} for snapshot in seen)


def test_pods_that_never_get_ready_say_why(tmp_path: Path) -> None:
    evidence, _ = watched(Held("never-ready", 8, start=5), tmp_path, "v1", 3, 1, arrival=1.0)
    assert (evidence.serving, evidence.settled) == (0, 0)
    assert any(event.reason == "Unhealthy" for event in evidence.events)


def test_a_cluster_that_can_not_be_seen_is_not_called_healthy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reflector, "PACE", Pace(first_delay=0.02))
    with (
        serving(lambda request: Reply(500, b"oops"), tmp_path) as (_, connection),
        pytest.raises(Unreachable, match="oops"),
    ):
        run(connection, arrival=1.0)


def test_forbidden_pods_are_told(tmp_path: Path) -> None:
    refusal = Reply(403, {"kind": "Status", "message": 'User "ada" cannot list resource "pods"'})
    with serving(lambda request: refusal, tmp_path) as (_, connection), pytest.raises(Forbidden, match="ada may not"):
        run(connection)


def test_a_cancel_ends_it(tmp_path: Path) -> None:
    cancelled = threading.Event()
    cancelled.set()
    with playing(Recorded("never-ready", 1, start=5), tmp_path) as (_, connection), pytest.raises(Cancelled):
        run(connection, cancelled=cancelled)


def test_a_finished_pod_of_a_job_is_not_waited_for(tmp_path: Path) -> None:
    def pod(name: str, phase: str, version: str, ready: str) -> dict[str, object]:
        return {
            "metadata": {"name": name, "uid": name, "annotations": {"mlconsole.dev/model-version": version}},
            "spec": {"containers": [{"name": "m"}]},
            "status": {"phase": phase, "conditions": [{"type": "Ready", "status": ready}]},
        }

    items = [pod("train", "Succeeded", "", "False"), pod("serve", "Running", "v1", "True")]

    done = threading.Event()

    def quiet() -> Iterator[bytes]:
        yield b"\n"
        done.wait(30)

    def respond(request: Request) -> Reply:
        if request.query.get("watch"):
            return Reply(chunks=quiet())
        return Reply(
            body={"items": items if request.path.endswith("pods") else [], "metadata": {"resourceVersion": "1"}}
        )

    with serving(respond, tmp_path) as (_, connection):
        evidence = run(connection)
        done.set()
    assert evidence.serving == 1
    assert len(evidence.rows) == 2


def run(connection: object, cancelled: threading.Event | None = None, arrival: float = 5) -> PodsEvidence:
    return settle(
        connection,
        connection.target("app=ml-model"),
        version="v1",
        wanted=1,
        seconds=1,
        report=lambda snapshot: None,
        cancelled=cancelled or threading.Event(),
        arrival=arrival,
    )


def test_only_services_that_answer_have_an_address(tmp_path: Path) -> None:
    from mlconsole.services.kubernetes.objects import Pod

    def service(name: str, port: int, app: str = "m") -> dict[str, object]:
        note = {"local.mlconsole.dev/address": f"127.0.0.1:{port}"}
        return {"metadata": {"name": name, "annotations": note}, "spec": {"selector": {"app": app}}}

    pod = Pod()
    pod.metadata.labels = {"app": "m", "tier": "a"}
    items: list[dict[str, object]] = []
    with serving(lambda request: Reply(body={"items": items}), tmp_path) as (cluster, connection):
        items += [service("good", cluster.port), service("dead", 1), service("other", cluster.port, "x")]
        items.append({"metadata": {"name": "headless"}, "spec": {}})
        (found,) = addresses(connection, [pod])
    assert (found.name, found.url) == ("good", f"http://127.0.0.1:{cluster.port}")
