"""Some tests run again outside of the release: shown as they end, and kept nowhere."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, ClassVar, cast

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.message import Message
from textual.widgets import Static

from mlconsole.console.faults import as_record
from mlconsole.console.paint import BAD, BUSY, DIM, FAINT, WARN, blank, heading, keys, line, problem_lines, wrapped
from mlconsole.console.panels.test import outcome_lines
from mlconsole.console.screens.dialog import Dialog
from mlconsole.console.test_rows import MARKS
from mlconsole.console.test_tree import parts_of
from mlconsole.console.widgets.lines import Document
from mlconsole.evidence.release import ProblemRecord
from mlconsole.evidence.testing import TestOutcome, TestRun
from mlconsole.stages.test_again import UNRECORDED
from mlconsole.text import count, duration

if TYPE_CHECKING:
    from mlconsole.console.app import MlconsoleApp

RunAgain = Callable[[Callable[[TestOutcome], None], threading.Event], TestRun]
"""Runs the tests; gets what takes each outcome, and an event that ends it."""


class RerunScreen(Dialog[None]):
    """The outcomes of tests that are run again.

    Args:
        nodeids: what is run: tests, classes or files.
        command: what a person would type for it.
        run: does it, in a thread.
    """

    CSS_PATH = "rerun.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,q", "close", "back", show=False)]

    class Reported(Message):
        """A test ended."""

        def __init__(self, outcome: TestOutcome) -> None:
            super().__init__()
            self.outcome = outcome

    def __init__(self, nodeids: Sequence[str], command: str, run: RunAgain) -> None:
        super().__init__()
        self._nodeids = tuple(nodeids)
        self._command = command
        self._run = run
        self._cancelled = threading.Event()
        self._outcomes: list[TestOutcome] = []
        self._result: TestRun | None = None
        self._problem: ProblemRecord | None = None
        self._document = Document()

    @property
    def has_ended(self) -> bool:
        """Whether there is nothing more to come."""
        return self._result is not None or self._problem is not None

    def compose(self) -> ComposeResult:
        """Title, outcomes, keys."""
        what = self._nodeids[0] if len(self._nodeids) == 1 else count(len(self._nodeids), "failed test")
        with Vertical():
            yield Static(line(f"Run again: {what}"), classes="title", markup=False)
            yield self._document
            yield Static(keys([("↓ ↑", "scroll"), ("Esc", "end it and go back")]), classes="keys")

    def on_mount(self) -> None:
        """Start."""
        self._draw()
        self._document.focus()
        background = cast("MlconsoleApp", self.app).background
        background.run("tests-again", self._work, self._ended, self._failed)

    def _work(self, stop: threading.Event) -> TestRun:
        return self._run(lambda outcome: _discard(self.post_message(self.Reported(outcome))), self._cancelled)

    def _ended(self, result: TestRun) -> None:
        self._result, self._outcomes = result, list(result.outcomes)
        self._draw()

    def _failed(self, error: BaseException) -> None:
        self._problem = as_record(error)
        self._draw()

    def on_rerun_screen_reported(self, message: Reported) -> None:
        """Show one more."""
        message.stop()
        if not self.has_ended:
            self._outcomes.append(message.outcome)
            self._draw()

    def on_unmount(self) -> None:
        """End the tests, where they still run."""
        self._cancelled.set()

    def action_close(self) -> None:
        """Back to where one was."""
        self.dismiss(None)

    def _draw(self) -> None:
        if not self._cancelled.is_set():
            self._document.show(self._lines)

    def _lines(self, width: int) -> list[Content]:
        lines = [
            line(("! ", WARN), UNRECORDED),
            *wrapped(line(("$ ", FAINT), (self._command, DIM)), width, indent=2),
            blank(),
        ]
        if self._problem is not None:
            return [*lines, *problem_lines(self._problem, width)]
        result = self._result
        if result is None:
            lines.append(line(("● running", BUSY), (f"  {count(len(self._outcomes), 'test')} so far", DIM)))
        elif result.ended:
            lines += wrapped(line(("✗ ", BAD), result.ended), width, indent=2)
        else:
            lines.append(line((f"{count(len(self._outcomes), 'test')} in {duration(result.seconds)}", DIM)))
        for test in self._outcomes:
            mark, style = MARKS[test.outcome]
            lines.append(
                line((f"{mark:<10}", style), "::".join(parts_of(test.nodeid)[1:]), (f"  {test.seconds:.2f} s", DIM))
            )
        for test in self._outcomes:
            if test.outcome in ("failed", "error") or (len(self._outcomes) == 1 and result is not None):
                lines += [blank(), heading(test.nodeid), *outcome_lines(test, width)]
        return lines


def _discard(result: object) -> None:
    """Whether the message was still taken says nothing here: the screen may be gone."""
