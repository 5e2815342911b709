"""A line to type a filter or a search into, which goes away when it is left empty."""

from __future__ import annotations

from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.message import Message
from textual.widgets import Input


class FilterBar(Input):
    """One line of input; hidden until it is opened.

    Args:
        placeholder: what it says while it is empty.
    """

    DEFAULT_CSS = """
    FilterBar { height: 1; border: none; padding: 0 1; background: $boost; display: none; }
    FilterBar:focus { border: none; background: $boost; }
    FilterBar.-open { display: block; }
    FilterBar.-wrong { color: $text-error; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "abandon", "clear", show=False),
        Binding("down,tab", "keep", "back to the rows", show=False),
    ]

    class Typed(Message):
        """The text is another one."""

        def __init__(self, bar: FilterBar, text: str) -> None:
            super().__init__()
            self.bar = bar
            self.text = text

    class Left(Typed):
        """The person is done with it: Enter, or Esc, which empties it."""

    def __init__(self, placeholder: str, *, id: str | None = None) -> None:
        super().__init__(placeholder=placeholder, compact=True, id=id)

    def open(self, text: str | None = None) -> None:
        """Show it and go into it, with what was typed before or with `text`."""
        self.add_class("-open")
        if text is not None:
            self.value = text
        self.cursor_position = len(self.value)
        self.focus()

    def refuse(self) -> None:
        """Mark what was typed as no expression, until it is another one, and go into it again."""
        self.add_class("-wrong", "-open")
        self.focus()

    def on_input_changed(self, message: Input.Changed) -> None:
        """Tell what was typed."""
        message.stop()
        self.remove_class("-wrong")
        self.post_message(self.Typed(self, message.value))

    def on_input_submitted(self, message: Input.Submitted) -> None:
        """Keep it and go back."""
        message.stop()
        self.action_keep()

    def action_keep(self) -> None:
        """Go back; the text stays, and so does the line where there is one."""
        self.set_class(bool(self.value), "-open")
        self.post_message(self.Left(self, self.value))

    def action_abandon(self) -> None:
        """Empty it and go back."""
        self.value = ""
        self.action_keep()
