"""Starts one container process, keeps its log, and outlives the server (what containerd-shim does for containerd).

Run as ``python -I -S shim.py DIRECTORY GRACE CWD READY_FD COMMAND…``; its environment is the container's. It imports
little, because every container waits for it. In DIRECTORY it leaves:

- ``shim.json``: pid and create_time of the shim, and the container's pid;
- ``log`` (and ``log.1``): the output, each line behind an RFC3339Nano timestamp;
- ``exit.json``: exit_code, signal, finished_at, and error where the command could not be started.

SIGTERM ends the container: it gets SIGTERM itself, then (after GRACE seconds, or as many as the file ``grace`` says)
SIGKILL. SIGUSR1 kills at once. Nothing of the container is left when the shim ends.
"""

# ruff: noqa: PTH105, PTH112, PTH123, PTH208
# (pathlib would delay the start of every container)

from __future__ import annotations

import os
import select
import signal
import sys
import time

LINE_LIMIT = 16 * 1024
LOG_LIMIT = 10 * 1024 * 1024
LOOK_SECONDS = 2.0
READ_SIZE = 64 * 1024
LEFTOVER_SECONDS = 2.0


def write_whole(path: str, text: str) -> None:
    """Writes a file so that a reader sees all of it or none."""
    part = path + ".part"
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    os.write(descriptor, text.encode())
    os.fsync(descriptor)
    os.close(descriptor)
    os.replace(part, path)


def quote(text: str) -> str:
    """A JSON string, without the import that would delay every container."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(char if char >= " " else f"\\u{ord(char):04x}" for char in escaped) + '"'


def stamp(nanoseconds: int) -> str:
    """A moment as RFC3339Nano."""
    whole, rest = divmod(nanoseconds, 10**9)
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(whole)) + f".{rest:09d}Z"


def own_create_time() -> float:
    """When this process was created, in seconds since the epoch, computed from /proc as psutil does."""
    try:
        with open("/proc/self/stat", "rb") as file:
            ticks = float(file.read().rpartition(b")")[2].split()[19])
        with open("/proc/stat", "rb") as file:
            boot = next(float(line.split()[1]) for line in file if line.startswith(b"btime"))
        return boot + ticks / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError, StopIteration):
        return time.time()


def adopt_orphans() -> None:
    """Makes grandchildren whose parent ended children of this process (Linux), so that they can be found and ended."""
    if sys.platform == "linux":
        import ctypes

        pr_set_child_subreaper = 36
        ctypes.CDLL(None).prctl(pr_set_child_subreaper, 1, 0, 0, 0)


def descendants() -> list[int]:
    """The pids of all processes below this one, as far as /proc tells."""
    parents: dict[int, list[int]] = {}
    try:
        names = os.listdir("/proc")
    except OSError:
        return []
    for name in names:
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat", "rb") as file:
                    parent = int(file.read().rpartition(b")")[2].split()[1])
            except (OSError, ValueError, IndexError):
                continue
            parents.setdefault(parent, []).append(int(name))
    found, waiting = [], [os.getpid()]
    while waiting:
        children = parents.get(waiting.pop(), [])
        found += children
        waiting += children
    return found


class Log:
    """The container's log file: timestamped lines, long ones split, the file changed for a new one at its limit."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._rest = b""
        self._open()

    def _open(self) -> None:
        self._file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self._size = os.fstat(self._file).st_size

    def feed(self, data: bytes) -> None:
        """Takes output as it comes and writes the lines that are complete."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        while len(self._rest) >= LINE_LIMIT:
            lines.append(self._rest[:LINE_LIMIT])
            self._rest = self._rest[LINE_LIMIT:]
        self._write(lines)

    def close(self) -> None:
        """Writes what is left without a newline."""
        if self._rest:
            self._write([self._rest])
            self._rest = b""

    def _write(self, lines: list[bytes]) -> None:
        if not lines:
            return
        prefix = stamp(time.time_ns()).encode() + b" "
        pieces = [line[at : at + LINE_LIMIT] for line in lines for at in range(0, len(line) or 1, LINE_LIMIT)]
        block = b"".join(prefix + piece + b"\n" for piece in pieces)
        if self._size and self._size + len(block) > LOG_LIMIT:
            os.close(self._file)
            os.replace(self._path, self._path + ".1")
            self._open()
        view = memoryview(block)
        try:
            while view:
                view = view[os.write(self._file, view) :]
        except OSError:
            return  # a full disk costs lines, not the container
        self._size += len(block)


class Container:
    """The container process and all that comes from it."""

    def __init__(self, directory: str, grace: float) -> None:
        self.directory = directory
        self.grace = grace
        self.pid = 0
        self.output = -1
        self.status: int | None = None
        self.deadline: float | None = None

    def start(self, cwd: str, argv: list[str]) -> str:
        """Starts the command; returns what went wrong, or nothing."""
        output, inside = os.pipe()
        failure, tell = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            _become(cwd, argv, inside, tell)
        os.close(inside)
        os.close(tell)
        error = os.read(failure, 4096).decode(errors="replace")
        os.close(failure)
        self.output = output
        return error

    def terminate(self) -> None:
        """Asks everything in the container to end; asked again, a shorter grace counts."""
        end = time.monotonic() + self._grace_now()
        self.deadline = end if self.deadline is None else min(self.deadline, end)
        self._signal_group(signal.SIGTERM)

    def _grace_now(self) -> float:
        try:
            with open(self.directory + "/grace") as file:
                return float(file.read())
        except (OSError, ValueError):
            return self.grace

    def kill(self) -> None:
        """Kills the process group and every descendant."""
        self._signal_group(signal.SIGKILL)
        for pid in descendants():
            try:
                os.kill(pid, signal.SIGKILL)
            except OSError:
                continue

    def _signal_group(self, number: int) -> None:
        try:
            os.killpg(self.pid, number)
        except OSError:
            return

    def reap(self) -> bool:
        """Collects ended children; tells whether any child is left."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return False
            if pid == 0:
                return True
            if pid == self.pid:
                self.status = status

    def is_over(self) -> bool:
        """Whether the main process has ended, and with it all that may still be waited for."""
        some_left = self.reap()
        if self.status is None:
            return False
        return not some_left or self.deadline is None

    def end_leftovers(self) -> None:
        """Kills what the main process left behind and waits until it is gone."""
        until = time.monotonic() + LEFTOVER_SECONDS
        self.kill()
        while self.reap() and time.monotonic() < until:
            self.kill()
            time.sleep(0.01)


