"""A release over a real socket to a recorded cluster: what kubectl called a success is seen to fail."""

from __future__ import annotations

import json
import time
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from mlconsole.evidence.cluster import DeployEvidence, PodsEvidence
from mlconsole.journal import Journal
from mlconsole.project import open_project
from mlconsole.release import engine as engine_module
from mlconsole.release.engine import Engine, Order
from mlconsole.services.kubernetes import settle
from mlconsole.stages import stage_of
from tests.services.kubernetes.fake_cluster import FakeCluster, Recorded, Reply, Request

if TYPE_CHECKING:
    from conftest import World

MANIFEST = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: ml-model-deployment}
spec:
  replicas: 1
  selector: {matchLabels: {app: ml-model}}
  template:
    metadata: {labels: {app: ml-model}}
    spec: {containers: [{name: model, image: 'ml-model:latest', env: [{name: MODEL_VERSION, value: none}]}]}
"""


class Deployable(Recorded):
    """A recorded cluster whose story begins once something is applied to it."""

    def __init__(self, name: str, speed: float) -> None:
        super().__init__(name, speed)
        self.is_applied = False

    def now(self) -> float:
        return super().now() if self.is_applied else 0.0

    def respond(self, request: Request) -> Reply:
        if request.method == "PATCH":
            if "dryRun" not in request.query and not self.is_applied:
                self.is_applied, self.began = True, time.monotonic()
            return Reply(body=json.loads(request.body))
        if request.path.endswith("deployments/ml-model-deployment"):
            found = self.list("Deployment")["items"]
            return Reply(body=found[0]) if found else Reply(404, {"kind": "Status", "details": {"name": "m"}})
        return super().respond(request)


@pytest.mark.parametrize("speed", [1, 4])
def test_a_pod_that_is_killed_after_its_rollout_turns_success_into_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, world: World, speed: float
) -> None:
    (tmp_path / "deployment.yaml").write_text(MANIFEST)
    settings = (
        'name = "ml-model"\n[deploy]\nmanifests = ["deployment.yaml"]\nselector = "app=ml-model"\nsettle = "2s"\n'
    )
    (tmp_path / "mlconsole.toml").write_text(settings)
    project = open_project(tmp_path)
    told = engine_module.stage_of
    monkeypatch.setattr(
        engine_module, "stage_of", lambda name: stage_of(name) if name in ("deploy", "pods") else told(name)
    )
    # The recorded pods are of an earlier day; here they are young.
    monkeypatch.setattr(settle, "YOUNG", timedelta.max)
    recorded = Deployable("oom-killed", speed)
    cluster = FakeCluster(recorded.respond)
    monkeypatch.setenv("KUBECONFIG", str(cluster.kubeconfig(tmp_path)))
    journal = Journal(project.journal_path)
    try:
        outcome = Engine(project, journal).run(Order(approved=True, who="ada"))
    finally:
        recorded.stopped.set()
        cluster.close()
    runs = {run.stage: run for run in journal.stage_runs(1)}
    assert isinstance(runs["deploy"].evidence, DeployEvidence)
    (rollout,) = runs["deploy"].evidence.rollouts
    assert (rollout.succeeded, rollout.sentence) == (True, 'deployment "ml-model-deployment" successfully rolled out')
    assert isinstance(runs["pods"].evidence, PodsEvidence)
    assert (outcome.exit_code, runs["pods"].state) == (1, "refused")
    assert runs["pods"].evidence.restarts == 1
    assert "OOMKilled" in {event.reason for event in runs["pods"].evidence.events}
    assert runs["pods"].verdict is not None
    words = " ".join(reason.sentence for reason in runs["pods"].verdict.reasons)
    assert "over its memory limit" in words
    assert journal.alias("ml-model", "champion") is None
