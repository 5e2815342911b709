"""What the tally makes of the reporter's lines, and of lines that are none."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlconsole.evidence.testing import TestOutcome
from mlconsole.services.testing.outcomes import PIECE, Line, LineFile, Tally


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


def test_each_attempt_of_a_plugin_counts() -> None:
    taken = tally()
    for outcome in ("rerun", "rerun", "failed"):
        for line in [phase("setup"), phase("call", outcome)]:
            taken.take(line)
    taken.take(phase("teardown"))
    (test,) = taken.outcomes.values()
    assert (test.outcome, test.attempts) == ("failed", 3)


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
    assert list(lines.read()) == []
    whole = json.dumps({"$report_type": "CollectReport", "nodeid": "t.py::test"}).encode()
    path.write_bytes(whole[:20])
    assert list(lines.read()) == []
    path.write_bytes(whole + b"\n" + whole)
    assert [line.nodeid for line in lines.read()] == ["t.py::test"]


@given(st.lists(st.integers(0, 400), max_size=6), st.integers(0, 500))
def test_zeros_behind_the_lines_are_room_for_more(lengths: list[int], room: int) -> None:
    written = [json.dumps({"$report_type": "CollectReport", "nodeid": "é" * 97 * length}) for length in lengths]
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "report.jsonl"
        lines, data = LineFile(path), b""
        for text in written:
            # as a store into shared memory may be seen: the first half of a line, and then all of it
            path.write_bytes(data + text.encode()[: len(text) // 2] + bytes(room))
            assert list(lines.read()) == []
            data += text.encode() + b"\n"
            path.write_bytes(data + bytes(room))
            assert [len(line.nodeid) for line in lines.read()] == [json.loads(text)["nodeid"].count("é")]


def test_lines_that_are_written_while_others_are_read_come_in_their_order(tmp_path: Path) -> None:
    path = tmp_path / "report.jsonl"
    written = [json.dumps({"$report_type": "CollectReport", "nodeid": f"{n}{'x' * 99}"}) + "\n" for n in range(2000)]
    room = bytes(8 * PIECE)
    path.write_bytes((written[0].encode() + room)[: len(room)])
    lines = LineFile(path).read()
    first = next(lines)
    path.write_bytes(("".join(written).encode() + room)[: len(room)])
    assert [line.nodeid.rstrip("x") for line in (first, *lines)] == [str(n) for n in range(2000)]


def test_a_name_that_is_no_unicode_is_taken_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "report.jsonl"
    path.write_text(json.dumps({"$report_type": "CollectReport", "nodeid": "t.py::test[\ud800]"}) + "\n")
    assert [line.nodeid for line in LineFile(path).read()] == ["t.py::test[\ud800]"]


def test_what_passed_in_one_line_is_what_passed_in_several() -> None:
    in_one, in_several = tally(), tally()
    in_one.take(
        Line(kind="TestPassed", nodeid="t.py::test", phases=(("setup", 0.5), ("call", 0.25), ("teardown", 0.125)))
    )
    for when, took in (("setup", 0.5), ("call", 0.25), ("teardown", 0.125)):
        in_several.take(Line(kind="TestReport", nodeid="t.py::test", when=when, outcome="passed", duration=took))
    assert in_one.outcomes == in_several.outcomes
    assert in_one.finished == in_several.finished == 1


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(
    st.lists(
        st.one_of(
            st.binary(max_size=40).map(lambda data: data.replace(b"\0", b"")),
            st.recursive(st.text(max_size=5), st.lists).map(lambda x: json.dumps(x).encode()),
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
