"""The table keeps its columns readable and its cursor on its row, at any number of rows."""

from __future__ import annotations

import time

import pytest
from textual.app import App, ComposeResult

from mlconsole import present
from mlconsole.console.paint import column_widths, fit, fit_end, table_lines
from mlconsole.console.widgets.table import Row, Table
from tests.console.watchdog import without_collector


class Shown(App[None]):
    """A table alone."""

    def get_theme_variable_defaults(self) -> dict[str, str]:
        return {"dim": "#888888", "faint": "#666666"}

    def compose(self) -> ComposeResult:
        yield Table(("name", "count"), numeric=frozenset({1}), tails=frozenset({0}))


def rows(number: int, suffix: str = "") -> list[Row]:
    return [Row(f"key-{place}", (f"row {place}{suffix}", str(place))) for place in range(number)]


async def test_the_cursor_moves_by_rows_and_stays_in_sight() -> None:
    app = Shown()
    async with app.run_test(size=(40, 10)) as pilot:
        table = app.query_one(Table)
        table.show(rows(100))
        table.focus()
        await pilot.pause()
        await pilot.press("end")
        assert table.cursor_key == "key-99"
        await pilot.press("k", "k")
        assert table.cursor_key == "key-97"
        strips = [strip.text.strip() for strip in app.screen._compositor.render_strips()]
        assert strips[0].split() == ["name", "count"]
        assert any(text.startswith("row 97") for text in strips)
        await pilot.press("home")
        assert table.cursor_key == "key-0"


async def test_a_row_that_went_away_leaves_the_cursor_near() -> None:
    app = Shown()
    async with app.run_test(size=(40, 10)) as pilot:
        table = app.query_one(Table)
        table.show(rows(5))
        table.move_to("key-4")
        table.show(rows(3))
        assert table.cursor_key == "key-2"
        table.show([])
        assert table.cursor_key is None
        table.focus()
        await pilot.press("j", "enter", "end", "home")


async def test_the_cursor_is_seen_on_rows_that_come_at_once_before_there_is_a_scroll_bar() -> None:
    app = Shown()
    async with app.run_test(size=(60, 12)) as pilot:
        table = app.query_one(Table)
        await pilot.pause()
        assert not table.show_vertical_scrollbar
        found = rows(100)
        table.show(found)
        table.move_to(found[-1].key)
        assert table.scroll_offset.y == 100 - (table.size.height - 1)


class Wide(App[None]):
    """A table with a column that may be empty."""

    def get_theme_variable_defaults(self) -> dict[str, str]:
        return {"dim": "#888888", "faint": "#666666"}

    def compose(self) -> ComposeResult:
        yield Table(("", "test", "message"), whole=frozenset({0}))


@pytest.mark.parametrize("columns", [40, 60])
async def test_a_column_in_which_nothing_is_takes_no_room_from_others(columns: int) -> None:
    app = Wide()
    async with app.run_test(size=(columns, 10)) as pilot:
        table, name = app.query_one(Table), "test_of_a_name_that_fits_" + "a" * 5
        table.show([Row("1", ("✓ passed", name, ""))])
        await pilot.pause()
        shown = [strip.text.rstrip() for strip in app.screen._compositor.render_strips()][:2]
        assert name in shown[1]
        assert ("message" in shown[0]) == (columns == 60), "where there is room, it is there"
        table.show([Row("1", ("✓ passed", name, "why"))])
        await pilot.pause()
        shown = [strip.text.rstrip() for strip in app.screen._compositor.render_strips()][:2]
        assert "why" in shown[1]
        assert "message" in shown[0]


def test_an_empty_column_of_evidence_takes_no_room_from_others() -> None:
    pods = tuple((f"ml-model-g6mxchl75b-{end}", "1/1", "") for end in ("4m5rl", "6nj9l"))
    narrow, wide = (
        [content.plain for content in table_lines(present.Table("", ("name", "ready", "why not ready"), pods), width)]
        for width in (34, 60)
    )
    assert narrow == ["name                       ready", *(f"{name}  {ready}" for name, ready, _ in pods)]
    assert wide[0].endswith("why not ready")
    said = (*pods, ("ml-model-g6mxchl75b-g7xnj", "0/1", "no image"))
    (head, *_, last) = table_lines(present.Table("", ("name", "ready", "why not ready"), said), 34)
    assert "why" in head.plain
    assert "no" in last.plain


async def test_ten_thousand_rows_are_replaced_at_once() -> None:
    app = Shown()
    async with app.run_test(size=(160, 50)) as pilot:
        table = app.query_one(Table)
        table.show(rows(10_000))
        await pilot.pause()
        with without_collector(time.thread_time) as worked:
            began = worked()
            table.show(rows(10_000, " changed"))
            took = worked() - began
        await pilot.pause()
        assert any("changed" in strip.text for strip in app.screen._compositor.render_strips())
        assert took < 0.5


@pytest.mark.parametrize(("width", "widths"), [(40, [20, 4, 8]), (24, [10, 4, 6])])
def test_columns_give_way_by_their_worth(width: int, widths: list[int]) -> None:
    found = column_widths(("name", "n", "note"), [("x" * 20, "1234", "y" * 8)], frozenset({1}), width)
    assert found == widths


def test_text_is_cut_by_cells_with_a_mark() -> None:
    assert fit("short", 7) == "short  "
    assert fit("a long one", 6) == "a lon…"
    assert fit("日本語の", 5) == "日本…"
    assert fit_end("ml-model-7c9d8f6b5-x2abc", 8) == "…5-x2abc"
    assert fit("x", 0) == ""
