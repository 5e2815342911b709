"""Quitting waits for nobody: not for a cluster that takes a question and never answers."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.services.kubernetes.fake_cluster import FakeCluster, Reply, Request

from .terminal import QUIT_SECONDS, Terminal

pytestmark = [pytest.mark.end_to_end, pytest.mark.timeout(120)]
SETTINGS = 'name = "m"\n[deploy]\ncontext = "lab"\nnamespace = "lab"\nselector = "app=m"\n'
POD: dict[str, Any] = {
    "metadata": {"name": "m-1", "namespace": "lab", "uid": "1", "resourceVersion": "7", "labels": {"app": "m"}},
    "spec": {"containers": [{"name": "m", "image": "m:1"}]},
    "status": {
        "phase": "Running",
        "conditions": [{"type": "Ready", "status": "True"}],
        "containerStatuses": [{"name": "m", "ready": True, "restartCount": 1}],
    },
}


class Silent:
    """A cluster that lists a pod, and says that nothing changes; all else it takes, and never answers."""

    def __init__(self) -> None:
        self.over = threading.Event()
        self.waiting: list[str] = []

    def respond(self, request: Request) -> Reply:
        if "watch" in request.query:
            return Reply(chunks=self.nothing())
        if request.path.endswith("/pods"):
            return Reply(body={"kind": "PodList", "metadata": {"resourceVersion": "7"}, "items": [POD]})
        if request.path.endswith("/events"):
            return Reply(body={"kind": "EventList", "metadata": {"resourceVersion": "7"}, "items": []})
        self.waiting.append(request.path.rpartition("/")[2])
        self.over.wait(60)
        return Reply(status=503, body={})

    def nothing(self) -> Iterator[bytes]:
        self.over.wait(60)
        yield b""


@pytest.fixture
def silent(tmp_path: Path) -> Iterator[tuple[Silent, Path]]:
    """A silent cluster, and the kubeconfig that leads there."""
    behaviour = Silent()
    cluster = FakeCluster(behaviour.respond)
    yield behaviour, cluster.kubeconfig(tmp_path)
    behaviour.over.set()
    cluster.close()


@pytest.mark.parametrize("keys", ["", "l", "L", "Lp", "lp", "y", "d"], ids=lambda keys: keys or "watch")
def test_no_answer_of_the_cluster_is_waited_for(tmp_path: Path, silent: tuple[Silent, Path], keys: str) -> None:
    behaviour, kubeconfig = silent
    root = tmp_path / "project"
    root.mkdir()
    (root / "mlconsole.toml").write_text(SETTINGS)
    terminal = Terminal([sys.executable, "-m", "mlconsole", "."], root, {**os.environ, "KUBECONFIG": str(kubeconfig)})
    try:
        terminal.shows("● live")
        terminal.press("6", "\r")
        terminal.shows("1/1 ready", "m-1")
        for key in keys:
            before = len(behaviour.waiting)
            terminal.press(key)
            deadline = time.monotonic() + 20
            while len(behaviour.waiting) == before and time.monotonic() < deadline:
                terminal.read(0.05)
        began = time.monotonic()
        terminal.press("\x11")
        assert terminal.ended() == 0
        took = time.monotonic() - began
    finally:
        terminal.close()
    assert took < QUIT_SECONDS
