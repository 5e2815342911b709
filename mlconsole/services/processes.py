"""Children: the project's own commands, run so that they can be watched, cancelled and never left behind.

Each runs under `guard.py`, in a session of its own. The guard ends the child and all of its descendants when it is
asked to, and also when this process is gone, however that came about. It writes what they print to a log, and this
process reads the log as it grows: so the child never waits for us, however slow what is done with its lines.
"""

from __future__ import annotations

import contextlib
import os
import select
import shlex
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO, Literal, cast

from mlconsole.errors import OutsideFailed, WrongUse
from mlconsole.evidence.base import Record
from mlconsole.evidence.training import ResourceUse, UseSample
from mlconsole.services import guarding, readonly
from mlconsole.services.guarding import Guard, Order
from mlconsole.services.sampling import TreeSampler
from mlconsole.text import clean_line

GRACE_SECONDS = 3.0
KILL_SECONDS = 15.0
"""A guard has this long to end what is left then, on a busy machine too: daemons outlive one that is killed itself."""
TAIL_LINES = 20
LONGEST_LINE = 64 * 1024
CHUNK = 64 * 1024
LOOK_SECONDS = 0.03
"""How often the log is looked at, where that is cheap enough."""
COST = 0.003
"""The part of a processor's time that looking may take: the next look waits for it, but not over `LONGEST_SECONDS`."""
LONGEST_SECONDS = 0.09

_HARMLESS = bytes(range(32, 127)) + b"\n"
"""What needs no cleaning: most lines are of nothing else."""

Ended = Literal["by itself", "cancelled", "timed out", "out of memory"]


class CommandMissing(WrongUse):
    """The command to run does not exist or can't be executed."""


class ChildResult(Record, frozen=True, kw_only=True):
    """How a child ended. `exit_code` is negative for a signal; `tail` has its last lines, cleaned.

    `memory` is what all of its processes took together when the limit ended them, in bytes; `left` is how many of them
    ran on when the command had ended, and were ended then.
    """

    exit_code: int
    use: ResourceUse
    lines: int
    tail: tuple[str, ...]
    ended: Ended = "by itself"
    memory: int = 0
    left: int = 0

    @property
    def how(self) -> str:
        """The end in words: `exit code 1`, `signal 9`."""
        return f"signal {-self.exit_code}" if self.exit_code < 0 else f"exit code {self.exit_code}"


class LineSplitter:
    """Bytes in, whole cleaned lines out. A carriage return ends a line too: progress bars are drawn with it."""

    def __init__(self) -> None:
        self._rest = b""
        self._returned = False

    def feed(self, data: bytes) -> list[str]:
        """Return the lines that `data` completes."""
        return self.feed_text(data).split("\n")[:-1]

    def feed_text(self, data: bytes) -> str:
        """Return the lines that `data` completes, as one text: each has a newline at its end."""
        if self._returned and data.startswith(b"\n"):
            data = data[1:]
        self._returned = data.endswith(b"\r")
        data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        head, newline, rest = data.rpartition(b"\n")
        if not newline:
            self._rest += rest
            if len(self._rest) <= LONGEST_LINE:
                return ""
            head, self._rest = self._rest, b""
        else:
            head, self._rest = self._rest + head, rest
        return _cleaned(head)

    def end(self) -> list[str]:
        """Return what is left when no more comes."""
        return self.end_text().split("\n")[:-1]

    def end_text(self) -> str:
        """Return what is left when no more comes, as a line of a text."""
        rest, self._rest = self._rest, b""
        return _cleaned(rest) if rest else ""


def _cleaned(data: bytes) -> str:
    text = data.decode("utf-8", "replace")
    if data.translate(None, _HARMLESS):
        text = "\n".join(map(clean_line, text.split("\n")))
    return f"{text}\n"


