"""Opens the console in this terminal."""

from __future__ import annotations

import os
import signal
import sys
from typing import TYPE_CHECKING, TextIO

from mlconsole.console.app import MlconsoleApp
from mlconsole.errors import WrongUse
from mlconsole.project.preferences import Preferences

if TYPE_CHECKING:
    from mlconsole.console.cloning import CloneOrder
    from mlconsole.project import Project


class NoTerminal(WrongUse):
    """There is no terminal to show the console in."""


def run(
    project: Project,
    *,
    readonly: bool = False,
    preferences: Preferences | None = None,
    clone: CloneOrder | None = None,
) -> int:
    """Show the console of a project until the person leaves it.

    Args:
        project: the project.
        readonly: change nothing outside, in this process at all.
        preferences: the person's.
        clone: what is cloned, or offered to be, before there is a project to open.

    Returns:
        The exit code.

    Raises:
        NoTerminal: see `check_terminal`.
        SettingsInvalid: a preferred key or theme does not exist.
        Exception: a defect of ours has ended the console.
    """
    check_terminal()
    preferences = preferences or Preferences()
    app = MlconsoleApp(project, readonly=readonly, preferences=preferences, clone=clone)
    # where the one who started it ignores hang-ups, it would go on without its terminal
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    app.run(mouse=preferences.mouse)
    if app.defect is not None:
        raise app.defect
    return app.return_code or 0


def check_terminal() -> None:
    """Make sure that there is a terminal to draw in.

    Raises:
        NoTerminal: input or errors lead elsewhere, as in a pipe or a cron job, or the terminal has no cursor to move.
    """
    # in a browser there is none: textual-serve names the driver that speaks with it
    if "TEXTUAL_DRIVER" in os.environ:
        return
    without = "Without one: mlconsole run, status, show, …; see --help."
    if not (_is_terminal(sys.__stdin__) and _is_terminal(sys.__stderr__)):
        raise NoTerminal("The console needs a terminal.", without)
    if os.environ.get("TERM") == "dumb":
        raise NoTerminal("The console needs a terminal that more than lines can be drawn in: TERM is dumb.", without)


def _is_terminal(stream: TextIO | None) -> bool:
    return stream is not None and not stream.closed and stream.isatty()
