"""A screen over others: it has its own actions of the registry, and goes away once, however often it is told to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, cast

from textual.await_complete import AwaitComplete
from textual.screen import ModalScreen, Screen, ScreenResultType

if TYPE_CHECKING:
    from mlconsole.console.app import MlconsoleApp


class Dialog(ModalScreen[ScreenResultType]):
    """Two keys that close a screen may come before the first has closed it: Textual would close the one below too."""

    scope: ClassVar[str] = ""
    """The actions of the registry with this scope are bound here, and listed by `?`; empty: there are none."""

    def on_mount(self) -> None:
        """Bind the screen's actions."""
        if not self.scope:
            return
        registry = cast("MlconsoleApp", self.app).view.registry
        for action in registry.of(self.scope):
            self._bindings.bind(action.keys, f"app.perform('{action.id}')", action.words, show=False)
        self._bindings.bind(registry["help"].keys, "help", "help", show=False)

    def action_help(self) -> None:
        """The keys of this screen."""
        from mlconsole.console.screens.help import help_screen

        self.app.push_screen(help_screen(cast("MlconsoleApp", self.app).view, self.scope))

    def dismiss(self, result: ScreenResultType | None = None) -> AwaitComplete:
        """Close this screen, where it is on top."""
        return super().dismiss(result) if is_on_top(self) else AwaitComplete()


def is_on_top(screen: Screen[Any]) -> bool:
    """Whether a screen is the one that is seen and gets the keys."""
    return screen.app.screen_stack[-1] is screen
