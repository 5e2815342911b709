"""What is said of a stage in a word or two."""

from __future__ import annotations

import pytest

from mlconsole.evidence.testing import Outcome, TestOutcome, TestRun
from mlconsole.present.stages import test_fact as fact_of_tests


@pytest.mark.parametrize(
    ("outcomes", "said"),
    [
        ({"test_m.py::a": "passed", "test_m.py::b": "xpassed"}, "2 passed"),
        ({"test_m.py::a": "passed", "test_m.py::b": "flaky"}, "2 passed, 1 of them flaky"),
        ({"test_m.py::a": "passed", "test_m.py::b": "error", "test_m.py::c": "failed"}, "2/3 failed"),
        ({"test_m.py::a": "passed", "test_n.py": "error"}, "1 file not collected"),
    ],
)
def test_how_tests_ended(outcomes: dict[str, Outcome], said: str) -> None:
    ended = tuple(TestOutcome(nodeid=nodeid, outcome=outcome, seconds=0) for nodeid, outcome in outcomes.items())
    run = TestRun(command="pytest", exit_code=0, seconds=1, collected=len(ended), outcomes=ended)
    assert fact_of_tests(run) == said
