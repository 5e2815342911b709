"""May it be released? Each test as it ends, failures first, and the candidate against the champion."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from textual.content import Content
from textual.widget import Widget

from mlconsole.console.interval_lines import comparison_drawn
from mlconsole.console.paint import BAD, BUSY, DIM, STRONG, WARN, bar, blank, cut, heading, line, wrapped
from mlconsole.console.panels.base import Panel, command_lines, evidence_lines, quiet, run_lines, sections
from mlconsole.console.panels.train import use_lines
from mlconsole.console.screens.detail import DetailScreen
from mlconsole.console.test_tree import BRANCH, MARKS, keyed, parts_of, slowest_rows, tree_rows
from mlconsole.console.view import View
from mlconsole.console.widgets.lines import Document
from mlconsole.console.widgets.table import Table
from mlconsole.evidence.testing import TestEvidence, TestOutcome, TestRun
from mlconsole.text import count, duration, number

LOW = 18
"""Below this height of the panel, the table needs the room: gate and comparison are said in short."""
SLOW_SECONDS = 0.5
PART_SECONDS = 0.1
MOST_RUNNING, MOST_WARNINGS = 4, 3
MANY = 1_000
"""From so many tests on, the tree grows in steps of a twentieth while they run: it is drawn anew each time."""


class TestPanel(Panel):
    """Counts and comparison above, the tree of tests below; Enter folds a file or class, or opens a test."""

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
        self.slowest = False
        self._folded: set[str] = set()
        self._drawn: tuple[object, ...] = ()
        self._pointed: datetime | None = None
        self._shown = 0

    def body(self) -> Iterator[Widget]:
        """The document over the table."""
        yield self.document
        yield self.table

    @property
    def target(self) -> Widget:
        """The table where there are tests."""
        return self.document if self.has_class("-no-tests") else self.table

    @property
    def selected_tests(self) -> tuple[str, ...]:
        """What the cursor is on: a test's node id, or that of a file or class."""
        key = self.table.cursor_key or ""
        if key.startswith(BRANCH):
            return (key.removeprefix(BRANCH),)
        test = keyed(outcomes_of(self.view)).get(key)
        return (test.nodeid,) if test is not None else ()

    def on_resize(self) -> None:
        """Say more or less, as there is room."""
        self.draw(self.view)

    def draw(self, view: View) -> None:
        """Bring both up to a view."""
        outcomes = outcomes_of(view)
        self.set_class(not outcomes, "-no-tests")
        low = self.size.height < LOW
        drawn = (view.run("test"), view.story, low)
        if self._drawn and all(new is old for new, old in zip(drawn, self._drawn, strict=True)):
            return
        self._drawn = drawn
        self.document.show(lambda width: test_lines(view, outcomes, width, low=low))
        run = view.run("test")
        few = len(outcomes) < MANY or len(outcomes) - self._shown >= len(outcomes) // 20
        if few or len(outcomes) < self._shown or run is None or run.state != "running":
            self._show_rows(outcomes)
        self._point_out(view, outcomes)

    def _point_out(self, view: View, outcomes: Sequence[TestOutcome]) -> None:
        """Put the cursor on the first failure of a run, once."""
        run = view.run("test")
        if run is None or run.started_at == self._pointed or not isinstance(run.evidence, TestEvidence):
            return
        self._pointed = run.started_at
        failed = next((key for key, test in keyed(outcomes).items() if test.outcome in ("failed", "error")), None)
        if failed is not None:
            # once the table has its height: before, it would scroll the row to its top
            self.call_after_refresh(self.table.move_to, failed)

    def _show_rows(self, outcomes: Sequence[TestOutcome]) -> None:
        self._shown = len(outcomes)
        self.table.show(slowest_rows(outcomes) if self.slowest else tree_rows(outcomes, self._folded))

    def toggle_slowest(self) -> None:
        """List the slowest tests, or all as a tree."""
        self.slowest = not self.slowest
        self._show_rows(outcomes_of(self.view))

    def on_table_chosen(self, message: Table.Chosen) -> None:
        """Fold or unfold a branch; open a test."""
        message.stop()
        outcomes = outcomes_of(self.view)
        if message.key.startswith(BRANCH):
            self._folded ^= {message.key.removeprefix(BRANCH)}
            self._show_rows(outcomes)
        elif (test := keyed(outcomes).get(message.key)) is not None:
            self.app.push_screen(DetailScreen(test.nodeid, lambda width: outcome_lines(test, width)))


def outcomes_of(view: View) -> tuple[TestOutcome, ...]:
    """The outcomes of the shown release: of its evidence, or of its story while the tests run."""
    run = view.run("test")
    if run is None:
        return ()
    return run.evidence.run.outcomes if isinstance(run.evidence, TestEvidence) else view.story.outcomes


def test_lines(view: View, outcomes: Sequence[TestOutcome], width: int, *, low: bool = False) -> list[Content]:
    """All that is above the table; in few lines where the panel is low."""
    run = view.run("test")
    if run is None:
        paths = view.project.settings.test.paths
        if view.past:
            return quiet("This release did not come to its tests.")
        if not paths:
            return quiet("No tests were found.", "Name them in mlconsole.toml: [test] paths.")
        return quiet("Not tested yet in this release.", f"The tests: {', '.join(paths)}", width=width)
    if run.state == "running":
        return _progress(view, outcomes, width)
    evidence = run.evidence if isinstance(run.evidence, TestEvidence) else None
    if evidence is None:
        if outcomes and run.problem is None:
            return sections([_counts(outcomes)], run_lines(run, width), command_lines(run))
        return sections(run_lines(run, width), evidence_lines(run, width), command_lines(run))
    ended = wrapped(line(("✗ ", BAD), evidence.run.ended), width, indent=2) if evidence.run.ended else []
    if low:
        return [_counts(outcomes), *ended, *_comparison(evidence, width, low=True)]
    counts = [_counts(outcomes), *_slowest(outcomes, width), *_recorded(evidence.run, width)]
    told = [*ended, *_warnings(evidence.run, width)]
    return sections(counts, told, run_lines(run, width), _comparison(evidence, width), command_lines(run))


