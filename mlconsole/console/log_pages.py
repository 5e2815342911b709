"""Keeps the lines that are near the screen, so that drawing does not read them again and again."""

from __future__ import annotations

from mlconsole.console.log_lines import Line, LogLines, read_all

PAGE = 64
"""So many lines are read at once."""
MOST_PAGES = 64
MOST_SIGNS = 16_000_000
"""Lines may be long: no more characters than these are kept."""


class Pages:
    """A window on a log's lines, by their numbers."""

    def __init__(self, lines: LogLines) -> None:
        self.lines = lines
        self._pages: dict[int, list[Line]] = {}
        self._signs = 0

    def line(self, number: int) -> Line | None:
        """A line by its number; those around it are read with it."""
        page = number // PAGE
        begin, until = max(page * PAGE, self.lines.first), min((page + 1) * PAGE, self.lines.end)
        found = self._pages.get(page)
        if found is None or len(found) < until - page * PAGE:
            if begin > page * PAGE:
                # its beginning is gone: more of it will go
                return next(iter(self.lines.read(number, number + 1)), None)
            if len(self._pages) >= MOST_PAGES or self._signs > MOST_SIGNS:
                self.clear()
            found = self._pages[page] = list(read_all(self.lines, begin, until))
            self._signs += sum(len(entry.text) for entry in found)
        place = number - page * PAGE
        return found[place] if 0 <= place < len(found) else None

    def grown(self) -> None:
        """The log has grown: what was its last line may go on."""
        last = max(self._pages, default=None)
        if last is not None:
            del self._pages[last]

    def clear(self) -> None:
        """Forget all."""
        self._pages.clear()
        self._signs = 0
