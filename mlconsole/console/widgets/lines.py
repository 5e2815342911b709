"""Lines that scroll: only those on the screen are drawn, whatever their number."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

from rich.segment import Segment
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.events import Resize
from textual.geometry import Size
from textual.strip import Strip
from textual.style import Style

from mlconsole.console.widgets.selectable import Selectable, signs_within

MOVES: list[BindingType] = [
    Binding("j,down", "scroll_down", "down", show=False),
    Binding("k,up", "scroll_up", "up", show=False),
    Binding("pagedown,ctrl+f,space", "page_down", "page down", show=False),
    Binding("pageup,ctrl+b", "page_up", "page up", show=False),
    Binding("ctrl+d", "half_page(1)", "half a page down", show=False),
    Binding("ctrl+u", "half_page(-1)", "half a page up", show=False),
    Binding("home", "scroll_home", "top", show=False),
    Binding("end,G", "scroll_end", "bottom", show=False),
    Binding("left", "scroll_left", "left", show=False),
    Binding("right", "scroll_right", "right", show=False),
]


class Lines(Selectable, can_focus=True):
    """A scrolling view of lines that a subclass tells one by one."""

    DEFAULT_CSS = """
    Lines { height: 1fr; scrollbar-size: 1 1; overflow-x: hidden; overflow-y: auto; }
    Lines:focus { background-tint: $foreground 0%; }
    """
    BINDINGS: ClassVar[list[BindingType]] = MOVES

    def line_at(self, index: int) -> Content | None:
        """The line of a number from 0, or None behind the last one."""
        raise NotImplementedError

    def painted(self, content: Content | None, base: Style) -> Strip:
        """A line as it goes to the screen, by the present theme and scrolled sideways; its cut end is marked."""
        width = self.size.width
        if content is None:
            return Strip.blank(width, base.rich_style)
        left, room = self.scroll_offset.x, self.scrollable_content_region.width
        if room:
            content = content.truncate(left + room, ellipsis=True)
        parts = content.render(base, end="", parse_style=self.app.stylesheet.parse_style)
        strip = Strip([Segment(text, style.rich_style) for text, style in parts])
        return strip.crop_extend(left, left + width, base.rich_style)

    def render_line(self, y: int) -> Strip:
        """One line of the screen."""
        index = self.scroll_offset.y + y
        content = self.line_at(index)
        left = self.scroll_offset.x
        first = signs_within(content.plain, left) if left and content is not None else 0
        return self.selectable(self.painted(content, self.visual_style), index, first)

    def text_at(self, number: int) -> str | None:
        """A line's text, as it is selected."""
        content = self.line_at(number)
        return None if content is None else content.plain

    def action_scroll_down(self) -> None:
        """One line down."""
        self.scroll_relative(y=1, animate=False)

    def action_scroll_up(self) -> None:
        """One line up."""
        self.scroll_relative(y=-1, animate=False)

    def action_page_down(self) -> None:
        """One screen down."""
        self.move_by(max(self.size.height - 1, 1))

    def action_page_up(self) -> None:
        """One screen up."""
        self.move_by(-max(self.size.height - 1, 1))

    def action_half_page(self, step: int) -> None:
        """Half a screen down, or up."""
        self.move_by(step * max(self.size.height // 2, 1))

    def move_by(self, lines: int) -> None:
        """So many lines down, or up where it is below 0."""
        self.scroll_relative(y=lines, animate=False)

    def action_scroll_home(self) -> None:
        """To the first line."""
        self.scroll_to(y=0, animate=False)

    def action_scroll_end(self) -> None:
        """To the last line."""
        self.scroll_to(y=self.max_scroll_y, animate=False)

    def action_scroll_left(self) -> None:
        """Half a screen to the left."""
        self.scroll_relative(x=-max(self.size.width // 2, 1), animate=False)

    def action_scroll_right(self) -> None:
        """Half a screen to the right."""
        self.scroll_relative(x=max(self.size.width // 2, 1), animate=False)


Maker = Callable[[int], Sequence[Content]]
"""Makes lines for a width in cells."""


class Document(Lines):
    """Lines that are made anew whenever the width changes; they keep their place while they change."""

    DEFAULT_CSS = """
    Document { overflow-x: auto; scrollbar-size-horizontal: 0; }
    """

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self._maker: Maker = lambda width: ()
        self._lines: Sequence[Content] = ()
        self._made_for = -1
        self._counted: tuple[int, int] | None = None
        """Another width, and how many lines there are for it."""

    @property
    def plain(self) -> str:
        """The text without its styles."""
        return "\n".join(content.plain for content in self._lines)

    def show(self, maker: Maker) -> None:
        """Show the lines that `maker` makes."""
        self._maker, self._counted = maker, None
        before = len(self._lines)
        if self.size.width:
            self._make()
        else:
            # it is not on the screen now: it may come back in the same width
            self._made_for = -1
        height = self.styles.height
        if height is not None and height.is_auto and (len(self._lines) != before or not self.size.width):
            self._made_for = -1
            self.refresh(layout=True)

    def _make(self) -> None:
        width = self.scrollable_content_region.width or self.size.width
        self._made_for = width
        self._lines = self._maker(width)
        widest = max((content.cell_length for content in self._lines), default=0)
        self.virtual_size = Size(widest, len(self._lines))
        self.refresh()

    def on_resize(self, event: Resize) -> None:
        """Make the lines for the new width."""
        width = self.scrollable_content_region.width or self.size.width
        if width != self._made_for or self.virtual_size.height != len(self._lines):
            self._make()

    def watch_show_vertical_scrollbar(self) -> None:
        """The bar takes its place from the lines, without a resize: they are made anew for what is left."""
        if self._made_for > 0 and self.scrollable_content_region.width != self._made_for:
            self.call_later(self._make_again)

    def _make_again(self) -> None:
        if self.scrollable_content_region.width not in (0, self._made_for):
            self._make()

    def line_at(self, index: int) -> Content | None:
        """The line of a number from 0."""
        return self._lines[index] if index < len(self._lines) else None

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        """As many lines as there are, for `height: auto`; what is shown may be made for less, beside a scroll bar."""
        if width in (0, self._made_for):
            return len(self._lines)
        if self._counted is None or self._counted[0] != width:
            self._counted = width, len(self._maker(width))
        return self._counted[1]
