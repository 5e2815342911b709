"""Opens the record of a release, compares two, replays one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlconsole.console.operations.common import aside
from mlconsole.console.screens.compare import compare_screen
from mlconsole.console.screens.history import HistoryScreen, read_record
from mlconsole.console.screens.record import record_screen
from mlconsole.console.screens.replay import ReplayScreen, read_tape

if TYPE_CHECKING:
    from mlconsole.console.app import MlconsoleApp


def _number(app: MlconsoleApp) -> int | None:
    """The release that is meant: that of the cursor in the history, else the one that is shown."""
    if isinstance(app.screen, HistoryScreen):
        return app.screen.selected
    return app.view.shown.number if app.view.shown is not None else None


async def record(app: MlconsoleApp) -> None:
    """Show the record of a release."""
    number, path = _number(app), app.project.journal_path
    if number is not None:
        found = await aside(app, lambda: read_record(path, number))
        await app.push_screen(record_screen(found))


def mark(app: MlconsoleApp) -> None:
    """Mark the release of the cursor."""
    if isinstance(app.screen, HistoryScreen):
        app.screen.mark()


async def compare(app: MlconsoleApp) -> None:
    """Compare the marked releases; where there are not two, the selected one and the one before it."""
    if not isinstance(app.screen, HistoryScreen):
        return
    numbers = app.screen.marked
    selected = app.screen.selected
    if len(numbers) < 2 and selected is not None:
        before = app.screen.before(selected)
        other = next((number for number in numbers if number != selected), before)
        if other is None:
            app.notify("There is no other release to compare with.", markup=False)
            return
        numbers = (selected, other)
    path = app.project.journal_path
    found = await aside(app, lambda: [read_record(path, number) for number in numbers])
    await app.push_screen(compare_screen(found[0], found[1]))


async def replay(app: MlconsoleApp) -> None:
    """Show a release again as it went."""
    number, path = _number(app), app.project.journal_path
    if number is not None:
        tape = await aside(app, lambda: read_tape(path, number))
        await app.push_screen(ReplayScreen(app.view, tape))


def _replaying(app: MlconsoleApp) -> ReplayScreen | None:
    return app.screen if isinstance(app.screen, ReplayScreen) else None


def replay_pause(app: MlconsoleApp) -> None:
    """Hold, or go on."""
    if (screen := _replaying(app)) is not None:
        screen.pause()


def replay_faster(app: MlconsoleApp) -> None:
    """Double the speed."""
    if (screen := _replaying(app)) is not None:
        screen.change_speed(2.0)


def replay_slower(app: MlconsoleApp) -> None:
    """Halve the speed."""
    if (screen := _replaying(app)) is not None:
        screen.change_speed(0.5)


def replay_back(app: MlconsoleApp) -> None:
    """Go back by an event."""
    if (screen := _replaying(app)) is not None:
        screen.step(-1)


def replay_on(app: MlconsoleApp) -> None:
    """Go on by an event."""
    if (screen := _replaying(app)) is not None:
        screen.step(1)
