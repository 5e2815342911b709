"""Brings a project here: asks for its address, clones it with progress, and can be ended."""

from __future__ import annotations

import shlex
import threading
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, cast

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.message import Message
from textual.widgets import Input, Static

from mlconsole.console.cloning import CloneOrder
from mlconsole.console.faults import as_record
from mlconsole.console.paint import BUSY, DIM, FAINT, STRONG, WARN, bar, keys, line, problem_lines, wrapped
from mlconsole.console.screens.dialog import Dialog
from mlconsole.console.widgets.lines import Document
from mlconsole.errors import Cancelled
from mlconsole.evidence.base import now
from mlconsole.evidence.release import ProblemRecord
from mlconsole.evidence.repo import CloneProgress
from mlconsole.present.words import progress_words
from mlconsole.text import duration

if TYPE_CHECKING:
    from datetime import datetime

    from mlconsole.console.app import MlconsoleApp

GROUP = "clone"
MOST_BAR = 30


class CloneScreen(Dialog[Path | None]):
    """Answers with the folder that was cloned; None: nothing was, and nothing is left of it.

    Args:
        order: what is cloned where. With an address it begins at once.
    """

    CSS_PATH = "clone.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "leave", "back", show=False)]

    class Moved(Message):
        """Git says how far it is; of several that wait, the last one counts."""

        def __init__(self, progress: CloneProgress) -> None:
            super().__init__()
            self.progress = progress

        def can_replace(self, message: Message) -> bool:
            """A later one stands for an earlier one."""
            return isinstance(message, CloneScreen.Moved)

    def __init__(self, order: CloneOrder) -> None:
        super().__init__()
        self._order = order
        self._url = order.url
        self._began: datetime | None = None
        self._progress: CloneProgress | None = None
        self._problem: ProblemRecord | None = None
        self._note = ""
        self._field = Input(order.url, placeholder="https://example.com/ml-project.git")
        self._document = Document()
        self._keys = Static(classes="keys", markup=False)

    @property
    def is_cloning(self) -> bool:
        """Whether git is at work."""
        return self._began is not None

    def compose(self) -> ComposeResult:
        """Title, the address, what comes of it, keys."""
        with Vertical():
            yield Static(line("Clone a project"), classes="title", markup=False)
            yield Static(line("The address of its repository:"), markup=False)
            yield self._field
            yield self._document
            yield self._keys

    def on_mount(self) -> None:
        """Ask for the address, or begin."""
        self._field.focus()
        self.set_interval(1.0, self._tick)
        if self._url:
            self._begin()
        self._draw()

    def on_resize(self) -> None:
        """The last lines of a problem scroll, so that the keys are always there."""
        self._document.styles.max_height = max(self.size.height - 8, 3)

    def on_input_submitted(self, message: Input.Submitted) -> None:
        """Clone."""
        message.stop()
        self._url = message.value.strip()
        if self._url and not self.is_cloning:
            self._begin()
            self._draw()

    def _begin(self) -> None:
        self._began, self._progress, self._problem, self._note = now(), None, None, ""
        self._field.disabled = True
        cast("MlconsoleApp", self.app).background.run(GROUP, self._work, self._cloned, self._failed)

    def _work(self, stop: threading.Event) -> Path:
        from mlconsole.services.git import clone

        def report(progress: CloneProgress) -> None:
            _discard(self.post_message(self.Moved(progress)))

        return clone(self._url, self._order.target, report=report, cancelled=stop)

    def on_clone_screen_moved(self, message: Moved) -> None:
        """Show how far it is."""
        message.stop()
        self._progress = message.progress
        self._draw()

    def _cloned(self, folder: Path) -> None:
        self._began = None
        self.dismiss(folder)

    def _failed(self, error: BaseException) -> None:
        self._began = None
        if isinstance(error, Cancelled):
            self._note = "It was ended, and nothing is left of it."
        else:
            self._problem = as_record(error)
        self._field.disabled = False
        self._field.focus()
        self._draw()

    def action_leave(self) -> None:
        """End the clone; where none goes on, leave."""
        if self.is_cloning:
            self._note = "Ending it …"
            cast("MlconsoleApp", self.app).background.stop(GROUP)
            self._draw()
        else:
            self.dismiss(None)

    def _tick(self) -> None:
        if self.is_cloning:
            self._draw()

    def _draw(self) -> None:
        if not self.is_attached:
            return
        app = cast("MlconsoleApp", self.app)
        self._document.show(self._lines)
        idle = "quit" if self._order.url else "back" if app.is_open else "open the empty folder"
        leave = "end it" if self.is_cloning else idle
        pairs = [*([] if self.is_cloning else [("Enter", "clone")]), ("Esc", leave)]
        self._keys.update(keys(pairs))

    def _lines(self, width: int) -> list[Content]:
        into = str(self._order.target)
        if not self.is_cloning and self._problem is None:
            note = wrapped(line((self._note, WARN)), width) if self._note else []
            return [*note, *wrapped(line(("It goes into ", DIM), into), width)]
        if self._problem is not None:
            return problem_lines(self._problem, width)
        from mlconsole.services.git import masked

        command = f"git clone -- {shlex.quote(masked(self._url))} {shlex.quote(into)}"
        return [*wrapped(line(("$ ", FAINT), (command, DIM)), width, indent=2), *self._progress_lines(width)]

    def _progress_lines(self, width: int) -> list[Content]:
        took = f"  {duration((now() - self._began).total_seconds())}" if self._began else ""
        words = self._note or (progress_words(self._progress) if self._progress else "connecting")
        head = line(("● ", BUSY), (words, STRONG), (took, DIM))
        if self._progress is None or self._progress.fraction is None:
            return [head]
        return [head, bar(self._progress.fraction, min(width, MOST_BAR))]


def _discard(result: object) -> None:
    """Whether the message was still taken says nothing here: the screen may be gone."""
