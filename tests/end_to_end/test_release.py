"""The main job on real processes: release, new data, no refused request, rollback, and every process killed once."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING

import psutil
import pytest

from mlconsole.journal import Journal
from tests.living import runs

if TYPE_CHECKING:
    from conftest import Workbench

pytestmark = pytest.mark.end_to_end


class Client:
    """Sends requests in a tight loop from several threads; counts the versions that answered, and the errors."""

    def __init__(self, address: str) -> None:
        self.versions: Counter[str] = Counter()
        self.errors: list[str] = []
        self._address, self._ended = address, threading.Event()
        self._threads = [threading.Thread(target=self._ask, daemon=True) for _ in range(3)]

    def __enter__(self) -> Client:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join()

    def _ask(self) -> None:
        while not self._ended.is_set():
            try:
                with urllib.request.urlopen(f"http://{self._address}/", timeout=30) as answer:
                    self.versions[json.load(answer)["version"]] += 1
            except OSError as error:
                self.errors.append(repr(error))


def journal_of(bench: Workbench) -> Journal:
    return Journal(bench.root / ".mlconsole" / "journal.db")


def pods(bench: Workbench) -> list[dict[str, str]]:
    return [json.loads(line) for line in bench.type("pods", "--json").stdout.splitlines()]


def versions(bench: Workbench) -> list[str]:
    """The versions that the pods tell, those that are going left out."""
    return [pod["version"] for pod in pods(bench) if not pod.get("deleting")]


def address(bench: Workbench) -> str:
    """Where the service answers, as the record of the latest release says."""
    shown = bench.type("status", "--json").stdout
    stages = [json.loads(line) for line in shown.splitlines()]
    evidence = next(stage["evidence"] for stage in stages if stage.get("stage") == "pods")
    return str(evidence["services"][0]["url"]).removeprefix("http://")


def wait_until(condition: Callable[[], bool], what: str, timeout: float = 90) -> None:
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, f"not within {timeout} s: {what}"
        time.sleep(0.05)


def processes_of(bench: Workbench) -> list[str]:
    """The command lines of every process that works in the project's folder."""
    found = []
    for process in psutil.process_iter():
        try:
            if str(bench.root) in " ".join(process.cmdline()) or process.cwd() == str(bench.root):
                found.append(" ".join(process.cmdline()))
        except psutil.Error:
            continue
    return found


def test_from_the_first_release_to_a_rollback(bench: Workbench) -> None:
    assert bench.type("cluster", "start").returncode == 0
    first = bench.type("run", "--approve")
    assert first.returncode == 0, first.stdout + first.stderr
    assert versions(bench) == ["tiny@v1", "tiny@v1"]

    again = bench.type("run", "--approve")
    assert again.returncode == 0
    assert "Nothing changed since release 1: tiny@v1 is the champion." in again.stdout

    with (bench.root / "data/training.csv").open("a") as data:
        data.writelines(f"{n},{n * 3}\n" for n in range(50, 80))
    with Client(address(bench)) as client:
        second = bench.type("run", "--approve", "--json")
        assert versions(bench) == ["tiny@v2", "tiny@v2"]
        back = bench.type("rollback", "--reason", "v2 is odd")
    assert second.returncode == 0, second.stdout + second.stderr
    started = [json.loads(line) for line in second.stdout.splitlines() if "stage-started" in line]
    assert [event["stage"] for event in started] == ["repo", "data", "train", "test", "deploy", "pods"]
    assert back.returncode == 0, back.stdout + back.stderr
    assert versions(bench) == ["tiny@v1", "tiny@v1"]
    assert client.errors == []
    assert set(client.versions) == {"v1", "v2"}

    journal = journal_of(bench)
    champion, previous = journal.alias("tiny", "champion"), journal.alias("tiny", "previous")
    assert champion is not None
    assert previous is not None
    assert (champion.tag, previous.tag) == ("v1", "v2")
    refused = bench.type("run", "--approve")
    assert refused.returncode == 1
    assert "tiny@v2 was rolled back in release 3 (v2 is odd)" in refused.stdout


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not installed: nothing to compare with")
def test_kubectl_prints_what_our_pods_command_prints(bench: Workbench) -> None:
    bench.type("cluster", "start")
    assert bench.type("run", "--approve").returncode == 0
    kubectl = ["kubectl", "--kubeconfig", bench.kubeconfig, "get", "pods", "-l", "app=tiny"]

    def theirs() -> list[list[str]]:
        told = subprocess.run(kubectl, capture_output=True, text=True, timeout=60, check=True).stdout
        return [line.split() for line in told.splitlines()]

    before, ours, after = theirs(), [line.split()[:-1] for line in bench.type("pods").stdout.splitlines()], theirs()
    assert [row[:-1] for row in before] == [row[:-1] for row in ours] == [row[:-1] for row in after]
    assert ours[0] == before[0]
    for earlier, own, later in zip(before[1:], ours[1:], after[1:], strict=True):
        # the age ticks on between the commands
        assert seconds_of(earlier[-1]) <= seconds_of(own[-1]) <= seconds_of(later[-1])


