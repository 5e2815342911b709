"""Starts the local cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.content import Content

from mlconsole.console.live import start_local_cluster
from mlconsole.console.operations.common import aside, asked, command_preview
from mlconsole.console.paint import line, wrapped
from mlconsole.console.panels.base import sections
from mlconsole.console.screens.confirm import Question

if TYPE_CHECKING:
    from mlconsole.console.app import MlconsoleApp


async def start_cluster(app: MlconsoleApp) -> None:
    """Ask, then start the local cluster."""
    project = app.project

    def preview(width: int) -> list[Content]:
        words = "A process of its own on this machine; it goes on when the console ends, until: mlconsole cluster stop"
        return sections(wrapped(line(words), width), command_preview(["mlconsole cluster start"], width))

    if await asked(app, Question("Start the local cluster?", preview, "Start")) is None:
        return
    app.change(busy="Starting the local cluster")
    try:
        await aside(app, lambda: start_local_cluster(project))
    finally:
        app.change(busy="")
    app.note_command("mlconsole cluster start")
    app.refresh_live()
