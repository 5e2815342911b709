"""How long quitting takes, from the key to the end of the process, in a terminal: whatever the console is at.

Each state is brought about for real on a local cluster: a watch of pods, a log that is followed, a port that is
forwarded with a connection through it, a release that runs, all of that at once; and the same while the API server does
not answer any more (it is stopped, and its connections stay open). Beside it an app of Textual's with nothing in it.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from measure import load

from mlconsole.services import local_cluster

if TYPE_CHECKING:
    from tests.end_to_end.conftest import Workbench
    from tests.end_to_end.terminal import Terminal

ROOT = Path(__file__).resolve().parent.parent
TARGET = "target: less than 0.5 s in every state"
QUIT = "\x11"
BARE_APP = """\
from textual.app import App
from textual.widgets import Static

class Bare(App):
    def compose(self):
        yield Static("bare-app-is-there")

Bare().run()
"""
CHATTY = """
def talk():
    import itertools, time
    for number in itertools.count():
        print(f"tick {number} of {os.getpid()}", flush=True)
        time.sleep(0.01)
threading.Thread(target=talk, daemon=True).start()
server.serve_forever()
"""


class State(NamedTuple):
    """What the console is at: parts of it, and whether the cluster answers."""

    name: str
    parts: frozenset[str] = frozenset()
    hangs: bool = False


EVERYTHING = frozenset({"release", "forward", "logs"})
STATES = (
    State("a watch of pods"),
    State("a log that is followed", frozenset({"logs"})),
    State("a port that is forwarded", frozenset({"forward"})),
    State("a release that runs", frozenset({"release"})),
    State("all of it at once", EVERYTHING),
    State("a watch of pods, and the cluster hangs", hangs=True),
    State("all of it at once, and the cluster hangs", EVERYTHING, hangs=True),
    State("earlier logs are asked for, and the cluster hangs", frozenset({"logs", "earlier"}), hangs=True),
)


def main() -> None:
    sys.path.insert(0, str(ROOT))
    from tests.end_to_end.conftest import FILES, Workbench

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--command", default=f"{sys.executable} -m mlconsole", help="another console")
    options = parser.parse_args()
    command = options.command.split()
    with tempfile.TemporaryDirectory(prefix="mlconsole-quitting-") as folder:
        bench = Workbench(Path(folder) / "tiny")
        for name, text in FILES.items():
            bench.write(name, text.replace("server.serve_forever()\n", CHATTY))
        bench.git("init", "-q")
        bench.commit("A tiny model")
        bare = Path(folder) / "bare.py"
        bare.write_text(BARE_APP)
        try:
            print(f"from the key to the end of the process ({TARGET}) {load()}", flush=True)
            say(
                "a bare Textual app",
                options.runs,
                lambda: alone(bench, [sys.executable, str(bare)], "bare-app-is-there"),
            )
            say("a project, and no cluster", options.runs, lambda: alone(bench, [*command, "."], "no cluster"))
            bench.type("cluster", "start")
            done = bench.type("run", "--approve")
            if done.returncode:
                raise SystemExit(done.stdout + done.stderr)
            for state in STATES:
                say(state.name, options.runs, partial(once, bench, state, command))
        finally:
            bench.type("cluster", "stop")


def say(name: str, runs: int, measure: Callable[[], float]) -> None:
    """Measure some times, and print the median and the extremes."""
    took = [measure() for _ in range(runs)]
    print(f"  {name:<52} median {statistics.median(took):6.3f} s   {min(took):.3f} … {max(took):.3f}", flush=True)


def alone(bench: Workbench, command: list[str], shown: str) -> float:
    """Open a program, wait until something is shown, and quit."""
    with opened(bench, command) as terminal:
        terminal.shows(shown)
        terminal.watch(1)
        return seconds_to_quit(terminal)


def once(bench: Workbench, state: State, command: list[str]) -> float:
    """Bring a state about, and quit."""
    with contextlib.ExitStack() as stack:
        if "release" in state.parts:
            stack.enter_context(release_that_runs(bench))
        terminal = stack.enter_context(opened(bench, [*command, "."]))
        terminal.shows("● live")
        terminal.press("6")
        terminal.shows("2/2 ready")
        terminal.press("\r")
        if "forward" in state.parts:
            from tests.end_to_end.terminal import connected

            stack.enter_context(connected(terminal))
        if "logs" in state.parts:
            terminal.press("L")
            terminal.shows("Logs of all pods", "tick")
        terminal.watch(1)
        if state.hangs:
            stack.enter_context(hanging(bench))
            terminal.watch(1)
        if "earlier" in state.parts:
            terminal.press("p")
            terminal.watch(1)
        return seconds_to_quit(terminal)


def seconds_to_quit(terminal: Terminal) -> float:
    """Press the key, and wait for the end of the process."""
    began = time.monotonic()
    terminal.press(QUIT)
    if terminal.ended(60) != 0:
        raise SystemExit(f"it ended with {terminal.status}:\n{terminal.text}")
    return time.monotonic() - began


@contextlib.contextmanager
def opened(bench: Workbench, command: list[str]) -> Iterator[Terminal]:
    """A program in a terminal; it is gone at the end."""
    from tests.end_to_end.terminal import Terminal

    terminal = Terminal(command, bench.root, bench.environment(), (150, 40))
    try:
        yield terminal
    finally:
        terminal.close()


@contextlib.contextmanager
def release_that_runs(bench: Workbench) -> Iterator[None]:
    """A release in the middle of its training."""
    bench.write("data/training.csv", "x,y\n" + "".join(f"{n},{n + time.time()}\n" for n in range(50)))
    runner = bench.start("run", EPOCH_SECONDS="60")
    try:
        yield
    finally:
        number = re.search(r"\d+", bench.type("status").stdout)
        bench.type("cancel", number[0] if number else "1")
        runner.communicate(timeout=60)


@contextlib.contextmanager
def hanging(bench: Workbench) -> Iterator[None]:
    """Stop the API server as it is: its connections stay, and nothing is answered."""
    found = local_cluster.status(bench.root / ".mlconsole" / "cluster")
    assert found is not None and found.pid is not None
    os.kill(found.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(found.pid, signal.SIGCONT)


if __name__ == "__main__":
    main()
