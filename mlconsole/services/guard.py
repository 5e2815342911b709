"""Run one command and see to it that nothing of it is left behind. A program of its own, started by `processes`.

The guard holds one end of a pipe as its standard input. When that closes, because the other side asked for the end or
was itself killed, the guard asks every descendant of the command to end, then kills what stays. On Linux it is the
reaper of its descendants (`prctl(2)`, PR_SET_CHILD_SUBREAPER), so that daemons that left the process group are found.

What the command prints goes through a pipe to the guard's own standard output, which is the log. The guard has nothing
else to do, so the command never waits for whoever reads the log, and no way of opening `/dev/stdout` can cut it off.

    python guard.py GRACE_SECONDS REPORT_FD MEMORY_LIMIT COMMAND [ARGUMENT ...]

MEMORY_LIMIT is in bytes, 0 for none. One JSON line goes to REPORT_FD at the end: `{"exit_code": 0, "cpu_seconds": 1.2,
"peak_memory": 1000, "error": "", "over": 0, "lost": ""}`; `over` is the memory at which the limit ended the command,
`lost` says why the log could not be written.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import resource
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable

PR_SET_CHILD_SUBREAPER = 36
F_SETPIPE_SZ = 1031
PIPE_SIZE = 1 << 20
GATHER_SECONDS = 0.03
"""Output is taken this often at most: a reader that waits for each line makes each line dearer to print."""
COST = 0.002
"""The part of a processor's time that taking output may take: the next time waits for it, up to `LONGEST_SECONDS`."""
LONGEST_SECONDS = 0.06
FLOOD = PIPE_SIZE // 8
"""Output that comes faster than this from one time to the next is taken without a pause."""
FASTEST_GROWTH = 4e9
"""Bytes a second that a process can hardly take faster; how long it is not looked at follows from it."""
PSS_COST = 0.05
"""The part of the guard's time that exact figures of shared memory may take."""


def become_reaper() -> None:
    """Have orphaned descendants handed to this process, where the system can do that."""
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def reap(codes: dict[int, int]) -> bool:
    """Collect every child that has ended, as exit codes by process id; return whether any child is left."""
    try:
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if not pid:
                return True
            codes[pid] = os.waitstatus_to_exitcode(status)
    except ChildProcessError:
        return False


def signal_all(group: int, number: int) -> int:
    """Send a signal once to every descendant, in the command's group or not; return how many got it."""
    import psutil

    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)
    reached = 0
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error, ProcessLookupError):
            if process.status() != psutil.STATUS_ZOMBIE:
                # A second SIGTERM would cut short what a child does at the first.
                if os.getpgid(process.pid) != group:
                    process.send_signal(number)
                reached += 1
    return reached


def end_all(group: int, grace: float, codes: dict[int, int], output: Output) -> None:
    """Ask everything below this process to end; kill what has not within `grace` seconds."""
    if grace:
        deadline = time.monotonic() + grace
        left = signal_all(group, signal.SIGTERM)
        while left and time.monotonic() < deadline:
            time.sleep(0.02)
            output.take()
            reap(codes)
            left = signal_all(group, 0)
    while signal_all(group, signal.SIGKILL):
        time.sleep(0.01)
        output.take()
        reap(codes)
    reap(codes)


class Output:
    """Moves what the command prints to the log."""

    def __init__(self) -> None:
        self.lost = ""
        self.pause, self.moved = GATHER_SECONDS, False
        self.pipe, self.given = os.pipe()
        os.set_blocking(self.pipe, False)
        if sys.platform == "linux":
            import fcntl

            with contextlib.suppress(OSError):
                fcntl.fcntl(self.pipe, F_SETPIPE_SZ, PIPE_SIZE)

    def take(self) -> bool:
        """Move what is there now, a few pipes full of it; return whether more may come. See `pause` for when.

        `moved` says whether there was anything.
        """
        self.pause, self.moved = GATHER_SECONDS, False
        for _ in range(8):
            try:
                data = os.read(self.pipe, PIPE_SIZE)
            except BlockingIOError:
                return True
            if not data:
                return False
            self.moved, is_flood = True, len(data) > FLOOD
            try:
                while data and not self.lost:
                    data = data[os.write(1, data) :]
            except OSError as error:
                self.lost = error.strerror or str(error)
            if not is_flood:
                return True
            self.pause = 0
        return True


