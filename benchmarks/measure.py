"""Time whole commands in turn, and print medians and their ratio."""

from __future__ import annotations

import os
import pty
import select
import signal
import statistics
import subprocess
import sys
import time
import venv
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple


class Contender(NamedTuple):
    """A name, and something that does the work once and returns the seconds it took."""

    name: str
    once: Callable[[], float]


class Measured(NamedTuple):
    """What a process took: seconds of wall clock, and its peak resident memory in bytes."""

    seconds: float
    peak: int


def measured(arguments: Sequence[str]) -> Measured:
    """Run a command to its end and measure its time and its own peak memory; it has to succeed."""
    return measured_with_output(arguments)[0]


def measured_with_output(arguments: Sequence[str]) -> tuple[Measured, str]:
    """The same, and what it printed."""
    started = time.perf_counter()
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        output = process.stdout.read()
        _, status, use = os.wait4(process.pid, 0)
        took = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{arguments[0]} ended with {process.returncode}")
    return Measured(took, use.ru_maxrss * (1 if sys.platform == "darwin" else 1024)), output


def install_aside(folder: Path, *packages: str) -> str:
    """Install peers into an environment of their own and return its Python."""
    venv.create(folder, with_pip=True)
    subprocess.run([folder / "bin/pip", "install", "-q", *packages], check=True)
    return str(folder / "bin/python")


def load() -> str:
    """How busy the machine is, for the title: figures of a busy one are only good as ratios."""
    return f"(load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores)"


def command(name: str, arguments: Sequence[str], cwd: Path, environment: dict[str, str] | None = None) -> Contender:
    """A command, timed from its start to its end; it has to succeed."""

    def once() -> float:
        started = time.perf_counter()
        subprocess.run(
            arguments, cwd=cwd, env=environment, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
        return time.perf_counter() - started

    return Contender(name, once)


def first_frame(name: str, arguments: Sequence[str], cwd: Path, until: bytes) -> Contender:
    """A program in a pseudo-terminal of 160×50, timed from its start until `until` was drawn; then it is ended."""
    return Contender(name, lambda: drawn(arguments, cwd, until)[0])


def drawn(
    arguments: Sequence[str], cwd: Path, until: bytes, then: Sequence[tuple[bytes, bytes]] = ()
) -> tuple[float, float]:
    """Run a program in a pseudo-terminal of 160×50 until something was drawn, and press keys; then end it.

    Args:
        arguments: the program's.
        cwd: its folder.
        until: what the first frame draws.
        then: keys (none: wait only), each with what is drawn once it has its effect.

    Returns:
        Seconds from the start to the first frame, and from there to the effect of the last key.
    """
    started = time.perf_counter()
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(cwd)
        os.environ.update(TERM="xterm-256color", COLUMNS="160", LINES="50")
        os.execvp(arguments[0], list(arguments))

    def wait_for(mark: bytes) -> float:
        seen = b""
        while mark not in seen:
            if not select.select([terminal], [], [], 20)[0]:
                raise SystemExit(f"{arguments[0]}: {mark!r} was not drawn within 20 s")
            seen += os.read(terminal, 1 << 16)
        return time.perf_counter()

    first = last = wait_for(until)
    for key, mark in then:
        if key:
            os.write(terminal, key)
        last = wait_for(mark)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    os.close(terminal)
    return first - started, last - first


def compare(title: str, ours: Contender, peer: Contender, runs: int = 9) -> float:
    """Run both in turn and print what they took; return the ratio of the medians, ours over the peer's."""
    times: dict[str, list[float]] = {ours.name: [], peer.name: []}
    for turn in range(runs + 1):
        for contender in (ours, peer):
            took = contender.once()
            if turn:
                times[contender.name].append(took)
    print(title)
    for name, took_all in times.items():
        print(f"  {name:<40} median {statistics.median(took_all):6.3f} s   {min(took_all):.3f} … {max(took_all):.3f}")
    ratio = statistics.median(times[ours.name]) / statistics.median(times[peer.name])
    print(f"  ratio {ratio:.2f} (medians of {runs})\n")
    return ratio
