"""The console with 10,000 pods of which 500 change each second: how soon a key shows its effect, and the memory.

The whole program runs in a pseudo-terminal. What it writes is kept with the time at which it came, and is played into a
terminal emulator (pyte, installed aside) afterwards, so that the emulator's own time is in no figure: a key's effect is
there when the line that says which pod the cursor is on says the next one.
"""

from __future__ import annotations

import os
import pty
import re
import select
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import NamedTuple

import psutil
from measure import install_aside, load

PODS, RATE, KEYS, PACE = 10_000, 500, 400, 0.1
COLUMNS, LINES = 160, 50
TARGETS = "targets: a key within 50 ms at the 99th percentile, complete after 2 s, less than 250 MB"
REPLAY = r"""
import pickle, pyte, re, sys
chunks, pressed, columns, lines = pickle.load(sys.stdin.buffer)
screen = pyte.Screen(columns, lines)
stream = pyte.ByteStream(screen)
place = re.compile(r"([0-9,]+) of [0-9,]+")
seen, waiting, found = [], list(pressed), []
at = None
for moment, data in chunks:
    stream.feed(data)
    for row in screen.display[:12]:
        match = place.search(row)
        if match:
            now = int(match.group(1).replace(",", ""))
            if at is not None:
                for step in range(at, now):
                    if waiting:
                        found.append(moment - waiting.pop(0))
            at = now
            break
pickle.dump((found, len(waiting), screen.display), sys.stdout.buffer)
"""


class Run(NamedTuple):
    """What came when, which keys were pressed when, when all pods were there, memory in bytes, and cores in use."""

    chunks: list[tuple[float, bytes]]
    pressed: list[float]
    complete: float
    memory: int
    cores: float


class Terminal:
    """A program in a pseudo-terminal whose output is kept with its times."""

    def __init__(self, arguments: list[str], environment: dict[str, str]) -> None:
        self.chunks: list[tuple[float, bytes]] = []
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.environ.update(environment, TERM="xterm-256color", COLUMNS=str(COLUMNS), LINES=str(LINES))
            os.execvp(arguments[0], arguments)
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        while True:
            select.select([self.fd], [], [])
            try:
                data = os.read(self.fd, 1 << 16)
            except OSError:
                return
            self.chunks.append((time.perf_counter(), data))

    def until(self, pattern: bytes, seconds: float) -> float:
        """Wait for something to be written, and say when it was."""
        deadline, place = time.monotonic() + seconds, 0
        while time.monotonic() < deadline:
            while place < len(self.chunks):
                if re.search(pattern, self.chunks[place][1]):
                    return self.chunks[place][0]
                place += 1
            time.sleep(0.002)
        raise SystemExit(f"{pattern!r} did not come: {b''.join(data for _, data in self.chunks)[-2000:]!r}")

    def press(self, key: bytes) -> float:
        """Press a key, and say when."""
        os.write(self.fd, key)
        return time.perf_counter()


def run(root: Path, kubeconfig: Path) -> Run:
    """Open the Pods panel, wait until all pods are there, and go down pod by pod while they change."""
    project = root / "project"
    project.mkdir()
    (project / "mlconsole.toml").write_text('[deploy]\nselector = "app=ml-model"\ncontext = "many"\n')
    subprocess.run(["git", "init", "-q"], cwd=project, check=True)
    program = str(Path(sys.executable).with_name("mlconsole"))
    terminal = Terminal([program, str(project)], {"KUBECONFIG": str(kubeconfig)})
    started = terminal.until(b"Repo", 30)
    terminal.until(b"No release yet", 30)
    time.sleep(0.2)
    terminal.press(b"6")
    complete = terminal.until(rb"of 10,000", 20) - started
    terminal.press(b"\r")
    terminal.until(b"READY", 20)
    time.sleep(3)
    pressed, process = [], psutil.Process(terminal.pid)
    begun, before = time.perf_counter(), process.cpu_times()
    for _ in range(KEYS):
        pressed.append(terminal.press(b"j"))
        time.sleep(PACE)
    after, took = process.cpu_times(), time.perf_counter() - begun
    cores = (after.user + after.system - before.user - before.system) / took
    time.sleep(1)
    memory = process.memory_info().rss
    os.write(terminal.fd, b"\x11")
    os.waitpid(terminal.pid, 0)
    return Run(terminal.chunks, pressed, complete, memory, cores)


def main() -> None:
    import pickle

    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        kubeconfig = root / "kubeconfig"
        script = Path(__file__).with_name("cluster_of_pods.py")
        server = subprocess.Popen([sys.executable, script, kubeconfig, str(PODS), str(RATE)])
        try:
            while not kubeconfig.exists():
                time.sleep(0.05)
            found = run(root, kubeconfig)
        finally:
            server.kill()
        emulator = install_aside(root / "aside", "pyte")
        given = pickle.dumps((found.chunks, found.pressed, COLUMNS, LINES))
        answer = subprocess.run([emulator, "-c", REPLAY], input=given, stdout=subprocess.PIPE, check=True).stdout
    times, lost, screen = pickle.loads(answer)
    print(f"{PODS:,} pods, {RATE} changes a second {load()}; {TARGETS}")
    if "--screen" in sys.argv:
        print("\n".join(screen))
    milliseconds = sorted(seconds * 1000 for seconds in times)
    for name, place in (("median", 0.5), ("95 %", 0.95), ("99 %", 0.99)):
        print(f"  key to effect, {name:<8} {milliseconds[round(place * (len(milliseconds) - 1))]:7.1f} ms")
    print(f"  worst                   {milliseconds[-1]:7.1f} ms   mean {statistics.mean(milliseconds):.1f} ms")
    print(f"  keys without effect     {lost} of {len(found.pressed)}")
    print(f"  complete after          {found.complete:7.2f} s from the first frame on")
    print(f"  memory                  {found.memory / 1e6:7.0f} MB")
    print(f"  processor               {found.cores:7.2f} of a core, while keys are pressed")


if __name__ == "__main__":
    main()