test_lines.__test__ = False  # type: ignore[attr-defined]


def _counts(outcomes: Sequence[TestOutcome]) -> Content:
    parts = []
    for outcome, (mark, style) in MARKS.items():
        if found := sum(test.outcome == outcome for test in outcomes):
            sign, words = mark.split(" ")
            parts.append(line((f"{sign} {found:,} {words}", f"bold {style}")))
    seconds = sum(test.seconds for test in outcomes)
    return Content("  ").join([*parts, line((f"{count(len(outcomes), 'test')}, {duration(seconds)}", DIM))])


def _slowest(outcomes: Sequence[TestOutcome], width: int) -> list[Content]:
    """The three that took longest, where that is worth a line."""
    slow = sorted(outcomes, key=lambda test: -test.seconds)[:3]
    if not slow or slow[0].seconds < SLOW_SECONDS:
        return []
    words = ", ".join(f"{parts_of(test.nodeid)[-1]} {duration(test.seconds)}" for test in slow)
    return [line(("slowest  ", DIM), (cut(words, max(width - 9, 8)), DIM))]


def _progress(view: View, outcomes: Sequence[TestOutcome], width: int) -> list[Content]:
    collected = view.story.collected
    if collected is None:
        return quiet("The tests are being collected …")
    done = len(outcomes) / collected if collected else 1.0
    progress = line(bar(done, max(min(width - 14, 40), 10)), (f" {len(outcomes)}/{collected}", STRONG))
    use = use_lines(view.story.uses.get("test", ()), None, width)
    return [progress, *([_counts(outcomes)] if outcomes else []), *_running(view, outcomes, width), *use]


def _running(view: View, outcomes: Sequence[TestOutcome], width: int) -> list[Content]:
    """The tests that take their time at this moment, each with its phase."""
    ended = {test.nodeid for test in outcomes[-MOST_RUNNING * 4 :]}
    found = [(nodeid, phase) for nodeid, phase in view.story.running if nodeid not in ended]
    lines = [
        line(("● ", BUSY), (f"{phase:<9}", DIM), cut("::".join(parts_of(nodeid)[1:]) or nodeid, max(width - 11, 8)))
        for nodeid, phase in found[:MOST_RUNNING]
    ]
    if len(found) > MOST_RUNNING:
        lines.append(line((f"  and {len(found) - MOST_RUNNING} more", DIM)))
    return lines


def _recorded(run: TestRun, width: int) -> list[Content]:
    """The metrics that tests recorded, in a line."""
    words = ", ".join(f"{point.name} {number(point.value)}" for point in run.metrics)
    return [line(("recorded ", DIM), cut(words, max(width - 9, 8)))] if words else []


def _warnings(run: TestRun, width: int) -> list[Content]:
    """The first warnings, each with how often it came."""
    lines: list[Content] = []
    for found in run.warnings[:MOST_WARNINGS]:
        times = f" (×{found.count:,})" if found.count > 1 else ""
        lines += wrapped(line(("! ", WARN), (f"{found.category}: ", DIM), found.message, (times, DIM)), width, indent=2)
    if len(run.warnings) > MOST_WARNINGS:
        more = len(run.warnings) - MOST_WARNINGS
        lines.append(line((f"  and {count(more, 'other warning')}: mlconsole show N --stage test", DIM)))
    return lines


def _comparison(evidence: TestEvidence, width: int, *, low: bool = False) -> list[Content]:
    if evidence.comparison is not None:
        return comparison_drawn(evidence.comparison, evidence.further, width, low=low)
    if not evidence.not_compared:
        return []
    return wrapped(line(("Not compared with a champion: ", DIM), evidence.not_compared), width)


def outcome_lines(test: TestOutcome, width: int) -> list[Content]:
    """One test in full: how it ended, its message, its traceback, what it printed."""
    mark, style = MARKS[test.outcome]
    lines = [line((mark, f"bold {style}"), (f"  {duration(test.seconds)}{_parts_of_time(test)}", DIM))]
    if test.outcome == "flaky":
        lines += wrapped(line(("It failed as below, and passed when it was run again.", WARN)), width)
    elif test.attempts > 1:
        lines.append(line((f"It was run {test.attempts} times.", DIM)))
    lines += [line((f"{point.name}  ", DIM), number(point.value)) for point in test.metrics]
    if test.message:
        lines += wrapped(line(test.message), width)
    for title, text in (("Traceback", test.traceback), ("Output", test.output)):
        if text:
            lines += [blank(), heading(title), *(_traced(part) for part in text.splitlines())]
    if len(lines) == 1:
        lines.append(line(("It printed nothing.", DIM)))
    return lines


def _parts_of_time(test: TestOutcome) -> str:
    """How much of its time went into setting up and taking down, where that is worth a word."""
    parts = [("setup", test.setup_seconds), ("teardown", test.teardown_seconds)]
    words = [f"{name} {duration(seconds)}" for name, seconds in parts if seconds >= PART_SECONDS]
    return f", of it {', '.join(words)}" if words else ""


def _traced(text: str) -> Content:
    if text.startswith("E "):
        return line((text, BAD))
    if text.startswith(">"):
        return line((text, STRONG))
    return line(text)
