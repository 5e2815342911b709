"""Starts and ends the watcher, and answers its proposals."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.content import Content

from mlconsole.console.operations.common import aside, asked, command_preview, decided, launch_runner
from mlconsole.console.paint import line, wrapped
from mlconsole.console.panels.base import sections
from mlconsole.console.screens.confirm import Question
from mlconsole.console.trigger_lines import watcher_words
from mlconsole.trigger_queue import TriggerQueue

if TYPE_CHECKING:
    from mlconsole.console.app import MlconsoleApp
    from mlconsole.journal import Journal


async def watch(app: MlconsoleApp) -> None:
    """Ask, then start the watcher, or end the one that watches."""
    from mlconsole.watcher import control
    from mlconsole.watcher.watches import name_of, with_defaults

    project, watcher = app.project, app.view.triggers.watcher
    if watcher is None:
        entries = with_defaults(project).settings.watch
        words = ["A process of its own; it goes on when the console ends, until: mlconsole watch --stop"]
        words += [f"{name_of(entry, project)}: {entry.then}" for entry in entries]
        question = _question("Watch, and let releases begin by themselves?", words, "mlconsole watch --detach", "Watch")
    else:
        words = ["A release that is on its way goes on.", *watcher_words(watcher)]
        question = _question("Watch no more?", words, "mlconsole watch --stop", "End it")
    if await asked(app, question) is None:
        return
    app.change(busy="Starting the watcher" if watcher is None else "Ending the watcher")
    try:
        await aside(app, lambda: control.start(project) if watcher is None else control.stop(project))
    finally:
        app.change(busy="")
    app.note_command("mlconsole watch --detach" if watcher is None else "mlconsole watch --stop")
    app.watching.look_at_journal()


async def accept_triggers(app: MlconsoleApp) -> None:
    """Ask, then let what is proposed be released: by the watcher, or by a runner where nobody watches."""
    triggers = app.view.triggers
    numbers = [trigger.id for trigger in triggers.proposed]
    options = [option for number in numbers for option in ("--trigger", str(number))]
    same = "mlconsole triggers accept" if triggers.watcher else " ".join(["mlconsole", "run", *options])
    words = [trigger.words for trigger in triggers.proposed]
    if await asked(app, _question("Release this, up to the approval?", words, same, "Release")) is None:
        return
    if triggers.watcher is None:
        await launch_runner(app, ["run", *options], "Starting a release")
        return

    def write(journal: Journal) -> object:
        return TriggerQueue(journal).accept(numbers)

    if await decided(app, write):
        app.note_command(same)
        app.follow()


async def dismiss_triggers(app: MlconsoleApp) -> None:
    """Ask, then let nothing follow from what is proposed."""
    proposed = app.view.triggers.proposed
    numbers = [trigger.id for trigger in proposed]
    words = [trigger.words for trigger in proposed]
    question = _question("Let nothing follow from this?", words, "mlconsole triggers dismiss", "Dismiss")
    if await asked(app, question) is None:
        return
    if await decided(app, lambda journal: TriggerQueue(journal).dismiss(numbers)):
        app.note_command("mlconsole triggers dismiss")


def _question(title: str, words: list[str], command: str, verb: str) -> Question:
    def preview(width: int) -> list[Content]:
        lines = [part for text in words for part in wrapped(line(text), width, indent=2)]
        return sections(lines, command_preview([command], width))

    return Question(title, preview, verb)