def run_child(
    command: Sequence[str],
    *,
    cwd: Path,
    log_path: Path,
    cancelled: threading.Event,
    on_line: Callable[[str], None] | None = None,
    on_text: Callable[[str], None] = lambda text: None,
    environment: Mapping[str, str] | None = None,
    timeout: float | None = None,
    on_sample: Callable[[UseSample], None] | None = None,
    memory: int | None = None,
    on_look: Callable[[], None] = lambda: None,
) -> ChildResult:
    """Run a command to its end, its output appended to a file and handed over line by line.

    Args:
        command: program and arguments; no shell is involved.
        cwd: the folder to run in.
        log_path: gets standard output and standard error as they are; show it only cleaned.
        cancelled: once set, the child is asked to end, then killed, with all of its descendants.
        on_line: called in this thread with each cleaned line.
        on_text: called in this thread with all cleaned lines that there are at a time, each with a newline at its end:
            who needs few of very many lines has no work with the others.
        environment: the whole environment of the child; ours where None.
        timeout: seconds after which the child is ended.
        on_sample: called in this thread, about once a second, with what the child and its descendants use.
        memory: bytes; where the child and its descendants take more together, they are killed.
        on_look: called in this thread up to thirty times a second, and once at the end, after the lines of the time.

    Raises:
        CommandMissing: the command can't be started at all.
        OutsideFailed: the folder is not there, or the log can't be written.
        ReadOnly: this process changes nothing, and what a command of the project writes can't be known.
    """
    readonly.check(f"`{Path(command[0]).name}` was not started")
    started = time.monotonic()
    log_path.parent.mkdir(parents=True, exist_ok=True)
    _opened(log_path, "ab").close()
    order = Order(
        command=command,
        cwd=cwd,
        environment=environment,
        log_path=log_path,
        grace=GRACE_SECONDS,
        memory=memory or 0,
    )
    with _opened(log_path, "rb") as log:
        log.seek(0, os.SEEK_END)
        try:
            guard = guarding.start(order)
        except OSError as error:
            raise OutsideFailed(f"Can't start a process: {error.strerror}.") from error
        # a guard that is still there (an exception came between) then ends its child by itself
        with contextlib.closing(guard):
            sampler = TreeSampler(guard.pid, on_sample) if on_sample else None
            pump = _Pump(guard, log, on_text if on_line is None else by_line(on_line), on_look, sampler)
            ended = pump.run(cancelled, None if timeout is None else started + timeout)
            report = _report(guard, ended)
    if report.nowhere:
        raise OutsideFailed(f"Can't start a process in {cwd}: {report.nowhere}.")
    if report.lost:
        raise OutsideFailed(f"The log {log_path} can't be written: {report.lost}.", "Make room on its disk.")
    if report.error:
        raise CommandMissing(
            f"Can't run `{shlex.join(command)}`: {report.error}.", "Check the command in the settings and its spelling."
        )
    use = ResourceUse(
        seconds=time.monotonic() - started,
        cpu_seconds=report.cpu_seconds,
        peak_memory=max(report.peak_memory, report.over),
    )
    return ChildResult(
        exit_code=report.exit_code,
        use=use,
        lines=pump.lines,
        tail=pump.tail,
        ended="out of memory" if report.over else ended,
        memory=report.over,
        left=report.left,
    )


def _report(guard: Guard, ended: Ended) -> guarding.Report:
    try:
        return guard.report()
    except ConnectionError as error:
        if ended != "by itself":
            return guarding.Report()
        raise OutsideFailed("The process was killed before it began.", "Try again.") from error


def by_line(on_line: Callable[[str], None]) -> Callable[[str], None]:
    """Hand on a text of whole lines line by line."""

    def hand_on(text: str) -> None:
        for line in text.split("\n")[:-1]:
            on_line(line)

    return hand_on


def _opened(path: Path, mode: Literal["ab", "rb"]) -> BinaryIO:
    try:
        return cast(BinaryIO, path.open(mode, buffering=0))
    except OSError as error:
        raise OutsideFailed(f"The log {path} can't be opened: {error.strerror}.") from error