class Memory:
    """The memory of all descendants, held against a limit.

    Resident bytes count pages that forked children share once for each, so they only tell that nothing is wrong yet.
    Above the limit, Linux is asked for proportional bytes (`/proc/PID/smaps_rollup`, Pss), which takes longer.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._mine = {os.getpid()}
        self._foreign: set[int] = set()
        self._page = os.sysconf("SC_PAGE_SIZE")
        self._exact = self._resident = 0
        self._exact_at = 0.0
        self.pause = 0.05

    def over(self) -> int:
        """Return the bytes that all take together where that is more than the limit, else 0.

        Ask again after `pause` seconds.
        """
        resident, own = self._quick()
        free = max(self._limit - resident, 0)
        self.pause = min(max(free / FASTEST_GROWTH / 2, 0.01), 0.25)
        if resident <= self._limit:
            return 0
        # one process alone has more than all may have: no sharing explains that
        if own > self._limit or sys.platform != "linux":
            return resident
        began = time.monotonic()
        # what came since the last exact figure may all be its own
        at_most = self._exact + max(resident - self._resident, 0)
        if began < self._exact_at and at_most <= self._limit:
            return 0
        self._exact = sum(map(self._proportional, self._mine - {os.getpid()}))
        self._resident, ended = resident, time.monotonic()
        self._exact_at = ended + (ended - began) / PSS_COST
        return self._exact if self._exact > self._limit else 0

    def _quick(self) -> tuple[int, int]:
        """The resident bytes of all descendants, and the most that one of them shares with no file."""
        if sys.platform != "linux":
            return self._by_psutil()
        self._look_around()
        resident, own = 0, 0
        for pid in self._mine - {os.getpid()}:
            fields = _read(f"/proc/{pid}/statm").split()
            if len(fields) > 2:
                resident += int(fields[1]) * self._page
                own = max(own, (int(fields[1]) - int(fields[2])) * self._page)
        return resident, own

    def _by_psutil(self) -> tuple[int, int]:
        import psutil

        found = []
        for process in psutil.Process().children(recursive=True):
            with contextlib.suppress(psutil.Error):
                found.append(process.memory_info().rss)
        self.pause = max(self.pause, 0.1)
        return sum(found), max(found, default=0)

    def _look_around(self) -> None:
        """Sort the processes that are new into descendants and others: only those have to be read."""
        with os.scandir("/proc") as entries:
            there = {int(entry.name) for entry in entries if entry.name.isdigit()}
        self._mine &= there
        self._foreign &= there
        parents = {pid: _parent(pid) for pid in there - self._mine - self._foreign}
        while found := {pid for pid, parent in parents.items() if parent in self._mine}:
            self._mine |= found
            for pid in found:
                del parents[pid]
        self._foreign |= parents.keys()

    def _proportional(self, pid: int) -> int:
        for line in _read(f"/proc/{pid}/smaps_rollup").splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
        fields = _read(f"/proc/{pid}/statm").split()
        return int(fields[1]) * self._page if len(fields) > 1 else 0


def _read(path: str) -> str:
    """A small file of /proc; empty where it is gone."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError:
        return ""
    try:
        return os.read(descriptor, 1 << 16).decode("utf-8", "replace")
    except OSError:
        return ""
    finally:
        os.close(descriptor)


def _parent(pid: int) -> int:
    """The parent's id; the name before it in the file may hold anything, brackets too."""
    fields = _read(f"/proc/{pid}/stat").rpartition(")")[2].split()
    return int(fields[1]) if len(fields) > 1 else 0


def watch(pid: int, wakeup: int, stop: list[bool], codes: dict[int, int], output: Output, memory: Memory | None) -> int:
    """Wait until the command has ended, or until the end is asked for; return the memory that was too much, else 0."""
    open_output, gathering, look_at = True, False, 0.0
    while pid not in codes and not stop and not output.lost:
        waiting = [0, wakeup, output.pipe] if open_output and not gathering else [0, wakeup]
        pauses = [output.pause] if gathering else []
        readable = select.select(waiting, [], [], min([*pauses, *([memory.pause] if memory else [])], default=None))[0]
        if wakeup in readable:
            os.read(wakeup, 512)
            reap(codes)
        if 0 in readable and not os.read(0, 512):
            return 0
        if gathering or output.pipe in readable:
            began = time.thread_time()
            open_output = output.take()
            if output.pause:
                output.pause = min(max(output.pause, (time.thread_time() - began) / COST), LONGEST_SECONDS)
            gathering = open_output and output.moved
        if memory is not None and time.monotonic() >= look_at:
            if over := memory.over():
                return over
            look_at = time.monotonic() + memory.pause
    return 0


def prefer_as_victim() -> None:
    """Have the system end this process, and no other, where it runs out of memory before we notice."""
    with contextlib.suppress(OSError):
        descriptor = os.open("/proc/self/oom_score_adj", os.O_WRONLY)
        os.write(descriptor, b"800")
        os.close(descriptor)


def start(command: list[str], output: Output, before: Callable[[], None] | None) -> subprocess.Popen[bytes]:
    """Start the command in a process group of its own.

    Raises:
        OSError: it can't be started.
    """
    try:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output.given,
            stderr=output.given,
            process_group=0,
            preexec_fn=before,
        )
    except subprocess.SubprocessError as error:
        raise OSError(errno.EPERM, str(error)) from error
    finally:
        os.close(output.given)


def main(grace: float, report: int, limit: int, command: list[str]) -> int:
    """Run `command` to its end; see the module."""
    os.set_inheritable(report, False)
    become_reaper()
    wakeup, wakeup_write = os.pipe()
    os.set_blocking(wakeup_write, False)
    signal.set_wakeup_fd(wakeup_write, warn_on_full_buffer=False)
    stop: list[bool] = []
    signal.signal(signal.SIGCHLD, lambda *_: None)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: stop.append(True))
    output, over = Output(), 0

    def tell(exit_code: int, error: str = "") -> None:
        use = resource.getrusage(resource.RUSAGE_CHILDREN)
        scale = 1 if sys.platform == "darwin" else 1024
        answer = {
            "exit_code": exit_code,
            "cpu_seconds": use.ru_utime + use.ru_stime,
            "peak_memory": use.ru_maxrss * scale,
            "error": error,
            "over": over,
            "lost": output.lost,
        }
        with contextlib.suppress(OSError):
            os.write(report, json.dumps(answer).encode() + b"\n")

    try:
        child = start(command, output, prefer_as_victim if limit else None)
    except OSError as error:
        tell(127, error.strerror or str(error))
        return 127
    codes: dict[int, int] = {}
    over = watch(child.pid, wakeup, stop, codes, output, Memory(limit) if limit else None)
    if child.pid not in codes or reap(codes):
        # what is out of bounds gets no time to grow on
        end_all(child.pid, 0 if over else grace, codes, output)
    output.take()
    code = codes.get(child.pid, -signal.SIGKILL)
    child.returncode = code
    tell(code)
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4:]))
