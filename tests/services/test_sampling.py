"""What a child and its children use is told while they run, and costs next to nothing."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path
from types import SimpleNamespace

from mlconsole.evidence.training import UseSample
from mlconsole.services.processes import run_child
from mlconsole.services.sampling import COST, LEAST_SECONDS, TreeSampler, _disk

BUSY_FAMILY = """
    import os, time
    held = bytearray(30_000_000)
    child = os.fork()
    until = time.monotonic() + 60
    while time.monotonic() < until and not os.path.exists("seen"):
        pass
    if child:
        os.wait()
"""


def test_a_child_is_looked_at_with_all_that_it_started(tmp_path: Path) -> None:
    seen: list[UseSample] = []

    def look(sample: UseSample) -> None:
        seen.append(sample)
        if sample.processes == 2 and sample.processors > 0.1:
            (tmp_path / "seen").touch()

    run_child(
        [sys.executable, "-c", textwrap.dedent(BUSY_FAMILY)],
        cwd=tmp_path,
        log_path=tmp_path / "child.log",
        cancelled=threading.Event(),
        on_sample=look,
    )
    both = next(sample for sample in seen if sample.processes == 2 and sample.processors > 0.1)
    assert both.threads >= 2
    assert both.memory > 30_000_000
    assert both.processors < 2.5


SLOW_IMPORT = """
import os, subprocess, sys, time
from mlconsole.services.sampling import TreeSampler

class Slow:
    def find_spec(self, name, *rest):
        if name == "psutil":
            time.sleep(1)

assert "psutil" not in sys.modules
sys.meta_path.insert(0, Slow())
seen = []
sampler = TreeSampler(os.getpid(), seen.append)
sampler._due = 0
busy = subprocess.Popen([sys.executable, "-c", "while True: pass"])
time.sleep(0.1)
sampler.step()
busy.kill()
print(seen[0].processors)
"""


def test_time_that_passes_before_processes_are_looked_at_makes_none_of_them_busier() -> None:
    done = subprocess.run([sys.executable, "-c", SLOW_IMPORT], stdout=subprocess.PIPE, text=True, check=True)
    assert 0 < float(done.stdout) < 1.5


class Writing:
    """A process that has written some bytes to a disk."""

    def io_counters(self) -> SimpleNamespace:
        return SimpleNamespace(read_bytes=10, write_bytes=200)


def test_what_is_read_from_disks_and_written_to_them_is_counted_where_the_system_tells_it() -> None:
    assert _disk(Writing()) == (10, 200)  # type: ignore[arg-type]
    assert _disk(object()) == (0, 0)  # type: ignore[arg-type]


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
    began, used = time.monotonic(), time.thread_time()
    sampler.step()
    spent = time.thread_time() - used
    assert sampler._due - began >= max(LEAST_SECONDS, 0.5 * spent / COST)
