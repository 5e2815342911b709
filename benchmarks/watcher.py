"""What the watcher withstands: `kill -9` at random moments while batches arrive, and half an hour of events.

    .venv/bin/python benchmarks/watcher.py kills [--kills 100 --batches 100]
    .venv/bin/python benchmarks/watcher.py memory [--events 1800 --every 0.05]

`kills` releases to a local cluster of its own, for real; it kills the releases' own processes now and then, too.
`memory` opens a console beside the watcher and presses its keys; the clock is compressed there, an event every 50 ms
in place of every second, unless `--every 1` says otherwise.
"""

from __future__ import annotations

import argparse
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
from measure import load

if TYPE_CHECKING:
    from tests.end_to_end.terminal import Terminal

ROOT = Path(__file__).resolve().parent.parent
WARM_UP = 200
MOST_GROWTH = 10_000_000
PANELS = (("1", "What code is this?"), ("2", "fit to train on"), ("3", "What came out"), ("4", "May it be released?"))


def kills(options: argparse.Namespace) -> None:
    """Kill the watcher again and again; each content has to be released once or refused once."""
    sys.path.insert(0, str(ROOT))
    from tests.end_to_end.batches import Trial
    from tests.end_to_end.conftest import FILES, Workbench

    with tempfile.TemporaryDirectory(prefix="mlconsole-watcher-") as folder:
        bench = Workbench(Path(folder) / "tiny")
        for name, text in FILES.items():
            bench.write(name, text)
        bench.git("init", "-q")
        bench.commit("A tiny model")
        try:
            trial = Trial(bench, batches=options.batches, kills=options.kills, seed=options.seed, runners=True)
            began = time.monotonic()
            trial.run(most_seconds=1200)
            outcomes = trial.check()
        finally:
            bench.type("cluster", "stop")
        took = time.monotonic() - began
        print(f"{trial.killed} kills of the watcher, {trial.killed_runners} of a release, {took:.0f} s")
        words = ", ".join(f"{count} {outcome}" for outcome, count in sorted(outcomes.items()))
        print(f"{trial.batches} contents: {words}; each once, and the data holds each row of the released ones once")


def memory(options: argparse.Namespace) -> None:
    """Let a file arrive, or change, at each event; print what becomes of the memory and of a console's keys."""
    sys.path.insert(0, str(ROOT))
    from tests.end_to_end.terminal import Terminal

    with tempfile.TemporaryDirectory(prefix="mlconsole-watcher-") as folder:
        root = Path(folder)
        (root / "inbox").mkdir()
        watch = '[[watch]]\nkind = "data"\npath = "inbox/*.csv"\nsettle = "0s"\n'
        (root / "mlconsole.toml").write_text(f'name = "m"\n[deploy]\ncontext = "local"\n{watch}')
        program = [sys.executable, "-m", "mlconsole"]
        with (root / "watch.log").open("w") as log:
            watcher = subprocess.Popen([*program, "watch"], cwd=root, stdout=log, stderr=log)
        console = Terminal([*program, "."], root, os.environ)
        processes = {"watcher": psutil.Process(watcher.pid), "console": psutil.Process(console.pid)}
        before: dict[str, int] = {}
        answers: list[float] = []
        try:
            for number in range(options.events):
                console.watch(options.every)
                # every other event changes a file that is there
                name = number // 2 if number % 2 else number
                (root / "inbox" / f"{name}.csv").write_text(f"a,b\n{number},{number}\n")
                if number >= WARM_UP and number % 10 == 0:
                    before = before or resident(processes)
                    answers.append(_key_seconds(console, number // 10))
            deadline = time.monotonic() + 60
            while (found := _triggers(root)) < options.events and time.monotonic() < deadline:
                console.watch(0.2)
            after = resident(processes)
        finally:
            console.close()
            watcher.send_signal(signal.SIGTERM)
            watcher.wait(30)
    print(f"{options.events} events, one in {options.every:g} s, {found} contents {load()}")
    for who, bytes_before in before.items():
        print(f"  {who}  {bytes_before / 2**20:6.1f} MiB, then {(after[who] - bytes_before) / 2**20:+.1f} MiB")
    middle, most = statistics.median(answers), max(answers)
    print(
        f"  a key's effect in the console: median {middle * 1000:.0f} ms, most {most * 1000:.0f} ms of {len(answers)}"
    )
    if any(after[name] - before[name] >= MOST_GROWTH for name in before) or most >= 1:
        sys.exit("The memory grew by 10 MB or more, or the console did not answer within a second.")


def resident(processes: Mapping[str, psutil.Process]) -> dict[str, int]:
    """Bytes of memory that each process has."""
    return {name: process.memory_info().rss for name, process in processes.items()}


def _key_seconds(console: Terminal, turn: int) -> float:
    """From a key to the panel that it opens, each in its turn."""
    key, question = PANELS[turn % len(PANELS)]
    began = time.perf_counter()
    console.press(key)
    console.shows(question)
    return time.perf_counter() - began


def _triggers(root: Path) -> int:
    from mlconsole.journal import Journal
    from mlconsole.trigger_queue import TriggerQueue

    journal = Journal(root / ".mlconsole" / "journal.db")
    try:
        return len(TriggerQueue(journal).triggers(most=100_000))
    finally:
        journal.close()


def main() -> None:
    """Run the one that was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("which", choices=["kills", "memory"])
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--batches", type=int, default=100)
    parser.add_argument("--events", type=int, default=1800)
    parser.add_argument("--every", type=float, default=0.05)
    parser.add_argument("--seed", type=int, default=7)
    options = parser.parse_args()
    {"kills": kills, "memory": memory}[options.which](options)


if __name__ == "__main__":
    main()
