"""A program in a real pseudo-terminal, with the screen that it draws."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import select
import signal
import socket
import struct
import termios
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pyte

QUIT_SECONDS = 8
"""More than any console takes to end, also where others are at work: benchmarks/quitting.py has the figure, 0.25 s.
One that waits for an answer takes that one's time-out, 15 s."""
KEYS = {"enter": "\r", "escape": "\x1b", "tab": "\t", "up": "\x1b[A", "down": "\x1b[B"}


class Terminal:
    """Types keys into a program and reads its screen, as a person would.

    Args:
        command: the program and its arguments.
        cwd: its folder.
        environment: all of its environment.
        size: columns and rows.
    """

    def __init__(
        self, command: Sequence[str], cwd: Path, environment: Mapping[str, str], size: tuple[int, int] = (120, 40)
    ) -> None:
        columns, rows = size
        # these would go before the terminal's own size
        own = {name: value for name, value in environment.items() if name not in ("COLUMNS", "LINES")}
        self.screen = pyte.Screen(columns, rows)
        self._stream = pyte.ByteStream(self.screen)
        self.status: int | None = None
        self._fd, theirs = pty.openpty()
        self._theirs = os.ttyname(theirs)
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.pid = os.fork()
        if self.pid == 0:  # pragma: no cover - the child
            try:
                os.close(self._fd)
                os.login_tty(theirs)
                os.chdir(cwd)
                os.execvpe(command[0], list(command), {**own, "TERM": "xterm-256color"})
            finally:
                os._exit(127)
        os.close(theirs)

    @property
    def text(self) -> str:
        """What is on the screen."""
        return "\n".join(line.rstrip() for line in self.screen.display)

    def read(self, seconds: float) -> None:
        """Take in what the program draws for at most so long."""
        if self.status is not None or not select.select([self._fd], [], [], seconds)[0]:
            return
        try:
            data = os.read(self._fd, 1 << 16)
        except OSError:
            data = b""
        if data:
            self._stream.feed(data)
        else:
            self._reap()

    def watch(self, seconds: float) -> None:
        """Take in all that the program draws for so long."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            self.read(left)

    def _reap(self) -> None:
        if self.status is None:
            self.status = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])

    def shows(self, *words: str, seconds: float = 90) -> str:
        """Wait until all of these words are on the screen, however they are wrapped."""
        deadline = time.monotonic() + seconds
        while not all(word in " ".join(self.text.split()) for word in words):
            assert self.status is None, f"it ended with {self.status}:\n{self.text}"
            assert time.monotonic() < deadline, f"{words} did not come:\n{self.text}"
            self.read(0.05)
        return self.text

    def press(self, *keys: str) -> None:
        """Press keys."""
        for key in keys:
            os.write(self._fd, KEYS.get(key, key).encode())
            if key == "escape":
                # alone it is a key, with what follows at once it is the beginning of another one
                self._until_taken()
                self.watch(0.3)

    def _until_taken(self) -> None:
        """Wait until the program has read every key."""
        deadline = time.monotonic() + 30
        theirs = os.open(self._theirs, os.O_RDONLY | os.O_NOCTTY)
        try:
            while struct.unpack("i", fcntl.ioctl(theirs, termios.FIONREAD, bytes(4)))[0] and self.status is None:
                assert time.monotonic() < deadline, f"it takes no keys:\n{self.text}"
                self.read(0.01)
        finally:
            os.close(theirs)

    def settle(self, seconds: float = 0.4) -> None:
        """Wait until nothing more is drawn for so long."""
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline and self.status is None:
            if not select.select([self._fd], [], [], seconds)[0]:
                return
            self.read(0)

    def say_yes(self) -> None:
        """Answer the question on the screen, as slowly as a person does: what comes before it is there does nothing."""
        for key in ("tab", "enter"):
            self.settle()
            self.press(key)

    def ended(self, seconds: float = 60) -> int:
        """Wait for the program's end and give its exit status."""
        deadline = time.monotonic() + seconds
        while self.status is None:
            assert time.monotonic() < deadline, f"it did not end:\n{self.text}"
            self.read(0.05)
        return self.status

    def kill(self) -> None:
        """End the program as nothing can be helped against."""
        os.kill(self.pid, signal.SIGKILL)
        self._reap()

    def hang_up(self) -> None:
        """Close the terminal, as a window or a connection is closed."""
        os.close(self._fd)
        self._fd = -1
        deadline = time.monotonic() + 40
        while self.status is None and time.monotonic() < deadline:
            found, status = os.waitpid(self.pid, os.WNOHANG)
            if found:
                self.status = os.waitstatus_to_exitcode(status)
            time.sleep(0.02)
        assert self.status is not None, "it goes on without a terminal"

    def close(self) -> None:
        """Leave nothing behind."""
        if self.status is None:
            with contextlib.suppress(ProcessLookupError):
                self.kill()
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


@contextlib.contextmanager
def connected(terminal: Terminal) -> Iterator[None]:
    """A port that is forwarded to the pod of the cursor, with a connection that stays open."""
    terminal.press("p")
    terminal.shows("Forward a port to tiny-")
    terminal.say_yes()
    terminal.shows("leads to this pod's port 8080.")
    port = re.search(r"http://127\.0\.0\.1:(\d+) leads", terminal.text)
    assert port is not None
    with socket.create_connection(("127.0.0.1", int(port[1])), 60) as through:
        through.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert through.recv(15).startswith(b"HTTP/1.")
        yield
