"""The command palette: the registry of actions, to be found by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from textual.await_complete import AwaitComplete
from textual.command import CommandPalette, DiscoveryHit, Hit, Hits, Provider

from mlconsole.console.actions import Action
from mlconsole.console.screens.dialog import is_on_top

if TYPE_CHECKING:
    from mlconsole.console.app import MlconsoleApp


class Palette(CommandPalette):
    """Textual's palette, but keys that were typed before it is there do nothing: there they raise.

    Nothing shines through: to draw the screen below at each change would take longer than anything else here.
    """

    DEFAULT_CSS = """
    Palette { background: $background; }
    """

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Whether an action can be carried out now."""
        return self.is_mounted and super().check_action(action, parameters)

    def dismiss(self, result: Any = None) -> AwaitComplete:
        """Close it once: Enter and Esc may come together."""
        return super().dismiss(result) if is_on_top(self) else AwaitComplete()


class ActionCommands(Provider):
    """All actions; one that does not apply says why instead of what it does."""

    @property
    def _console(self) -> MlconsoleApp:
        return cast("MlconsoleApp", self.app)

    @property
    def _actions(self) -> list[Action]:
        console = self._console
        return [action for action in console.view.registry.of(console.main.scope) if action.id != "palette"]

    def _told(self, action: Action) -> str:
        reason = action.why_not(self._console.view)
        return f"{action.label}  {action.help}" if reason is None else f"{action.label}  not now: {reason}"

    async def discover(self) -> Hits:
        """All actions, before anything was typed."""
        for action in self._actions:
            yield DiscoveryHit(
                action.words, lambda name=action.id: self._console.perform(name), help=self._told(action)
            )

    async def search(self, query: str) -> Hits:
        """The actions whose name is like what was typed."""
        matcher = self.matcher(query)
        for action in self._actions:
            score = matcher.match(action.words)
            if score > 0:
                yield Hit(
                    score,
                    matcher.highlight(action.words),
                    lambda name=action.id: self._console.perform(name),
                    help=self._told(action),
                )
