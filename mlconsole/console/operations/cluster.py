"""Starts the local cluster, and switches between clusters and namespaces."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from textual.content import Content

from mlconsole.console.live import start_local_cluster
from mlconsole.console.operations.common import aside, asked, command_preview
from mlconsole.console.paint import line, wrapped
from mlconsole.console.panels.base import sections
from mlconsole.console.screens.choose import Choice, ChooseScreen
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


async def context(app: MlconsoleApp) -> None:
    """Choose a context; what is out of reach now is left all the same."""
    from mlconsole.services.kubernetes.kubeconfig import contexts

    found = await aside(app, contexts)
    now = app.view.cluster.context
    names = dict.fromkeys([*found.names, "local", *([now] if now else [])])
    choices = [Choice(name, name, "●" if name == now else " ") for name in names]
    chosen = await app.push_screen_wait(ChooseScreen("Contexts", choices))
    if chosen is not None and chosen != now:
        app.aim_at(chosen)
        app.note_command(f"mlconsole pods --context {shlex.quote(chosen)} --watch")


async def namespace(app: MlconsoleApp) -> None:
    """Type a namespace: those that there are may not be ours to list."""
    place = app.view.cluster

    def preview(width: int) -> list[Content]:
        words = f"It is {place.namespace or 'the one of its own'} now, in {place.context or 'the current context'}."
        return wrapped(line(words), width)

    question = Question(
        "Another namespace?", preview, "Look there", wants_reason=True, prompt="Which namespace?", changes=False
    )
    answer = await asked(app, question)
    if answer is not None and answer.reason != place.namespace:
        app.aim_at(place.context, answer.reason)
        app.note_command(f"mlconsole pods -n {shlex.quote(answer.reason)} --watch")
