"""Keys that were held back for a line are taken as those that are typed, or by nobody."""

from __future__ import annotations

from textual.events import Key

from mlconsole.console.screens.history import HistoryScreen

from .conftest import Build, Drive


async def test_keys_that_are_held_while_the_console_ends_are_nobodys(build: Build, drive: Drive) -> None:
    async with drive(build("done").project.root) as console:
        ahead = console.app.typeahead
        assert [ahead.holds(Key(key, None)) for key in ("colon", "h", "i")] == [False, True, True]
    assert not console.app.screen_stack
    await ahead.hand_on()


async def test_keys_for_which_no_line_comes_up_do_what_they_always_do(build: Build, drive: Drive) -> None:
    async with drive(build("done").project.root) as console:
        assert [console.app.typeahead.holds(Key(key, key)) for key in ("colon", "h")] == [False, True]
        await console.until(lambda: isinstance(console.app.screen, HistoryScreen))
