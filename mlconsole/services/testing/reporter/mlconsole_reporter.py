"""A pytest plugin that writes what happens as JSON lines, in the manner of pytest-reportlog.

It runs in the project's Python, so it needs nothing but pytest (7 or later) and stands in a folder of its own: whatever
lies beside it could be imported by the project under a name of the project's. MLCONSOLE_REPORT names a folder:

    report.jsonl    gets the lines, from pytest itself and not from workers of xdist (see `Lines`)
    running         what each process runs at this moment: shared memory, which outlives a crash (see `Running`)
    words           a socket: each process hands over what its tests' output is captured in (see `give_words`)
    stack-PID       gets the stack of a process that is sent STACK_SIGNAL
    only            node ids, a line each, where not all tests are to be run

A test that passed in all phases and said nothing takes one short line, written when it has ended, by nothing but a few
stores into memory. There is no assert here to be rewritten: PYTEST_DONT_REWRITE spares the time for that where no
bytecode can be kept.
"""

from __future__ import annotations

import contextlib
import faulthandler
import json
import math
import mmap
import os
import signal
import stat
import sys
from collections.abc import Callable, Iterator
from json.encoder import encode_basestring_ascii as quoted
from pathlib import Path
from typing import Any

import pytest

LONGEST_TEXT = 64 * 1024
SLOT = 2048
PIECE = 64 * 1024
"""By so many bytes the file of lines grows: a multiple of every system's pages."""
LONGEST_SECONDS = 1e9
PHASES = ("setup", "call", "teardown")
STACK_SIGNAL = getattr(signal, "SIGUSR2", None)


def pytest_configure(config: pytest.Config) -> None:
    # Taken out of the environment: a pytest that a test starts must not write to the same files.
    folder = os.environ.pop("MLCONSOLE_REPORT", "")
    worker = getattr(config, "workerinput", None)
    if worker is not None:
        folder = worker.get("mlconsole_report", "")
    if not folder:
        return
    place = Path(folder)
    name = worker["workerid"] if worker is not None else ""
    running = Running(place / "running", name)
    if (place / "only").exists():
        config.pluginmanager.register(Only(place / "only"), "mlconsole_only")
    config.pluginmanager.register(FirstTest(place, name, config), "mlconsole_first_test")
    if worker is not None:
        config.pluginmanager.register(running, "mlconsole_running")
    else:
        config.pluginmanager.register(Reporter(place, running), "mlconsole_lines")


@pytest.fixture(scope="session")
def model_path() -> Path:
    """The model under test: what MODEL_PATH names. A fixture of this name in the project goes before this one."""
    path = os.environ.get("MODEL_PATH")
    if not path:
        pytest.fail("MODEL_PATH is not set: it names the model under test.")
    return Path(path)


@pytest.fixture
def record_metric(request: pytest.FixtureRequest) -> Callable[[str, float], None]:
    """Record a number that this test measured, as `record_metric("mean_absolute_error", 24.5)`."""

    def record(name: str, value: float) -> None:
        request.node.user_properties.append((str(name), float(value)))

    return record


# Empty in a process that was forked from this one: a test that forks runs on in the child, and nobody looks at what it
# says there. To ask for the process's id at each event would be a call of the system; to have the system call a
# function of this module would keep all of pytest's modules to the very end of Python, which takes it 7 ms.
MINE = [True]
os.register_at_fork(after_in_child=MINE.clear)


class Running:
    """A slot of shared memory with the test that this process runs: phase (0: none, else its place in PHASES and 1),
    length of the node id in two bytes, node id. Slot 0 is pytest's own, the others are those of xdist's workers.
    """

    def __init__(self, path: Path, worker: str) -> None:
        self._start = (int("".join(filter(str.isdigit, worker)) or -1) + 1) * SLOT
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        end = self._start + SLOT
        # a byte of its own makes the file long enough, whichever other process does so at the same time
        os.pwrite(descriptor, b"\0", end - 1)
        self._memory = mmap.mmap(descriptor, end)
        os.close(descriptor)

    def begin(self, nodeid: str) -> None:
        if not MINE:
            return
        # the last byte stays free: it is what the file was made with
        name = nodeid.encode("utf-8", "replace")[: SLOT - 4]
        memory, start = self._memory, self._start
        memory[start] = 0
        memory[start + 1 : start + 3 + len(name)] = len(name).to_bytes(2, "big") + name
        memory[start] = 1

    def ended(self, report: pytest.TestReport) -> None:
        """A phase has ended, and the next begins."""
        if not MINE:
            return
        well = report.outcome == "passed"
        self._memory[self._start] = 0 if report.when == "teardown" else 2 if report.when == "setup" and well else 3

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        self.begin(nodeid)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.ended(report)


