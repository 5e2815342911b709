"""One thing in full: a pod, its YAML, a test's traceback, a record, a problem with its last lines."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, cast

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.widgets import Static

from mlconsole.console.paint import DIM, WARN, keys_in, line, split
from mlconsole.console.patterns import NotAPattern, Pattern
from mlconsole.console.screens.dialog import Dialog
from mlconsole.console.widgets.filter_bar import FilterBar
from mlconsole.console.widgets.lines import Maker
from mlconsole.console.widgets.searched import SearchedDocument

if TYPE_CHECKING:
    from mlconsole.console.app import MlconsoleApp

SEARCH_HINT = "search: regular expression"


class DetailScreen(Dialog[None]):
    """A document over the rest of the screen.

    Args:
        title: its heading; any text.
        maker: makes the lines for a width.
    """

    scope: ClassVar[str] = "page"
    CSS_PATH = "detail.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,q", "close", "back", show=False)]

    def __init__(self, title: str, maker: Maker) -> None:
        super().__init__()
        self._heading = title
        self._maker = maker
        self._title = Static(classes="title", markup=False)
        self._keys = Static(classes="keys", markup=False)
        self._document = SearchedDocument()
        self._bar = FilterBar(SEARCH_HINT)

    def compose(self) -> ComposeResult:
        """Title, document, the line to type into, keys."""
        with Vertical():
            yield self._title
            yield self._document
            yield self._bar
            yield self._keys

    def on_mount(self) -> None:
        """Show the lines."""
        self._document.show(self._maker)
        self._document.focus()

    def on_resize(self) -> None:
        """Title and keys are made for the width."""
        self.call_after_refresh(self._tell)

    def _tell(self, fault: str = "") -> None:
        width = self._keys.size.width
        if not width:
            return
        registry = cast("MlconsoleApp", self.app).view.registry
        own = [(action.key, action.words) for action in registry.of(self.scope)]
        pairs = [("↓ ↑", "scroll"), *own, (registry["help"].key, "help"), ("Esc", "back")]
        self._keys.update(keys_in(pairs, width, last=2))
        found = line((fault, WARN)) if fault else line((self._document.words, DIM))
        self._title.update(split(line(self._heading), found, width))

    def open_bar(self) -> None:
        """Let a person type what to look for."""
        self._bar.open()

    def search_on(self, step: int) -> None:
        """Go to the next line that matches, or the one before; where nothing is looked for, ask for what."""
        if not self._document.words:
            self.open_bar()
        self._document.search_on(step)
        self._tell()

    def on_filter_bar_left(self, message: FilterBar.Left) -> None:
        """Look for it once it is whole, or for nothing any more where it was emptied."""
        message.stop()
        try:
            self._document.search(Pattern(message.text) if message.text else None)
        except NotAPattern as problem:
            message.bar.refuse()
            self._tell(str(problem))
            return
        message.bar.remove_class("-open")
        self._document.focus()
        self._tell()

    def action_close(self) -> None:
        """Back to where one was."""
        self.dismiss(None)
