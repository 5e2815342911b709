"""Container processes: started through a shim of their own, stopped, and found again after a restart of the server."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import psutil

from mlconsole.localcluster.controllers.objects import micro_timestamp
from mlconsole.localcluster.records import CREATE_TIME_SLACK

SHIM = Path(__file__).with_name("shim.py")
START_TIMEOUT = 20.0
END_TIMEOUT = 1.0
POLL_SECONDS = 0.1
RECORD_TIMEOUT = 2.0
RECORD_POLL = 0.02


class StartFailed(Exception):
    """The command could not be started; the text says why, in the words of a container runtime."""


class Exit(NamedTuple):
    """How a container ended: exit code (128 + signal where one ended it), signal number or 0, and when."""

    code: int
    signal: int
    finished_at: str


@dataclass(frozen=True)
class Command:
    """What to start: the words of the command, the whole environment, the folder, and seconds of grace at its end."""

    argv: tuple[str, ...]
    env: dict[str, str]
    cwd: Path
    grace: float


@dataclass
class Process:
    """A running container: its shim and its folder."""

    directory: Path
    pid: int
    create_time: float
    _child: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    async def wait(self) -> Exit:
        """Waits until the shim has ended and returns how the container did."""
        await _wait_gone(self, self._child)
        return read_exit(self.directory) or self._lost()

    def is_alive(self) -> bool:
        """Whether the shim runs; its command line, which names the folder, tells it from others with its pid."""
        try:
            return str(self.directory) in psutil.Process(self.pid).cmdline()
        except psutil.Error:
            return False

    def stop(self, grace: float) -> None:
        """Asks the container to end; after ``grace`` seconds it is killed."""
        # a folder that was removed must not keep the process: then it ends by the grace that it began with
        with contextlib.suppress(FileNotFoundError):
            (self.directory / "grace").write_text(str(grace))
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """Kills the container and all that came from it."""
        self._signal(signal.SIGUSR1)

    def _signal(self, number: signal.Signals) -> None:
        if self._child is not None and self._child.poll() is None:
            self._child.send_signal(number)
        elif self._child is None and self.is_alive():
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def _lost(self) -> Exit:
        """The shim was killed: what it ran has no owner any more and is ended too."""
        kill_recorded(self.directory)
        return Exit(137, int(signal.SIGKILL), micro_timestamp())

    def container_pid(self) -> int:
        """The pid of the container's main process, 0 where it is not known."""
        return int(_read(self.directory / "shim.json").get("container_pid", 0))


async def start(directory: Path, command: Command) -> Process:
    """Starts a container; its log and records go to ``directory``. Raises StartFailed."""
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    for stale in ("exit.json", "shim.json", "grace"):
        (directory / stale).unlink(missing_ok=True)
    reader, writer = os.pipe()
    try:
        words = [sys.executable, "-I", "-S", str(SHIM), str(directory), str(command.grace), str(command.cwd)]
        with (directory / "shim.log").open("ab") as errors:
            child = subprocess.Popen(
                [*words, str(writer), *command.argv],
                env=command.env,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=errors,
                pass_fds=(writer,),
                start_new_session=True,
            )
    except (OSError, ValueError) as error:
        os.close(reader)
        raise StartFailed(f'exec: "{command.argv[0]}": {error}') from None
    finally:
        os.close(writer)
    try:
        answer = await _first_words(reader)
    except asyncio.CancelledError:
        # Nobody would know of it.
        child.send_signal(signal.SIGUSR1)
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(END_TIMEOUT)
        raise
    process = Process(directory, child.pid, float(_read(directory / "shim.json").get("create_time", 0)), child)
    if answer != "started":
        await process.wait()
        raise StartFailed(answer or "the process that looks after the container ended: see shim.log")
    return process


async def _first_words(descriptor: int) -> str:
    loop = asyncio.get_running_loop()
    readable: asyncio.Future[None] = loop.create_future()
    loop.add_reader(descriptor, _set, readable)
    try:
        await asyncio.wait_for(readable, START_TIMEOUT)
        return os.read(descriptor, 4096).decode(errors="replace")
    except TimeoutError:
        return "the container did not start in time"
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)


def adopt(directory: Path) -> Process | Exit | None:
    """What became of a container that an earlier server started here: it runs, it ended, or it never was."""
    record = _read(directory / "shim.json") or _record_of_starting(directory)
    if not record:
        return read_exit(directory)
    process = Process(directory, int(record["pid"]), float(record["create_time"]))
    if process.is_alive():
        return process
    return read_exit(directory) or process._lost()


def _record_of_starting(directory: Path) -> dict[str, Any]:
    """What a shim writes that was started the moment before its server died; empty where there is none."""
    end = time.monotonic() + RECORD_TIMEOUT
    while time.monotonic() < end and any(str(directory) in words for words in _command_lines()):
        if record := _read(directory / "shim.json"):
            return record
        time.sleep(RECORD_POLL)
    return _read(directory / "shim.json")


def _command_lines() -> Iterator[list[str]]:
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            yield process.cmdline()


def read_exit(directory: Path) -> Exit | None:
    """How the container of this folder ended, None where it did not."""
    record = _read(directory / "exit.json")
    return Exit(int(record["exit_code"]), int(record["signal"]), record["finished_at"]) if record else None


def kill_recorded(directory: Path) -> None:
    """Kills the process group of the container of this folder, where it is still the one that was started here."""
    record = _read(directory / "shim.json")
    pid = int(record.get("container_pid", 0))
    if pid and _was_created(pid, float(record.get("create_time", 0))):
        tree = psutil.Process(pid).children(recursive=True)
        with contextlib.suppress(OSError):
            os.killpg(pid, signal.SIGKILL)
        for child in tree:
            with contextlib.suppress(psutil.Error):
                child.kill()


async def _wait_gone(process: Process, child: subprocess.Popen[bytes] | None) -> None:
    if hasattr(os, "pidfd_open"):
        try:
            descriptor = os.pidfd_open(process.pid)
        except ProcessLookupError:
            descriptor = -1
        if descriptor >= 0:
            await _readable(descriptor)
        if child is not None:
            child.wait()
        return
    while child.poll() is None if child is not None else process.is_alive():
        await asyncio.sleep(POLL_SECONDS)


async def _readable(descriptor: int) -> None:
    loop = asyncio.get_running_loop()
    readable: asyncio.Future[None] = loop.create_future()
    loop.add_reader(descriptor, _set, readable)
    try:
        await readable
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)


def _set(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def _was_created(pid: int, create_time: float) -> bool:
    try:
        process = psutil.Process(pid)
        return abs(process.create_time() - create_time) < CREATE_TIME_SLACK and os.getpgid(pid) == pid
    except (psutil.Error, OSError):
        return False


def _read(path: Path) -> dict[str, Any]:
    try:
        record: dict[str, Any] = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return record
