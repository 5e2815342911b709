"""A log view follows its end, lets a person read, and is bounded."""

from __future__ import annotations

import time

import pytest
from textual.app import App, ComposeResult

from mlconsole.console.patterns import Pattern
from mlconsole.console.widgets import log_pane
from mlconsole.console.widgets.log_view import LogView


class Shown(App[None]):
    """A log alone."""

    def get_theme_variable_defaults(self) -> dict[str, str]:
        return {"dim": "#888888", "faint": "#666666"}

    def compose(self) -> ComposeResult:
        yield LogView(empty="nothing yet")


def screen_of(app: App[None]) -> list[str]:
    return [strip.text[: app.size.width - 1].rstrip() for strip in app.screen._compositor.render_strips()]


def first_line(app: App[None]) -> str:
    return screen_of(app)[0].strip()


async def test_it_follows_until_a_person_scrolls_up() -> None:
    app = Shown()
    async with app.run_test(size=(40, 10)) as pilot:
        view = app.query_one(LogView)
        await pilot.pause()
        assert first_line(app) == "nothing yet"
        view.append([f"line {number}" for number in range(100)])
        await pilot.pause()
        assert first_line(app) == "line 90"
        view.focus()
        await pilot.press("k")
        view.append(["one more"])
        await pilot.pause()
        assert first_line(app) == "line 89"
        await pilot.press("G")
        view.append(["and more"])
        await pilot.pause()
        assert first_line(app) == "line 92"


async def test_it_is_at_the_end_of_what_comes_at_once_before_there_is_a_scroll_bar() -> None:
    app = Shown()
    async with app.run_test(size=(40, 10)) as pilot:
        view = app.query_one(LogView)
        await pilot.pause()
        assert not view.show_vertical_scrollbar
        view.append([f"line {number}" for number in range(100)])
        assert (view.scroll_offset.y, view.is_following) == (90, True)


async def test_it_keeps_the_latest_lines_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_pane, "MOST_LINES", 50)
    app = Shown()
    async with app.run_test(size=(40, 10)) as pilot:
        view = app.query_one(LogView)
        for number in range(300):
            view.append([f"line {number}"])
        await pilot.pause()
        assert view.plain.splitlines()[-1] == "line 299"
        assert 50 <= len(view.plain.splitlines()) <= 55


def numbered(length: int) -> str:
    """A line without blanks that says at each tenth character which one it is."""
    return "".join(f"{place:<10}".replace(" ", ".") for place in range(0, length, 10))


async def test_a_wrapped_line_that_is_higher_than_the_screen_is_read_row_by_row() -> None:
    app = Shown()
    async with app.run_test(size=(41, 10)) as pilot:
        view = app.query_one(LogView)
        view.focus()
        view.append(["before", numbered(1000), "after"])
        view.toggle_wrap()
        await pilot.pause()
        assert screen_of(app)[-1] == "after"
        assert screen_of(app)[0].startswith("640.")
        await pilot.press("k")
        assert screen_of(app)[0].startswith("600.")
        assert not view.is_following
        await pilot.press("pageup")
        assert screen_of(app)[0].startswith("240.")
        await pilot.press("home")
        assert screen_of(app)[:2] == ["before", numbered(40)]
        seen = []
        for _ in range(40):
            seen.append(first_line(app))
            await pilot.press("j")
        assert "".join(dict.fromkeys(seen[1:])) + "".join(screen_of(app)[1:-1]) == numbered(1000)
        assert view.is_following


async def test_following_goes_on_at_the_last_row_of_a_wrapped_line() -> None:
    app = Shown()
    async with app.run_test(size=(41, 10)) as pilot:
        view = app.query_one(LogView)
        view.toggle_wrap()
        for number in range(5):
            view.append([f"line {number}", numbered(1000)])
            await pilot.pause()
            assert screen_of(app)[-1].startswith("960.")
        view.append(["the end"])
        await pilot.pause()
        assert screen_of(app)[-1] == "the end"


@pytest.mark.parametrize("unit", ["loss=0.25 ", "é", "漢字a"])
async def test_lines_of_a_hundred_thousand_characters_hold_nothing(unit: str) -> None:
    app = Shown()
    text = (unit * 100_000)[:100_000]
    async with app.run_test(size=(160, 50)) as pilot:
        view = app.query_one(LogView)
        view.focus()
        view.append([text] * 20 + [text[:50_000] + " needle"])
        view.search(Pattern("needle"))
        await pilot.pause()
        for key in ("w", "k", "pageup", "home", "pagedown", "G", "w", "right", "right", "left", "k"):
            view.toggle_wrap() if key == "w" else None
            began = time.thread_time()
            await pilot.press(key)
            await pilot.pause()
            assert time.thread_time() - began < 3, key
        view.toggle_wrap()
        view.follow(True)
        await pilot.pause()
        assert screen_of(app)[-1].endswith("needle")


async def test_a_search_comes_to_the_row_of_a_wrapped_line() -> None:
    app = Shown()
    async with app.run_test(size=(41, 10)) as pilot:
        view = app.query_one(LogView)
        view.append([numbered(4000), *(f"line {number}" for number in range(30))])
        view.toggle_wrap()
        view.search(Pattern("2000"))
        while view.searching:
            await pilot.pause(0.01)
        await pilot.pause()
        assert any(row.startswith("2000") for row in screen_of(app))
