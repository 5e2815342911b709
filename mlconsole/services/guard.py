"""Run one command and see to it that nothing of it is left behind. A program of its own, started by `processes`.

The guard holds one end of a pipe as its standard input. When that closes, because the other side asked for the end or
was itself killed, the guard asks every descendant of the command to end, then kills what stays. On Linux it is the
reaper of its descendants (`prctl(2)`, PR_SET_CHILD_SUBREAPER), so that daemons that left the process group are found.

    python guard.py GRACE_SECONDS REPORT_FD COMMAND [ARGUMENT ...]

One JSON line goes to REPORT_FD at the end: `{"exit_code": 0, "cpu_seconds": 1.2, "peak_memory": 1000, "error": ""}`.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import select
import signal
import subprocess
import sys
import time

PR_SET_CHILD_SUBREAPER = 36


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


def end_all(group: int, grace: float, codes: dict[int, int]) -> None:
    """Ask everything below this process to end; kill what has not within `grace` seconds."""
    deadline = time.monotonic() + grace
    left = signal_all(group, signal.SIGTERM)
    while left and time.monotonic() < deadline:
        time.sleep(0.02)
        reap(codes)
        left = signal_all(group, 0)
    while signal_all(group, signal.SIGKILL):
        time.sleep(0.01)
        reap(codes)
    reap(codes)


def watch(pid: int, wakeup: int, stop: list[bool], codes: dict[int, int]) -> None:
    """Wait until the command has ended, or until the end is asked for."""
    while pid not in codes and not stop:
        readable = select.select([0, wakeup], [], [])[0]
        if wakeup in readable:
            os.read(wakeup, 512)
        if 0 in readable and not os.read(0, 512):
            return
        reap(codes)


def main(grace: float, report: int, command: list[str]) -> int:
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

    def tell(exit_code: int, error: str = "") -> None:
        use = resource.getrusage(resource.RUSAGE_CHILDREN)
        scale = 1 if sys.platform == "darwin" else 1024
        answer = {
            "exit_code": exit_code,
            "cpu_seconds": use.ru_utime + use.ru_stime,
            "peak_memory": use.ru_maxrss * scale,
            "error": error,
        }
        with contextlib.suppress(OSError):
            os.write(report, json.dumps(answer).encode() + b"\n")

    try:
        child = subprocess.Popen(command, stdin=subprocess.DEVNULL, process_group=0)
    except OSError as error:
        tell(127, error.strerror or str(error))
        return 127
    codes: dict[int, int] = {}
    watch(child.pid, wakeup, stop, codes)
    if child.pid not in codes or reap(codes):
        end_all(child.pid, grace, codes)
    code = codes.get(child.pid, -signal.SIGKILL)
    child.returncode = code
    tell(code)
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]))
