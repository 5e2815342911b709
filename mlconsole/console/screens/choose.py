"""One of many things, found by a few letters of its name: an action, a theme."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.fuzzy import Matcher
from textual.widgets import Input, Static

from mlconsole.console.paint import DIM, FAINT, KEY, keys, line
from mlconsole.console.screens.dialog import Dialog
from mlconsole.console.widgets.table import Row, Table


@dataclass(frozen=True)
class Choice:
    """One thing to choose: `key` is answered, `words` are searched, `label` and `help` only shown.

    `applies` tells whether it can be chosen with an effect now; where not, it is dim, and `help` says why.
    """

    key: str
    words: str
    label: str = ""
    help: str = ""
    applies: bool = True


class ChooseScreen(Dialog[str | None]):
    """A line to type into over a list; answers with the key of what was chosen.

    Args:
        title: what is chosen.
        choices: in the order in which they are listed before anything is typed.
    """

    CSS_PATH = "choose.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "close", "back", show=False),
        Binding("down,ctrl+n", "move('down')", "next", show=False),
        Binding("up,ctrl+p", "move('up')", "before", show=False),
        Binding("pagedown", "page('down')", "next page", show=False),
        Binding("pageup", "page('up')", "page before", show=False),
    ]

    def __init__(self, title: str, choices: Sequence[Choice]) -> None:
        super().__init__()
        self._heading = title
        self._choices = tuple(choices)
        self._field = Input(placeholder="some letters of its name")
        self._table = Table(("", "", ""), whole=frozenset({0, 1}))

    def compose(self) -> ComposeResult:
        """Title, the line, the list, keys."""
        with Vertical():
            yield Static(line(self._heading), classes="title", markup=False)
            yield self._field
            yield self._table
            yield Static(keys([("↓ ↑", "select"), ("Enter", "choose"), ("Esc", "back")]), classes="keys")

    def on_mount(self) -> None:
        """List everything."""
        self._field.focus()
        self._list("")

    def on_input_changed(self, message: Input.Changed) -> None:
        """List what is like what was typed, the likest first."""
        message.stop()
        self._list(message.value)

    def _list(self, text: str) -> None:
        found = found_by(self._choices, text)
        self._table.show([_row(choice) for choice in found])
        if found:
            self._table.move_to(found[0].key)

    def on_input_submitted(self, message: Input.Submitted) -> None:
        """Choose the row of the cursor."""
        message.stop()
        self._table.action_choose()

    def on_table_chosen(self, message: Table.Chosen) -> None:
        """Answer."""
        message.stop()
        self.dismiss(message.key)

    def action_move(self, way: str) -> None:
        """To the next row, or the one before."""
        self._table.action_scroll_down() if way == "down" else self._table.action_scroll_up()

    def action_page(self, way: str) -> None:
        """To the next page of rows, or the one before."""
        self._table.action_page_down() if way == "down" else self._table.action_page_up()

    def action_close(self) -> None:
        """Choose nothing."""
        self.dismiss(None)


def found_by(choices: Sequence[Choice], text: str) -> list[Choice]:
    """The choices whose words have the letters of a text in their order, the likest first; all where there is none."""
    if not text.strip():
        return list(choices)
    matcher = Matcher(text.strip())
    scored = [(matcher.match(choice.words), choice) for choice in choices]
    return [choice for score, choice in sorted(scored, key=lambda pair: -pair[0]) if score > 0]


def _row(choice: Choice) -> Row:
    styles = (KEY, "", DIM) if choice.applies else (FAINT, DIM, FAINT)
    return Row(choice.key, (choice.label, choice.words, choice.help), styles)
