"""Text that the mouse selects: where on the screen each sign of it is, what of it is marked, and what is copied.

Textual finds the sign below the mouse by the offsets that a drawn line carries: how many signs of its line are before
it, and the number of that line. Numbers of lines stay the same while lines scroll, or come and go around them, so that
what is selected does, too.
"""

from __future__ import annotations

import re

from rich.cells import cell_len, get_character_cell_size
from rich.segment import Segment
from rich.style import Style
from textual.events import Click
from textual.geometry import Offset, Region
from textual.scroll_view import ScrollView
from textual.selection import SelectEnd, Selection
from textual.strip import Strip

from mlconsole.text import count

FAR = 2**31
"""Behind the last sign of any line."""
_WORD = re.compile(r"[^\s\"'`()\[\]{}<>,;│]+")


class Selectable(ScrollView):
    """Scrolling text of which the mouse selects a stretch, a double click a word and a triple one a line."""

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self._seen = (0, 0)
        self._draws = False

    def text_at(self, number: int) -> str | None:
        """The text of a line by its number; None where there is none."""
        raise NotImplementedError

    @property
    def seen(self) -> tuple[int, int]:
        """The numbers of the first and the last line on the screen."""
        top = self.scroll_offset.y
        return top, top + max(self.size.height - 1, 0)

    def copied(self, number: int, start: int, stop: int) -> str | None:
        """What is copied of a line where its signs from `start` to before `stop` are selected; None behind the last."""
        text = self.text_at(number)
        return text if text is None else text[start:stop].rstrip()

    # what is selected

    def bounds(self, selection: Selection) -> tuple[Offset, Offset]:
        """Where a selection begins and ends. One that comes from other widgets, or goes on in them, ends where the
        lines did that were seen then: what nobody saw is not copied."""
        start, end = selection
        return (
            Offset(0, self._seen[0]) if start is None else start,
            Offset(FAR, self._seen[1]) if end is None else end,
        )

    def span(self, number: int, selection: Selection | None) -> tuple[int, int] | None:
        """Which signs of a line are selected: the first, and the one after the last."""
        if selection is None:
            return None
        start, end = self.bounds(selection)
        if not start.y <= number <= end.y:
            return None
        return start.x if number == start.y else 0, end.x if number == end.y else FAR

    def selection_updated(self, selection: Selection | None) -> None:
        """Draw what is selected."""
        self._seen = self.seen
        self.refresh()

    def get_selection(self, selection: Selection) -> tuple[str, str] | None:
        """The selected text as it is read, and what it ends with."""
        start, end = self.bounds(selection)
        parts: list[str] = []
        for number in range(start.y, end.y + 1):
            span = self.span(number, selection)
            if span is not None:
                if (text := self.copied(number, *span)) is None:
                    break
                parts.append(text)
        return "\n".join(parts), "\n"

    def select(self, number: int, start: int, stop: int) -> None:
        """Select signs of one line, and nothing else."""
        self.screen.selections = {self: Selection(Offset(start, number), Offset(stop, number))}

    def deselect(self) -> None:
        """The text is another one: nothing of it is selected."""
        if self.is_attached and self.text_selection is not None:
            self.screen.clear_selection()

    # how it looks

    def render_lines(self, crop: Region) -> list[Strip]:
        """The lines as they go to the screen: they need no offsets, which cost as much as the lines themselves; Textual
        asks for single ones to find what is below the mouse."""
        self._draws = True
        try:
            return super().render_lines(crop)
        finally:
            self._draws = False

    def selectable(self, strip: Strip, number: int, first: int = 0, lead: int = 0) -> Strip:
        """A drawn line that says which text it is, and shows what of it is selected.

        Args:
            strip: the drawn line.
            number: of the line.
            first: how many signs of the line are before what is drawn.
            lead: so many cells in front belong to no text: they only put a wrapped line's next row below its first.
        """
        span = self.span(number, self.text_selection)
        if span is not None:
            start, stop = (cell_len(strip.text[: lead + max(at - first, 0)]) for at in span)
            marked = Strip(Segment.apply_style(strip.crop(start, stop), post_style=self._selected_style))
            strip = Strip.join([strip.crop(0, start), marked, strip.crop(stop)])
        if self._draws:
            return strip
        if not lead:
            return strip.apply_offsets(first, number)
        # each of these cells is as good as the row's first sign
        blanks = (strip.crop(cell, cell + 1).apply_offsets(first, number) for cell in range(lead))
        return Strip.join([*blanks, strip.crop(lead).apply_offsets(first, number)])

    @property
    def _selected_style(self) -> Style:
        """The theme's; where that leaves signs as they are, they get the colour of text, which can be read there."""
        style = self.screen.get_visual_style("screen--selection")
        if style.foreground is not None and not style.foreground.a:
            return Style(color=self.visual_style.rich_style.color, bgcolor=style.rich_style.bgcolor)
        return style.rich_style

    # the mouse

    @property
    def was_dragged(self) -> bool:
        """Whether the click that is handled now is the end of a drag over the text: Textual tells both."""
        return self.text_selection is not None

    def on_click(self, event: Click) -> None:
        """A double click selects a word, a triple one a line; Textual would select the whole of it."""
        if event.chain == 1:
            return
        event.prevent_default()
        widget, place = self.screen.get_widget_and_offset_at(event.screen_x, event.screen_y)
        text = self.text_at(place.y) if widget is self and place is not None else None
        if text is None or place is None:
            return
        if event.chain > 2:
            self.select(place.y, 0, len(text))
        elif found := next((word for word in _WORD.finditer(text) if word.start() <= place.x < word.end()), None):
            self.select(place.y, *found.span())

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """Where the mouse is held at an edge and the text scrolls, more of it is selected."""
        super().watch_scroll_y(old_value, new_value)
        self.drag_along()

    def drag_along(self) -> None:
        """While a drag goes on, it ends below the mouse, also where the text moves and the mouse does not."""
        if not self.is_attached:
            # the console ends, and the mouse is nowhere
            return
        screen = self.screen
        state = screen._select_state
        if screen._selecting and state is not None and state.end is not None and state.end.content_widget is self:
            widget, place = screen.get_widget_and_offset_at(*state.screen_offset)
            if widget is self and place is not None and place != state.end.content_offset:
                screen._select_state = state.update_end(
                    state.screen_offset, SelectEnd(state.end.container, self, place)
                )


def copied_words(text: str) -> str:
    """Say what was copied: a terminal shows nothing of it."""
    return f"Copied {count(len(text.splitlines()), 'line')}."


def signs_within(text: str, cells: int) -> int:
    """How many signs of a text are in its first cells."""
    if cells <= 0 or text.isascii():
        return min(max(cells, 0), len(text))
    for place, sign in enumerate(text):
        if cells <= 0:
            return place
        cells -= get_character_cell_size(sign)
    return len(text)
