"""Two watchers and a CI run with journals of their own, one target: the same commit and data are released once."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
import yaml

from mlconsole.evidence.release import Release
from mlconsole.journal import Journal
from mlconsole.localcluster import control
from mlconsole.services.kubernetes.connection import Connection
from mlconsole.services.kubernetes.objects import ObjectList, Workload
from mlconsole.services.kubernetes.problems import decode
from mlconsole.services.kubernetes.resources import REPLICA_SETS
from mlconsole.trigger_queue import TriggerQueue

from .conftest import Workbench

pytestmark = [pytest.mark.end_to_end, pytest.mark.timeout(500)]
SETTINGS = """\
[deploy]
context = "shared"
settle = "0s"
[[watch]]
kind = "data"
path = "inbox/*.csv"
add = true
settle = "0s"
then = "release"
"""


class Team:
    """Machines that have nothing in common but the commit and a cluster."""

    def __init__(self, bench: Workbench, machines: tuple[str, ...]) -> None:
        bench.write("mlconsole.toml", SETTINGS)
        bench.write(".gitignore", "__pycache__\n/inbox\n/data\n")
        bench.git("rm", "-r", "-q", "--cached", "data")
        bench.commit("Shared")
        folder = bench.root.parent
        self.info = control.start(bench.root, folder / "elsewhere")
        config = yaml.safe_load(Path(self.info.kubeconfig).read_text())
        config["contexts"][0]["name"] = config["current-context"] = "shared"
        self.kubeconfig = folder / "kubeconfig"
        self.kubeconfig.write_text(yaml.safe_dump(config))
        self.machines = {name: self._clone(bench, folder / name) for name in machines}
        self._watchers: dict[str, subprocess.Popen[bytes]] = {}

    def _clone(self, bench: Workbench, folder: Path) -> Workbench:
        bench.git("clone", "-q", str(bench.root), str(folder))
        shutil.copytree(bench.root / "data", folder / "data")
        (folder / "inbox").mkdir()
        return Workbench(folder)

    def watch(self, name: str) -> None:
        """Start a machine's watcher, and wait until it watches."""
        bench = self.machines[name]
        with (bench.root / "watch.log").open("ab") as log:
            self._watchers[name] = subprocess.Popen(
                [sys.executable, "-m", "mlconsole", "watch"],
                cwd=bench.root,
                env=bench.environment(KUBECONFIG=str(self.kubeconfig)),
                stdout=log,
                stderr=log,
            )
        stands_by = len(self._watchers) > 1
        until(lambda: (holder := self.holder(name)) is not None and bool(holder) is stands_by, self.told)

    def stop(self, name: str) -> None:
        """End a machine's watcher, so that it gives away its lease."""
        watcher = self._watchers.pop(name)
        watcher.send_signal(signal.SIGTERM)
        watcher.wait(90)
        (self.machines[name].root / "watch.log").unlink()

    def close(self) -> None:
        """End everything."""
        for watcher in self._watchers.values():
            watcher.kill()
            watcher.wait()
        control.stop(self.info.state)

    def holder(self, name: str) -> str | None:
        """Who acts in a watcher's place; None as long as it does not watch."""
        with closing(Journal(self.machines[name].root / ".mlconsole" / "journal.db")) as journal:
            watcher = TriggerQueue(journal).watcher()
        return watcher.holder if watcher is not None else None

    def arrive(self, number: int, *names: str) -> None:
        """Let the same file arrive at several machines."""
        text = "x,y\n" + "".join(f"{row},{row * 2 + number}\n" for row in range(20))
        for name in names:
            root = self.machines[name].root
            (root / "inbox" / f".{number}.part").write_text(text)
            (root / "inbox" / f".{number}.part").rename(root / "inbox" / f"{number}.csv")

    def releases(self, name: str) -> tuple[Release, ...]:
        with closing(Journal(self.machines[name].root / ".mlconsole" / "journal.db")) as journal:
            return journal.releases()

    def ended(self, name: str, number: int) -> tuple[str, str]:
        """What became of a file at a machine, and why, once it is known."""
        until(lambda: self._outcome(name, number)[0] != "", self.told)
        return self._outcome(name, number)

    def _outcome(self, name: str, number: int) -> tuple[str, str]:
        with closing(Journal(self.machines[name].root / ".mlconsole" / "journal.db")) as journal:
            found = [entry for entry in TriggerQueue(journal).triggers() if entry.place.endswith(f"/{number}.csv")]
        return (found[0].outcome, found[0].sentence) if found else ("", "")

    def done(self) -> int:
        """How many releases of all machines changed the target."""
        return sum(release.state == "done" for name in self.machines for release in self.releases(name))

    def revisions(self) -> int:
        """How many different things the cluster was given."""
        with closing(Connection.open(kubeconfig=self.kubeconfig)) as connection:
            data = connection.request("GET", REPLICA_SETS.path("default"), query={"labelSelector": "app=tiny"})
        return max(entry.revision for entry in decode(data, ObjectList[Workload]).items or ())

    def told(self) -> str:
        """What is known, for when it goes wrong."""
        logs = [
            path
            for bench in self.machines.values()
            for path in (bench.root / "watch.log", bench.root / ".mlconsole/runner.log")
        ]
        return "\n".join(f"{path}\n{path.read_text()[-3000:]}" for path in logs if path.exists())


def until(condition: Callable[[], bool], told: Callable[[], str]) -> None:
    deadline = time.monotonic() + 150
    while not condition():
        assert time.monotonic() < deadline, told()
        time.sleep(0.2)


@pytest.fixture
def team(bench: Workbench) -> Iterator[Team]:
    made = Team(bench, ("ada", "bob", "ci"))
    yield made
    made.close()


def test_the_same_is_released_once_whoever_watches_and_runs(team: Team) -> None:
    first = team.machines["ada"].type("run", "--approve", KUBECONFIG=str(team.kubeconfig))
    assert first.returncode == 0, first.stdout + first.stderr
    acts, waits = "ada", "bob"
    team.watch(acts)
    for number in (1, 2, 3):
        team.watch(waits)
        team.arrive(number, "ada", "bob")
        assert team.ended(acts, number)[0] == "released", team.told()
        # whoever stood by takes over, and its journal says that the file still waits
        team.stop(acts)
        outcome, why = team.ended(waits, number)
        assert outcome == "elsewhere", team.told()
        assert why.startswith("tiny@v"), why
        assert "from the same commit and data already, by" in why
        assert (team.done(), team.revisions()) == (number + 1, number + 1)
        acts, waits = waits, acts
    # a CI run begins the same at the same moment as the watcher does
    here, there = team.machines[acts].root, team.machines["ci"].root
    shutil.copytree(here / "data", there / "data", dirs_exist_ok=True)
    team.arrive(4, acts, "ci")
    with (there / "data" / "training.csv").open("a") as data:
        data.write((there / "inbox" / "4.csv").read_text().partition("\n")[2])
    run = team.machines["ci"].type("run", "--approve", KUBECONFIG=str(team.kubeconfig))
    assert run.returncode == 0, run.stdout + run.stderr
    assert (team.ended(acts, 4)[0] == "elsewhere") != ("already, by" in run.stdout), run.stdout + team.told()
    assert (team.done(), team.revisions()) == (5, 5)
    # one that is asked for again is released
    again = team.machines["ci"].type("run", "--approve", "--from", "train", KUBECONFIG=str(team.kubeconfig))
    assert again.returncode == 0, again.stdout + again.stderr
    assert team.done() == 6
