"""Who owns a field is settled by keys in the Deploy panel, on a real local cluster, both ways."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from mlconsole.journal import Journal
from mlconsole.services.kubernetes.connection import Connection

from .terminal import Terminal

if TYPE_CHECKING:
    from conftest import Workbench

pytestmark = [pytest.mark.end_to_end, pytest.mark.timeout(300)]
DEPLOYMENT = "/apis/apps/v1/namespaces/default/deployments/tiny"


class Owned:
    """The tiny project, released; then its number of pods and its grace period changed by others, and a new image."""

    def __init__(self, bench: Workbench) -> None:
        self.bench = bench
        bench.type("cluster", "start")
        first = bench.type("run", "--approve")
        assert first.returncode == 0, first.stdout + first.stderr
        self.connection = Connection.open(kubeconfig=bench.root / ".mlconsole/cluster/kubeconfig")
        self._edit("kubectl-scale", {"replicas": 3})
        self._edit("ada-by-hand", {"template": {"spec": {"terminationGracePeriodSeconds": 4}}})
        text = (bench.root / "deployment.yaml").read_text()
        bench.write("deployment.yaml", text.replace("image: tiny:v1", "image: tiny:v2"))
        bench.commit("Another image")

    def _edit(self, manager: str, spec: dict[str, Any]) -> None:
        body = msgspec.json.encode({"spec": spec})
        kind = "application/merge-patch+json"
        self.connection.request("PATCH", DEPLOYMENT, query={"fieldManager": manager}, body=body, content_type=kind)

    @property
    def facts(self) -> tuple[int, int, str]:
        """How many pods, how long they have to end, which image: as the cluster has it."""
        spec = json.loads(self.connection.request("GET", DEPLOYMENT))["spec"]
        pod = spec["template"]["spec"]
        return spec["replicas"], pod["terminationGracePeriodSeconds"], pod["containers"][0]["image"]

    def decisions(self, release: int) -> list[str]:
        journal = Journal(self.bench.root / ".mlconsole/journal.db")
        try:
            return [decision.kind for decision in journal.decisions(release)]
        finally:
            journal.close()


@pytest.fixture
def owned(bench: Workbench) -> Owned:
    return Owned(bench)


@pytest.fixture
def terminal(owned: Owned) -> Iterator[Terminal]:
    """The console, in the Deploy panel of a release that waits."""
    bench = owned.bench
    opened = Terminal([sys.executable, "-m", "mlconsole", "."], bench.root, bench.environment(), (130, 45))
    opened.shows("● live", "Release 1 ✓ done")
    opened.press("g")
    opened.shows("Release 2 waits for your approval", seconds=120)
    opened.press("5")
    opened.shows("2 fields owned by others", "a person has to choose")
    opened.press("enter")
    yield opened
    opened.close()


OWNERS = (
    "ada-by-hand owns",
    "deployment/tiny .spec.template.spec.terminationGracePeriodSeconds",
    "kubectl-scale owns",
    "deployment/tiny .spec.replicas",
)


def test_fields_are_left_to_their_owners(owned: Owned, terminal: Terminal) -> None:
    terminal.shows(*OWNERS, "T take them over", "X leave them to their owners")
    terminal.press("a")
    terminal.shows("2 fields of the plan: set by ada-by-hand and kubectl-scale", "take over", "leave to owners")
    terminal.settle()
    terminal.press("escape")
    assert owned.decisions(2) == []
    terminal.press("X")
    terminal.shows("leave the fields to their owners?", *OWNERS, "$ mlconsole approve 2 --leave-conflicts")
    terminal.settle()
    terminal.press("enter")
    terminal.settle()
    assert owned.decisions(2) == [], "Enter alone says no"
    terminal.press("X")
    terminal.shows("leave the fields to their owners?")
    terminal.say_yes()
    terminal.shows("Release 2 is done: tiny@v1 serves.", seconds=120)
    assert owned.facts == (3, 4, "tiny:v2")
    assert owned.decisions(2) == ["leave-conflicts", "approve"]
    terminal.press("5")
    terminal.shows("2 fields owned by others left to their owners")


def test_fields_are_taken_over(owned: Owned, terminal: Terminal) -> None:
    terminal.press("T")
    terminal.shows("take the fields over?", *OWNERS, "$ mlconsole approve 2 --force-conflicts")
    terminal.say_yes()
    terminal.shows("Release 2 is done: tiny@v1 serves.", seconds=120)
    assert owned.facts == (2, 2, "tiny:v2")
    assert owned.decisions(2) == ["force-conflicts", "approve"]
    terminal.press("5")
    terminal.shows("2 fields owned by others taken over")
