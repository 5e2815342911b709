"""Lines of which one may take several rows, more than the screen has even: what scrolls then goes by rows."""

from __future__ import annotations

from textual.events import MouseScrollDown, MouseScrollUp

from mlconsole.console.widgets.lines import Lines

WHEEL = 3
"""Rows that a turn of the mouse's wheel scrolls by."""


class Rows(Lines):
    """Where one is, is a place and a row of the line there. A subclass tells how many rows each line takes."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.top_row = 0
        """Of the line at the top, so many rows are above the screen."""
        self._goes = False
        self._laid: tuple[object, list[tuple[int, int]]] | None = None

    @property
    def wraps(self) -> bool:
        """Whether lines take several rows now."""
        raise NotImplementedError

    @property
    def places(self) -> int:
        """How many lines there are."""
        raise NotImplementedError

    def rows_at(self, place: int) -> int:
        """How many rows a line takes; none behind the last one."""
        raise NotImplementedError

    def scrolled(self) -> None:
        """A person has scrolled by rows."""

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """Where something else scrolls, it scrolls to the first row of a line."""
        super().watch_scroll_y(old_value, new_value)
        if not self._goes:
            self.top_row = 0

    @property
    def last_top(self) -> tuple[int, int]:
        """Which row of which place is at the top of the screen where the end is at its bottom."""
        place, height = self.places, max(self.size.height, 1)
        if not self.wraps:
            return max(place - height, 0), 0
        while place:
            place -= 1
            height -= self.rows_at(place)
            if height <= 0:
                return place, -height
        return 0, 0

    @property
    def is_at_end(self) -> bool:
        """Whether the last row is on the screen."""
        return (round(self.scroll_target_y), self.top_row) >= self.last_top

    def go_to(self, place: int, row: int = 0) -> None:
        """Put a row of the line at a place at the top of the screen."""
        if (place, row) != (self.scroll_offset.y, self.top_row):
            self._goes, self.top_row = True, row
            # forced: where many lines come at once there is no scroll bar yet, and without one nothing is scrolled
            self.scroll_to(y=place, animate=False, immediate=True, force=True)
            self._goes = False
            self.drag_along()
            self.refresh()

    def move_rows(self, step: int) -> None:
        """Scroll by rows."""
        place, row = self.scroll_offset.y, self.top_row + step
        while row < 0 and place:
            place -= 1
            row += self.rows_at(place)
        while row >= (rows := self.rows_at(place)) > 0:
            place, row = place + 1, row - rows
        self.go_to(*min((place, max(row, 0)), self.last_top))
        self.scrolled()

    def lay(self) -> list[tuple[int, int]]:
        """Which row of which place is on each line of the screen."""
        top, height = self.scroll_offset.y, self.size.height
        key = (top, self.top_row, self.size, self.places)
        if self._laid is None or self._laid[0] != key:
            rows: list[tuple[int, int]] = []
            place, row = top, self.top_row
            while len(rows) < height and (found := self.rows_at(place)):
                rows += ((place, number) for number in range(row, min(found, row + height)))
                place, row = place + 1, 0
            self._laid = (key, rows)
        return self._laid[1]

    def lay_anew(self) -> None:
        """What the lines are has changed."""
        self._laid = None
        self.refresh()

    def action_scroll_down(self) -> None:
        """One row down."""
        self.move_rows(1) if self.wraps else super().action_scroll_down()

    def action_scroll_up(self) -> None:
        """One row up."""
        self.move_rows(-1) if self.wraps else super().action_scroll_up()

    def move_by(self, lines: int) -> None:
        """So many rows down, or up where it is below 0."""
        self.move_rows(lines) if self.wraps else super().move_by(lines)

    def on_mouse_scroll_down(self, event: MouseScrollDown) -> None:
        """The wheel goes by rows, too."""
        self._wheel(event, WHEEL)

    def on_mouse_scroll_up(self, event: MouseScrollUp) -> None:
        """The wheel goes by rows, too."""
        self._wheel(event, -WHEEL)

    def _wheel(self, event: MouseScrollDown | MouseScrollUp, step: int) -> None:
        if self.wraps and not event.ctrl and not event.shift:
            event.prevent_default()
            event.stop()
            self.move_rows(step)
