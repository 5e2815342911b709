"""A log as it grows, in the whole window: of a stage, or of a pod."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.widgets import Static

from mlconsole.console.background import Post
from mlconsole.console.faults import as_record
from mlconsole.console.log_feed import Feed, LogGrew
from mlconsole.console.messages import Faulted
from mlconsole.console.paint import keys, line
from mlconsole.console.screens.dialog import Dialog
from mlconsole.console.widgets.log_view import LogView


class LogScreen(Dialog[None]):
    """A log over the rest of the screen.

    Args:
        title: whose log.
        open_feed: starts to follow it; gets how lines are posted.
        empty: what is said while there are no lines.
    """

    CSS_PATH = "log.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,q,l", "close", "back", show=False)]

    def __init__(self, title: str, open_feed: Callable[[Post], Feed], *, empty: str) -> None:
        super().__init__()
        self._heading = title
        self._open_feed = open_feed
        self._empty = empty
        self._feed: Feed | None = None

    def compose(self) -> ComposeResult:
        """Title, log, keys."""
        hints = [("↓ ↑ ← →", "scroll"), ("G", "follow the end"), ("Esc", "back")]
        with Vertical():
            yield Static(line(self._heading), classes="title", markup=False)
            yield LogView(empty=self._empty)
            yield Static(keys(hints), classes="keys")

    def on_mount(self) -> None:
        """Begin to follow."""
        self.query_one(LogView).focus()
        self._feed = self._open_feed(self.post_message)

    def on_unmount(self) -> None:
        """Leave no thread behind."""
        if self._feed is not None:
            self._feed.stop()

    def on_log_grew(self, message: LogGrew) -> None:
        """Add what the log has more."""
        message.stop()
        view = self.query_one(LogView)
        if message.growth.fresh:
            view.clear()
        view.append(message.growth.lines, message.growth.partial)

    def on_faulted(self, message: Faulted) -> None:
        """Say why there is no log, in its place."""
        message.stop()
        problem = as_record(message.error)
        self.query_one(LogView).append(
            [f"── {problem.sentence}", *([f"── {problem.next_step}"] if problem.next_step else [])]
        )

    def action_close(self) -> None:
        """Back to where one was."""
        self.dismiss(None)
