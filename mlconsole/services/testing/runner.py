"""Runs the project's tests with pytest, and says how that ended where it did not end in order."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path

import msgspec

from mlconsole.errors import WrongUse
from mlconsole.evidence.testing import TestOutcome, TestRun, TestWarning
from mlconsole.evidence.training import UseSample
from mlconsole.services.processes import ChildResult, run_child
from mlconsole.services.testing.outcomes import Left, LineFile, Tally, told_again
from mlconsole.services.testing.running import RunningTest, Watch, fatal_words
from mlconsole.text import count, duration, listed

REPORTER_FOLDER = Path(__file__).with_name("reporter")
REPORTER = "mlconsole_reporter"
POLL_SECONDS = 0.02
MOST_AT_ONCE = 500
"""So many outcomes wait at most for those that came with them."""
MOST_AGAIN = 100
"""Where more tests than this failed, that is no flakiness: they are not run again."""
# How pytest marks what is wrong, the most telling first: arguments, its own errors, what was raised, why it stopped.
_TELLING = tuple(
    re.compile(pattern)
    for pattern in (r".*: error: (.+)", r"ERROR: (?!usage)(.+)", r"E   (.+)", r"INTERNALERROR> (\S.*)", r"!+ (.+?) !+$")
)


class PytestMissing(WrongUse):
    """The project's Python has no pytest."""


def run_tests(
    *,
    python: Path,
    root: Path,
    paths: Sequence[str],
    model_path: Path | None,
    environment: Mapping[str, str],
    log_path: Path,
    report: Callable[[Sequence[TestOutcome]], None],
    collected: Callable[[tuple[str, ...]], None],
    cancelled: threading.Event,
    timeout: float | None = None,
    on_sample: Callable[[UseSample], None] | None = None,
    on_running: Callable[[tuple[RunningTest, ...]], None] = lambda running: None,
    args: Sequence[str] = (),
    workers: int = 0,
    rerun: int = 0,
    only: Sequence[str] = (),
) -> TestRun:
    """Run `python -m pytest -q paths` and hand over each outcome as it happens.

    Args:
        python: the project's interpreter.
        root: the project's folder, where pytest runs.
        paths: files, folders or node ids, relative to `root`; pytest's own settings decide where there are none.
        model_path: the model under test, which reaches the tests as MODEL_PATH.
        environment: the whole environment; what pytest needs for reporting is added.
        log_path: gets what pytest prints, as it is; show it only cleaned.
        report: called in this thread with the outcomes of tests that have just ended, at most some fifty times a
            second; again with one that was run again.
        collected: called with the node ids of the tests once they are known, in this thread.
        cancelled: once set, pytest and all that it started is ended; what is known so far is returned.
        timeout: seconds after which it is ended in the same way.
        on_sample: called about once a second, in a thread of its own, with what pytest and its children use.
        on_running: called in this thread with what is run at that moment, where that has changed and lasts.
        args: more options of pytest.
        workers: processes of pytest-xdist that the tests run in; 0: in pytest itself.
        rerun: how often tests that failed, or were kept from running by a crash, are run again; each time in a new
            process, so that nothing of the first is left.
        only: node ids of tests, classes or files: of all tests in `paths`, only these are run.

    Returns:
        What happened. `ended` is empty where pytest came to its own end, whatever the tests said; a test that was
        running when it did not is among the outcomes as an error, with the last words of its process.

    Raises:
        PytestMissing: the interpreter has no pytest.
        CommandMissing: there is no such interpreter.
    """
    plain = _plain_command(python, paths, args, workers)
    attempt = _Attempt(
        command=[*plain[:4], "-p", REPORTER, *plain[4:]],
        root=root,
        environment=_environment(environment, model_path),
        log_path=log_path,
        cancelled=cancelled,
        timeout=timeout,
        on_sample=on_sample,
        on_running=on_running,
        report=report,
    )
    tally = Tally(attempt.ready.append, collected, attempt.left)
    first = attempt.run(tally, only)
    if not tally.started and any(line.endswith("No module named pytest") for line in first.tail):
        raise PytestMissing(f"pytest is not installed in {python}.", f"Install it: {python} -m pip install pytest")
    again: set[str] = set()
    for _ in range(rerun):
        unsettled = _unsettled(tally, attempt)
        if not unsettled:
            break
        again.update(unsettled)
        _run_again(tally, attempt, unsettled)
    # after a crash, a second run may not find all tests again
    failed = any(test.outcome in ("failed", "error") for test in tally.outcomes.values())
    if again and not attempt.ended and not failed and (lost := _never_ran(tally)):
        attempt.ended = f"{count(len(lost), 'test')} did not run again after the crash: {listed(lost)}."
    return TestRun(
        command=command_line(python=python, paths=paths, model_path=model_path, args=args, workers=workers),
        exit_code=first.exit_code,
        seconds=attempt.seconds,
        collected=len(tally.nodeids),
        outcomes=tuple(tally.outcomes.values()),
        metrics=tuple(point for test in tally.outcomes.values() for point in test.metrics),
        ended=attempt.ended,
        warnings=tuple(_seen_from(root, warning) for warning in tally.warnings),
        run_again=len(again),
    )


