"""From the reporter's lines to the outcome of each test."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Literal, get_args

import msgspec

from mlconsole.evidence.testing import Outcome, TestOutcome
from mlconsole.evidence.training import MetricPoint
from mlconsole.text import clean, clean_line, shorten

LONGEST_MESSAGE = 300
# What was captured, the last part of it; the whole is in the log.
LONGEST_OUTPUT = 32 * 1024
_Kind = Literal["SessionStart", "Collection", "CollectReport", "TestStart", "TestReport", "SessionFinish"]


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


class LineFile:
    """The reporter's file while it grows. The project could write to it too: what is no line of ours is passed over."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0
        self._rest = b""

    def read(self) -> list[Line]:
        """Return the lines that have been completed since the last call."""
        try:
            with self._path.open("rb") as file:
                file.seek(self._offset)
                data = file.read()
        except FileNotFoundError:
            return []
        self._offset += len(data)
        *whole, self._rest = (self._rest + data).split(b"\n")
        return [line for text in whole if (line := _parse(text)) is not None]


def _parse(text: bytes) -> Line | None:
    try:
        return msgspec.convert(json.loads(text), Line)
    except (ValueError, RecursionError):
        return None


class Tally:
    """Gathers the phases of each test, and says its outcome once when it has ended.

    Args:
        report: called with each outcome.
        collected: called with the number of tests, once it is known.
    """

    def __init__(self, report: Callable[[TestOutcome], None], collected: Callable[[int], None]) -> None:
        self.outcomes: list[TestOutcome] = []
        self.metrics: list[MetricPoint] = []
        self.started = False
        self.collected = 0
        self.exit_status: int | None = None
        self.uncollected = 0
        self.finished = 0
        self._report, self._on_collected = report, collected
        self._phases: dict[str, list[Line]] = {}
        self._seen: set[str] = set()

    @property
    def running(self) -> list[str]:
        """The tests that have started and not ended, by node id."""
        return list(self._phases)

    def take(self, line: Line) -> None:
        """Take one line."""
        match line.kind:
            case "SessionStart":
                self.started = True
            case "Collection":
                self.collected = len(line.nodeids)
                self._on_collected(self.collected)
            case "CollectReport":
                self._take_collect_report(line)
            case "TestStart":
                self._phases[line.nodeid] = []
            case "TestReport":
                self._take_phase(line)
            case "SessionFinish":
                self.exit_status = line.exitstatus

    def end(self, message: str) -> None:
        """Say of the tests that had not ended why they never will."""
        for nodeid in self.running:
            self._say(nodeid, self._phases.pop(nodeid), "error", message)

    def _take_collect_report(self, line: Line) -> None:
        if line.nodeid in self._seen:
            return
        self._seen.add(line.nodeid)
        self.uncollected += line.outcome == "failed"
        self._say(line.nodeid or "collection", [line], "error" if line.outcome == "failed" else "skipped")

    def _take_phase(self, line: Line) -> None:
        phases = self._phases.setdefault(line.nodeid, [])
        if line.when == "setup":
            phases.clear()
        phases.append(line)
        # A worker of xdist that crashed has its test reported with a phase of no name, and nothing after that.
        if line.when in ("setup", "call"):
            return
        # pytest-rerunfailures ends each attempt like a test, and starts the next without saying so.
        if any(phase.outcome == "rerun" for phase in phases):
            phases.clear()
            return
        self.finished += 1
        self._say(line.nodeid, self._phases.pop(line.nodeid), _outcome(phases))

    def _say(self, nodeid: str, phases: list[Line], outcome: Outcome, message: str = "") -> None:
        telling = next((line for line in phases if line.outcome == "failed"), None) or next(
            (line for line in phases if line.message or line.longrepr), None
        )
        last = phases[-1] if phases else None
        words = (
            message or next((text for text in telling.message.splitlines() if text.strip()), "") if telling else message
        )
        test = TestOutcome(
            nodeid=clean_line(nodeid),
            outcome=outcome,
            seconds=sum(line.duration for line in phases),
            message=shorten(clean_line(words).strip(), LONGEST_MESSAGE),
            traceback=clean(telling.longrepr) if telling else "",
            output=_output(last) if last else "",
        )
        self.outcomes.append(test)
        self.metrics += _metrics(last) if last else []
        self._report(test)


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
