"""What the watcher withstands: `kill -9` at random moments while batches arrive, and half an hour of events.

    .venv/bin/python benchmarks/watcher.py kills [--kills 100 --batches 100]
    .venv/bin/python benchmarks/watcher.py memory [--events 1800]

`kills` releases to a local cluster of its own, for real; it kills the releases' own processes now and then, too. The
clock is compressed in `memory`: an event every 50 ms instead of every second.
"""

from __future__ import annotations

import argparse
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parent.parent
WARM_UP = 200


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
    """Let a file arrive, or change, at each event; print what the watcher's memory does."""
    with tempfile.TemporaryDirectory(prefix="mlconsole-watcher-") as folder:
        root = Path(folder)
        (root / "inbox").mkdir()
        watch = '[[watch]]\nkind = "data"\npath = "inbox/*.csv"\nsettle = "0s"\n'
        (root / "mlconsole.toml").write_text(f'name = "m"\n[deploy]\ncontext = "local"\n{watch}')
        log = (root / "watch.log").open("w")
        watcher = subprocess.Popen([sys.executable, "-m", "mlconsole", "watch"], cwd=root, stdout=log, stderr=log)
        try:
            before = 0
            slowest = 0.0
            for number in range(options.events):
                time.sleep(0.05)
                # every other event changes a file that is there
                name = number // 2 if number % 2 else number
                (root / "inbox" / f"{name}.csv").write_text(f"a,b\n{number},{number}\n")
                if number % 100 == 99:
                    slowest = max(slowest, _answer_seconds(root))
                if number == WARM_UP:
                    before = psutil.Process(watcher.pid).memory_info().rss
            deadline = time.monotonic() + 60
            while (found := _triggers(root)) < options.events and time.monotonic() < deadline:
                time.sleep(0.2)
            after = psutil.Process(watcher.pid).memory_info().rss
        finally:
            watcher.send_signal(signal.SIGTERM)
            watcher.wait(30)
        grown = (after - before) / 2**20
        print(f"{options.events} events, {found} contents: {before / 2**20:.1f} MiB, then {grown:+.1f} MiB")
        print(f"`mlconsole triggers` meanwhile: at most {slowest:.2f} s")
        if grown >= 10:
            sys.exit("The watcher's memory grew by 10 MiB or more.")


def _triggers(root: Path) -> int:
    from mlconsole.journal import Journal
    from mlconsole.trigger_queue import TriggerQueue

    journal = Journal(root / ".mlconsole" / "journal.db")
    try:
        return len(TriggerQueue(journal).triggers(most=100_000))
    finally:
        journal.close()


def _answer_seconds(root: Path) -> float:
    began = time.monotonic()
    subprocess.run([sys.executable, "-m", "mlconsole", "triggers"], cwd=root, capture_output=True, check=True)
    return time.monotonic() - began


def main() -> None:
    """Run the one that was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("which", choices=["kills", "memory"])
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--batches", type=int, default=100)
    parser.add_argument("--events", type=int, default=1800)
    parser.add_argument("--seed", type=int, default=7)
    options = parser.parse_args()
    {"kills": kills, "memory": memory}[options.which](options)


if __name__ == "__main__":
    main()