def command_line(
    *, python: Path, paths: Sequence[str], model_path: Path | None, args: Sequence[str] = (), workers: int = 0
) -> str:
    """What a person types for `run_tests` with the same arguments: all of it but our reporter, which needs us."""
    line = shlex.join(_plain_command(python, paths, args, workers))
    return line if model_path is None else f"MODEL_PATH={shlex.quote(str(model_path))} {line}"


def _plain_command(python: Path, paths: Sequence[str], args: Sequence[str], workers: int) -> list[str]:
    return [str(python), "-m", "pytest", "-q", *(["-n", str(workers)] if workers else []), *args, *paths]


def _seen_from(root: Path, warning: TestWarning) -> TestWarning:
    """The same with the place of a file of the project relative to it."""
    return msgspec.structs.replace(warning, where=warning.where.removeprefix(f"{root}{os.sep}"))


def _unsettled(tally: Tally, attempt: _Attempt) -> list[str]:
    """The tests that a second run may tell more of; none where there are too many, or it would end like the first."""
    if attempt.was_stopped or tally.uncollected or (attempt.ended and not attempt.crashed):
        return []
    failed = [nodeid for nodeid, test in tally.outcomes.items() if test.outcome in ("failed", "error")]
    return [*failed, *_never_ran(tally)] if len(failed) <= MOST_AGAIN else []


def _never_ran(tally: Tally) -> list[str]:
    """The tests that were collected, and of which nothing was heard."""
    return [nodeid for nodeid in tally.nodeids if nodeid not in tally.outcomes]


def _run_again(tally: Tally, attempt: _Attempt, nodeids: list[str]) -> None:
    """Run some tests again, and put what is then known of them into the tally."""

    def told(test: TestOutcome) -> None:
        before = known.get(test.nodeid)
        attempt.ready.append(told_again(before, test) if before is not None else test)

    known = {test.nodeid: test for test in tally.outcomes.values()}
    second = Tally(told, lambda collected: None, attempt.left)
    attempt.run(second, nodeids)
    for nodeid, test in second.outcomes.items():
        before = tally.outcomes.get(nodeid)
        tally.outcomes[nodeid] = told_again(before, test) if before is not None else test


class _Attempt:
    """Runs pytest, once or again, and tells how that ended: `ended` is empty where it was in order."""

    def __init__(
        self,
        *,
        command: Sequence[str],
        root: Path,
        environment: Mapping[str, str],
        log_path: Path,
        cancelled: threading.Event,
        timeout: float | None,
        on_sample: Callable[[UseSample], None] | None,
        on_running: Callable[[tuple[RunningTest, ...]], None],
        report: Callable[[Sequence[TestOutcome]], None],
    ) -> None:
        self.ready: list[TestOutcome] = []
        """What is to be reported with the next look."""
        self.ended = ""
        self.crashed = False
        self.was_stopped = False
        self.seconds = 0.0
        self._command, self._root, self._environment = command, root, dict(environment)
        self._log_path, self._log_start = log_path, 0
        self._cancelled, self._timeout = cancelled, timeout
        self._on_sample, self._on_running, self._report = on_sample, on_running, report
        self._watch: Watch | None = None
        self._running: tuple[RunningTest, ...] = ()
        self._stacks: dict[int, str] = {}
        self._tail: tuple[str, ...] = ()

    def run(self, tally: Tally, only: Sequence[str]) -> ChildResult:
        """Run pytest to its end, or to the end of its time."""
        self._log_start = self._log_path.stat().st_size if self._log_path.exists() else 0
        self._stacks, self._tail = {}, ()
        stop = _Stop(self._cancelled)
        with (
            tempfile.TemporaryDirectory(prefix="mlconsole-tests-") as name,
            contextlib.closing(Watch(Path(name))) as self._watch,
            ThreadPoolExecutor(1) as pool,
        ):
            folder = Path(name)
            if only:
                (folder / "only").write_text("".join(f"{nodeid}\n" for nodeid in only), encoding="utf-8")
            lines = LineFile(folder / "report.jsonl")
            child = pool.submit(
                run_child,
                self._command,
                cwd=self._root,
                log_path=self._log_path,
                cancelled=stop,
                environment={**self._environment, "MLCONSOLE_REPORT": name},
                on_sample=self._on_sample,
            )
            try:
                timed_out = self._follow(child, tally, lines)
            finally:
                stop.set()
            result = child.result()
            self._take_all(tally, lines)
            self._conclude(tally, result, timed_out=timed_out)
            self._hand_over()
        return result

    def _follow(self, child: Future[ChildResult], tally: Tally, lines: LineFile) -> bool:
        """Hand over what happens until pytest has ended, or its time is over: then return true."""
        assert self._watch is not None
        deadline = None if self._timeout is None else time.monotonic() + self._timeout
        seen: tuple[RunningTest, ...] = ()
        while not wait([child], POLL_SECONDS).done:
            self._watch.look()
            self._take_all(tally, lines)
            running = self._watch.running()
            # what did not end between two looks lasts
            if running != self._running and running == seen:
                self._running = running
                self._on_running(running)
            seen = running
            if deadline is not None and time.monotonic() > deadline:
                self._running = running
                self._stacks = self._watch.stacks(test.slot for test in running)
                return True
        return False

    def _take_all(self, tally: Tally, lines: LineFile) -> None:
        for line in lines.read():
            tally.take(line)
            if len(self.ready) >= MOST_AT_ONCE:
                self._hand_over()
        self._hand_over()

    def _hand_over(self) -> None:
        if self.ready:
            ready, self.ready[:] = tuple(self.ready), ()
            self._report(ready)

    def _conclude(self, tally: Tally, result: ChildResult, *, timed_out: bool) -> None:
        """Say how it ended, and that of the tests that were under way."""
        assert self._watch is not None
        self._tail = result.tail
        self.seconds += result.use.seconds
        self.was_stopped = timed_out or result.ended == "cancelled"
        if not timed_out:
            self._running = self._watch.running()
        names = [*dict.fromkeys([*(test.nodeid for test in self._running), *tally.unfinished])]
        under_way = [nodeid for nodeid in names if nodeid not in tally.outcomes]
        if timed_out:
            where = f" in {listed(under_way, 1)}" if under_way else ""
            self.ended = f"The tests took longer than {duration(self._timeout or 0)} and were ended{where}."
        else:
            self.ended = _how_it_ended(tally, result, under_way)
        self.crashed = tally.started and tally.exit_status is None and not self.was_stopped
        if timed_out or result.ended != "cancelled":
            tally.end(under_way, self.ended or "pytest said nothing of how it ended.")

    def left(self, nodeid: str) -> Left:
        """What a test left whose process is gone or hangs: what it had printed, and its stack."""
        assert self._watch is not None
        running = [*self._watch.running(), *self._running]
        slot = next((test.slot for test in running if test.nodeid == nodeid), None)
        words = self._watch.last_words(slot) if slot is not None else None
        stack = self._stacks.get(slot, "") if slot is not None else ""
        output = "\n".join(self._tail) if words is None else f"Last words:\n{words}" if words else ""
        return Left(output=output, stack=stack or fatal_words(self._log_path, self._log_start))


