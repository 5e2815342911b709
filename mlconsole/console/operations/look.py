"""Shows something else, and changes nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlconsole.console.screens.history import HistoryScreen

if TYPE_CHECKING:
    from mlconsole.console.app import MlconsoleApp


def log(app: MlconsoleApp) -> None:
    """Open the log of the selected stage, or of the selected pod."""
    from mlconsole.console.operations.log import open_pod_log, open_stage_log

    if app.view.selected == "pods":
        open_pod_log(app)
    elif app.view.shown is not None:
        open_stage_log(app, app.view.shown.number)


async def history(app: MlconsoleApp) -> None:
    """Choose a release to show."""
    number = await app.push_screen_wait(HistoryScreen(app.view))
    if number is not None:
        latest = app.view.latest
        app.show_release(None if latest is not None and latest.number == number else number)


def refresh(app: MlconsoleApp) -> None:
    """Look anew at everything that is live."""
    app.refresh_live()
    app.say("Looking again at repository, data and cluster.")


def zoom(app: MlconsoleApp) -> None:
    """Give the panel the whole width, or take it back."""
    app.main.zoom()
