"""What it costs to watch a training's processors and memory. Target: at most 1% of one processor.

A family of processes works for a while; the time of our own process is taken with and without looking at the family.

    python benchmarks/sampling.py --processes 50 --seconds 10
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import threading
import time
from pathlib import Path

from mlconsole.evidence.training import UseSample
from mlconsole.services.processes import run_child

FAMILY = """
import os, sys, time
count, seconds = int(sys.argv[1]), float(sys.argv[2])
for _ in range(count - 1):
    if os.fork() == 0:
        break
time.sleep(seconds)
"""


def cost(processes: int, seconds: float, *, watched: bool) -> tuple[float, int]:
    """The part of a processor that our process took, and how often it looked."""
    seen: list[UseSample] = []
    with tempfile.TemporaryDirectory() as folder:
        began, used = time.monotonic(), time.process_time()
        run_child(
            [sys.executable, "-c", FAMILY, str(processes), str(seconds)],
            cwd=Path(folder),
            log_path=Path(folder) / "child.log",
            cancelled=threading.Event(),
            on_sample=seen.append if watched else None,
        )
        passed = time.monotonic() - began
        return (time.process_time() - used) / passed, len(seen)


def main() -> int:
    """Measure both ways and print the difference."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--processes", type=int, default=50)
    arguments.add_argument("--seconds", type=float, default=10)
    given = arguments.parse_args()
    cost(2, 1.5, watched=True)
    without, _ = cost(given.processes, given.seconds, watched=False)
    watched, looks = cost(given.processes, given.seconds, watched=True)
    print(f"{given.processes} processes, {given.seconds:g} s, looked at {looks} times")
    print(f"watched {watched:.2%}, not watched {without:.2%} of a processor: watching costs {watched - without:.2%}")
    return 0 if watched - without <= 0.01 else 1


if __name__ == "__main__":
    sys.exit(main())