class _Stop(threading.Event):
    """Set when a person cancelled, and also when the one who waits here was interrupted."""

    def __init__(self, cancelled: threading.Event) -> None:
        super().__init__()
        self._cancelled = cancelled

    def is_set(self) -> bool:
        return super().is_set() or self._cancelled.is_set()


def _environment(given: Mapping[str, str], model_path: Path | None) -> dict[str, str]:
    environment = dict(given)
    behind = environment.get("PYTHONPATH")
    environment["PYTHONPATH"] = os.pathsep.join([str(REPORTER_FOLDER), *([behind] if behind else [])])
    if model_path is not None:
        environment["MODEL_PATH"] = str(model_path.absolute())
    return environment


def _how_it_ended(tally: Tally, result: ChildResult, under_way: Sequence[str]) -> str:
    """In a sentence, where pytest did not end in order; else nothing."""
    where = f" in {listed(under_way, 1)}" if under_way else ""
    if result.ended == "cancelled":
        return f"The tests were cancelled{where}."
    if not tally.started:
        return f"pytest did not start: {_telling(result)}."
    if tally.exit_status is None:
        killed = ", as a system does that runs out of memory" if result.exit_code == -9 else ""
        return f"Python ended with {result.how}{killed}, before pytest was done{where}."
    if tally.exit_status != result.exit_code:
        return f"pytest was done, but Python then ended with {result.how}."
    return _unusual_exit(tally, result)


def _unusual_exit(tally: Tally, result: ChildResult) -> str:
    """pytest's own exit codes beside 0 (all passed) and 1 (some failed)."""
    match result.exit_code:
        case 0 if tally.finished < len(tally.nodeids):
            return f"pytest ended after {tally.finished} of {count(len(tally.nodeids), 'test')}."
        case 0 | 1:
            return ""
        case 2 if tally.uncollected:
            return f"No test was run: {count(tally.uncollected, 'file')} could not be collected."
        case 2:
            return f"pytest was interrupted: {_telling(result)}."
        case 3:
            return f"pytest had an error of its own: {_telling(result)}."
        case 4:
            return f"pytest was started in the wrong way: {_telling(result)}."
        case 5:
            return "There are no tests where they were looked for."
    return f"pytest ended with {result.how}: {_telling(result)}."


def _telling(result: ChildResult) -> str:
    """The words of the last output that say what went wrong."""
    for pattern in _TELLING:
        for line in reversed(result.tail):
            if found := pattern.match(line):
                return found.group(1).strip().rstrip(".")
    return result.tail[-1].strip().rstrip(".") if result.tail else result.how
