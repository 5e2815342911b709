"""A pytest plugin that writes what happens as JSON lines, in the manner of pytest-reportlog.

It runs in the project's Python, so it needs nothing but pytest (7 or later) and stands in a folder of its own: whatever
lies beside it could be imported by the project under a name of the project's. The lines go to the file that the
environment variable MLCONSOLE_REPORT names. Under xdist the controller alone writes, as reports come to it.
"""

from __future__ import annotations

import json
import math
import os
from typing import Any

import pytest

LONGEST_TEXT = 64 * 1024


def pytest_configure(config: pytest.Config) -> None:
    # Taken out of the environment: xdist's workers and a pytest that a test starts must not write to the same file.
    path = os.environ.pop("MLCONSOLE_REPORT", "")
    if path and not hasattr(config, "workerinput"):
        config.pluginmanager.register(Reporter(path), "mlconsole_reporter_lines")


class Reporter:
    """Writes one line per event."""

    def __init__(self, path: str) -> None:
        self._descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._process = os.getpid()
        self._collected: set[str] = set()

    def _write(self, kind: str, **content: object) -> None:
        # A test that forks runs on in the child, with this object in it.
        if os.getpid() != self._process:
            return
        line = json.dumps({"$report_type": kind, **content}, default=plain) + "\n"
        data = memoryview(line.encode())
        while data:
            data = data[os.write(self._descriptor, data) :]

    def pytest_sessionstart(self) -> None:
        self._write("SessionStart", pytest_version=pytest.__version__)

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        self._collection([item.nodeid for item in session.items])

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, ids: list[str]) -> None:
        self._collection(ids)

    def _collection(self, nodeids: list[str]) -> None:
        # Every worker of xdist collects the same tests.
        if not self._collected.issuperset(nodeids) or not nodeids:
            self._collected.update(nodeids)
            self._write("Collection", nodeids=nodeids)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if not report.passed:
            self._write("CollectReport", nodeid=report.nodeid, outcome=report.outcome, **described(report))

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        self._write("TestStart", nodeid=nodeid)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._write(
            "TestReport",
            nodeid=report.nodeid,
            when=report.when,
            outcome=report.outcome,
            duration=getattr(report, "duration", 0.0),
            xfail=hasattr(report, "wasxfail"),
            user_properties=[[str(name), finite(value)] for name, value in report.user_properties],
            **described(report),
        )

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, exitstatus: int) -> None:
        self._write("SessionFinish", exitstatus=int(exitstatus))


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
