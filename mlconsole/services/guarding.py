"""The near side of `guard.py`: starts guards, gives one its order, and hears how that ended.

A guard takes as long to start as Python does. So as soon as one has its order, the next one is started: it waits for
the next command, which then need not wait for it, and ends by itself when this process is gone. The command has the
umask, limits and priority that this process had when its guard was started; all else is as it is at its own start.
"""

from __future__ import annotations

import atexit
import contextlib
import errno
import marshal
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

# a program is compiled each time that it is started; a module only once, and all that this imports is frozen in Python
_BOOT = """\
import sys
from importlib.machinery import SourceFileLoader
exec(SourceFileLoader("guard", sys.argv[1]).get_code("guard"))
"""
_COMMAND = (sys.executable, "-I", "-S", "-c", _BOOT, str(Path(__file__).with_name("guard.py")))


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What a guard is to run. `memory` is in bytes, 0 for any; `environment` is the whole one, ours where None."""

    command: Sequence[str]
    cwd: Path
    environment: Mapping[str, str] | None
    log_path: Path
    grace: float
    memory: int

    def packed(self) -> bytes:
        """As the guard reads it; see there.

        Raises:
            OSError: a path is relative to a folder that is gone.
        """
        environment = os.environ if self.environment is None else self.environment
        told = (
            self.grace,
            self.memory,
            os.fsencode(self.log_path.absolute()),
            os.fsencode(self.cwd.absolute()),
            [os.fsencode(word) for word in self.command],
            {os.fsencode(name): os.fsencode(value) for name, value in environment.items()},
        )
        data = marshal.dumps(told)
        return len(data).to_bytes(8, "little") + data


class Report(msgspec.Struct):
    """How it ended; what each part says stands in `guard.py`. As it is here where the guard was killed."""

    exit_code: int = -9
    cpu_seconds: float = 0
    peak_memory: int = 0
    error: str = ""
    nowhere: str = ""
    over: int = 0
    lost: str = ""
    left: int = 0


class Guard:
    """A guard, from its start to its end.

    Raises:
        OSError: no process can be started.
    """

    def __init__(self) -> None:
        self._owes_report = False
        with _no_fork:
            self._socket, theirs = socket.socketpair()
            with theirs, contextlib.ExitStack() as on_failure:
                on_failure.callback(self._socket.close)
                self._process = subprocess.Popen(
                    _COMMAND,
                    stdin=theirs.fileno(),
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    start_new_session=True,
                )
                on_failure.pop_all()
            _all.add(self)

    @property
    def pid(self) -> int:
        """Its process, which the command and all that it starts are below of."""
        return self._process.pid

    def fileno(self) -> int:
        """What can be waited for with `select(2)`: it is readable when all has ended."""
        return self._socket.fileno()

    def give(self, packed: bytes) -> bool:
        """Have a command run, as `Order.packed` tells it; return whether the guard is still there to do so."""
        try:
            self._socket.sendall(packed)
        except OSError:
            return False
        self._owes_report = True
        return True

    def ask_to_end(self) -> None:
        """Have the command and all of its descendants ended; that takes its grace at most."""
        try:
            self._socket.shutdown(socket.SHUT_WR)
        except OSError:
            return

    def kill(self) -> None:
        """End the guard itself."""
        self._process.kill()

    def report(self) -> Report:
        """Wait for the end, and return what was said of it.

        Raises:
            ConnectionError: the guard was killed before it had read its order, so nothing was run.
        """
        data = b"".join(iter(lambda: self._socket.recv(1 << 16), b""))
        self._process.wait()
        self._owes_report = not data
        return msgspec.json.decode(data, type=Report) if data else Report()

    def close(self) -> None:
        """Let go of it. A guard that still runs something ends that first; what one left that was killed is killed."""
        with _no_fork:
            self._socket.close()
        self._process.wait()
        if self._owes_report:
            self._owes_report = False
            _end_session(self.pid)

    def leave_to_parent(self) -> None:
        """In a process that was forked from this one: let the parent's end be seen by the guard."""
        self._socket.close()


_all: weakref.WeakSet[Guard] = weakref.WeakSet()
_waiting: list[Guard] = []
"""The guard that has no order yet."""
_making = threading.Lock()
_no_fork = threading.RLock()
"""Held while a guard's socket is made or closed: a process forked meanwhile would have it and not know of it."""
SECONDS_TO_DIE = 5.0


def start(order: Order) -> Guard:
    """Have a guard run a command, and the next guard be there for the next one.

    Raises:
        OSError: no process can be started.
    """
    guard = _ordered(order.packed())
    # one is enough, however many threads come here at once
    if _making.acquire(blocking=False):
        try:
            if not _waiting:
                _waiting.append(Guard())
        except OSError:
            # this command runs, whether or not there is room for one process more
            return guard
        finally:
            _making.release()
    return guard


def _ordered(packed: bytes) -> Guard:
    """A guard that was given an order: the one that waits, where there is one and it was not killed meanwhile."""
    with contextlib.suppress(IndexError):
        while True:
            guard = _waiting.pop()
            if guard.give(packed):
                return guard
            guard.close()
    guard = Guard()
    if not guard.give(packed):
        guard.close()
        raise OSError(errno.EPIPE, "what watches over it ended at once")
    return guard


def _end_session(leader: int) -> None:
    """Kill what is left in the session of a guard, which is all but daemons with a session of their own."""
    import psutil

    deadline = time.monotonic() + SECONDS_TO_DIE
    while time.monotonic() < deadline:
        left = 0
        for pid in psutil.pids():
            with contextlib.suppress(OSError, psutil.Error):
                if os.getsid(pid) == leader and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
                    os.kill(pid, signal.SIGKILL)
                    left += 1
        if not left:
            return
        time.sleep(0.01)


@atexit.register
def dismiss() -> None:
    """End the guard that waits. It has nothing to see to, so it need not be asked."""
    with contextlib.suppress(IndexError):
        while True:
            guard = _waiting.pop()
            guard.kill()
            guard.close()


def _forked() -> None:
    global _making
    for guard in list(_all):
        guard.leave_to_parent()
    _waiting.clear()
    # a thread that is not here may have held it
    _making = threading.Lock()
    _no_fork.release()


os.register_at_fork(before=_no_fork.acquire, after_in_parent=_no_fork.release, after_in_child=_forked)
