"""Operates the console itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlconsole.console.actions import Action
from mlconsole.console.screens.choose import Choice, ChooseScreen
from mlconsole.console.screens.help import help_screen
from mlconsole.console.view import View

if TYPE_CHECKING:
    from mlconsole.console.app import MlconsoleApp


async def theme(app: MlconsoleApp) -> None:
    """Choose other colours."""
    choices = [Choice(name, name, "●" if name == app.theme else " ") for name in _present_first(app)]
    chosen = await app.push_screen_wait(ChooseScreen("Colours", choices))
    if chosen is not None:
        app.theme = chosen


def _present_first(app: MlconsoleApp) -> list[str]:
    return sorted(app.available_themes, key=lambda name: (name != app.theme, name))


async def palette(app: MlconsoleApp) -> None:
    """Find an action by its name, and carry it out."""
    actions = [action for action in app.view.registry.of(app.main.scope) if action.id != "palette"]
    chosen = await app.push_screen_wait(ChooseScreen("Commands", [choice_of(action, app.view) for action in actions]))
    if chosen is not None:
        app.perform(chosen)


def choice_of(action: Action, view: View) -> Choice:
    """An action with its keys; one that does not apply says why instead of what it does."""
    reason = action.why_not(view)
    words = action.help if reason is None else f"not now: {reason}"
    return Choice(action.id, action.words, action.label, words, applies=reason is None)


async def help(app: MlconsoleApp) -> None:
    """All keys of where one is."""
    await app.push_screen(help_screen(app.view, app.scope))


def quit(app: MlconsoleApp) -> None:
    """Leave; a running release goes on."""
    app.exit()