def _become(cwd: str, argv: list[str], output: int, tell: int) -> None:
    """In the child: becomes the command, or tells the parent why not."""
    try:
        os.setpgid(0, 0)
        for number in (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGCHLD):
            signal.signal(number, signal.SIG_DFL)
        os.dup2(output, 1)
        os.dup2(output, 2)
        os.chdir(cwd)
        os.execvp(argv[0], argv)
    except OSError as error:
        os.write(tell, _explain(error, cwd, argv[0]).encode())
    finally:
        os._exit(127)


def _explain(error: OSError, cwd: str, command: str) -> str:
    """What a container runtime says of a command that can't be started."""
    if not os.path.isdir(cwd):
        return f'chdir to cwd ("{cwd}") failed: {(error.strerror or "").lower()}'
    if isinstance(error, FileNotFoundError) and "/" not in command:
        return f'exec: "{command}": executable file not found in $PATH'
    return f'exec: "{command}": {(error.strerror or "").lower()}'


def pump(container: Container, log: Log, wake: int, asked: set[int]) -> None:
    """Copies output to the log and acts on signals until the container is over; it ends with its folder."""
    poll = select.poll()
    poll.register(container.output, select.POLLIN)
    poll.register(wake, select.POLLIN)
    while not container.is_over():
        timeout = LOOK_SECONDS * 1000
        if container.deadline is not None:
            timeout = max(0.0, container.deadline - time.monotonic()) * 1000 + 1
        for descriptor, _ in poll.poll(timeout):
            data = os.read(descriptor, READ_SIZE)
            if descriptor == container.output and not data:
                poll.unregister(descriptor)
            elif descriptor == container.output:
                log.feed(data)
        if signal.SIGUSR1 in asked or (container.deadline is not None and time.monotonic() >= container.deadline):
            container.kill()
        elif signal.SIGTERM in asked:
            asked.discard(signal.SIGTERM)
            container.terminate()
        elif container.deadline is None and not os.path.isdir(container.directory):
            # the cluster was removed together with its project: nobody else could end this any more
            container.terminate()


def drain(output: int, log: Log) -> None:
    """Reads what is still in the pipe."""
    os.set_blocking(output, False)
    try:
        while data := os.read(output, READ_SIZE):
            log.feed(data)
    except BlockingIOError:
        pass
    log.close()


def main(argv: list[str]) -> None:
    """Runs one container to its end."""
    directory, grace, cwd, ready, *command = argv
    ready_fd = int(ready)
    os.set_inheritable(ready_fd, False)
    wake, woken = os.pipe()
    os.set_blocking(woken, False)
    asked: set[int] = set()

    def note(number: int, frame: object) -> None:
        asked.add(int(signal.SIGTERM) if number == signal.SIGINT else number)

    for caught in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGCHLD):
        signal.signal(caught, note)
    signal.set_wakeup_fd(woken, warn_on_full_buffer=False)

    # before there is any: one whose parent ends the next moment would be nobody's, and live on
    adopt_orphans()
    container = Container(directory, float(grace))
    error = container.start(cwd, command)
    shim = f'{{"pid": {os.getpid()}, "create_time": {own_create_time()!r}, "container_pid": {container.pid}}}'
    write_whole(directory + "/shim.json", shim)
    os.write(ready_fd, (error or "started").encode())
    os.close(ready_fd)

    log = Log(directory + "/log")
    try:
        pump(container, log, wake, asked)
    finally:
        container.end_leftovers()
    drain(container.output, log)
    number = os.WTERMSIG(container.status) if container.status and os.WIFSIGNALED(container.status) else 0
    code = 128 + number if number else os.waitstatus_to_exitcode(container.status or 0)
    end = {"exit_code": str(code), "signal": str(number), "finished_at": quote(stamp(time.time_ns())),
           "error": quote(error)}  # fmt: skip
    write_whole(directory + "/exit.json", "{" + ", ".join(f'"{name}": {value}' for name, value in end.items()) + "}")


if __name__ == "__main__":
    main(sys.argv[1:])
