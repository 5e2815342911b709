"""Run one command and see to it that nothing of it is left behind. A program of its own, started by `guarding`.

The guard has a socket as its standard input. The first that comes there is its order: eight bytes with the length, the
lowest first, and by `marshal` a tuple of

    the seconds that the command gets to end in, the most memory in bytes (0: any), the log, the folder to run in,
    the command, its environment

whose paths, words, names and values are bytes. When the socket closes, because the other side asked for the end or was
itself killed, the guard asks every descendant of the command to end, then kills what stays. On Linux it is the reaper
of its descendants (`prctl(2)`, PR_SET_CHILD_SUBREAPER), so that daemons that left the process group are found.

What the command prints goes through a pipe to the guard, and from there to the log. The guard has nothing else to do,
so the command never waits for whoever reads the log, and no way of opening `/dev/stdout` can cut it off.

One JSON line goes to the socket at the end: `{"exit_code": 0, "cpu_seconds": 1.2, "peak_memory": 1000, "error": "",
"nowhere": "", "over": 0, "lost": "", "left": 0}`; `error` says why the command could not be started and `nowhere` why
the folder could not be entered, `over` is the memory at which the limit ended the command, `lost` says why the log
could not be written, `left` is how many processes ran on when the command had ended by itself.

The command may wait for this program to be there. So before it is started, nothing is imported but what Python has
built in or frozen: other imports stand where they are used. `_signal` is `signal` without the names that need `enum`.
"""

from __future__ import annotations

import _signal as signal  # type: ignore[import-not-found]
import marshal
import os
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

PR_SET_CHILD_SUBREAPER = 36
F_SETPIPE_SZ = 1031
PIPE_SIZE = 1 << 20
GATHER_SECONDS = 0.03
"""Output is taken this often at most: a reader that waits for each line makes each line dearer to print."""
COST = 0.002
"""The part of a processor's time that taking output may take: the next time waits for it, up to `LONGEST_SECONDS`."""
LONGEST_SECONDS = 0.045
FLOOD = PIPE_SIZE // 8
"""Output that comes faster than this from one time to the next is taken without a pause."""
FASTEST_GROWTH = 4e9
"""Bytes a second that a process can hardly take faster; how long it is not looked at follows from it."""
MOST_MISSED = 20
PSS_COST = 0.05
"""The part of the guard's time that exact figures of shared memory may take."""


def become_reaper() -> None:
    """Have orphaned descendants handed to this process, where the system can do that."""
    if sys.platform != "linux":
        return
    try:
        # what ctypes is made of: the module around it takes longer to import than this program to start
        import _ctypes

        prctl = _ctypes.dlsym(_ctypes.dlopen(None, os.RTLD_NOW), "prctl")  # type: ignore[arg-type]
        _ctypes.call_function(prctl, (PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0))
    except AttributeError:
        import ctypes

        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


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


def running() -> list[int]:
    """The processes below this one that have not ended."""
    if sys.platform != "linux":
        return _running_by_psutil()
    parents, ended = dict[int, int](), set[int]()
    for pid in _all_processes():
        state, parents[pid], threads = _state_parent_and_threads(pid)
        # one whose first thread has ended is like a zombie, and still has its children, as long as it has others
        if state == "X" or (state == "Z" and threads <= 1):
            ended.add(pid)
    return list(_below({os.getpid()}, parents) - ended)


def signal_all(group: int, number: int) -> int:
    """Send a signal once to every descendant, in the command's group or not; return how many got it."""
    _reaches(os.killpg, group, number)
    reached = 0
    for pid in running():
        # A second SIGTERM would cut short what a child does at the first.
        reached += _reaches(os.kill, pid, 0 if _group(pid) == group else number)
    return reached


def end_all(group: int, grace: float, codes: dict[int, int], output: Output) -> int:
    """Ask everything below this process to end, and return how many; kill what has not within `grace` seconds."""
    asked = len(running())
    if grace:
        deadline = time.monotonic() + grace
        left = signal_all(group, signal.SIGTERM)
        while left and time.monotonic() < deadline:
            time.sleep(0.02)
            output.take()
            reap(codes)
            left = signal_all(group, 0)
    # Where this process is the reaper, it has no child left only when nothing at all is left: to look at one process
    # after the other may miss one whose parent ends meanwhile. What is not found again and again is not ours to kill.
    missed = 0
    while missed < MOST_MISSED:
        missed = 0 if signal_all(group, signal.SIGKILL) else missed + 1
        if not reap(codes) and missed:
            break
        time.sleep(0.01)
        output.take()
    return asked


