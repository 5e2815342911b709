"""Opens the console in this terminal."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

from mlconsole.console.app import MlconsoleApp
from mlconsole.project.preferences import Preferences

if TYPE_CHECKING:
    from mlconsole.console.cloning import CloneOrder
    from mlconsole.project import Project


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
        SettingsInvalid: a preferred key or theme does not exist.
        Exception: a defect of ours has ended the console.
    """
    preferences = preferences or Preferences()
    app = MlconsoleApp(project, readonly=readonly, preferences=preferences, clone=clone)
    # where the one who started it ignores hang-ups, it would go on without its terminal
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    app.run(mouse=preferences.mouse)
    if app.defect is not None:
        raise app.defect
    return app.return_code or 0
