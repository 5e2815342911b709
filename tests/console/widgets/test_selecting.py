"""The mouse selects text in logs and tables as it is read there, and the selection stays on its text."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace

import pytest
from textual import events
from textual.app import App, ComposeResult
from textual.pilot import Pilot
from textual.widget import Widget
from textual.widgets import Static

from mlconsole.console.ascii_only import AsciiFilter
from mlconsole.console.log_lines import Buffer, Line
from mlconsole.console.sieve import Wanted
from mlconsole.console.widgets.log_view import LogView
from mlconsole.console.widgets.table import Row, Table

Spot = tuple[int, int]
NAMES = ["ml-model-7c9d8f6b5-x2abc", "ml-model-7c9d8f6b5-k9zzz", "db-0"]


class Shown(App[None]):
    """A widget below one line, and nothing else."""

    ENABLE_SELECT_AUTO_SCROLL = False

    def __init__(self, widget: Widget) -> None:
        super().__init__()
        self.shown = widget
        self.clipped: list[str] = []

    def get_theme_variable_defaults(self) -> dict[str, str]:
        return {"dim": "#888888", "faint": "#666666"}

    def compose(self) -> ComposeResult:
        yield Static("above")
        yield self.shown

    def copy_to_clipboard(self, text: str) -> None:
        self.clipped.append(text)


class Ascii(Shown):
    """The same where the terminal knows no more than ASCII."""

    def get_line_filters(self) -> list[AsciiFilter]:  # type: ignore[override]
        return [AsciiFilter()]


async def press_down(pilot: Pilot[None], widget: Widget, spot: Spot) -> None:
    await pilot.pause()
    await pilot._post_mouse_events([events.MouseDown], widget, offset=spot, button=1)


async def move(pilot: Pilot[None], widget: Widget, spot: Spot, by: int = 0) -> None:
    await pilot.pause()
    x, y = widget.region.offset + spot
    pilot.app.screen._forward_event(events.MouseMove(widget, x, y, 0, by, 1, False, False, False, x, y))
    await pilot.pause()


async def drag(pilot: Pilot[None], widget: Widget, start: Spot, end: Spot) -> str:
    """Draw the mouse over the text, and what the key copies then; the cell below the mouse is a part of it."""
    await press_down(pilot, widget, start)
    await move(pilot, widget, end)
    await pilot._post_mouse_events([events.MouseUp], widget, offset=end, button=1)
    return await copied(pilot)


async def copied(pilot: Pilot[None]) -> str:
    await pilot.pause()
    app = pilot.app
    assert isinstance(app, Shown)
    await pilot.press("ctrl+c")
    return app.clipped[-1] if app.clipped else ""


async def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 40
    while not condition():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)


def marked(app: App[None]) -> list[str]:
    """What is drawn as selected, a row each."""
    colour = app.screen.get_component_rich_style("screen--selection").bgcolor
    rows = []
    for strip in app.screen._compositor.render_strips():
        found = [part for part in strip if part.style and part.style.bgcolor == colour]
        assert all(part.style.color != colour for part in found if part.style), "it can be read"
        text = "".join(part.text for part in found).rstrip()
        rows += [text] if text else []
    return rows


class Hundred(LogView):
    """A log of a hundred lines."""

    def on_mount(self) -> None:
        self.append([f"line {number}" for number in range(100)])


async def test_lines_of_a_log_that_follows_stay_selected_while_it_grows() -> None:
    log = Hundred()
    app = Shown(log)
    async with app.run_test(size=(40, 11)) as pilot:
        await press_down(pilot, log, (5, 0))
        log.append([f"line {number}" for number in range(100, 105)])
        await move(pilot, log, (3, 3))
        assert not log.is_following
        log.append([f"line {number}" for number in range(105, 300)])
        await pilot._post_mouse_events([events.MouseUp], log, offset=(3, 3), button=1)
        expected = "90\n" + "\n".join(f"line {number}" for number in range(91, 98)) + "\nline"
        assert await copied(pilot) == expected
        assert marked(app)[-1] == "line"
        await pilot.click(log, offset=(1, 1))
        assert log.text_selection is None
        assert log.is_following, "it goes on once nothing is selected"


async def test_wrapped_lines_are_copied_as_one_line_each() -> None:
    view = LogView()
    app = Shown(view)
    async with app.run_test(size=(21, 11)) as pilot:
        view.append(["a" * 25 + "b" * 20, "漢字 and more 漢字 and more", "end"])
        view.toggle_wrap()
        await pilot.pause()
        assert await drag(pilot, view, (3, 1), (20, 7)) == "a" + "b" * 20 + "\n漢字 and more 漢字 and more\nend"
        assert marked(app)[0] == "a" + "b" * 17


async def test_a_wide_sign_is_two_cells_and_one_sign() -> None:
    view = LogView()
    app = Shown(view)
    async with app.run_test(size=(41, 11)) as pilot:
        view.append(["漢字かな abc"])
        assert await drag(pilot, view, (4, 0), (9, 0)) == "かな a"
        assert marked(app) == ["かな a"]


async def test_a_line_that_was_scrolled_sideways_is_copied_where_it_is_seen() -> None:
    view = LogView()
    app = Shown(view)
    async with app.run_test(size=(20, 11)) as pilot:
        view.append(["".join(f"{place:<10}".replace(" ", ".") for place in range(0, 100, 10))])
        view.focus()
        await pilot.pause()
        await pilot.press("right", "right")
        assert await drag(pilot, view, (0, 0), (9, 0)) == "20........"


async def test_time_and_pod_are_copied_but_not_what_is_drawn_between_them() -> None:
    lines = Buffer()
    lines.add(Line(f"line {place} " + "x" * 20, f"pod-{place}", 1_700_000_000 + place) for place in range(3))
    view = LogView(lines=lines)
    app = Shown(view)
    async with app.run_test(size=(45, 11)) as pilot:
        view.toggle_stamps()
        view.toggle_wrap()
        await pilot.pause()
        found = (await drag(pilot, view, (28, 0), (44, 5))).split("\n")
        assert found[0] == "line 0 " + "x" * 20
        assert found[1].split() == [found[1][:12], "pod-1", "line", "1", "x" * 20]
        assert "│" not in "".join(found)
        assert marked(app)[1] == "x" * 10, "below time and pod nothing is selected"
        assert await drag(pilot, view, (2, 1), (30, 1)) == "xxx"


async def test_what_a_filter_leaves_out_is_not_copied() -> None:
    log = Hundred()
    app = Shown(log)
    async with app.run_test(size=(40, 11)) as pilot:
        log.filter(replace(Wanted.of("line [0-9]*5$"), context=1))  # type: ignore[type-var]
        await until(lambda: len(log) == 39)
        await pilot.pause()
        assert (await drag(pilot, log, (0, 3), (38, 7))).split("\n") == [f"line {n}" for n in (84, 85, 86, 94)]
        log.filter(None)
        await pilot.pause()
        assert not app.screen.selections


async def test_a_drag_that_leaves_the_log_copies_what_was_seen() -> None:
    log = Hundred()
    app = Shown(log)
    async with app.run_test(size=(40, 6)) as pilot:
        await press_down(pilot, log, (2, 2))
        await move(pilot, app.query_one(Static), (1, 0))
        await pilot.pause()
        assert await copied(pilot) == "bove\nline 95\nline 96\nli"


async def test_more_is_selected_while_the_mouse_is_held_at_the_edge() -> None:
    log = Hundred()
    app = Shown(log)
    app.ENABLE_SELECT_AUTO_SCROLL = True
    async with app.run_test(size=(40, 11)) as pilot:
        await press_down(pilot, log, (0, 5))
        await move(pilot, log, (0, 0), by=-5)
        await until(lambda: log.scroll_offset.y < 50)
        await pilot._post_mouse_events([events.MouseUp], log, offset=(0, 0), button=1)
        top = log.scroll_offset.y
        assert (await copied(pilot)).split("\n")[0] in (f"line {top}", f"line {top + 1}")


async def test_a_double_click_selects_a_word_and_a_triple_one_the_line() -> None:
    view = LogView()
    app = Shown(view)
    async with app.run_test(size=(40, 11)) as pilot:
        view.append(["saved to (models/model_v1.pkl), done"])
        await pilot.double_click(view, offset=(14, 0))
        assert await copied(pilot) == "models/model_v1.pkl"
        await pilot.triple_click(view, offset=(14, 0))
        assert await copied(pilot) == "saved to (models/model_v1.pkl), done"


async def test_of_very_many_lines_only_the_first_are_copied(monkeypatch: pytest.MonkeyPatch) -> None:
    log = Hundred()
    monkeypatch.setattr("mlconsole.console.widgets.log_pane.MOST_COPIED", 20)
    app = Shown(log)
    async with app.run_test(size=(40, 11)) as pilot:
        log.focus()
        await pilot.press("home")
        await press_down(pilot, log, (0, 0))
        await pilot.press("end")
        await move(pilot, log, (3, 9))
        assert (await copied(pilot)).split("\n")[-1] == "line 19"
        assert not log.copied_all


def pods_table() -> Table:
    table = Table(("NAME", "READY"), numeric=frozenset({1}), tails=frozenset({0}))
    table.show([Row(name, (name, "1/1")) for name in NAMES])
    return table


async def test_rows_of_a_table_are_copied_as_they_are_seen() -> None:
    table = pods_table()
    app = Shown(table)
    async with app.run_test(size=(60, 11)) as pilot:
        assert await drag(pilot, table, (9, 1), (40, 3)) == (
            f"{NAMES[0][9:]}    1/1\n{NAMES[1]}    1/1\n{NAMES[2]:<24}    1/1"
        )
        assert table.cursor_key == NAMES[0], "the end of a drag is no click"
        assert (await drag(pilot, table, (0, 0), (40, 1))).split() == ["NAME", "READY", NAMES[0], "1/1"]


async def test_a_name_that_is_cut_is_copied_whole() -> None:
    table = pods_table()
    app = Shown(table)
    async with app.run_test(size=(22, 11)) as pilot:
        await pilot.pause()
        assert "…" in app.screen._compositor.render_strips()[2].text
        assert [line.split()[0] for line in (await drag(pilot, table, (0, 1), (21, 2))).split("\n")] == NAMES[:2]


async def test_rows_that_were_scrolled_away_are_not_copied_with_the_header() -> None:
    table = Table(("NAME",))
    table.show([Row(str(place), (f"row {place}",)) for place in range(100)])
    app = Shown(table)
    async with app.run_test(size=(60, 11)) as pilot:
        table.focus()
        await pilot.press("end")
        assert await drag(pilot, table, (0, 0), (5, 2)) == "NAME\nrow 91\nrow 92"


async def test_a_double_click_opens_a_row_and_selects_nothing() -> None:
    table = pods_table()
    app = Shown(table)
    async with app.run_test(size=(60, 11)) as pilot:
        await pilot.double_click(table, offset=(3, 2))
        assert not app.screen.selections
        assert table.cursor_key == NAMES[1]


async def test_signs_of_ascii_are_drawn_and_the_real_ones_copied() -> None:
    view = LogView()
    app = Ascii(view)
    async with app.run_test(size=(40, 11)) as pilot:
        view.append(["✓ café ready"])
        assert await drag(pilot, view, (0, 0), (5, 0)) == "✓ café"
        assert marked(app) == ["+ cafe"]
