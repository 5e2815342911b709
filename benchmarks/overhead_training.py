"""What a training costs to be watched, beside the bare script. Targets: at most 2% slower, no line lost, 1% of a core.

A script prints 100,000 lines, one in a hundred of them with a metric, and works between them as trainings do; then it
prints twenty a second, as trainings do that print much. It is run as a person would, `python script.py > log`, and by
what the Train stage runs it with, in turn. All lines are counted, and their order is checked. Metrics are followed from
the script's `print` to the journal and to the screen of the console.

    python benchmarks/overhead_training.py --lines 100000 --microseconds 150 --runs 5
"""

from __future__ import annotations

import argparse
import os
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from measure import load

from mlconsole.evidence.release import MetricSeen, ProgressSeen
from mlconsole.evidence.training import MetricPoint, TrainingProgress, UseSample
from mlconsole.journal import Journal
from mlconsole.services.processes import child_environment
from mlconsole.services.training.run import Training, train

SCRIPT = """
import sys, time
lines, microseconds = int(sys.argv[1]), int(sys.argv[2])
total = 0
for number in range(lines):
    until = time.process_time_ns() + microseconds * 1000
    while time.process_time_ns() < until:
        total += number
    if number % 100:
        print("batch", number, "of the data was read and is learnt from")
    else:
        print(f"step {number}/{lines} loss={1 / (number + 1):.6f}")
open(sys.argv[3], "w").write("model")
"""
TIMED = """
import sys, time
for number in range(int(sys.argv[1])):
    time.sleep(0.137)
    print(f"printed_at={time.time():.6f}")
open(sys.argv[2], "w").write("model")
"""
TICKING = """
import sys, time
for number in range(100, 100 + int(sys.argv[1])):
    time.sleep(0.337)
    with open("printed", "a") as file:
        file.write(f"{number} {time.time()}\\n")
    print(f"step {number} tick={number}")
open(sys.argv[2], "w").write("model")
"""
ORDINARY_LINES, ORDINARY_MICROSECONDS = 300, 50_000
TOLD = MetricSeen | ProgressSeen


class Took(NamedTuple):
    """Seconds of a run: on the clock, and of a processor for the script, for who reads it, and for its guard."""

    clock: float
    script: float
    reader: float = 0
    guard: float = 0


def children_seconds() -> float:
    """Seconds of a processor that all children have taken that have ended."""
    use = resource.getrusage(resource.RUSAGE_CHILDREN)
    return use.ru_utime + use.ru_stime


class Bench:
    """A project's folder with a journal, where trainings are run both ways."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.model = root / "model.pkl"
        self.log = root / "train.log"
        (root / "script.py").write_text(SCRIPT)
        (root / "timed.py").write_text(TIMED)
        self.journal = Journal(root / ".mlconsole" / "journal.db")
        self.release = self.journal.begin_release(kind="release", who="benchmark", approved=False).number

    def bare(self, arguments: Sequence[str]) -> Took:
        """The script as a person runs it."""
        self.log.unlink(missing_ok=True)
        children, began = children_seconds(), time.perf_counter()
        with self.log.open("wb") as log:
            subprocess.run([sys.executable, *arguments], cwd=self.root, stdout=log, check=True)
        return Took(time.perf_counter() - began, children_seconds() - children)

    def watched(self, arguments: Sequence[str], seen: Callable[[MetricPoint], None] = lambda point: None) -> Took:
        """The same by mlconsole, from its start to the model that was found."""
        self.log.unlink(missing_ok=True)
        self.model.unlink(missing_ok=True)
        training = Training(
            root=self.root,
            cwd=self.root,
            folder=self.root / ".mlconsole",
            command=[sys.executable, *arguments],
            environment=child_environment(Path(sys.executable)),
            log_path=self.log,
            given=self.model,
        )

        def report(told: Sequence[MetricPoint | TrainingProgress]) -> None:
            bodies: list[TOLD] = [
                MetricSeen(point=one) if isinstance(one, MetricPoint) else ProgressSeen(progress=one) for one in told
            ]
            self.journal.emit_all(self.release, bodies, "train")
            for one in told:
                if isinstance(one, MetricPoint):
                    seen(one)

        samples: list[UseSample] = []
        own, children, began = time.process_time(), children_seconds(), time.perf_counter()
        result = train(training, report, threading.Event(), samples.append)
        took, script = time.perf_counter() - began, result.child.use.cpu_seconds
        return Took(took, script, time.process_time() - own, children_seconds() - children - script)

    def check_lines(self, lines: int) -> None:
        """Every line came once, in its order."""
        numbers = [int(found[0]) for found in re.findall(r"(?m)^(?:batch|step) (\d+)(.*)$", self.log.read_text())]
        if numbers != list(range(lines)):
            raise SystemExit(f"of {lines:,} lines, {len(numbers):,} came, or not in their order")


def main() -> int:
    """Measure both ways in turn, for a flood of lines and for as many as trainings print, and print the ratios."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--lines", type=int, default=100_000)
    arguments.add_argument("--microseconds", type=int, default=150)
    arguments.add_argument("--runs", type=int, default=5)
    given = arguments.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder))
        ratio, _ = both_ways(bench, given.lines, given.microseconds, given.runs)
        _, cost = both_ways(bench, ORDINARY_LINES, ORDINARY_MICROSECONDS, 3)
        late = delays(bench)
    shown = on_screen()
    for where, all_late in (("the journal", late), ("the screen", shown)):
        print(
            f"from print to {where}: median {median(all_late):.0f} ms, most {max(all_late):.0f} ms of {len(all_late)}"
        )
    return 0 if ratio <= 1.02 and cost <= 0.01 and max(late) <= 200 and median(shown) <= 200 else 1


