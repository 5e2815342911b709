"""Carries out what the keys of a page say."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlconsole.console.screens.detail import DetailScreen

if TYPE_CHECKING:
    from mlconsole.console.app import MlconsoleApp


def _screen(app: MlconsoleApp) -> DetailScreen | None:
    return app.screen if isinstance(app.screen, DetailScreen) else None


def page_search(app: MlconsoleApp) -> None:
    """Let a person type what to look for."""
    if screen := _screen(app):
        screen.open_bar()


def page_next(app: MlconsoleApp) -> None:
    """Go to the next match."""
    if screen := _screen(app):
        screen.search_on(1)


def page_before(app: MlconsoleApp) -> None:
    """Go to the match before."""
    if screen := _screen(app):
        screen.search_on(-1)
