"""Runs the project's tests with pytest, and says how that ended where it did not end in order."""

from __future__ import annotations

import os
import re
import shlex
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path

from mlconsole.errors import WrongUse
from mlconsole.evidence.testing import TestOutcome, TestRun
from mlconsole.evidence.training import UseSample
from mlconsole.services.processes import ChildResult, run_child
from mlconsole.services.testing.outcomes import LineFile, Tally
from mlconsole.text import count, duration, listed

REPORTER_FOLDER = Path(__file__).with_name("reporter")
REPORTER = "mlconsole_reporter"
POLL_SECONDS = 0.05
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
    report: Callable[[TestOutcome], None],
    collected: Callable[[int], None],
    cancelled: threading.Event,
    timeout: float | None = None,
    on_sample: Callable[[UseSample], None] | None = None,
) -> TestRun:
    """Run `python -m pytest paths` and hand over each outcome as it happens.

    Args:
        python: the project's interpreter.
        root: the project's folder, where pytest runs.
        paths: files, folders or node ids, relative to `root`; pytest's own settings decide where there are none.
        model_path: the model under test, which reaches the tests as MODEL_PATH.
        environment: the whole environment; what pytest needs for reporting is added.
        log_path: gets what pytest prints, as it is; show it only cleaned.
        report: called with each test's outcome, in this thread.
        collected: called with the number of tests once it is known, in this thread.
        cancelled: once set, pytest and all that it started is ended; what is known so far is returned.
        timeout: seconds after which it is ended in the same way.
        on_sample: called about once a second, in a thread of its own, with what pytest and its children use.

    Returns:
        What happened. `ended` is empty where pytest came to its own end, whatever the tests said; a test that was
        running when it did not is among the outcomes as an error.

    Raises:
        PytestMissing: the interpreter has no pytest.
        CommandMissing: there is no such interpreter.
    """
    tally = Tally(report, collected)
    plain = [str(python), "-m", "pytest", *paths]
    stop = _Stop(cancelled)
    with tempfile.TemporaryDirectory(prefix="mlconsole-tests-") as folder, ThreadPoolExecutor(1) as pool:
        lines = LineFile(Path(folder) / "report.jsonl")
        child = pool.submit(
            run_child,
            [*plain[:3], "-p", REPORTER, *paths],
            cwd=root,
            log_path=log_path,
            cancelled=stop,
            environment=_environment(environment, model_path, Path(folder) / "report.jsonl"),
            timeout=timeout,
            on_sample=on_sample,
        )
        try:
            while not wait([child], POLL_SECONDS).done:
                _take_all(tally, lines)
            _take_all(tally, lines)
        finally:
            stop.set()
        result = child.result()
    if not tally.started and any(line.endswith("No module named pytest") for line in result.tail):
        raise PytestMissing(f"pytest is not installed in {python}.", f"Install it: {python} -m pip install pytest")
    ended = _how_it_ended(tally, result, timeout)
    if result.ended != "cancelled":
        tally.end(ended or "pytest said nothing of how it ended.")
    return TestRun(
        command=_command_line(plain, model_path),
        exit_code=result.exit_code,
        seconds=result.use.seconds,
        collected=tally.collected,
        outcomes=tuple(tally.outcomes),
        metrics=tuple(tally.metrics),
        ended=ended,
    )


class _Stop(threading.Event):
    """Set when a person cancelled, and also when the one who waits here was interrupted."""

    def __init__(self, cancelled: threading.Event) -> None:
        super().__init__()
        self._cancelled = cancelled

    def is_set(self) -> bool:
        return super().is_set() or self._cancelled.is_set()


def _take_all(tally: Tally, lines: LineFile) -> None:
    for line in lines.read():
        tally.take(line)


def _environment(given: Mapping[str, str], model_path: Path | None, report_path: Path) -> dict[str, str]:
    environment = dict(given)
    behind = environment.get("PYTHONPATH")
    environment["PYTHONPATH"] = os.pathsep.join([str(REPORTER_FOLDER), *([behind] if behind else [])])
    environment["MLCONSOLE_REPORT"] = str(report_path)
    if model_path is not None:
        environment["MODEL_PATH"] = str(model_path.absolute())
    return environment


def _command_line(command: Sequence[str], model_path: Path | None) -> str:
    """The command as a person can run it by hand: without our reporter, which needs our environment."""
    line = shlex.join(command)
    return line if model_path is None else f"MODEL_PATH={shlex.quote(str(model_path))} {line}"


def _how_it_ended(tally: Tally, result: ChildResult, timeout: float | None) -> str:
    """In a sentence, where pytest did not end in order; else nothing."""
    where = f" in {listed(tally.running, 1)}" if tally.running else ""
    if result.ended == "cancelled":
        return f"The tests were cancelled{where}."
    if result.ended == "timed out":
        return f"The tests took longer than {duration(timeout or 0)} and were ended{where}."
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
        case 0 if tally.finished < tally.collected:
            return f"pytest ended after {tally.finished} of {count(tally.collected, 'test')}."
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
