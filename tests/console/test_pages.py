"""Pages over the rest of the screen are searched: what matches is marked, and gone to."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from textual.content import Content
from textual.widgets import Input

from mlconsole.console.paint import line, wrapped
from mlconsole.console.screens.detail import DetailScreen
from mlconsole.console.screens.log import LogScreen
from mlconsole.console.widgets.searched import ELSEWHERE, HERE, SearchedDocument, joined
from mlconsole.console.widgets.table import Table

from .conftest import Build, Drive, Driven

LINES = [f"line {number}" for number in range(200)]
LINES[30] = LINES[90] = LINES[150] = "the Key [b] of it"


def marked(console: Driven) -> dict[int, str]:
    """Which lines on the screen have a mark, and which one."""
    document = console.app.screen.query_one(SearchedDocument)
    first, last = document.seen
    found = {}
    for number in range(first, last + 1):
        content = document.line_at(number)
        for span in content.spans if content is not None else ():
            if span.style in (HERE, ELSEWHERE):
                found[number] = str(span.style)
    return found


def marked_text(console: Driven, style: str) -> str:
    """What on the screen has a mark, its parts in several lines with a bar between them."""
    document = console.app.screen.query_one(SearchedDocument)
    first, last = document.seen
    shown = [content for number in range(first, last + 1) if (content := document.line_at(number)) is not None]
    return "|".join(
        content.plain[span.start : span.end] for content in shown for span in content.spans if span.style == style
    )


async def page(console: Driven) -> None:
    """Open a page of lines."""
    await console.app.push_screen(DetailScreen("A page", lambda width: [Content(text) for text in LINES]))
    await console.shows("A page", "line 1", "/ search", "? help", "Esc back")


async def look_for(console: Driven, *keys: str) -> None:
    """Type an expression into the line for it."""
    await console.press("slash")
    await console.until(lambda: isinstance(console.app.focused, Input))
    await console.press(*keys)


@pytest.mark.parametrize("size", [(80, 24), (60, 20)])
async def test_a_page_is_searched_and_its_matches_are_gone_to(
    build: Build, drive: Drive, size: tuple[int, int]
) -> None:
    async with drive(build("done").project.root, size) as console:
        await page(console)
        await look_for(console, *"key", "space", "backslash", *"[b", "enter")
        await console.shows(r"/key \[b/ 1 of 3", "the Key [b] of it")
        assert marked(console) == {30: HERE}
        await console.press("n")
        await console.shows("2 of 3")
        assert marked(console) == {90: HERE}
        await console.press("n", "n")
        await console.shows("1 of 3")
        await console.press("N")
        await console.shows("3 of 3")
        assert marked(console) == {150: HERE}


@pytest.mark.parametrize("size", [(80, 24), (60, 20)])
async def test_a_match_goes_on_below_where_its_line_was_wrapped(
    build: Build, drive: Drive, size: tuple[int, int]
) -> None:
    path = "/".join(["a-folder"] * 20)
    told = line("  → ", f"{'words ' * 8}not enough memory for the pod {'words ' * 8}not enough memory: see {path}")
    async with drive(build("done").project.root, size) as console:
        await console.app.push_screen(DetailScreen("A page", lambda width: wrapped(told, width, indent=4)))
        await console.shows("A page", "not")
        await look_for(console, *"words not enough memory for", "enter")
        await console.shows("1 of 1")
        assert marked_text(console, HERE).replace("|", " ").split() == ["words", "not", "enough", "memory", "for"]
        await look_for(console, *["backspace"] * 27, *"memory", "enter")
        await console.shows("1 of 2")
        assert (marked_text(console, HERE), marked_text(console, ELSEWHERE)) == ("memory", "memory")
        await look_for(console, *["backspace"] * 6, *"see a-.*r$", "enter")
        await console.shows("1 of 1")
        assert marked_text(console, HERE).replace("|", "") == f"see{path}"


@given(st.text("ab -字", max_size=80), st.integers(0, 6), st.integers(10, 40))
def test_what_was_wrapped_is_looked_at_as_it_was_before(text: str, indent: int, width: int) -> None:
    lines = wrapped(line(text), width, indent=indent)
    found, begins = joined(lines)
    assert found.rstrip() == text.rstrip()
    assert all(found[begin:].startswith(part.plain.strip()) for begin, part in zip(begins[1:], lines[1:], strict=True))


async def test_a_page_is_read_with_the_keys_of_a_pager(build: Build, drive: Drive) -> None:
    async with drive(build("done").project.root, (80, 24)) as console:
        await page(console)
        document = console.app.screen.query_one(SearchedDocument)
        height = document.size.height
        for key, top in (
            ("ctrl+d", height // 2),
            ("ctrl+d", 2 * (height // 2)),
            ("ctrl+u", height // 2),
            ("G", 200 - height),
            ("g", 0),
        ):
            await console.press(key)
            await console.until(lambda top=top: document.scroll_offset.y == top)
        await console.press("question_mark")
        await console.shows("Moving", "ctrl+d and ctrl+u", "g G the first and the last line", "Esc q come back")


async def test_the_keys_of_a_pager_go_through_history_and_log_too(build: Build, drive: Drive) -> None:
    async with drive(build(*["done"] * 30).project.root, (80, 24)) as console:
        await console.press("h")
        await console.shows("Releases of")
        table = console.app.screen.query_one(Table)
        await console.until(lambda: table.cursor_key == "30")
        await console.press("ctrl+d")
        assert table.cursor_key == str(30 - table.size.height // 2)
        await console.press("G")
        await console.until(lambda: table.cursor_key == "1")
        await console.press("g")
        assert table.cursor_key == "30"
        await console.press("escape", "3", "l")
        await console.shows("Log of train")
        screen = console.app.screen
        await console.press("g")
        assert console.app.screen is screen
        assert isinstance(screen, LogScreen)
        assert not screen.view.is_at_end or screen.view.scroll_offset.y == 0


async def test_a_match_beyond_the_right_edge_is_brought_into_sight(build: Build, drive: Drive) -> None:
    lines = [Content("short"), Content(f"{'-' * 300}needle{'-' * 300}")]
    async with drive(build("done").project.root, (80, 24)) as console:
        await console.app.push_screen(DetailScreen("A page", lambda width: lines))
        await console.shows("A page", "short")
        await look_for(console, *"needle", "enter")
        await console.shows("1 of 1", "-needle-")
        await look_for(console, *["backspace"] * 6, *"short", "enter")
        await console.shows("short")
        assert console.app.screen.query_one(SearchedDocument).scroll_offset.x == 0


async def test_what_is_nowhere_is_said_and_so_is_what_is_no_expression(build: Build, drive: Drive) -> None:
    async with drive(build("done").project.root, (80, 24)) as console:
        await page(console)
        await look_for(console, *"zebra", "enter")
        await console.shows("/zebra/ is nowhere")
        await look_for(console, "(", "enter")
        await console.shows("is no regular expression")
        await console.press("escape")
        await console.until(lambda: "/zebra" not in console.text and "regular expression" not in console.text)
        assert marked(console) == {}
        await console.press("escape")
        await console.until(lambda: not isinstance(console.app.screen, DetailScreen))


async def test_where_nothing_is_looked_for_the_next_match_asks_for_what(build: Build, drive: Drive) -> None:
    async with drive(build("done").project.root, (80, 24)) as console:
        await page(console)
        await console.press("n")
        await console.shows("search: regular expression")
        await console.press(*"line 1", "enter")
        await console.shows("/line 1/ 1 of")
        assert marked(console)[1] == HERE
        assert marked(console)[10] == ELSEWHERE


async def test_the_key_that_opens_the_help_closes_it(build: Build, drive: Drive) -> None:
    async with drive(build("done").project.root, (80, 24)) as console:
        screen = console.app.screen
        await console.press("question_mark")
        await console.shows("Keys", "Moving", "? help")
        await console.press("question_mark")
        await console.until(lambda: console.app.screen is screen)


async def test_a_narrow_log_tells_where_all_of_its_keys_are(build: Build, drive: Drive) -> None:
    async with drive(build("done").project.root, (60, 20)) as console:
        await console.press("3", "l")
        await console.shows("Log of train, release 1", "/ filter", "? help", "Esc back")
