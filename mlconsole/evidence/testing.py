"""May it be released?"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from mlconsole.evidence.base import Record
from mlconsole.evidence.data import DataFile
from mlconsole.evidence.training import MetricPoint

Outcome = Literal["passed", "failed", "error", "skipped", "xfailed", "xpassed", "flaky"]
"""How a test ended; `flaky` failed first, and passed when it was run again."""

Phase = Literal["setup", "call", "teardown"]


class TestOutcome(Record, frozen=True, kw_only=True):
    """How one test ended, in seconds of all its phases: `message` is one line, `traceback` and `output` are cleaned.

    Where it was run again, `attempts` counts; of a flaky one, message, traceback and output are those of its failure.
    """

    __test__ = False

    nodeid: str
    outcome: Outcome
    seconds: float
    message: str = ""
    traceback: str = ""
    output: str = ""
    setup_seconds: float = 0
    teardown_seconds: float = 0
    metrics: tuple[MetricPoint, ...] = ()
    """What it recorded, by `record_property` or `record_metric`."""
    attempts: int = 1

    @property
    def is_file(self) -> bool:
        """Whether it is no test, but a file of tests that could not be collected."""
        return "::" not in self.nodeid


def failed_ids(outcomes: Iterable[TestOutcome]) -> tuple[str, ...]:
    """The node ids of what did not pass, each once."""
    return tuple(dict.fromkeys(test.nodeid for test in outcomes if test.outcome in ("failed", "error")))


class TestWarning(Record, frozen=True, kw_only=True):
    """A warning, however often it came: `where` is file and line, `nodeid` the first test that saw it."""

    __test__ = False

    category: str
    message: str
    where: str = ""
    nodeid: str = ""
    count: int = 1


class TestRun(Record, frozen=True, kw_only=True):
    """A run of the project's tests. `ended` says how pytest itself ended, in words, where that was not in order."""

    __test__ = False

    command: str
    exit_code: int
    seconds: float
    collected: int
    outcomes: tuple[TestOutcome, ...]
    metrics: tuple[MetricPoint, ...] = ()
    ended: str = ""
    warnings: tuple[TestWarning, ...] = ()
    run_again: int = 0
    """How many tests were run a second time."""

    def count(self, *outcomes: Outcome) -> int:
        """How many tests ended in one of these ways."""
        return sum(test.outcome in outcomes for test in self.outcomes)


class Comparison(Record, frozen=True, kw_only=True):
    """Candidate against champion on the same rows, that neither has seen.

    `difference` is candidate minus champion in the metric's own unit; `low` and `high` bound it with `confidence` (a
    paired bootstrap over rows), `widened` times as far as if rows were independent of their neighbours. `relative` is
    the part by which the candidate is worse (negative: better). `segment` names the part of the rows, such as
    `weathersit = clear`; it is empty for all of them.
    """

    metric: str
    lower_is_better: bool
    rows: int
    candidate: str
    champion: str
    candidate_value: float
    champion_value: float
    difference: float
    low: float
    high: float
    relative: float
    tolerance: float
    verdict: Literal["better", "equal", "worse", "undecided"]
    segment: str = ""
    confidence: float = 0.95
    widened: float = 1.0


class TestEvidence(Record, frozen=True, kw_only=True, tag="test"):
    """What the tests said of a candidate, and how it compares with what serves; `not_compared` says why it was not.

    `comparison` is by the main metric on all rows, `further` has the other metrics and the segments.
    """

    __test__ = False

    version: str
    run: TestRun
    comparison: Comparison | None = None
    not_compared: str = ""
    further: tuple[Comparison, ...] = ()
    seen_rows: int = 0
    """Rows of the hold-out that the training data holds too."""
    holdout: tuple[DataFile, ...] = ()
    """The files with the rows that were compared on."""
    junit: str = ""
    """The outcomes as JUnit XML: a file, relative to the project."""
