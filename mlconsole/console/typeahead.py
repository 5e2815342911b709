"""Keys that are typed at once after one that opens a line to type into belong into that line."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.events import Event, Key
from textual.widget import Widget
from textual.widgets import Input

from mlconsole.console.actions.registry import applies_in

if TYPE_CHECKING:
    from mlconsole.console.app import MlconsoleApp

PATIENCE = 1.0
"""Seconds after which keys are handed on although no line has come up."""


class TypeAhead:
    """Holds keys back while a line comes up: a terminal hands over `/name` in one piece, before `/` has any effect."""

    def __init__(self, app: MlconsoleApp) -> None:
        self._app = app
        self._held: list[Key] | None = None

    def holds(self, event: Event) -> bool:
        """Whether an event is kept for the line."""
        if not isinstance(event, Key) or event.is_forwarded:
            return False
        if self._held is not None:
            self._held.append(event)
            return True
        if self._opens_a_line(event.key):
            self._held = []
            self._app.set_timer(PATIENCE, self.hand_on)
        return False

    def _opens_a_line(self, key: str) -> bool:
        app = self._app
        if not app.is_open or isinstance(app.focused, Input):
            return False
        opening = [found for found in app.view.registry.actions if found.opens_line and key in found.each_key]
        return any(applies_in(found, app.scope) and found.why_not(app.view) is None for found in opening)

    async def focus_moved(self, widget: Widget) -> None:
        """The focus is elsewhere now."""
        if isinstance(widget, Input):
            await self.hand_on()

    async def hand_on(self) -> None:
        """Have the app take what was held back, as it takes what is typed now."""
        held, self._held = self._held, None
        for event in held or ():
            await self._app.on_event(event)
