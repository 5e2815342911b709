"""May it be released? Each test as it ends, failures first, and the candidate against the champion."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from textual.content import Content
from textual.widget import Widget

from mlconsole.console.paint import BAD, DIM, GOOD, STRONG, WARN, bar, blank, heading, line, wrapped
from mlconsole.console.panels.base import Panel, command_lines, evidence_lines, quiet, run_lines, sections
from mlconsole.console.screens.detail import DetailScreen
from mlconsole.console.view import View
from mlconsole.console.widgets.lines import Document
from mlconsole.console.widgets.table import Row, Table
from mlconsole.evidence.testing import Comparison, Outcome, TestEvidence, TestOutcome
from mlconsole.text import count, duration, number

MARKS: dict[Outcome, tuple[str, str]] = {
    "failed": ("✗ failed", BAD),
    "error": ("✗ error", BAD),
    "xpassed": ("! xpassed", WARN),
    "skipped": ("- skipped", DIM),
    "xfailed": ("- xfailed", DIM),
    "passed": ("✓ passed", GOOD),
}
ORDER = {outcome: place for place, outcome in enumerate(MARKS)}
VERDICTS = {
    "better": ("✓ better", GOOD),
    "equal": ("✓ as good", GOOD),
    "worse": ("✗ worse", BAD),
    "undecided": ("! undecided", WARN),
}


LOW = 16
"""Below this height of the panel, the table needs the room: gate and comparison are said in short."""


class TestPanel(Panel):
    """Counts and comparison above, a row for each test below; Enter on a row opens it."""

    __test__ = False
    stage = "test"
    DEFAULT_CSS = """
    TestPanel Document { height: auto; max-height: 60%; }
    TestPanel.-no-tests Document { height: 1fr; max-height: 100%; }
    TestPanel Table { margin-top: 1; }
    TestPanel.-no-tests Table { display: none; }
    """

    def __init__(self, view: View) -> None:
        super().__init__(view)
        self.document = Document()
        self.table = Table(("", "test", "time", "message"), numeric=frozenset({2}), whole=frozenset({0}))
        self._outcomes: dict[str, TestOutcome] = {}

    def body(self) -> Iterator[Widget]:
        """The document over the table."""
        yield self.document
        yield self.table

    @property
    def target(self) -> Widget:
        """The table where there are tests."""
        return self.document if self.has_class("-no-tests") else self.table

    def draw(self, view: View) -> None:
        """Bring both up to a view."""
        outcomes = outcomes_of(view)
        self._outcomes = {f"{place}:{test.nodeid}": test for place, test in enumerate(outcomes)}
        ordered = sorted(self._outcomes.items(), key=lambda item: ORDER[item[1].outcome])
        self.set_class(not outcomes, "-no-tests")
        low = self.size.height < LOW
        self.document.show(lambda width: test_lines(view, outcomes, width, low=low))
        self.table.show([_row(key, test) for key, test in ordered])

    def on_table_chosen(self, message: Table.Chosen) -> None:
        """Open a test."""
        message.stop()
        if (test := self._outcomes.get(message.key)) is not None:
            self.app.push_screen(DetailScreen(test.nodeid, lambda width: outcome_lines(test, width)))


def outcomes_of(view: View) -> tuple[TestOutcome, ...]:
    """The outcomes of the shown release: of its evidence, or of its story while the tests run."""
    run = view.run("test")
    if run is None:
        return ()
    return run.evidence.run.outcomes if isinstance(run.evidence, TestEvidence) else view.story.outcomes


def _row(key: str, test: TestOutcome) -> Row:
    words, style = MARKS[test.outcome]
    return Row(key, (words, _short(test.nodeid), f"{test.seconds:.2f} s", test.message), (style, "", DIM, DIM))


def _short(nodeid: str) -> str:
    """A test's name without its file's folders: `test_model_quality.py::test_rain`."""
    path, mark, name = nodeid.partition("::")
    return f"{path.rpartition('/')[2]}{mark}{name}" if not mark else name


def test_lines(view: View, outcomes: Sequence[TestOutcome], width: int, *, low: bool = False) -> list[Content]:
    """All that is above the table; in few lines where the panel is low."""
    run = view.run("test")
    if run is None:
        paths = view.project.settings.test.paths
        if view.past:
            return quiet("This release did not come to its tests.")
        if not paths:
            return quiet("No tests were found.", "Name them in mlconsole.toml: [test] paths.")
        return quiet("Not tested yet in this release.", f"The tests: {', '.join(paths)}")
    if run.state == "running":
        return _progress(view, outcomes, width)
    evidence = run.evidence if isinstance(run.evidence, TestEvidence) else None
    if evidence is None:
        return sections(run_lines(run, width), evidence_lines(run, width), command_lines(run))
    ended = wrapped(line(("✗ ", BAD), evidence.run.ended), width, indent=2) if evidence.run.ended else []
    if low:
        return [_counts(outcomes), *ended, *_comparison(evidence, width)[-2:]]
    return sections([_counts(outcomes)], ended, run_lines(run, width), _comparison(evidence, width), command_lines(run))


test_lines.__test__ = False  # type: ignore[attr-defined]


def _counts(outcomes: Sequence[TestOutcome]) -> Content:
    parts = []
    for outcome, (mark, style) in MARKS.items():
        if found := sum(test.outcome == outcome for test in outcomes):
            sign, words = mark.split(" ")
            parts.append(line((f"{sign} {found:,} {words}", f"bold {style}")))
    seconds = sum(test.seconds for test in outcomes)
    return Content("  ").join([*parts, line((f"{count(len(outcomes), 'test')}, {duration(seconds)}", DIM))])


def _progress(view: View, outcomes: Sequence[TestOutcome], width: int) -> list[Content]:
    collected = view.story.collected
    if collected is None:
        return quiet("The tests are being collected …")
    done = len(outcomes) / collected if collected else 1.0
    progress = line(bar(done, max(min(width - 14, 40), 10)), (f" {len(outcomes)}/{collected}", STRONG))
    return [progress, _counts(outcomes)] if outcomes else [progress]


def _comparison(evidence: TestEvidence, width: int) -> list[Content]:
    found = evidence.comparison
    if found is None:
        if not evidence.not_compared:
            return []
        return wrapped(line(("Not compared with a champion: ", DIM), evidence.not_compared), width)
    mark, style = VERDICTS[found.verdict]
    direction = "less" if found.lower_is_better else "more"
    rows = f"{found.metric}, {direction} is better, {count(found.rows, 'row')} that neither has seen"
    wide = max(len(found.candidate), len(found.champion))
    return [
        heading("Candidate against champion", rows),
        line(f"{found.candidate:<{wide}}  ", (f"{number(found.candidate_value):>9}", STRONG), ("  candidate", DIM)),
        line(f"{found.champion:<{wide}}  ", (f"{number(found.champion_value):>9}", STRONG), ("  champion", DIM)),
        *wrapped(line((mark, f"bold {style}"), "  ", _difference(found)), width, indent=2),
    ]


def _difference(found: Comparison) -> str:
    words = "worse" if found.relative > 0 else "better"
    return (
        f"{found.difference:+.4g} (95% between {found.low:+.4g} and {found.high:+.4g}), "
        f"{abs(found.relative):.1%} {words}; up to {found.tolerance:.1%} worse is tolerated"
    )


def outcome_lines(test: TestOutcome, width: int) -> list[Content]:
    """One test in full: how it ended, its message, its traceback, what it printed."""
    mark, style = MARKS[test.outcome]
    lines = [line((mark, f"bold {style}"), (f"  {duration(test.seconds)}", DIM))]
    if test.message:
        lines += wrapped(line(test.message), width)
    for title, text in (("Traceback", test.traceback), ("Output", test.output)):
        if text:
            lines += [blank(), heading(title), *(_traced(part) for part in text.splitlines())]
    if len(lines) == 1:
        lines.append(line(("It printed nothing.", DIM)))
    return lines


def _traced(text: str) -> Content:
    if text.startswith("E "):
        return line((text, BAD))
    if text.startswith(">"):
        return line((text, STRONG))
    return line(text)