class Output:
    """Moves what the command prints to the log."""

    def __init__(self) -> None:
        self.lost = ""
        self.pause, self.moved = GATHER_SECONDS, False
        self.pipe, self.given = os.pipe()
        os.set_blocking(self.pipe, False)

    def widen(self) -> None:
        """Have the pipe take more at once, where the system can do that."""
        if sys.platform == "linux":
            import fcntl

            try:
                fcntl.fcntl(self.pipe, F_SETPIPE_SZ, PIPE_SIZE)
            except OSError:
                return

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
            self.pause = max(self.pause, 0.1)
            return _resident_by_psutil(), 0
        self._look_around()
        resident, own = 0, 0
        for pid in self._mine - {os.getpid()}:
            fields = _read(f"/proc/{pid}/statm").split()
            if len(fields) > 2:
                resident += int(fields[1]) * self._page
                own = max(own, (int(fields[1]) - int(fields[2])) * self._page)
        return resident, own

    def _look_around(self) -> None:
        """Sort the processes that are new into descendants and others: only those have to be read."""
        there = _all_processes()
        self._mine &= there
        self._foreign &= there
        told = {pid: _state_parent_and_threads(pid) for pid in there - self._mine - self._foreign}
        parents = {pid: parent for pid, (state, parent, _) in told.items() if state != "X"}
        found = _below(self._mine, parents)
        self._mine |= found
        others = parents.keys() - found
        # one whose parent has just ended may be ours: it has another parent the next time
        known = others | self._foreign | {0}
        self._foreign |= {pid for pid in others if parents[pid] in known}

    def _proportional(self, pid: int) -> int:
        for line in _read(f"/proc/{pid}/smaps_rollup").splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
        fields = _read(f"/proc/{pid}/statm").split()
        return int(fields[1]) * self._page if len(fields) > 1 else 0


def _all_processes() -> set[int]:
    return {int(name) for name in os.listdir("/proc") if name.isdigit()}  # noqa: PTH208 - pathlib is not at hand


def _below(above: set[int], parents: dict[int, int]) -> set[int]:
    """Those of `parents`, which has each process's parent, that descend from one of `above`."""
    left, all_found = dict(parents), set[int]()
    for pid in above:
        left.pop(pid, None)
    while found := {pid for pid, parent in left.items() if parent in above or parent in all_found}:
        all_found |= found
        for pid in found:
            del left[pid]
    return all_found


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


def _state_parent_and_threads(pid: int) -> tuple[str, int, int]:
    """A process's state (`proc(5)`), its parent and how many threads it has. Of one that is gone: `X` (dead) and zeros.

    The name before them in the file may hold anything, brackets too.
    """
    fields = _read(f"/proc/{pid}/stat").rpartition(")")[2].split()
    return (fields[0], int(fields[1]), int(fields[17])) if len(fields) > 17 else ("X", 0, 0)


def _group(pid: int) -> int:
    try:
        return os.getpgid(pid)
    except ProcessLookupError:
        return 0


def _reaches(send: Callable[[int, int], None], target: int, number: int) -> bool:
    try:
        send(target, number)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def _running_by_psutil() -> list[int]:
    psutil = _psutil()
    found = []
    for process in psutil.Process().children(recursive=True):
        try:
            if process.status() != psutil.STATUS_ZOMBIE:
                found.append(process.pid)
        except psutil.Error:
            continue
    return found


def _resident_by_psutil() -> int:
    psutil = _psutil()
    resident = 0
    for process in psutil.Process().children(recursive=True):
        try:
            resident += process.memory_info().rss
        except psutil.Error:
            continue
    return resident


def _psutil() -> ModuleType:
    """psutil, for systems without /proc; `-S` left out the folders that it is found in."""
    if "site" not in sys.modules:
        import site

        site.main()
    import psutil

    return psutil


def watch(pid: int, wakeup: int, stop: list[bool], codes: dict[int, int], output: Output, memory: Memory | None) -> int:
    """Wait until the command has ended, or until the end is asked for; return the memory that was too much, else 0."""
    # now, while the command starts, and not when it has ended and someone waits for the answer
    import resource  # noqa: F401
    import select

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


