"""A log that grows: bounded, follows its end until a person scrolls up, and goes on following from there."""

from __future__ import annotations

from collections.abc import Sequence

from textual.content import Content
from textual.geometry import Size

from mlconsole.console.paint import FAINT, line
from mlconsole.console.widgets.lines import Lines

MOST_LINES = 20_000


class LogView(Lines):
    """Lines of a log, cleaned already.

    Args:
        empty: what is said while there are none.
    """

    DEFAULT_CSS = """
    LogView { overflow-x: auto; scrollbar-size-horizontal: 0; }
    """

    def __init__(self, *, empty: str = "", id: str | None = None) -> None:
        super().__init__(id=id)
        self._empty = empty
        self._lines: list[str] = []
        self._partial = ""
        self._widest = 0
        self._following = True

    @property
    def plain(self) -> str:
        """The text as it is."""
        return "\n".join(self._lines)

    @property
    def is_following(self) -> bool:
        """Whether the end is on the screen, and stays there."""
        return self._following

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """Scrolling up stops following; coming to the end goes on with it."""
        super().watch_scroll_y(old_value, new_value)
        if new_value < old_value:
            self._following = False
        if new_value >= self.max_scroll_y:
            self._following = True

    def on_resize(self) -> None:
        """The end stays on the screen."""
        self._pin()

    def _pin(self) -> None:
        if self._following:
            self.scroll_to(y=self.max_scroll_y, animate=False)
            self._following = True

    def clear(self) -> None:
        """Forget all lines."""
        self._lines.clear()
        self._partial, self._widest, self._following = "", 0, True
        self.append(())

    def say_when_empty(self, words: str) -> None:
        """Change what is said while there are no lines."""
        if words != self._empty:
            self._empty = words
            self.refresh()

    def append(self, lines: Sequence[str], partial: str = "") -> None:
        """Add lines at the end; `partial` is a last line that still grows."""
        self._lines += lines
        self._partial = partial
        self._widest = max(self._widest, len(partial), *map(len, lines[-2000:]), 0)
        if (over := len(self._lines) - MOST_LINES) > 0:
            del self._lines[:over]
            if not self._following:
                self.scroll_to(y=max(self.scroll_offset.y - over, 0), animate=False)
        self.virtual_size = Size(self._widest, len(self._lines) + bool(partial))
        self._pin()
        self.call_after_refresh(self._pin)
        self.refresh()

    def line_at(self, index: int) -> Content | None:
        """The line of a number from 0."""
        if index < len(self._lines):
            return line(self._lines[index])
        if index == len(self._lines) and self._partial:
            return line(self._partial)
        if index == 0 and self._empty:
            return line((self._empty, FAINT))
        return None
