"""From the reporter's lines to the outcome of each test."""

from __future__ import annotations

import contextlib
import json
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Literal, NamedTuple, get_args

import msgspec

from mlconsole.evidence.testing import Outcome, TestOutcome, TestWarning
from mlconsole.evidence.training import MetricPoint
from mlconsole.text import clean, clean_line, shorten

LONGEST_MESSAGE = 300
# What was captured, the last part of it; the whole is in the log.
LONGEST_OUTPUT = 32 * 1024
PIECE = 64 * 1024
MOST_WARNINGS = 200
"""Kinds of warnings that are kept of a run; others are counted with the last."""
_Kind = Literal["SessionStart", "Collection", "CollectReport", "TestPassed", "TestReport", "Warning", "SessionFinish"]


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the reporter."""

    kind: _Kind = msgspec.field(name="$report_type")
    nodeid: str = ""
    nodeids: tuple[str, ...] = ()
    when: str | None = ""
    outcome: str = ""
    duration: float = 0.0
    xfail: bool = False
    message: str = ""
    longrepr: str = ""
    sections: tuple[tuple[str, str], ...] = ()
    user_properties: tuple[tuple[str, object], ...] = ()
    exitstatus: int | None = None
    phases: tuple[tuple[str, float], ...] = ()
    category: str = ""
    where: str = ""


_decode = msgspec.json.Decoder(Line).decode


class Left(NamedTuple):
    """What a test left that never came to its end: what it had printed, and where it was."""

    output: str = ""
    stack: str = ""


class LineFile:
    """The reporter's file while it grows. The project could write to it too: what is no line of ours is passed over."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0
        self._rest: list[bytes] = []

    def read(self) -> Iterator[Line]:
        """Yield the lines that have been completed since the last call."""
        try:
            file = self._path.open("rb", buffering=0)
        except FileNotFoundError:
            return
        with file:
            # from the place where the lines ended, each time: what follows may be written meanwhile
            while data := os.pread(file.fileno(), PIECE, self._offset).partition(b"\0")[0]:
                self._offset += len(data)
                head, newline, rest = data.rpartition(b"\n")
                if newline:
                    for text in (b"".join(self._rest) + head).split(b"\n"):
                        if (line := _parse(text)) is not None:
                            yield line
                    self._rest.clear()
                self._rest.append(rest)


def _parse(text: bytes) -> Line | None:
    with contextlib.suppress(ValueError, RecursionError):
        return _decode(text)
    # what this one takes beyond JSON, the reporter may say: halves of surrogate pairs, and no numbers
    try:
        return msgspec.convert(json.loads(text), Line)
    except (ValueError, RecursionError):
        return None


