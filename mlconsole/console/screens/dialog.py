"""A screen over others that goes away once, however often it is told to."""

from __future__ import annotations

from typing import Any

from textual.await_complete import AwaitComplete
from textual.screen import ModalScreen, Screen, ScreenResultType


class Dialog(ModalScreen[ScreenResultType]):
    """Two keys that close a screen may come before the first has closed it: Textual would close the one below too."""

    def dismiss(self, result: ScreenResultType | None = None) -> AwaitComplete:
        """Close this screen, where it is on top."""
        return super().dismiss(result) if is_on_top(self) else AwaitComplete()


def is_on_top(screen: Screen[Any]) -> bool:
    """Whether a screen is the one that is seen and gets the keys."""
    return screen.app.screen_stack[-1] is screen
