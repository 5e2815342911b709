"""What is taken from processes that run tests, when they are slow."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from pathlib import Path

from mlconsole.services.testing.running import Watch
from tests.waiting import until

HANGS = """
import json, os, pathlib, signal, socket, sys, time
folder = pathlib.Path(sys.argv[1])

def write(*given):
    with open(folder / f"stack-{os.getpid()}", "w", buffering=1) as file:
        file.write("Thread 1 (most recent call first):\\n")
        time.sleep(0.1)
        file.write('  File "it.py", line 3 in hang\\n')

signal.signal(signal.SIGUSR2, write)
there = socket.socket(socket.AF_UNIX)
there.connect(str(folder / "words"))
socket.send_fds(there, [json.dumps({"pid": os.getpid(), "worker": "", "stack": True}).encode()], [])
print("there", flush=True)
while True:
    time.sleep(60)
"""


def test_a_stack_that_comes_line_by_line_is_waited_for(tmp_path: Path) -> None:
    with (
        contextlib.closing(Watch(tmp_path)) as watch,
        subprocess.Popen([sys.executable, "-c", HANGS, str(tmp_path)], stdout=subprocess.PIPE, text=True) as process,
    ):
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "there\n"
            stack = until(lambda: watch.stacks([0]).get(0))
        finally:
            process.kill()
    assert stack is not None and stack.endswith("in hang")
    assert watch.stacks([0]) == {}