class Tally:
    """Gathers the phases of each test, and says its outcome once when it has ended.

    Args:
        report: called with each outcome.
        collected: called with the node ids of the tests, cleaned, once they are known.
        left: what a test left whose process died, by its node id.
    """

    def __init__(
        self,
        report: Callable[[TestOutcome], None],
        collected: Callable[[tuple[str, ...]], None],
        left: Callable[[str], Left] = lambda nodeid: Left(),
    ) -> None:
        self.outcomes: dict[str, TestOutcome] = {}
        """By node id as pytest has it, in the order in which they ended."""
        self.nodeids: tuple[str, ...] = ()
        self.started = False
        self.exit_status: int | None = None
        self.uncollected = 0
        self.finished = 0
        self._report, self._on_collected, self._left = report, collected, left
        self._phases: dict[str, list[Line]] = {}
        self._failed_before: dict[str, list[Line]] = {}
        self._attempts: Counter[str] = Counter()
        self._warnings: dict[tuple[str, str, str], TestWarning] = {}

    @property
    def unfinished(self) -> list[str]:
        """The tests of which some phases are known and not the last, by node id."""
        return list(self._phases)

    @property
    def warnings(self) -> tuple[TestWarning, ...]:
        """All warnings, each once with how often it came."""
        return tuple(self._warnings.values())

    def take(self, line: Line) -> None:
        """Take one line."""
        match line.kind:
            case "SessionStart":
                self.started = True
            case "Collection":
                self.nodeids = line.nodeids
                self._on_collected(tuple(clean_line(nodeid) for nodeid in line.nodeids))
            case "CollectReport":
                self._take_collect_report(line)
            case "TestPassed":
                self._take_passed(line)
            case "TestReport":
                self._take_phase(line)
            case "Warning":
                self._take_warning(line)
            case "SessionFinish":
                self.exit_status = line.exitstatus

    def end(self, nodeids: Iterable[str], message: str) -> None:
        """Say of tests that had not ended why they never will."""
        for nodeid in nodeids:
            self._say(nodeid, self._phases.pop(nodeid, []), "error", message, self._left(nodeid))

    def _take_collect_report(self, line: Line) -> None:
        nodeid = line.nodeid or "the tests"
        if nodeid in self.outcomes:
            return
        self.uncollected += line.outcome == "failed"
        self._say(nodeid, [line], "error" if line.outcome == "failed" else "skipped")

    def _take_passed(self, line: Line) -> None:
        told_before = line.nodeid in self._phases or line.nodeid in self._failed_before
        if told_before or [when for when, _ in line.phases] != ["setup", "call", "teardown"]:
            for when, took in line.phases:
                self._take_phase(
                    Line(kind="TestReport", nodeid=line.nodeid, when=when, outcome="passed", duration=took)
                )
            return
        # the same, for what most lines say
        (_, setup), (_, call), (_, teardown) = line.phases
        self.finished += 1
        self.outcomes[line.nodeid] = test = TestOutcome(
            nodeid=clean_line(line.nodeid),
            outcome="passed",
            seconds=setup + call + teardown,
            setup_seconds=setup,
            teardown_seconds=teardown,
        )
        self._report(test)

    def _take_phase(self, line: Line) -> None:
        phases = self._phases.setdefault(line.nodeid, [])
        # pytest-rerunfailures starts the next attempt without saying so, and may have ended the one before like a test.
        if line.when == "setup":
            if any(phase.outcome == "rerun" for phase in phases):
                self._failed_before.setdefault(line.nodeid, list(phases))
                self._attempts[line.nodeid] += 1
            phases.clear()
        phases.append(line)
        # A worker of xdist that crashed has its test reported with a phase of no name, and nothing after that.
        if line.when in ("setup", "call"):
            return
        if any(phase.outcome == "rerun" for phase in phases):
            return
        self.finished += 1
        left = Left() if line.when == "teardown" else self._left(line.nodeid)
        self._say(line.nodeid, self._phases.pop(line.nodeid), _outcome(phases), left=left)

    def _take_warning(self, line: Line) -> None:
        message = shorten(clean_line(line.message), LONGEST_MESSAGE)
        key = (clean_line(line.category), message, clean_line(line.where))
        if key not in self._warnings and len(self._warnings) >= MOST_WARNINGS:
            key = next(reversed(self._warnings))
        found = self._warnings.get(key)
        if found is None:
            category, message, where = key
            nodeid = clean_line(line.nodeid)
            self._warnings[key] = TestWarning(category=category, message=message, where=where, nodeid=nodeid)
        else:
            self._warnings[key] = msgspec.structs.replace(found, count=found.count + 1)

    def _say(
        self, nodeid: str, phases: list[Line], outcome: Outcome, message: str = "", left: Left | None = None
    ) -> None:
        left = left or Left()
        before = self._failed_before.pop(nodeid, [])
        test = _told(nodeid, phases, outcome, message, left)
        if before:
            test = told_again(_told(nodeid, before, "failed", "", Left()), test)
            test = msgspec.structs.replace(test, attempts=self._attempts.pop(nodeid) + 1)
        self.outcomes[nodeid] = test
        self._report(test)


def told_again(before: TestOutcome, after: TestOutcome) -> TestOutcome:
    """What is said of a test that did not pass, and was run again."""
    attempts = before.attempts + after.attempts
    if after.outcome not in ("passed", "xpassed", "flaky"):
        return msgspec.structs.replace(after, attempts=attempts)
    return msgspec.structs.replace(
        after,
        outcome="flaky",
        attempts=attempts,
        message=before.message,
        traceback=before.traceback,
        output=before.output,
    )


def _told(nodeid: str, phases: list[Line], outcome: Outcome, message: str, left: Left) -> TestOutcome:
    telling = next((line for line in phases if line.outcome in ("failed", "rerun")), None) or next(
        (line for line in phases if line.message or line.longrepr), None
    )
    last = phases[-1] if phases else None
    if not message and telling is not None:
        message = next((text for text in telling.message.splitlines() if text.strip()), "")
    traces = [clean(telling.longrepr) if telling else "", left.stack]
    outputs = [_output(last) if last else "", left.output]
    return TestOutcome(
        nodeid=clean_line(nodeid),
        outcome=outcome,
        seconds=sum(line.duration for line in phases),
        message=shorten(clean_line(message).strip(), LONGEST_MESSAGE),
        traceback="\n\n".join(filter(None, traces)),
        output="\n\n".join(filter(None, outputs)),
        setup_seconds=sum(line.duration for line in phases if line.when == "setup"),
        teardown_seconds=sum(line.duration for line in phases if line.when == "teardown"),
        metrics=tuple(_metrics(last)) if last else (),
    )


def _outcome(phases: list[Line]) -> Outcome:
    for line in phases:
        if line.outcome == "failed":
            return "failed" if line.when == "call" else "error"
        if line.xfail:
            return "xfailed" if line.outcome == "skipped" else "xpassed"
        if line.outcome != "passed" and line.outcome in get_args(Outcome):
            return "skipped"
    return "passed"


def _output(line: Line) -> str:
    parts = [f"{title}:\n{text.rstrip()}" for title, text in line.sections if text.strip()]
    return clean("\n\n".join(parts))[-LONGEST_OUTPUT:]


def _metrics(line: Line) -> list[MetricPoint]:
    return [
        MetricPoint(name=clean_line(name), value=float(value))
        for name, value in line.user_properties
        if isinstance(value, int | float) and not isinstance(value, bool)
    ]
