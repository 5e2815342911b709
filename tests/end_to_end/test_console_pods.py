"""Pods of a real local cluster, looked at and changed by keys in a real pseudo-terminal."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

from mlconsole.services import local_cluster
from mlconsole.services.kubernetes.connection import Connection

from .terminal import QUIT_SECONDS, Terminal, connected

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Workbench

pytestmark = [pytest.mark.end_to_end, pytest.mark.timeout(300)]
Open = Callable[..., Terminal]
CHATTY = """
def talk():
    import itertools, time
    print("a long line " + "=" * 15_000 + " its end", flush=True)
    for number in itertools.count():
        print(f"tick {number} of {os.getpid()}", flush=True)
        time.sleep(0.02)
threading.Thread(target=talk, daemon=True).start()
"""
DEPLOYMENT = "/apis/apps/v1/namespaces/default/deployments/tiny"


@pytest.fixture
def served(bench: Workbench) -> Workbench:
    """The tiny project, released: two pods that write to their logs serve."""
    text = (bench.root / "serve.py").read_text()
    bench.write("serve.py", text.replace("server.serve_forever()", f"{CHATTY}server.serve_forever()"))
    bench.commit("Talk")
    bench.type("cluster", "start")
    done = bench.type("run", "--approve")
    assert done.returncode == 0, done.stdout + done.stderr
    return bench


@pytest.fixture
def console(bench: Workbench) -> Iterator[Open]:
    """Opens consoles in the Pods panel; closes them all at the end."""
    opened: list[Terminal] = []

    def start(*options: str, ready: str = "2/2 ready") -> Terminal:
        command = [sys.executable, "-m", "mlconsole", ".", *options]
        terminal = Terminal(command, bench.root, bench.environment(), (150, 40))
        opened.append(terminal)
        terminal.shows("● live")
        terminal.press("6")
        terminal.shows("READY", ready)
        terminal.press("enter")
        return terminal

    yield start
    for terminal in opened:
        terminal.close()


class Cluster:
    """The cluster, asked past the console."""

    def __init__(self, bench: Workbench) -> None:
        path: Path = bench.root / ".mlconsole/cluster/kubeconfig"
        self.connection = Connection.open(kubeconfig=path)

    def get(self, path: str) -> Any:
        return json.loads(self.connection.request("GET", path))

    def pods(self) -> set[str]:
        items = self.get("/api/v1/namespaces/default/pods")["items"]
        return {item["metadata"]["name"] for item in items if "deletionTimestamp" not in item["metadata"]}

    def until(self, condition: Callable[[], bool], terminal: Terminal, seconds: float = 90) -> None:
        """Wait until something is so, while the console goes on drawing."""
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, f"it did not come about:\n{terminal.text}"
            terminal.read(0.05)


def shows_commands(terminal: Terminal, *commands: str) -> None:
    """Wait until commands are on the screen, however they are wrapped and framed."""
    deadline = time.monotonic() + 90
    while not all(command.replace(" ", "") in re.sub(r"[\s│┃▏▕▁▎▊█]", "", terminal.text) for command in commands):
        assert time.monotonic() < deadline, f"{commands} did not come:\n{terminal.text}"
        terminal.read(0.05)


def test_pods_are_scaled_restarted_deleted_and_reached_by_keys(served: Workbench, console: Open) -> None:
    cluster, terminal = Cluster(served), console()
    kubectl = "kubectl --kubeconfig .mlconsole/cluster/kubeconfig --context local -n default"

    terminal.press("S")
    terminal.shows("Scale deployment/tiny", "It is to have 2 pods now.")
    terminal.press(*"+1", "enter")
    terminal.shows("Scale deployment/tiny to 3?", "2 → 3 pods.")
    shows_commands(terminal, f"$ {kubectl} scale deployment/tiny --replicas=3")
    assert cluster.get(DEPLOYMENT)["spec"]["replicas"] == 2, "nothing happens before the answer"
    terminal.say_yes()
    terminal.shows("3/3 ready")
    assert cluster.get(DEPLOYMENT)["spec"]["replicas"] == 3

    terminal.press("S")
    terminal.shows("It is to have 3 pods now.")
    terminal.press(*"0", "enter")
    terminal.shows("to 0?")
    terminal.say_yes()
    terminal.shows("No pod has the labels")
    terminal.press("S")
    terminal.shows("It is to have 0 pods now.")
    terminal.press("2", "enter")
    terminal.shows("to 2?")
    terminal.say_yes()
    terminal.shows("2/2 ready")

    terminal.press("escape", "enter")
    before = cluster.pods()
    terminal.press("D")
    terminal.shows("Delete pod tiny-", "makes another in its place.")
    named = re.search(r"Delete pod (tiny-\S+)\?", terminal.text)
    assert named is not None
    shows_commands(terminal, f"$ {kubectl} delete pod {named[1]}")
    terminal.press("enter")
    assert cluster.pods() == before, "Enter alone says no"
    terminal.shows("2/2 ready")
    terminal.press("D")
    terminal.shows("Delete pod tiny-")
    terminal.say_yes()
    cluster.until(lambda: named[1] not in cluster.pods() and len(cluster.pods()) == 2, terminal)
    row = re.compile(f"{named[1]} +[0-9]/[0-9]")
    cluster.until(lambda: not row.search(terminal.text) and "2/2 ready" in terminal.text, terminal)

    before = cluster.pods()
    terminal.press("R")
    terminal.shows("Restart deployment/tiny?")
    shows_commands(terminal, f"$ {kubectl} rollout restart deployment/tiny")
    terminal.say_yes()
    cluster.until(lambda: len(cluster.pods()) == 2 and not cluster.pods() & before, terminal)
    cluster.until(
        lambda: all(name in terminal.text for name in cluster.pods()) and "2/2 ready" in terminal.text, terminal
    )

    terminal.press("p")
    terminal.shows("Forward a port to tiny-", "leads to port 8080")
    shows_commands(terminal, "port-forward pod/tiny-")
    terminal.say_yes()
    terminal.shows("leads to this pod's port 8080.")
    address = re.search(r"http://127\.0\.0\.1:\d+", terminal.text)
    assert address is not None
    with urllib.request.urlopen(address[0], timeout=20) as answer:
        assert json.load(answer)["version"] == "v1"
    terminal.press("p")
    terminal.shows("is closed.")

    terminal.press("escape", "@")
    done = ("scale deployment/tiny --replicas=3", "delete pod tiny-", "rollout restart", "port-forward pod/tiny-")
    shows_commands(terminal, *done)


def test_a_pod_is_described_shown_as_yaml_and_its_events_told(served: Workbench, console: Open) -> None:
    terminal = console()
    terminal.press("d")
    terminal.shows("pod/tiny-", "tiny@v1", "Running", "Containers")
    terminal.press("escape", "y")
    terminal.shows("YAML of pod/tiny-", "apiVersion: v1", "kind: Pod")
    terminal.press("escape", "e")
    terminal.shows("Events of pod/tiny-", "Started")
    terminal.press("escape", "escape", "@")
    done = ("describe pod tiny-", "-o yaml", "get events --field-selector")
    shows_commands(terminal, *done)


def test_a_protected_context_has_to_be_typed(served: Workbench, console: Open) -> None:
    served.write("mlconsole.toml", '[deploy]\ncontext = "local"\nsettle = "1s"\nprotected = ["loc*"]\n')
    cluster, terminal = Cluster(served), console()
    before = cluster.pods()
    terminal.shows("PROTECTED")
    terminal.press("S")
    terminal.shows("It is to have 2 pods now.")
    terminal.press(*"3", "enter")
    terminal.shows("Type the context's name, local, to go on:")
    terminal.press(*"prod", "enter")
    terminal.shows("prod")
    terminal.press("enter")
    terminal.watch(0.5)
    assert cluster.get(DEPLOYMENT)["spec"]["replicas"] == 2
    for _ in "prod":
        terminal.press("\x7f")
        terminal.watch(0.3)
    terminal.press(*"local")
    terminal.shows("▎ local" if "▎" in terminal.text else " local ")
    terminal.press("enter")
    terminal.watch(0.5)
    terminal.press("enter")
    terminal.shows("3/3 ready")
    terminal.press("D")
    terminal.shows("Type the context's name, local, to go on:")
    terminal.press("escape")
    assert before <= cluster.pods()


def test_logs_of_one_and_of_all_pods_go_on_over_a_restart(served: Workbench, console: Open) -> None:
    cluster, terminal = Cluster(served), console()
    terminal.press("L")
    terminal.shows("Logs of all pods", "following", "tick")
    terminal.press("f", "/")
    terminal.shows("show lines that match")
    terminal.press(*"long line", "enter")
    terminal.shows("/long line/: 2")
    terminal.press("w", "t")
    terminal.shows("wrapped")
    shows_commands(terminal, "==== its end")
    terminal.press("S")
    terminal.shows("Saved to")
    (saved,) = (served.root / ".mlconsole" / "logs").iterdir()
    lines = saved.read_text(encoding="utf-8").splitlines()
    assert [len(line.split("a long line ")[1]) for line in lines] == [15_008, 15_008]
    assert lines == sorted(lines), "in order of time"
    terminal.press("escape")
    terminal.settle()
    terminal.press("l")
    terminal.shows("Log of tiny-", "tick")
    pod = re.search(r"Log of (tiny-\S+)", terminal.text)
    assert pod is not None
    path = f"/api/v1/namespaces/default/pods/{pod[1]}"
    log = cluster.connection.request("GET", f"{path}/log").decode()
    process = re.findall(r"tick \d+ of (\d+)", log)[0]
    os.kill(int(process), signal.SIGKILL)

    def restarts() -> int:
        return int(cluster.get(path)["status"]["containerStatuses"][0]["restartCount"])

    cluster.until(lambda: restarts() == 1, terminal)
    again = re.compile(rf"tick \d+ of (?!{process})\d+")
    cluster.until(lambda: len(again.findall(terminal.text)) > 3, terminal)
    terminal.press("S")
    # the words of the first one may be on the screen still
    cluster.until(lambda: len(list(saved.parent.glob("*.log"))) == 2, terminal)
    (newest,) = set(saved.parent.glob("*.log")) - {saved}
    ticks = re.findall(r"^tick (\d+) of (\d+)$", newest.read_text(encoding="utf-8"), re.MULTILINE)
    before = [int(number) for number, of in ticks if of == process]
    after = [int(number) for number, of in ticks if of != process]
    said = cluster.connection.request("GET", f"{path}/log", query={"previous": "true"}).decode()
    assert before == list(range(len(re.findall(r"^tick", said, re.MULTILINE)))), "every line of the run before, once"
    assert after == list(range(len(after)))

    terminal.press("p")
    terminal.shows("the run before", f"tick {before[-1]} of {process}", "The log has ended.")
    terminal.press("1")
    terminal.shows("last 1 min", "following")
    terminal.press("escape")
    terminal.settle()
    terminal.press("L")
    terminal.shows("Logs of all pods", "tick")
    terminal.press("p")
    terminal.shows("the run before", f"tick {before[-1]} of {process}", "The log has ended.")


def quitting(terminal: Terminal) -> float:
    """Quit; how many seconds that takes."""
    began = time.monotonic()
    terminal.press("\x11")
    assert terminal.ended() == 0
    return time.monotonic() - began


@contextlib.contextmanager
def hanging(bench: Workbench) -> Iterator[None]:
    """The API server stops as it is: its connections stay, and nothing is answered."""
    found = local_cluster.status(bench.root / ".mlconsole/cluster")
    assert found is not None
    assert found.pid is not None
    os.kill(found.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(found.pid, signal.SIGCONT)


def test_quitting_is_quick_with_all_of_it_open(served: Workbench, console: Open) -> None:
    """A watch of pods, a port that is forwarded with a connection through it, a release that runs, a log that grows."""
    terminal = console()
    with connected(terminal):
        served.write("data/training.csv", "x,y\n" + "".join(f"{n},{n * 3}\n" for n in range(50)))
        release = served.start("run", EPOCH_SECONDS="5")
        terminal.shows("Release 2 ● running")
        terminal.press("6", "L")
        terminal.shows("Logs of all pods", "tick")
        took = quitting(terminal)
        again = console()
        again.press("L")
        again.shows("Logs of all pods", "tick")
        with hanging(served):
            again.watch(1)
            took_while_it_hangs = quitting(again)
    served.type("cancel", "2")
    release.communicate(timeout=60)
    assert took < QUIT_SECONDS
    assert took_while_it_hangs < QUIT_SECONDS


def test_a_read_only_console_changes_no_pod(served: Workbench, console: Open) -> None:
    cluster, terminal = Cluster(served), console("--readonly")
    before = cluster.pods()
    for key in "DSR":
        terminal.press(key)
        terminal.shows("The console was started with --readonly")
    assert cluster.pods() == before
