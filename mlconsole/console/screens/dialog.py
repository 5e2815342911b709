"""A screen over others: it has its own actions of the registry, and goes away once, however often it is told to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, cast

from textual.await_complete import AwaitComplete
from textual.screen import ModalScreen, Screen, ScreenResultType

if TYPE_CHECKING:
    from mlconsole.console.app import MlconsoleApp


class Dialog(ModalScreen[ScreenResultType]):
    """Keys may come faster than screens do, and Textual gives a key to the screen that is on top when its turn comes.

    One that comes before the screen has its widgets does nothing: there it would raise. Of two that close a screen, the
    second does nothing: it would close the one below too.
    """

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

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Whether an action can be carried out now."""
        return self.is_mounted and super().check_action(action, parameters)

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
