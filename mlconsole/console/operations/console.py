"""Operates the console itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.theme import ThemeProvider

from mlconsole.console.palette import Palette
from mlconsole.console.screens.help import help_screen

if TYPE_CHECKING:
    from mlconsole.console.app import MlconsoleApp


async def theme(app: MlconsoleApp) -> None:
    """Choose other colours."""
    await app.push_screen(Palette(providers=[ThemeProvider], placeholder="Search for themes…"))


async def palette(app: MlconsoleApp) -> None:
    """Find an action by its name."""
    await app.push_screen(Palette(id="--command-palette"))


async def help(app: MlconsoleApp) -> None:
    """All keys of where one is."""
    await app.push_screen(help_screen(app.view, app.scope))


async def quit(app: MlconsoleApp) -> None:
    """Leave; a running release goes on."""
    app.exit()
