"""A table over rows that change often: drawn line by line, with a cursor that stays on its row.

Textual's DataTable keeps a widget's worth of state for each cell; here a row is made when its line is drawn, and only
the lines on the screen ever are: ten thousand rows that change are no more work than the fifty that are seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style as RichStyle
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.events import Click, Resize
from textual.geometry import Region, Size
from textual.message import Message
from textual.selection import Selection
from textual.strip import Strip
from textual.style import Style

from mlconsole.console.paint import cut, fit, fit_end, fit_widths, natural_widths, one_line
from mlconsole.console.widgets.lines import Lines

GAP = 2
"""Cells between two columns."""
MOST_STRIPS = 400
"""So many drawn lines are kept."""


@dataclass(frozen=True)
class Row:
    """One row: a key that stays the same while it is the same thing, its cells, and the style of each (or none)."""

    key: str
    cells: tuple[str, ...]
    styles: tuple[str, ...] = ()


class RowModel(Protocol):
    """Rows in their order, each made when it is asked for."""

    def __len__(self) -> int:
        """How many rows there are."""

    def row(self, index: int) -> Row:
        """The row at a place from 0."""

    def key(self, index: int) -> str:
        """The key of the row at a place."""

    def place(self, key: str) -> int | None:
        """Where the row of a key is, if there is one."""

    def widths(self) -> Sequence[int]:
        """How wide the widest cell of each column is; 0 where all are empty."""


class ListedRows:
    """Rows that are all there already."""

    def __init__(self, rows: Sequence[Row], columns: int) -> None:
        self.rows = tuple(rows)
        self._places = {row.key: number for number, row in enumerate(self.rows)}
        self._widths = natural_widths([row.cells for row in self.rows], columns)

    def __len__(self) -> int:
        return len(self.rows)

    def row(self, index: int) -> Row:
        """The row at a place."""
        return self.rows[index]

    def key(self, index: int) -> str:
        """The key of the row at a place."""
        return self.rows[index].key

    def place(self, key: str) -> int | None:
        """Where the row of a key is."""
        return self._places.get(key)

    def widths(self) -> Sequence[int]:
        """How wide the widest cell of each column is."""
        return self._widths


class Table(Lines):
    """Rows under a header that stays.

    Args:
        columns: the header's words.
        numeric: the columns that are aligned to the right.
        whole: the columns that are never cut, beside the numeric ones.
        tails: the columns of which the end is kept where they are cut.
        spare: the columns that are left out where all of their cells are empty, and, the first of them first, where
            there is no room for all.
    """

    DEFAULT_CSS = """
    Table > .table--header { color: $foreground 60%; text-style: none; }
    Table > .table--cursor { background: $surface-lighten-1; }
    Table:focus > .table--cursor { background: $block-cursor-background; color: $block-cursor-foreground; }
    """
    COMPONENT_CLASSES = {"table--header", "table--cursor"}
    BINDINGS: ClassVar[list[BindingType]] = [Binding("enter", "choose", "open", show=False)]

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

    class HeaderClicked(Message):
        """A click on a column's header."""

        def __init__(self, table: Table, column: int) -> None:
            super().__init__()
            self.table = table
            self.column = column

    def __init__(
        self,
        columns: Sequence[str],
        *,
        numeric: frozenset[int] = frozenset(),
        whole: frozenset[int] = frozenset(),
        tails: frozenset[int] = frozenset(),
        spare: Sequence[int] = (),
        id: str | None = None,
    ) -> None:
        super().__init__(id=id)
        self._columns = tuple(columns)
        self._numeric, self._whole, self._tails, self._spare = numeric, whole | numeric, tails, tuple(spare)
        self._model: RowModel = ListedRows((), len(self._columns))
        self._length = 0
        self._cursor_key: str | None = None
        self._shown: tuple[int, ...] = ()
        self._widths: list[int] = []
        self._cursor = 0
        self._sorted: tuple[int, bool] | None = None
        self._drawn: dict[int, Row] = {}
        self._strips: dict[Row, Strip] = {}
        self._strips_of: tuple[object, ...] = ()
        self._inks: dict[tuple[Style, str], RichStyle] = {}
        self._inks_of = ""

    @property
    def rows(self) -> tuple[Row, ...]:
        """All rows in their order."""
        return tuple(self._model.row(index) for index in range(len(self._model)))

    @property
    def cursor_key(self) -> str | None:
        """The key of the row that the cursor is on."""
        return self._cursor_key

    @property
    def cursor_place(self) -> int:
        """The place of the row that the cursor is on, from 0."""
        return self._cursor

    def show(self, rows: Sequence[Row]) -> None:
        """Replace the rows; the cursor stays on its key, or near where that was."""
        rows = tuple(rows)
        if not isinstance(self._model, ListedRows) or rows != self._model.rows:
            self.show_model(ListedRows(rows, len(self._columns)))

    def show_model(self, model: RowModel) -> None:
        """Show what a model holds now; the same model again where what it holds has changed."""
        key, length, layout = self._cursor_key, len(model), (self._shown, self._widths, self._cursor)
        place = model.place(key) if key is not None else None
        self._model = model
        self._cursor = min(self._cursor, max(length - 1, 0)) if place is None else place
        self._cursor_key = model.key(self._cursor) if length else None
        self._measure()
        if self._length != length:
            self._length = length
            self.virtual_size = Size(self.size.width, length + 1)
        if layout == (self._shown, self._widths, self._cursor):
            self._refresh_changed()
        else:
            self.refresh()
        if self._cursor_key != key:
            self.post_message(self.Moved(self, self._cursor_key or ""))

    def _refresh_changed(self) -> None:
        """Draw only the lines whose row is another one: most changes are to rows that nobody sees."""
        top, width = self.scroll_offset.y, self.size.width
        changed = [
            Region(0, y, width, 1)
            for y in range(1, self.size.height)
            if self._drawn.get(y) != (self._model.row(top + y - 1) if top + y <= self._length else None)
        ]
        if changed:
            self.refresh(*changed)

    def mark_sorted(self, column: int, descending: bool) -> None:
        """Say in the header by which column the rows are sorted."""
        self._sorted = (column, descending)
        self._measure()
        self.refresh()

    def move_to(self, key: str) -> None:
        """Put the cursor on a row."""
        if (place := self._model.place(key)) is not None:
            self._move(place)

    def _header(self, column: int) -> str:
        if self._sorted is not None and self._sorted[0] == column:
            return self._columns[column] + ("↓" if self._sorted[1] else "↑")
        return self._columns[column]

    def _measure(self) -> None:
        # a scroll bar that has come takes its column from the rows
        needed, width = self._model.widths(), self.scrollable_content_region.width or self.size.width
        headers = [cell_len(self._header(column)) for column in range(len(self._columns))]
        shown = [column for column in range(len(self._columns)) if needed[column] or column not in self._spare]
        if any(needed) and sum(max(headers[each], needed[each]) + GAP for each in shown) - GAP > width:
            # nobody misses a column in which nothing is
            shown = [column for column in shown if needed[column]]
        for column in self._spare:
            if sum(max(headers[each], needed[each]) + GAP for each in shown) - GAP <= width:
                break
            if column in shown:
                shown.remove(column)
        natural = [max(headers[column], needed[column]) for column in shown]
        whole = frozenset(place for place, column in enumerate(shown) if column in self._whole)
        self._shown = tuple(shown)
        self._widths = fit_widths(natural, whole, width, GAP)

    def on_resize(self, event: Resize) -> None:
        """Fit the columns anew."""
        self._measure()
        self.virtual_size = Size(self.size.width, self._length + 1)
        self._show_cursor()
        self.refresh()

    def line_at(self, index: int) -> Content | None:
        """A row's line as text, from 0; the header is not one of them."""
        if index >= len(self._model):
            return None
        row = self._model.row(index)
        return Content("".join(text for text, _ in self._parts(row.cells, row.styles)))

    def _parts(self, cells: Sequence[str], styles: Sequence[str] = ()) -> list[tuple[str, str]]:
        """What a line consists of: texts of just their column's width, each with its style's name."""
        parts = []
        for column, width in zip(self._shown, self._widths, strict=True):
            text = self._cell(one_line(cells[column]) if column < len(cells) else "", column, width)
            parts.append((text + "  ", styles[column] if column < len(styles) else ""))
        return parts

    def _cell(self, text: str, column: int, width: int) -> str:
        if column in self._numeric:
            return " " * max(width - cell_len(text), 0) + cut(text, width)
        return fit_end(text, width) if column in self._tails else fit(text, width)

    def _ink(self, base: Style, name: str) -> RichStyle:
        """How a style of the theme looks over a base; looked up once."""
        if self._inks_of != self.app.theme:
            self._inks, self._inks_of = {}, self.app.theme
        found = self._inks.get((base, name))
        if found is None:
            style = base + self.app.stylesheet.parse_style(name) if name else base
            found = self._inks[(base, name)] = style.rich_style
        return found

    # what is selected: the header is line 0, the rows follow

    def text_at(self, number: int) -> str | None:
        """The text of the header or a row, as it is drawn."""
        cells = self._cells_at(number)
        return None if cells is None else "".join(text for text, _ in self._parts(cells))

    def _cells_at(self, number: int) -> Sequence[str] | None:
        if number == 0:
            return [self._header(column) for column in range(len(self._columns))]
        return self._model.row(number - 1).cells if number <= len(self._model) else None

    def copied(self, number: int, start: int, stop: int) -> str | None:
        """What is copied of a row: of a cell that is cut, but selected from end to end, all."""
        cells = self._cells_at(number)
        if cells is None:
            return None
        found, place = [], 0
        for column, (text, _) in zip(self._shown, self._parts(cells), strict=True):
            seen, place = range(place, place + len(text)), place + len(text)
            whole = one_line(cells[column]) if column < len(cells) else ""
            if start <= seen.start and len(text.rstrip()) + seen.start <= stop and text.strip() != whole.strip():
                text = whole + " " * GAP if stop > seen.stop - GAP else whole
                found.append(text)
            else:
                found.append(text[max(start - seen.start, 0) : max(stop - seen.start, 0)])
        return "".join(found).rstrip()

    def span(self, number: int, selection: Selection | None) -> tuple[int, int] | None:
        """Which signs of a row are selected: from the header on, those that were scrolled away below it are not."""
        found = super().span(number, selection)
        if found is None or selection is None or not 0 < number < self._seen[0]:
            return found
        return None if self.bounds(selection)[0].y == 0 else found

    @property
    def seen(self) -> tuple[int, int]:
        """The numbers of the first and the last row on the screen."""
        top = self.scroll_offset.y
        return top + 1 if top else 0, top + max(self.size.height - 1, 0)

    def _strip(self, parts: Sequence[tuple[str, str]], base: Style) -> Strip:
        segments = [Segment(text, self._ink(base, name)) for text, name in parts]
        return Strip(segments).adjust_cell_length(self.size.width, base.rich_style)

    def _plain_strip(self, row: Row, base: Style) -> Strip:
        """A row's line without the cursor; a line that only moved is not made anew."""
        made_for = (base, self.app.theme, self.size.width, self._shown, tuple(self._widths))
        if made_for != self._strips_of or len(self._strips) > MOST_STRIPS:
            self._strips, self._strips_of = {}, made_for
        strip = self._strips.get(row)
        if strip is None:
            strip = self._strips[row] = self._strip(self._parts(row.cells, row.styles), base)
        return strip

    def render_line(self, y: int) -> Strip:
        """One line of the screen: the header, or a row."""
        base = self.visual_style
        if y == 0:
            headers = [self._header(column) for column in range(len(self._columns))]
            return self.selectable(self._strip(self._parts(headers), base + self.get_visual_style("table--header")), 0)
        index = self.scroll_offset.y + y - 1
        return self.selectable(self._row_strip(y, index, base), index + 1)

    def _row_strip(self, y: int, index: int, base: Style) -> Strip:
        if index >= len(self._model):
            self._drawn.pop(y, None)
            return Strip.blank(self.size.width, base.rich_style)
        row = self._drawn[y] = self._model.row(index)
        if index != self._cursor:
            return self._plain_strip(row, base)
        style = base + self.get_visual_style("table--cursor")
        return self._strip(self._parts(row.cells, () if self.has_focus else row.styles), style)

    def _move(self, index: int) -> None:
        index = min(max(index, 0), max(len(self._model) - 1, 0))
        if index == self._cursor or not len(self._model):
            return
        before, top = self._cursor, self.scroll_offset.y
        self._cursor, self._cursor_key = index, self._model.key(index)
        self._show_cursor()
        if self.scroll_offset.y == top:
            self.refresh(*(Region(0, place - top + 1, self.size.width, 1) for place in (before, index)))
        else:
            self.refresh()
        self.post_message(self.Moved(self, self._cursor_key))

    def _show_cursor(self) -> None:
        top, visible = self.scroll_offset.y, max(self.size.height - 1, 1)
        # forced: where many rows come at once there is no scroll bar yet, and without one nothing would be scrolled
        if self._cursor < top:
            self.scroll_to(y=self._cursor, animate=False, immediate=True, force=True)
        elif self._cursor >= top + visible:
            self.scroll_to(y=self._cursor - visible + 1, animate=False, immediate=True, force=True)

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

    def move_by(self, lines: int) -> None:
        """So many rows down, or up where it is below 0."""
        self._move(self._cursor + lines)

    def action_scroll_home(self) -> None:
        """To the first row."""
        self._move(0)

    def action_scroll_end(self) -> None:
        """To the last row."""
        self._move(len(self._model) - 1)

    def action_choose(self) -> None:
        """Open the row of the cursor."""
        if key := self.cursor_key:
            self.post_message(self.Chosen(self, key))

    def on_click(self, event: Click) -> None:
        """A click moves the cursor, a second one on the same row opens it, one on a header names its column."""
        event.prevent_default()
        if self.was_dragged:
            return
        if event.y == 0:
            if (column := self._column_at(event.x)) is not None:
                self.post_message(self.HeaderClicked(self, column))
            return
        index = self.scroll_offset.y + event.y - 1
        if index >= len(self._model):
            return
        if index == self._cursor and event.chain > 1:
            self.action_choose()
        self._move(index)

    def _column_at(self, x: int) -> int | None:
        end = 0
        for column, width in zip(self._shown, self._widths, strict=True):
            end += width + GAP
            if x < end:
                return column
        return None