def prefer_as_victim(pid: int) -> None:
    """Have the system end this process, and no other, where it runs out of memory before we notice."""
    try:
        descriptor = os.open(f"/proc/{pid}/oom_score_adj", os.O_WRONLY)
        os.write(descriptor, b"800")
        os.close(descriptor)
    except OSError:
        return


def start(command: list[bytes], environment: dict[bytes, bytes], output: Output) -> int:
    """Start the command in a process group of its own, and return its id.

    Raises:
        OSError: it can't be started.
        ValueError: a word, a name or a value of it can't be handed to any process.
    """
    files = [
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_DUP2, output.given, 1),
        (os.POSIX_SPAWN_DUP2, output.given, 2),
    ]
    # what Python ignores would be ignored by the command, too
    heeded = [signal.SIGPIPE, signal.SIGXFSZ]
    # it is looked for where this process would look for it
    os.environb.pop(b"PATH", None)
    if b"PATH" in environment:
        os.environb[b"PATH"] = environment[b"PATH"]
    try:
        return os.posix_spawnp(command[0], command, environment, file_actions=files, setpgroup=0, setsigdef=heeded)
    finally:
        os.close(output.given)


def reason(error: OSError | ValueError) -> str:
    """The words of an error without its number and file."""
    return getattr(error, "strerror", "") or str(error)


def tell(exit_code: int, *, error: str = "", nowhere: str = "", over: int = 0, lost: str = "", left: int = 0) -> None:
    """Say how it ended; see the module."""
    import resource

    use = resource.getrusage(resource.RUSAGE_CHILDREN)
    peak = use.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    answer = (
        f'{{"exit_code": {exit_code}, "cpu_seconds": {use.ru_utime + use.ru_stime}, "peak_memory": {peak},'
        f' "error": {_quoted(error)}, "nowhere": {_quoted(nowhere)}, "over": {over}, "lost": {_quoted(lost)},'
        f' "left": {left}}}\n'
    )
    try:
        os.write(0, answer.encode())
    except OSError:
        return


def _quoted(text: str) -> str:
    if not text:
        return '""'
    import json

    return json.dumps(text)


def order() -> tuple[float, int, bytes, bytes, list[bytes], dict[bytes, bytes]] | None:
    """Wait for what is to be done; nothing where the other side is gone before it said that."""
    data = b""
    while len(data) < 8 or len(data) < 8 + int.from_bytes(data[:8], "little"):
        more = os.read(0, 1 << 16)
        if not more:
            return None
        data += more
    told: tuple[float, int, bytes, bytes, list[bytes], dict[bytes, bytes]] = marshal.loads(data[8:])
    return told


def main() -> int:
    """Run a command to its end; see the module."""
    become_reaper()
    told = order()
    if told is None:
        return 0
    grace, limit, log, folder, command, environment = told
    wakeup, wakeup_write = os.pipe()
    os.set_blocking(wakeup_write, False)
    signal.set_wakeup_fd(wakeup_write, warn_on_full_buffer=False)
    stop: list[bool] = []
    signal.signal(signal.SIGCHLD, lambda *_: None)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: stop.append(True))
    try:
        opened = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
    except OSError as error:
        tell(127, lost=reason(error))
        return 127
    os.dup2(opened, 1)
    os.dup2(opened, 2)
    try:
        os.chdir(folder)
    except (OSError, ValueError) as error:
        tell(127, nowhere=reason(error))
        return 127
    output = Output()
    try:
        child = start(command, environment, output)
    except (OSError, ValueError) as error:
        tell(127, error=reason(error))
        return 127
    output.widen()
    if limit:
        prefer_as_victim(child)
    codes: dict[int, int] = {}
    over = watch(child, wakeup, stop, codes, output, Memory(limit) if limit else None)
    left, by_itself = 0, child in codes
    if not by_itself or reap(codes):
        # what is out of bounds gets no time to grow on
        left = end_all(child, 0 if over else grace, codes, output)
    output.take()
    code: int = codes.get(child, -signal.SIGKILL)
    tell(code, over=over, lost=output.lost, left=left if by_itself else 0)
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    # whoever waits for this process need not wait for a tidy end of its interpreter
    os._exit(main())
