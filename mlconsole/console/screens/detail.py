"""One thing in full: a test's traceback, a problem with its last lines."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.widgets import Static

from mlconsole.console.paint import keys, line
from mlconsole.console.screens.dialog import Dialog
from mlconsole.console.widgets.lines import Document, Maker


class DetailScreen(Dialog[None]):
    """A document over the rest of the screen.

    Args:
        title: its heading; any text.
        maker: makes the lines for a width.
    """

    CSS_PATH = "detail.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,q", "close", "back", show=False)]

    def __init__(self, title: str, maker: Maker) -> None:
        super().__init__()
        self._heading = title
        self._maker = maker
        self._document = Document()

    def compose(self) -> ComposeResult:
        """Title, document, keys."""
        with Vertical():
            yield Static(line(self._heading), classes="title", markup=False)
            yield self._document
            yield Static(keys([("↓ ↑", "scroll"), ("Esc", "back")]), classes="keys")

    def on_mount(self) -> None:
        """Show the lines."""
        self._document.show(self._maker)
        self._document.focus()

    def action_close(self) -> None:
        """Back to where one was."""
        self.dismiss(None)
