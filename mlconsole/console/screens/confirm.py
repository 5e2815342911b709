"""Asks before anything outside is changed: what happens, the exact command, and an answer that no stray key gives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.widgets import Button, Input, Static

from mlconsole.console.paint import keys, line
from mlconsole.console.screens.dialog import Dialog
from mlconsole.console.widgets.lines import Document, Maker


@dataclass(frozen=True)
class Question:
    """What is asked.

    `verb` is on the button that says yes. `typed` is a name that has to be typed, where one is asked for;
    `wants_reason` asks for a sentence instead.
    """

    title: str
    maker: Maker
    verb: str
    typed: str = ""
    wants_reason: bool = False
    prompt: str = ""
    """What is asked for in place of a reason, such as `How many pods?`."""
    changes: bool = True
    """Whether the answer changes something; otherwise Enter in the line gives it."""


@dataclass(frozen=True)
class Answer:
    """Yes, with the reason where one was asked for."""

    reason: str = ""


class ConfirmScreen(Dialog[Answer | None]):
    """Preview, then a button: the focus is on No, so that Enter alone changes nothing."""

    CSS_PATH = "confirm.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "refuse", "no", show=False),
        Binding("left,up", "app.focus_previous", "other button", show=False),
        Binding("right,down", "app.focus_next", "other button", show=False),
    ]

    def __init__(self, question: Question) -> None:
        super().__init__()
        self.question = question
        self._document = Document()
        self._field = Input(id="typed" if question.typed else "reason")
        self._no, self._yes = Button("No, go back", id="no"), Button(line(question.verb), id="yes", variant="warning")

    def compose(self) -> ComposeResult:
        """Title, preview, what is to be typed, buttons."""
        question = self.question
        with Vertical():
            yield Static(line(question.title), classes="title", markup=False)
            yield self._document
            if question.typed:
                yield Static(line(f"Type the context's name, {question.typed}, to go on:"), markup=False)
                yield self._field
            elif question.wants_reason:
                yield Static(line(question.prompt or "Why? Your reason is kept with the release:"), markup=False)
                yield self._field
            with Horizontal():
                yield self._no
                yield self._yes
            yield Static(keys([("Tab →", "choose"), ("Enter", "press"), ("Esc", "no")]), classes="keys")

    def on_mount(self) -> None:
        """Show the preview; the focus goes where nothing can happen by mistake."""
        self._document.show(self.question.maker)
        self._judge("")
        (self._field if self.question.typed or self.question.wants_reason else self._no).focus()

    def on_resize(self) -> None:
        """The preview gets what the rest leaves, so that the buttons are always there."""
        asks = self.question.typed or self.question.wants_reason
        self._document.styles.max_height = max(self.size.height - (10 if asks else 8), 3)

    def _judge(self, text: str) -> None:
        question = self.question
        ready = text == question.typed if question.typed else bool(text.strip()) or not question.wants_reason
        self._yes.disabled = not ready

    def on_input_changed(self, event: Input.Changed) -> None:
        """The button waits until the right thing is typed."""
        self._judge(event.value)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Enter goes on to the button; it does not press it where something changes."""
        # that the line has changed may be told after that it was sent
        self._judge(event.value)
        if not self._yes.disabled:
            self._yes.focus() if self.question.changes else self._yes.press()

    def on_button_pressed(self, event: Button.Pressed) -> None:
        """Answer."""
        if event.button.id != "yes":
            self.dismiss(None)
            return
        reason = self._field.value.strip() if self.question.wants_reason else ""
        self.dismiss(Answer(reason))

    def action_refuse(self) -> None:
        """No."""
        self.dismiss(None)