def seconds_of(age: str) -> int:
    """What kubectl writes as `47s` or `2m5s`."""
    units = {"s": 1, "m": 60, "h": 3600, "d": 86400}
    return sum(int(number) * units[unit] for number, unit in re.findall(r"(\d+)([smhd])", age))


def test_a_killed_runner_leaves_no_training_behind_and_its_release_is_resumed(bench: Workbench) -> None:
    bench.type("cluster", "start")
    runner = bench.start("run", "--approve", EPOCH_SECONDS="30")
    wait_until(lambda: any("train_model.py" in line for line in processes_of(bench)), "training to start")
    runner.kill()
    runner.wait()
    assert runner.stdout is not None
    runner.stdout.close()
    wait_until(lambda: not any("train_model.py" in line for line in processes_of(bench)), "training to end")

    journal = journal_of(bench)
    assert journal.release(1).state == "interrupted"
    assert {run.stage: run.state for run in journal.stage_runs(1)} == {
        "repo": "done",
        "data": "done",
        "train": "interrupted",
    }
    resumed = bench.type("resume", "1", "--approve")
    assert resumed.returncode == 0, resumed.stdout + resumed.stderr
    assert "data   ● started" not in resumed.stdout
    assert versions(bench) == ["tiny@v1", "tiny@v1"]


def test_a_cancelled_release_ends_its_training_and_goes_on_when_resumed(bench: Workbench) -> None:
    runner = bench.start("run", "--until", "train", EPOCH_SECONDS="30")
    wait_until(lambda: any("train_model.py" in line for line in processes_of(bench)), "training to start")
    bench.type("cancel", "1")
    output, _ = runner.communicate(timeout=90)
    assert runner.returncode == 130, output
    assert not any("train_model.py" in line for line in processes_of(bench))
    assert journal_of(bench).release(1).state == "cancelled"
    assert bench.type("resume", "1", "--until", "train").returncode == 0


def test_pods_live_through_the_death_of_the_local_cluster_and_its_next_start_adopts_them(bench: Workbench) -> None:
    bench.type("cluster", "start")
    assert bench.type("run", "--approve").returncode == 0
    before = {pod["uid"]: pod["name"] for pod in pods(bench)}
    server = json.loads((bench.root / ".mlconsole/cluster/server.json").read_text())
    os.kill(server["pid"], signal.SIGKILL)
    wait_until(lambda: not runs(server["pid"]), "the server to be gone")

    down = bench.type("pods")
    assert down.returncode == 3
    assert "Traceback" not in down.stderr
    assert bench.type("cluster", "start").returncode == 0
    assert {pod["uid"]: pod["name"] for pod in pods(bench)} == before
    assert [pod["restarts"] for pod in pods(bench)] == ["0", "0"]

    os.kill(json.loads((bench.root / ".mlconsole/cluster/server.json").read_text())["pid"], signal.SIGKILL)
    bench.type("cluster", "stop")
    assert processes_of(bench) == []


def test_a_server_that_never_gets_ready_fails_its_rollout_with_the_reason(bench: Workbench) -> None:
    bench.type("cluster", "start")
    assert bench.type("run", "--approve").returncode == 0
    text = (bench.root / "deployment.yaml").read_text()
    slow = text.replace("path: /,", "path: /, port: 1 #").replace(
        "progressDeadlineSeconds: 60", "progressDeadlineSeconds: 4"
    )
    bench.write("deployment.yaml", slow.replace("port: 1 #", "scheme: HTTPS,"))
    failed = bench.type("run", "--approve")
    assert failed.returncode == 1, failed.stdout + failed.stderr
    assert "exceeded its progress deadline" in failed.stdout
    assert "Readiness probe failed" in failed.stdout
    champion = journal_of(bench).alias("tiny", "champion")
    assert champion is not None
    assert champion.tag == "v1"
    ready = [pod for pod in pods(bench) if pod.get("is_ready")]
    assert len(ready) == 2

    bench.write("deployment.yaml", text)
    mended = bench.type("run", "--approve")
    assert mended.returncode == 0, mended.stdout + mended.stderr
