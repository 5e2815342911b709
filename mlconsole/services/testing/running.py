"""What the processes of pytest run at this moment, and the last words of those that die or hang.

The reporter shares memory, a socket and files with us, in a folder of ours: its own docstring says what each is.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import time
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple, get_args

from mlconsole.evidence.testing import Phase
from mlconsole.text import clean

SLOT = 2048
PHASES: tuple[Phase, ...] = get_args(Phase)
STACK_SIGNAL = signal.SIGUSR2
HAND_OVER_SECONDS = 5.0
"""Who has connected sends what it hands over at once, as far as the machine lets it."""
STACK_SECONDS = 5.0
"""A process that hangs has this long to write its stack; Python writes it in milliseconds, but the machine is busy."""
STILL_SECONDS = 0.2
"""A stack that has not grown for so long is whole: it is written line by line, and nothing tells which is the last."""
LONGEST_WORDS = 16 * 1024


class RunningTest(NamedTuple):
    """A test that is run now; `slot` is 0 for pytest itself, else that of xdist's worker."""

    nodeid: str
    phase: Phase
    slot: int = 0


class _Process(NamedTuple):
    """A process that runs tests: what it captures their output in, and whether it can be asked for its stack."""

    pid: int
    words: tuple[int, ...]
    stack: bool


class Watch:
    """Looks at the processes of one run of pytest, from its begin on.

    Args:
        folder: the reporter's; its name has to be short enough for a socket's.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._processes: dict[int, _Process] = {}
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.setblocking(False)
        # without it nobody's last words are known, but all else is
        with contextlib.suppress(OSError):
            self._listener.bind(str(folder / "words"))
            self._listener.listen(256)

    def close(self) -> None:
        """Let go of everything."""
        self._listener.close()
        for process in self._processes.values():
            for number in process.words:
                os.close(number)
        self._processes.clear()

    def running(self) -> tuple[RunningTest, ...]:
        """What is run now, or was run by a process that died."""
        try:
            memory = (self._folder / "running").read_bytes()
        except OSError:
            return ()
        slots = [slot for slot, phase in enumerate(memory[::SLOT]) if 0 < phase <= len(PHASES)]
        return tuple(_running(memory[slot * SLOT : (slot + 1) * SLOT], slot) for slot in slots)

    def look(self) -> None:
        """Take what processes hand over that begin to run tests."""
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                with connection:
                    connection.settimeout(HAND_OVER_SECONDS)
                    self._take(*socket.recv_fds(connection, 4096, 2)[:2])

    def _take(self, data: bytes, words: list[int]) -> None:
        for number in words:
            os.set_inheritable(number, False)
        try:
            about = json.loads(data)
            slot = int("".join(filter(str.isdigit, about["worker"])) or -1) + 1
            process = _Process(int(about["pid"]), tuple(words), bool(about["stack"]))
        except (ValueError, KeyError, TypeError):
            # some other program that found the socket
            for number in words:
                os.close(number)
            return
        if slot in self._processes:
            for number in self._processes[slot].words:
                os.close(number)
        self._processes[slot] = process

    def last_words(self, slot: int) -> str | None:
        """What the test of a slot had printed in its present phase; None where that was not captured in a file."""
        self.look()
        process = self._processes.get(slot)
        if process is None or not process.words:
            return None
        parts = []
        for number in process.words:
            size = os.fstat(number).st_size
            parts.append(os.pread(number, LONGEST_WORDS, max(size - LONGEST_WORDS, 0)).decode("utf-8", "replace"))
        return clean("".join(parts)).rstrip()

    def stacks(self, slots: Iterable[int]) -> dict[int, str]:
        """Have processes that hang write the stacks of their threads."""
        self.look()
        asked = {slot: self._processes[slot] for slot in slots if slot in self._processes}
        asked = {slot: process for slot, process in asked.items() if process.stack}
        for process in asked.values():
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(process.pid, STACK_SIGNAL)
        files = {slot: self._folder / f"stack-{process.pid}" for slot, process in asked.items()}
        end, still_at = time.monotonic() + STACK_SECONDS, 0.0
        sizes: list[int] = []
        while files and (at := time.monotonic()) < end:
            before, sizes = sizes, [_size(path) for path in files.values()]
            if sizes != before or 0 in sizes:
                still_at = at + STILL_SECONDS
            elif at >= still_at:
                break
            time.sleep(0.02)
        return {slot: _text(path) for slot, path in files.items()}


def fatal_words(log_path: Path, start: int) -> str:
    """What Python itself said when it crashed (`Fatal Python error: …`, with the stack), in a log from `start` on."""
    try:
        with log_path.open("rb") as log:
            end = log.seek(0, os.SEEK_END)
            log.seek(max(start, end - 4 * LONGEST_WORDS))
            text = log.read().decode("utf-8", "replace")
    except OSError:
        return ""
    place = text.rfind("Fatal Python error")
    return clean(text[place:][:LONGEST_WORDS]).rstrip() if place >= 0 else ""


def _running(memory: bytes, slot: int) -> RunningTest:
    length = int.from_bytes(memory[1:3], "big")
    return RunningTest(memory[3 : 3 + length].decode("utf-8", "replace"), PHASES[memory[0] - 1], slot)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _text(path: Path) -> str:
    try:
        return clean(path.read_bytes()[:LONGEST_WORDS].decode("utf-8", "replace")).rstrip()
    except OSError:
        return ""
