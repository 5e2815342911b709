"""May it be released? The tests as a tree that fills while they run, and the candidate against the champion."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from textual.content import Content
from textual.widget import Widget

from mlconsole.console.interval_lines import comparison_drawn
from mlconsole.console.paint import BAD, BUSY, DIM, FAINT, STRONG, WARN, bar, blank, cut, heading, line, wrapped
from mlconsole.console.panels.base import Panel, command_lines, evidence_lines, quiet, run_lines, sections
from mlconsole.console.panels.train import use_lines
from mlconsole.console.screens.detail import DetailScreen
from mlconsole.console.test_rows import COLUMNS, MARKS, TestRows
from mlconsole.console.test_tree import BRANCH, REST, Leaf, TestTree, parts_of
from mlconsole.console.view import View
from mlconsole.console.widgets.lines import Document, Maker
from mlconsole.console.widgets.table import Table
from mlconsole.evidence.testing import TestEvidence, TestOutcome, TestRun
from mlconsole.text import count, duration, number

LOW = 18
"""Below this height of the panel, the table needs the room: gate and comparison are said in short."""
SLOW_SECONDS = 0.5
PART_SECONDS = 0.1
MOST_RUNNING, MOST_FAILED, MOST_WARNINGS = 4, 3, 3


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
        self.table = Table(COLUMNS, numeric=frozenset({2}), whole=frozenset({0}))
        self.tests = TestTree()
        self._rows = TestRows(self.tests)
        self._drawn: tuple[object, ...] = ()
        self._pointed: datetime | None = None
        self._filling = False
        self._room = 0
        self._low = False

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
        return self.tests.nodeids(self.table.cursor_key or "")

    def on_resize(self) -> None:
        """Say more or less, as there is room."""
        self._room = 0
        self.draw(self.view)

    def draw(self, view: View) -> None:
        """Bring both up to a view."""
        run, story = view.run("test"), view.story
        self.set_class(not outcomes_of(view) and not (run and story.tests), "-no-tests")
        counts_down = view.moment if run is not None and run.state == "running" else None
        self._low = self.size.height < LOW
        drawn = (run, story, view.related.test_seconds, counts_down, self._low)
        if self._drawn and all(new is old for new, old in zip(drawn, self._drawn, strict=True)):
            return
        self._drawn = drawn
        if not self._filling:
            self._fill()

    def _fill(self) -> None:
        """Take in what is known of the tests, many of them over several turns, and draw."""
        view = self.view
        run, story = view.run("test"), view.story
        runs = run is not None and run.state == "running"
        self.tests.remember(view.related.test_seconds)
        goes_on = self._filling
        self._filling = self.tests.take(story.tests if run else (), outcomes_of(view), story.running, over=not runs)
        if not (goes_on and self._filling):
            self.document.show(self._lines)
            self._show_rows()
        if self._filling:
            self.call_later(self._fill)
        elif runs and not self.table.has_focus and (latest := self.tests.latest) is not None:
            self.table.move_to(latest)
        else:
            self._point_out()

    def _lines(self, width: int) -> list[Content]:
        # no size is asked for here: this is called while sizes are found
        lines = test_lines(self.view, self.tests, width, low=self._low)
        # what runs comes and goes: the table below stays where it is
        run = self.view.run("test")
        self._room = max(self._room, len(lines)) if run is not None and run.state == "running" else 0
        return lines + [blank()] * (self._room - len(lines))

    def _show_rows(self) -> None:
        self.table.show_model(self._rows)
        # how many rows are seen is known once the lines above have their height
        self.call_after_refresh(self._make_room)

    def _make_room(self) -> None:
        before = self.tests.order
        if self.table.size.height > 1:
            self.tests.make_room(self.table.size.height - 1)
        if self.tests.order is not before:
            self.table.show_model(self._rows)

    def _point_out(self) -> None:
        """Put the cursor on the first failure of a run, once."""
        run = self.view.run("test")
        if run is None or run.started_at == self._pointed or not isinstance(run.evidence, TestEvidence):
            return
        self._pointed = run.started_at
        # once the table has its height: before, it would scroll the row to its top
        self.call_after_refresh(self._move_to_first)

    def _move_to_first(self) -> None:
        if (failed := self.tests.first_failure) is not None:
            self.table.move_to(failed)
        elif not self.table.has_focus:
            self.table.action_scroll_home()

    def toggle_slowest(self) -> None:
        """List the slowest tests, or all as a tree."""
        self.tests.toggle_slowest()
        self._show_rows()

    def on_table_chosen(self, message: Table.Chosen) -> None:
        """Fold or unfold a branch; open a test."""
        message.stop()
        if message.key.startswith((BRANCH, REST)):
            self.tests.toggle(message.key)
            self._show_rows()
        elif (leaf := self.tests.leaf(message.key)) is not None:
            self.app.push_screen(DetailScreen(leaf.nodeid, leaf_lines(leaf, over=self.tests.is_over)))


def leaf_lines(leaf: Leaf, *, over: bool) -> Maker:
    """One test in full, or why there is nothing to tell of it."""
    outcome = leaf.outcome
    if outcome is not None:
        return lambda width: outcome_lines(outcome, width)
    words = "It was not run: the tests ended before its turn." if over else "It waits for its turn."
    if leaf.phase:
        words = f"It runs now: {leaf.phase}."
    return lambda width: quiet(words, width=width)


def outcomes_of(view: View) -> tuple[TestOutcome, ...]:
    """The outcomes of the shown release: of its evidence, or of its story while the tests run."""
    run = view.run("test")
    if run is None:
        return ()
    return run.evidence.run.outcomes if isinstance(run.evidence, TestEvidence) else view.story.outcomes


def test_lines(view: View, tree: TestTree, width: int, *, low: bool = False) -> list[Content]:
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
        return _progress(view, tree, width, low=low)
    evidence = run.evidence if isinstance(run.evidence, TestEvidence) else None
    if evidence is None:
        if tree.root.ended and run.problem is None:
            return sections([_counts(tree)], run_lines(run, width), command_lines(run, view, width))
        return sections(run_lines(run, width), evidence_lines(run, width), command_lines(run, view, width))
    ended = wrapped(line(("✗ ", BAD), evidence.run.ended), width, indent=2) if evidence.run.ended else []
    if low:
        return [_counts(tree), *ended, *_comparison(evidence, width, low=True)]
    counts = [_counts(tree), *_slowest(tree, width), *_recorded(evidence.run, width)]
    told = [*ended, *_warnings(evidence.run, width)]
    return sections(counts, told, run_lines(run, width), _comparison(evidence, width), command_lines(run, view, width))


test_lines.__test__ = False  # type: ignore[attr-defined]


def _counts(tree: TestTree) -> Content:
    """How many ended in which way, and how many did not yet, or never will."""
    tally, parts = tree.root.tally, []
    for outcome, (mark, style) in MARKS.items():
        if found := tally[outcome]:
            sign, words = mark.split(" ")
            parts.append(line((f"{sign} {found:,} {words}", f"bold {style}")))
    if left := tree.root.tests - tree.root.ended:
        parts.append(line((f"○ {left:,} not run", WARN) if tree.is_over else (f"○ {left:,} to come", FAINT)))
    return Content("  ").join([*parts, line((f"{count(tree.root.tests, 'test')}, {duration(tree.root.seconds)}", DIM))])


def _slowest(tree: TestTree, width: int) -> list[Content]:
    """The three that took longest, where that is worth a line."""
    slow = tree.slow(3)
    if not slow or slow[0].seconds < SLOW_SECONDS:
        return []
    words = ", ".join(f"{leaf.name} {duration(leaf.seconds)}" for leaf in slow)
    return [line(("slowest  ", DIM), (cut(words, max(width - 9, 8)), DIM))]


def _progress(view: View, tree: TestTree, width: int, *, low: bool) -> list[Content]:
    story = view.story
    if story.collected is None:
        return quiet("The tests are being collected …")
    ended, total = tree.root.ended, max(story.collected, tree.root.tests)
    words = f" {ended:,}/{total:,}"
    left = _time_left(view, tree)
    room = width - len(words) - (len(left) + 2 if left else 0)
    progress = line(bar(ended / total if total else 1.0, max(min(room, 40), 10)), (words, STRONG))
    if left:
        progress = line(progress, (f"  {left}", DIM))
    counts = [_counts(tree)] if ended else []
    running = _running(view, tree, width, most=1 if low else MOST_RUNNING)
    failed = _failed(tree, width, most=1 if low else MOST_FAILED)
    if low:
        return [progress, *counts, *failed, *running]
    use = use_lines(story.uses.get("test", ()), None, width)
    return [progress, *counts, *failed, *_slowest(tree, width), *running, *use]


def _failed(tree: TestTree, width: int, most: int) -> list[Content]:
    """The last tests that failed so far, each with why, where not all are seen below."""
    if not tree.is_long:
        return []
    return [
        line(("✗ ", BAD), (cut(f"{'::'.join(parts_of(leaf.nodeid)[1:]) or leaf.nodeid}  {_why(leaf)}", width - 2), BAD))
        for leaf in tree.failed[-most:]
    ]


def _why(leaf: Leaf) -> str:
    return leaf.outcome.message if leaf.outcome is not None else ""


def _time_left(view: View, tree: TestTree) -> str:
    """How long it still takes, in words; empty where nobody knows."""
    story = view.story
    if story.collected_at is None:
        return ""
    last = story.reported_at or story.collected_at
    left = tree.seconds_left((last - story.collected_at).total_seconds())
    if left is None:
        return ""
    left -= (view.moment - last).total_seconds()
    words = duration(left) if left >= 10 else f"{round(left)} s"
    return f"about {words} left" if left >= 1 else ""


def _running(view: View, tree: TestTree, width: int, most: int) -> list[Content]:
    """The tests that take their time at this moment, each with its phase, and for how long already."""
    story, lines = view.story, []
    found = [(tree.leaf(nodeid), phase) for nodeid, phase in story.running]
    runs = [(leaf, phase) for leaf, phase in found if leaf is not None and leaf.outcome is None]
    for leaf, phase in runs[:most]:
        since = story.running_since.get(leaf.nodeid)
        took = duration(max(round((view.moment - since).total_seconds()), 0)) if since else ""
        name = cut("::".join(parts_of(leaf.nodeid)[1:]) or leaf.nodeid, max(width - 14 - len(took), 8))
        lines.append(line(("● ", BUSY), (f"{phase:<9}", DIM), name, (f"  {took}", DIM)))
    if len(runs) > most:
        lines.append(line((f"  and {len(runs) - most} more", DIM)))
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