class _Pump:
    """Reads a child's log as it grows, hands it to `on_text`, and ends the child when that is asked for."""

    def __init__(
        self,
        guard: Guard,
        log: BinaryIO,
        on_text: Callable[[str], None],
        on_look: Callable[[], None],
        sampler: TreeSampler | None = None,
    ) -> None:
        self.lines = 0
        self._recent = ""
        self._guard, self._log = guard, log
        self._on_text, self._on_look = on_text, on_look
        self._splitter = LineSplitter()
        self._sampler = sampler
        self._kill_at: float | None = None

    def run(self, cancelled: threading.Event, deadline: float | None) -> Ended:
        """Read until the guard is through, and the log to its end."""
        ended: Ended = "by itself"
        through = False
        while True:
            began = time.thread_time()
            data = self._log.read(CHUNK)
            if data:
                self._hand_over(self._splitter.feed_text(data))
            elif through:
                break
            self._on_look()
            if self._sampler is not None:
                self._sampler.step()
            if self._kill_at is not None:
                if time.monotonic() > self._kill_at:
                    self._guard.kill()
            elif cancelled.is_set():
                ended = "cancelled"
                self._ask_to_end()
            elif deadline is not None and time.monotonic() > deadline:
                ended = "timed out"
                self._ask_to_end()
            # a full chunk has more behind it
            waits = len(data or b"") < CHUNK and not through
            pause = min(max(LOOK_SECONDS, (time.thread_time() - began) / COST), LONGEST_SECONDS) if waits else 0
            through = through or bool(select.select([self._guard], [], [], pause)[0])
        self._hand_over(self._splitter.end_text())
        self._on_look()
        return ended

    @property
    def tail(self) -> tuple[str, ...]:
        """The last lines that are not blank."""
        return tuple(line for line in self._recent.split("\n") if line.strip())[-TAIL_LINES:]

    def _hand_over(self, text: str) -> None:
        if text:
            self.lines += text.count("\n")
            self._recent = (self._recent + text)[-LONGEST_LINE:]
            self._on_text(text)

    def _ask_to_end(self) -> None:
        self._guard.ask_to_end()
        self._kill_at = time.monotonic() + GRACE_SECONDS + KILL_SECONDS


def child_environment(python: Path, **extra: str) -> dict[str, str]:
    """The environment for a child of the project: its Python comes first, and what it prints comes at once."""
    environment = {name: value for name, value in os.environ.items() if name not in {"PYTHONHOME", "VIRTUAL_ENV"}}
    if (python.parent.parent / "pyvenv.cfg").is_file():
        environment["VIRTUAL_ENV"] = str(python.parent.parent)
    path = os.pathsep.join([str(python.parent), environment.get("PATH", os.defpath)])
    return {**environment, "PATH": path, "PYTHONUNBUFFERED": "1", **extra}


def capture(command: Sequence[str], *, cwd: Path, timeout: float = 30, input_text: str = "") -> str:
    """Run a short command and return what it printed on standard output.

    Raises:
        CommandMissing: it can't be started.
        OutsideFailed: it failed or took longer than `timeout` seconds.
    """
    line = shlex.join(command)
    try:
        done = subprocess.run(
            command, cwd=cwd, timeout=timeout, input=input_text, capture_output=True, text=True, start_new_session=True
        )
    except subprocess.TimeoutExpired as error:
        raise OutsideFailed(f"`{line}` did not end within {timeout:.0f} s.", command=line) from error
    except OSError as error:
        raise CommandMissing(f"Can't run `{line}`: {error.strerror}.") from error
    if done.returncode:
        tail = tuple(clean_line(text) for text in done.stderr.splitlines()[-TAIL_LINES:])
        raise OutsideFailed(f"`{line}` failed with exit code {done.returncode}.", command=line, tail=tail)
    return done.stdout
