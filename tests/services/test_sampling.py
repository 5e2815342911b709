"""What a child and its children use is told while they run, and costs next to nothing."""

from __future__ import annotations

import os
import sys
import textwrap
import threading
import time
from pathlib import Path

from mlconsole.evidence.training import UseSample
from mlconsole.services.processes import run_child
from mlconsole.services.sampling import COST, LEAST_SECONDS, TreeSampler

BUSY_FAMILY = """
    import os, time
    held = bytearray(30_000_000)
    with open("written", "wb") as file:
        file.write(held)
        file.flush()
        os.fsync(file.fileno())
    child = os.fork()
    until = time.monotonic() + 1.4
    while time.monotonic() < until:
        pass
    if child:
        os.wait()
"""


def test_a_child_is_looked_at_with_all_that_it_started(tmp_path: Path) -> None:
    seen: list[UseSample] = []
    run_child(
        [sys.executable, "-c", textwrap.dedent(BUSY_FAMILY)],
        cwd=tmp_path,
        log_path=tmp_path / "child.log",
        cancelled=threading.Event(),
        on_sample=seen.append,
    )
    assert seen, "a run of more than a second is looked at"
    assert seen[0].processes == 2
    assert seen[0].threads >= 2
    assert seen[0].disk_written >= 0
    assert seen[0].memory > 30_000_000
    assert 0.1 < seen[0].processors < 2.5


def test_what_is_not_there_is_not_told() -> None:
    seen: list[UseSample] = []
    sampler = TreeSampler(os.getpid(), seen.append)
    sampler._due = 0
    sampler.step()
    assert all(sample.processes > 0 for sample in seen)
    gone = TreeSampler(2**22 + 1, seen.append)
    gone._due = 0
    before = len(seen)
    gone.step()
    assert len(seen) == before


def test_looking_takes_at_most_its_part_of_the_time() -> None:
    sampler = TreeSampler(os.getpid(), lambda sample: None)
    sampler._due = 0
    began = time.monotonic()
    sampler.step()
    spent = time.monotonic() - began
    assert sampler._due - began >= max(LEAST_SECONDS, 0.5 * spent / COST)
