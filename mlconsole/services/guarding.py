"""The near side of `guard.py`: starts guards, gives one its order, and hears how that ended.

A guard takes as long to start as Python does. So as soon as one has its order, the next one is started: it waits for
the next command, which then need not wait for it, and ends by itself when this process is gone.
"""

from __future__ import annotations

import atexit
import marshal
import os
import socket
import subprocess
import sys
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
        """As the guard reads it; see there."""
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


class Guard:
    """A guard, from its start to its end.

    Raises:
        OSError: no process can be started.
    """

    def __init__(self) -> None:
        self._socket, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                _COMMAND,
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """Its process, which the command and all that it starts are below of."""
        return self._process.pid

    def fileno(self) -> int:
        """What can be waited for with `select(2)`: it is readable when all has ended."""
        return self._socket.fileno()

    def give(self, order: Order) -> bool:
        """Have a command run; return whether the guard is still there to do so."""
        try:
            self._socket.sendall(order.packed())
        except OSError:
            return False
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
        """Wait for the end, and return what was said of it."""
        data = b"".join(iter(lambda: self._socket.recv(1 << 16), b""))
        self._process.wait()
        return msgspec.json.decode(data, type=Report) if data else Report()

    def close(self) -> None:
        """Let go of it. A guard that still runs something ends that first."""
        self._socket.close()
        self._process.wait()


_waiting: list[Guard] = []
"""The guard that has no order yet."""


def start(order: Order) -> Guard:
    """Have a guard run a command, and the next guard be there for the next one.

    Raises:
        OSError: no process can be started.
    """
    try:
        guard = _waiting.pop()
    except IndexError:
        guard = Guard()
    if not guard.give(order):
        guard.close()
        guard = Guard()
        guard.give(order)
    if not _waiting:
        _waiting.append(Guard())
    return guard


@atexit.register
def dismiss() -> None:
    """End the guard that waits."""
    while _waiting:
        _waiting.pop().close()


os.register_at_fork(after_in_child=_waiting.clear)