def both_ways(bench: Bench, lines: int, microseconds: int, runs: int) -> tuple[float, float]:
    """Run a script both ways in turn; return the ratio of the clock's times, and the part of a core for watching it."""
    script = ["script.py", str(lines), str(microseconds), str(bench.model)]
    bare: list[Took] = []
    ours: list[Took] = []
    for _ in range(runs):
        bare.append(bench.bare(script))
        bench.check_lines(lines)
        ours.append(bench.watched(script))
        bench.check_lines(lines)
    print(f"a training of {lines:,} lines {load()}")
    for name, all_took in (("python script.py > log", bare), ("watched by mlconsole", ours)):
        clock = [took.clock for took in all_took]
        print(f"  {name:<24} median {statistics.median(clock):7.3f} s   {min(clock):.3f} … {max(clock):.3f}")
    ratio = median(took.clock for took in ours) / median(took.clock for took in bare)
    own_ratio = median(took.script for took in ours) / median(took.script for took in bare)
    print(f"  ratio {ratio:.3f} on the clock, {own_ratio:.3f} in the script's processor time (of medians)")
    cost = median((took.reader + took.guard) / took.clock for took in ours)
    reader, guard = (median(parts) for parts in ([took.reader for took in ours], [took.guard for took in ours]))
    print(f"  every line came, in order; watching took {cost:.2%} of a core: ", end="")
    print(f"{reader:.3f} s of processor time to read it, {guard:.3f} s for its guard")
    return ratio, cost


def median(values: Iterable[float]) -> float:
    """The median of some figures."""
    return statistics.median(list(values))


def delays(bench: Bench, count: int = 30) -> list[float]:
    """Milliseconds from a script's print to the commit in the journal."""
    found: list[float] = []
    bench.watched(
        ["timed.py", str(count), str(bench.model)], lambda point: found.append((time.time() - point.value) * 1000)
    )
    return found


def on_screen(count: int = 40) -> list[float]:
    """Milliseconds from a script's print to the console's screen, in a pseudo-terminal of 160×50."""
    from tests.end_to_end.terminal import Terminal

    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "data").mkdir()
        (root / "data" / "training.csv").write_text("x,y\n" + "1,2\n" * 300)
        (root / "fit.py").write_text(TICKING)
        (root / "mlconsole.toml").write_text(f'[train]\ncommand = "python fit.py {count} {{model}}"\n')
        for words in (
            ["init", "-q"],
            ["add", "-A"],
            ["-c", "user.name=a", "-c", "user.email=a@b.c", "commit", "-qm", "x"],
        ):
            subprocess.run(["git", *words], cwd=root, check=True)
        environment = {**os.environ, "KUBECONFIG": str(root / "none")}
        terminal = Terminal([sys.executable, "-m", "mlconsole"], root, environment, size=(160, 50))
        try:
            terminal.shows("Train")
            terminal.press("3")
            runner = subprocess.Popen(
                [sys.executable, "-m", "mlconsole", "run", "--until", "train"],
                cwd=root,
                env=environment,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            seen: dict[str, float] = {}
            until = time.monotonic() + 60 + count
            while str(99 + count) not in seen and time.monotonic() < until:
                terminal.read(0.02)
                for found in re.findall(r"tick (\d{3})\b", terminal.text):
                    seen.setdefault(found, time.time())
            runner.wait()
        finally:
            terminal.close()
        printed = dict(line.split() for line in (root / "printed").read_text().splitlines())
    return [(at - float(printed[number])) * 1000 for number, at in seen.items()]


if __name__ == "__main__":
    os.environ.pop("PYTHONUNBUFFERED", None)
    sys.path.insert(0, str(Path(__file__).parents[1]))
    sys.exit(main())
