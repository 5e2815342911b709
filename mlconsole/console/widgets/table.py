"""A table over rows that change often: drawn line by line, with a cursor that stays on its row.

Textual's DataTable keeps a widget's worth of state for each cell; here a row is a tuple, and only the lines on the
screen are ever drawn.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.cells import cell_len
from textual.binding import Binding
from textual.content import Content
from textual.events import Click, Resize
from textual.geometry import Size
from textual.message import Message
from textual.strip import Strip

from mlconsole.console.paint import column_widths, cut, fit, fit_end, one_line
from mlconsole.console.widgets.lines import Lines


@dataclass(frozen=True)
class Row:
    """One row: a key that stays the same while it is the same thing, its cells, and the style of each (or none)."""

    key: str
    cells: tuple[str, ...]
    styles: tuple[str, ...] = ()


class Table(Lines):
    """Rows under a header that stays.

    Args:
        columns: the header's words.
        numeric: the columns that are aligned to the right.
        whole: the columns that are never cut, beside the numeric ones.
        tails: the columns of which the end is kept where they are cut.
    """

    DEFAULT_CSS = """
    Table > .table--header { color: $foreground 60%; text-style: none; }
    Table > .table--cursor { background: $surface-lighten-1; }
    Table:focus > .table--cursor { background: $block-cursor-background; color: $block-cursor-foreground; }
    """
    COMPONENT_CLASSES = {"table--header", "table--cursor"}
    BINDINGS = [Binding("enter", "choose", "open", show=False)]

    class Chosen(Message):
        """Enter or a second click on a row."""

        def __init__(self, table: Table, key: str) -> None:
            super().__init__()
            self.table = table
            self.key = key

        @property
        def control(self) -> Table:
            """The table that it is about."""
            return self.table

    class Moved(Chosen):
        """The cursor is on another row."""

    def __init__(
        self,
        columns: Sequence[str],
        *,
        numeric: frozenset[int] = frozenset(),
        whole: frozenset[int] = frozenset(),
        tails: frozenset[int] = frozenset(),
        id: str | None = None,
    ) -> None:
        super().__init__(id=id)
        self._columns = tuple(columns)
        self._numeric, self._whole, self._tails = numeric, whole | numeric, tails
        self._rows: tuple[Row, ...] = ()
        self._index: dict[str, int] = {}
        self._widths: list[int] = []
        self._cursor = 0

    @property
    def rows(self) -> tuple[Row, ...]:
        """The rows in their order."""
        return self._rows

    @property
    def cursor_key(self) -> str | None:
        """The key of the row that the cursor is on."""
        return self._rows[self._cursor].key if self._rows else None

    def show(self, rows: Sequence[Row]) -> None:
        """Replace the rows; the cursor stays on its key, or near where that was."""
        rows = tuple(rows)
        if rows == self._rows:
            return
        key, before = self.cursor_key, self._rows
        self._rows = rows
        self._index = {row.key: number for number, row in enumerate(rows)}
        self._cursor = self._index.get(key or "", min(self._cursor, max(len(rows) - 1, 0)))
        self._measure()
        if len(before) != len(rows):
            self.virtual_size = Size(self.size.width, len(rows) + 1)
        self.refresh()
        if self.cursor_key != key:
            self.post_message(self.Moved(self, self.cursor_key or ""))

    def move_to(self, key: str) -> None:
        """Put the cursor on a row."""
        if key in self._index:
            self._move(self._index[key])

    def _measure(self) -> None:
        cells = [row.cells for row in self._rows]
        self._widths = column_widths(self._columns, cells, self._whole, self.size.width)

    def on_resize(self, event: Resize) -> None:
        """Fit the columns anew."""
        self._measure()
        self.virtual_size = Size(self.size.width, len(self._rows) + 1)
        self._show_cursor()
        self.refresh()

    def line_at(self, index: int) -> Content | None:
        """A row's line, from 0; the header is not one of them."""
        if index >= len(self._rows):
            return None
        row = self._rows[index]
        return self._cells(row.cells, row.styles)

    def _cells(self, cells: Sequence[str], styles: Sequence[str] = ()) -> Content:
        parts: list[str | tuple[str, str]] = []
        for number, width in enumerate(self._widths):
            text = self._cell(one_line(cells[number]) if number < len(cells) else "", number, width)
            parts += [(text, styles[number]) if number < len(styles) and styles[number] else text, "  "]
        return Content.assemble(*parts)

    def _cell(self, text: str, number: int, width: int) -> str:
        if number in self._numeric:
            return " " * max(width - cell_len(text), 0) + cut(text, width)
        return fit_end(text, width) if number in self._tails else fit(text, width)

    def render_line(self, y: int) -> Strip:
        """One line of the screen: the header, or a row."""
        base = self.visual_style
        if y == 0:
            return self.painted(self._cells(self._columns), base + self.get_visual_style("table--header"))
        index = self.scroll_offset.y + y - 1
        content = self.line_at(index)
        if content is not None and index == self._cursor and self._rows:
            style = base + self.get_visual_style("table--cursor")
            return self.painted(content.without_spans if self.has_focus else content, style)
        return self.painted(content, base)

    def _move(self, index: int) -> None:
        index = min(max(index, 0), max(len(self._rows) - 1, 0))
        if index == self._cursor or not self._rows:
            return
        self._cursor = index
        self._show_cursor()
        self.refresh()
        self.post_message(self.Moved(self, self.cursor_key or ""))

    def _show_cursor(self) -> None:
        top, visible = self.scroll_offset.y, max(self.size.height - 1, 1)
        if self._cursor < top:
            self.scroll_to(y=self._cursor, animate=False)
        elif self._cursor >= top + visible:
            self.scroll_to(y=self._cursor - visible + 1, animate=False)

    def action_scroll_down(self) -> None:
        """To the next row."""
        self._move(self._cursor + 1)

    def action_scroll_up(self) -> None:
        """To the row before."""
        self._move(self._cursor - 1)

    def action_page_down(self) -> None:
        """One screen of rows down."""
        self._move(self._cursor + max(self.size.height - 2, 1))

    def action_page_up(self) -> None:
        """One screen of rows up."""
        self._move(self._cursor - max(self.size.height - 2, 1))

    def action_scroll_home(self) -> None:
        """To the first row."""
        self._move(0)

    def action_scroll_end(self) -> None:
        """To the last row."""
        self._move(len(self._rows) - 1)

    def action_choose(self) -> None:
        """Open the row of the cursor."""
        if key := self.cursor_key:
            self.post_message(self.Chosen(self, key))

    def on_click(self, event: Click) -> None:
        """A click moves the cursor, a second one on the same row opens it."""
        index = self.scroll_offset.y + event.y - 1
        if event.y == 0 or index >= len(self._rows):
            return
        if index == self._cursor and event.chain > 1:
            self.action_choose()
        self._move(index)
