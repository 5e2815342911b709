"""Outcomes as JUnit XML, as CI servers read it."""

from __future__ import annotations

from pathlib import Path
from typing import cast
from xml.etree import ElementTree

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlconsole.evidence.base import now
from mlconsole.evidence.testing import Outcome, TestOutcome, TestRun
from mlconsole.evidence.training import MetricPoint
from mlconsole.services.testing import junit


def written(folder: Path, *tests: TestOutcome, ended: str = "") -> ElementTree.Element:
    run = TestRun(command="pytest", exit_code=1, seconds=2.5, collected=len(tests), outcomes=tests, ended=ended)
    junit.write(run, folder / "tests.xml", name="m@v1", started_at=now())
    assert [path.name for path in folder.iterdir()] == ["tests.xml"]
    (suite,) = ElementTree.parse(folder / "tests.xml").getroot()
    return suite


def test_each_outcome_has_its_element(tmp_path: Path) -> None:
    names = ("passed", "failed", "error", "skipped", "xfailed", "xpassed", "flaky")
    suite = written(
        tmp_path,
        *(
            TestOutcome(nodeid=f"t/a.py::test_{name}", outcome=cast("Outcome", name), seconds=0.5, message=name)
            for name in names
        ),
    )
    assert {key: suite.get(key) for key in ("name", "tests", "failures", "errors", "skipped", "time")} == {
        "name": "m@v1",
        "tests": "7",
        "failures": "1",
        "errors": "1",
        "skipped": "2",
        "time": "2.500",
    }
    tags = [[child.tag for child in case] for case in suite]
    assert tags == [[], ["failure"], ["error"], ["skipped"], ["skipped"], [], ["flakyFailure"]]


def test_a_test_is_named_as_pytest_names_it(tmp_path: Path) -> None:
    metrics = (MetricPoint(name="mae", value=24.5),)
    test = TestOutcome(
        nodeid="tests/test_a.py::TestRain::test_wet[a::b]", outcome="passed", seconds=1, output="said", metrics=metrics
    )
    (case,) = written(tmp_path, test)
    assert (case.get("classname"), case.get("name")) == ("tests.test_a.TestRain", "test_wet[a::b]")
    assert [(entry.get("name"), entry.get("value")) for entry in case.iter("property")] == [("mae", "24.5")]
    assert case.findtext("system-out") == "said"


def test_a_run_that_broke_off_is_an_error_even_without_a_test(tmp_path: Path) -> None:
    (case,) = suite = written(tmp_path, ended="pytest did not start.")
    assert (suite.get("errors"), suite.get("tests")) == ("1", "1")
    error = case.find("error")
    assert error is not None
    assert error.get("message") == "pytest did not start."


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(), st.text())
def test_whatever_a_test_says_can_be_read_again(tmp_path: Path, nodeid: str, text: str) -> None:
    test = TestOutcome(nodeid=nodeid, outcome="failed", seconds=0, message=text, traceback=text, output=text)
    assert len(written(tmp_path, test)) == 1
