"""Documents: lines for the width that there is, and text that the mouse selects and copies as it is read."""

from __future__ import annotations

import time

import pytest
from textual import events
from textual.app import App, ComposeResult
from textual.content import Content
from textual.pilot import Pilot
from textual.widgets import Static

from mlconsole.console.widgets.lines import Document

TEXT = ["first line", "second [b]line[/b]", "", "fourth line  ", "fifth"]


class Shown(App[None]):
    """A document, and nothing else."""

    def compose(self) -> ComposeResult:
        yield Document()

    def on_mount(self) -> None:
        self.query_one(Document).show(lambda width: [Content(text) for text in TEXT])


async def drag(pilot: Pilot[None], start: tuple[int, int], end: tuple[int, int]) -> str:
    """Draw the mouse over the text, and what is selected then."""
    await pilot.pause()
    await pilot._post_mouse_events([events.MouseDown], Document, offset=start, button=1)
    await pilot._post_mouse_events([events.MouseMove], Document, offset=end, button=1)
    await pilot._post_mouse_events([events.MouseUp], Document, offset=end, button=1)
    await pilot.pause()
    return pilot.app.screen.get_selected_text() or ""


@pytest.mark.parametrize(
    ("start", "end", "text"),
    [
        ((0, 0), (5, 0), "first"),
        ((6, 0), (6, 1), "line\nsecond"),
        ((7, 1), (3, 4), "[b]line[/b]\n\nfourth line\nfif"),
        ((3, 4), (7, 1), "[b]line[/b]\n\nfourth line\nfif"),
    ],
)
async def test_what_the_mouse_is_drawn_over_is_selected(
    start: tuple[int, int], end: tuple[int, int], text: str
) -> None:
    async with Shown().run_test(size=(40, 8)) as pilot:
        found = await drag(pilot, start, end)
        assert found.startswith(text[:-1])
        assert len(found) - len(text) in (0, 1), "whether the cell under the mouse counts is Textual's choice"
        strips = pilot.app.screen._compositor.render_strips()
        marked = pilot.app.screen.get_component_rich_style("screen--selection").bgcolor
        row = min(start[1], end[1])
        assert any(part.style and part.style.bgcolor == marked for part in strips[row])


async def test_what_is_scrolled_is_selected_where_it_is_seen() -> None:
    async with Shown().run_test(size=(40, 3)) as pilot:
        await pilot.pause()
        pilot.app.query_one(Document).scroll_to(y=1, animate=False)
        assert (await drag(pilot, (0, 0), (6, 0))).startswith("second")


class Ruled(App[None]):
    def compose(self) -> ComposeResult:
        yield Document()


async def test_lines_are_made_for_what_the_scroll_bar_leaves() -> None:
    async with Ruled().run_test(size=(20, 4)) as pilot:
        document = pilot.app.query_one(Document)
        document.show(lambda width: [Content("─" * (width - 1) + "╢")] * 9)
        await settled(pilot, document, "─" * 18 + "╢")
        document.show(lambda width: [Content("─" * (width - 1) + "╢")] * 2)
        await settled(pilot, document, "─" * 19 + "╢")


@pytest.mark.parametrize(
    ("moves", "shown"), [(0, ["ab…", "日…", "abc"]), (1, ["bcd", "本", "bc"])], ids=["at the left", "scrolled"]
)
async def test_where_a_line_goes_on_is_marked(moves: int, shown: list[str]) -> None:
    async with Ruled().run_test(size=(3, 4)) as pilot:
        document = pilot.app.query_one(Document)
        document.show(lambda width: [Content(text) for text in ("abcd", "日本", "abc")])
        await pilot.pause()
        document.virtual_size = document.virtual_size.with_width(4)
        document.scroll_to(x=moves, animate=False, force=True)
        await pilot.pause()
        strips = pilot.app.screen._compositor.render_strips()
        assert [strip.text.strip() for strip in strips[:3]] == shown


class Beside(App[None]):
    """A document as high as it is, up to a bound, above something else."""

    CSS = "Document { height: auto; max-height: 4; }"

    def compose(self) -> ComposeResult:
        yield Document()
        yield Static("below")


async def test_of_lines_as_high_as_they_are_none_is_cut_by_the_scroll_bar() -> None:
    async with Beside().run_test(size=(20, 10)) as pilot:
        document = pilot.app.query_one(Document)
        asked: list[int] = []

        def maker(width: int) -> list[Content]:
            asked.append(width)
            return [Content("-" * width)] * 9

        for _ in range(3):
            document.show(maker)
            pilot.app.screen.refresh(layout=True)
            await settled(pilot, document, "-" * 19)
        assert asked[0] == 20, "before there is a scroll bar"
        assert document.size.height == 4


async def test_lines_that_are_gone_may_still_be_scrolled() -> None:
    async with Shown().run_test(size=(40, 3)) as pilot:
        document = pilot.app.query_one(Document)
        await document.remove()
        document.scroll_to(y=1, animate=False, immediate=True, force=True)
        document.drag_along()
        assert not document.is_attached


async def settled(pilot: Pilot[None], document: Document, line: str) -> None:
    """Wait until each line of a document is this one."""
    deadline = time.monotonic() + 20
    while set(document.plain.split("\n")) != {line}:
        assert time.monotonic() < deadline, document.plain
        await pilot.pause(0.01)