class Lines:
    """A file of lines, written as memory that is shared with whoever reads it.

    No line costs a call of the system, none waits for the next, and all that were written outlive a crash. The file is
    longer than its lines: zeros follow. A byte that is not zero is not changed any more.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._at, self._end = PIECE, 0
        self._memory: Any = None

    def write(self, line: str) -> None:
        """Write a line of ASCII, without its end."""
        if not MINE:
            return
        data = (line + "\n").encode()
        while (end := self._at + len(data)) > PIECE:
            room = PIECE - self._at
            if room:
                self._memory[self._at :] = data[:room]
            data = data[room:]
            self._grow()
        self._memory[self._at : end] = data
        self._at = end

    def _grow(self) -> None:
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            # written, and not just made longer: a full disk has to be an error here, and no crash at a store
            zeros = bytes(PIECE)
            while zeros:
                zeros = zeros[os.pwrite(descriptor, zeros, self._end + PIECE - len(zeros)) :]
            self._memory = mmap.mmap(descriptor, PIECE, offset=self._end)
        finally:
            os.close(descriptor)
        self._end, self._at = self._end + PIECE, 0


class Reporter:
    """Writes one line per event, and what runs where this process runs the tests itself."""

    def __init__(self, folder: Path, running: Running) -> None:
        self._folder = folder
        self._running = running
        self._alone = True
        self._lines = Lines(folder / "report.jsonl")
        self._collected: set[str] = set()
        self._ended: list[pytest.TestReport] = []
        self._silent: dict[str, str] = {}
        self._encode = json.JSONEncoder(default=plain).encode

    def _write(self, kind: str, **content: object) -> None:
        self._lines.write(self._encode({"$report_type": kind, **content}))

    def pytest_sessionstart(self, session: pytest.Session) -> None:
        self._alone = not session.config.pluginmanager.hasplugin("dsession")
        self._write("SessionStart", pytest_version=pytest.__version__)

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        if self._alone:
            self._collection([item.nodeid for item in session.items])

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, ids: list[str]) -> None:
        self._collection(ids)

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        node.workerinput["mlconsole_report"] = str(self._folder)

    def _collection(self, nodeids: list[str]) -> None:
        # Every worker of xdist collects the same tests.
        if not self._collected.issuperset(nodeids) or not nodeids:
            self._collected.update(nodeids)
            self._write("Collection", nodeids=nodeids)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if not report.passed:
            self._write("CollectReport", nodeid=report.nodeid, outcome=report.outcome, **described(report))

    def pytest_warning_recorded(self, warning_message: Any, nodeid: str) -> None:
        self._write(
            "Warning",
            nodeid=nodeid,
            category=getattr(warning_message.category, "__name__", str(warning_message.category)),
            message=str(warning_message.message)[:LONGEST_TEXT],
            where=f"{warning_message.filename}:{warning_message.lineno}",
        )

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        if self._alone:
            self._running.begin(nodeid)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        ended = self._ended
        ended.append(report)
        if self._alone:
            self._running.ended(report)
            # Told together with its end: code that was just run is run again in half the time. What says more than
            # that all is well so far is not kept, and where others run the tests, their end is all that is heard.
            if (
                report.when != "teardown"
                and report.outcome == "passed"
                and not (report.user_properties or report.sections)
            ):
                return
        self._ended = []
        if len(ended) == len(PHASES) and is_plain_test(*ended):
            # most tests of most runs come here, so all is done by hand
            setup, call, teardown = ended
            self._passed(
                setup.nodeid,
                f'["setup", {int(setup.duration * 1e6)}e-6], ["call", {int(call.duration * 1e6)}e-6],'
                f' ["teardown", {int(teardown.duration * 1e6)}e-6]',
            )
            return
        for each in ended:
            self._tell(each)

    def _tell(self, report: pytest.TestReport) -> None:
        nodeid, when = report.nodeid, report.when
        duration = getattr(report, "duration", 0.0)
        says_more = report.sections or report.user_properties or "wasxfail" in report.__dict__
        is_plain = report.outcome == "passed" and when in PHASES and not says_more
        if is_plain and type(duration) is float and 0 <= duration < LONGEST_SECONDS:
            # most reports of most runs come here, so all is done by hand
            before = self._silent.pop(nodeid, "")
            phases = f'{before}["{when}", {int(duration * 1e6)}e-6]'
            if when == "teardown":
                self._passed(nodeid, phases)
            else:
                self._silent[nodeid] = phases + ", "
            return
        if before := self._silent.pop(nodeid, ""):
            self._passed(nodeid, before.removesuffix(", "))
        self._write(
            "TestReport",
            nodeid=nodeid,
            when=when,
            outcome=report.outcome,
            duration=duration,
            xfail=hasattr(report, "wasxfail"),
            user_properties=[[str(name), finite(value)] for name, value in report.user_properties],
            **described(report),
        )

    def _passed(self, nodeid: str, phases: str) -> None:
        self._lines.write(f'{{"$report_type": "TestPassed", "nodeid": {quoted(nodeid)}, "phases": [{phases}]}}')

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, exitstatus: int) -> None:
        self._write("SessionFinish", exitstatus=int(exitstatus))


def is_plain_test(setup: pytest.TestReport, call: pytest.TestReport, teardown: pytest.TestReport) -> bool:
    """Whether these are one test, of whose phases there is nothing to say but how long they took."""
    return (
        setup.nodeid == call.nodeid == teardown.nodeid
        and (setup.when, call.when, teardown.when) == PHASES
        and is_plain(setup)
        and is_plain(call)
        and is_plain(teardown)
    )


def is_plain(report: pytest.TestReport) -> bool:
    said = report.__dict__
    try:
        return (
            said["outcome"] == "passed"
            and not said["sections"]
            and not said["user_properties"]
            and "wasxfail" not in said
            and type(said["duration"]) is float
            and 0 <= said["duration"] < LONGEST_SECONDS
        )
    except KeyError:
        # a report of a plugin's own
        return False


class Only:
    """Runs no other tests than those that the file names, by node ids or by those of files and classes above them."""

    def __init__(self, path: Path) -> None:
        self._wanted = set(path.read_text(encoding="utf-8").splitlines())

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        kept: list[pytest.Item] = []
        left_out: list[pytest.Item] = []
        for item in items:
            (left_out if self._wanted.isdisjoint(above(item.nodeid)) else kept).append(item)
        config.hook.pytest_deselected(items=left_out)
        items[:] = kept


def above(nodeid: str) -> Iterator[str]:
    """A node id, and those of all that it is in."""
    yield nodeid
    name = nodeid.partition("[")[0]
    while name:
        yield name
        name = name.rpartition("::")[0]


class FirstTest:
    """Does, once, what can be done only where the output of tests is captured: inside the setup of the first one."""

    def __init__(self, folder: Path, worker: str, config: pytest.Config) -> None:
        self._folder, self._worker, self._config = folder, worker, config

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self) -> None:
        self._config.pluginmanager.unregister(self)
        about: dict[str, object] = {"pid": os.getpid(), "worker": self._worker}
        about["stack"] = have_stack_written(self._folder / f"stack-{os.getpid()}")
        with contextlib.suppress(OSError, AttributeError):
            give_words(self._folder / "words", about)


def have_stack_written(path: Path) -> bool:
    """Have the stacks of all threads written to a file when STACK_SIGNAL comes, whatever Python is busy with."""
    if STACK_SIGNAL is None or not hasattr(faulthandler, "register"):
        return False
    try:
        # never closed: it is written to when the process hangs
        faulthandler.register(STACK_SIGNAL, file=path.open("w"), all_threads=True, chain=False)
    except (OSError, RuntimeError):
        return False
    return True


def give_words(path: Path, about: dict[str, object]) -> None:
    """Hand over the files that standard output and error are captured in, as `sendmsg(2)` does it with SCM_RIGHTS.

    What stands in them is lost when the process dies, unless another one has them open.
    """
    # the module around this one takes as long to import as hundreds of tests take to be reported
    import _socket

    files = [number for number in (1, 2) if stat.S_ISREG(os.fstat(number).st_mode)]
    connection = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
    try:
        connection.settimeout(2)
        connection.connect(str(path))
        numbers = b"".join(number.to_bytes(4, sys.byteorder) for number in files)
        rights = [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, numbers)] if files else []
        connection.sendmsg([json.dumps(about).encode()], rights)
    finally:
        connection.close()


def described(report: Any) -> dict[str, object]:
    """What a report says of itself: one line, the whole text, and what was captured."""
    longrepr = report.longrepr
    message = str(getattr(report, "wasxfail", ""))
    if isinstance(longrepr, tuple):
        reason = str(longrepr[-1])
        message = reason[len("Skipped: ") :] if reason.startswith("Skipped: ") else reason
    elif not message:
        crash = getattr(longrepr, "reprcrash", None)
        message = str(getattr(crash, "message", "")) or last_line(longrepr)
    return {
        "message": message[:LONGEST_TEXT],
        "longrepr": "" if isinstance(longrepr, tuple) or longrepr is None else str(longrepr)[-LONGEST_TEXT:],
        "sections": [[str(title), str(text)[-LONGEST_TEXT:]] for title, text in report.sections],
    }


def last_line(longrepr: object) -> str:
    """The line of a failure's text that says most: pytest marks what was raised with ``E``."""
    lines = [line for line in str(longrepr or "").splitlines() if line.strip()]
    marked = [line[1:].strip() for line in lines if line.startswith("E ")]
    return (marked or lines or [""])[-1]


def finite(value: Any) -> Any:
    """The value itself, as text where JSON has no form for it (not a number, infinity)."""
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def plain(value: Any) -> Any:
    """A value that JSON does not know: a number of NumPy as a number, everything else as text."""
    item = getattr(value, "item", None)
    if callable(item) and getattr(value, "shape", None) == ():
        return finite(item())
    return str(value)
