"""What the tally makes of the reporter's lines, and of lines that are none."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlconsole.evidence.testing import TestOutcome
from mlconsole.services.testing.outcomes import Line, LineFile, Tally


def tally() -> Tally:
    return Tally(lambda outcome: None, lambda nodeids: None)


def phase(when: str, outcome: str = "passed", **more: object) -> Line:
    return Line(kind="TestReport", nodeid="t.py::test", when=when, outcome=outcome, duration=0.5, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("phases", "outcome"),
    [
        ([phase("setup"), phase("call"), phase("teardown")], "passed"),
        ([phase("setup"), phase("call", "failed"), phase("teardown")], "failed"),
        ([phase("setup"), phase("call", "failed"), phase("teardown", "failed")], "failed"),
        ([phase("setup"), phase("call"), phase("teardown", "failed")], "error"),
        ([phase("setup", "failed"), phase("teardown")], "error"),
        ([phase("setup", "skipped"), phase("teardown")], "skipped"),
        ([phase("setup"), phase("call", "skipped", xfail=True), phase("teardown")], "xfailed"),
        ([phase("setup"), phase("call", "passed", xfail=True), phase("teardown")], "xpassed"),
        ([phase("setup"), phase("call"), phase("call", "failed"), phase("call"), phase("teardown")], "failed"),
        ([phase("setup"), phase("???", "failed")], "error"),
    ],
)
def test_the_phases_of_a_test_make_one_outcome(phases: list[Line], outcome: str) -> None:
    taken = tally()
    for line in phases:
        taken.take(line)
    (test,) = taken.outcomes.values()
    assert (test.outcome, test.seconds) == (outcome, 0.5 * len(phases))
    assert taken.unfinished == []


@pytest.mark.parametrize("teardown", [[phase("teardown")], []])
def test_a_test_that_a_plugin_runs_again_and_that_passes_then_is_flaky(teardown: list[Line]) -> None:
    taken = tally()
    for line in [phase("setup"), phase("call", "rerun", message="no answer"), *teardown]:
        taken.take(line)
    assert taken.unfinished == ["t.py::test"]
    for line in [phase("setup"), phase("call"), phase("teardown")]:
        taken.take(line)
    (test,) = taken.outcomes.values()
    assert (test.outcome, test.message, test.attempts) == ("flaky", "no answer", 2)


def test_a_file_that_several_workers_could_not_collect_is_told_once() -> None:
    taken = tally()
    for _ in range(2):
        taken.take(Line(kind="CollectReport", nodeid="t.py", outcome="failed", message="no such module"))
    told = TestOutcome(nodeid="t.py", outcome="error", seconds=0, message="no such module")
    assert taken.outcomes == {"t.py": told}
    assert taken.uncollected == 1


def test_a_line_is_taken_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "report.jsonl"
    lines = LineFile(path)
    assert lines.read() == []
    whole = json.dumps({"$report_type": "CollectReport", "nodeid": "t.py::test"}).encode()
    path.write_bytes(whole[:20])
    assert lines.read() == []
    path.write_bytes(whole + b"\n" + whole)
    assert [line.nodeid for line in lines.read()] == ["t.py::test"]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.one_of(
            st.binary(max_size=40), st.recursive(st.text(max_size=5), st.lists).map(lambda x: json.dumps(x).encode())
        )
    )
)
def test_what_is_no_line_of_ours_is_passed_over(tmp_path: Path, garbage: list[bytes]) -> None:
    path = tmp_path / "report.jsonl"
    real = b'{"$report_type": "SessionStart"}'
    path.write_bytes(b"\n".join([*garbage, real, b""]))
    assert [line.kind for line in LineFile(path).read()][-1] == "SessionStart"


@given(st.text(), st.text(), st.text())
def test_no_control_character_of_a_test_comes_through(nodeid: str, message: str, text: str) -> None:
    taken = tally()
    line = Line(
        kind="TestReport",
        nodeid=nodeid,
        when="teardown",
        outcome="failed",
        message=message,
        longrepr=text,
        sections=((nodeid, text),),
    )
    taken.take(line)
    (test,) = taken.outcomes.values()
    assert "\x1b" not in test.nodeid + test.message + test.traceback + test.output
    assert "\n" not in test.nodeid + test.message
