"""The first frame: it is drawn from next to nothing, while a thread imports the rest."""

from __future__ import annotations

from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.content import Content
from textual.screen import Screen

from mlconsole.evidence.base import STAGES

NARROW = 84
"""Below this width, rail and panel stack."""
LOW = 22
"""Below this height, the stacked rail is a single line."""


def rail_width(width: int) -> int:
    """The width of the rail beside a panel, as the main screen's style sheet has it."""
    return min(max(width // 3, 28), 44)


class OpeningScreen(Screen[None]):
    """Header and rail where they will be; it only quits.

    Args:
        name: the project's.
    """

    DEFAULT_CSS = """
    OpeningScreen { background: $background; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [Binding("q,ctrl+q", "app.quit", "quit", show=False)]

    def __init__(self, name: str) -> None:
        super().__init__()
        self._title = name

    def render(self) -> Content:
        """The whole screen."""
        width, height = self.size
        lines = opening_lines(self._title, width, height)
        lines += [Content("")] * (height - len(lines) - 1)
        footer = Content.styled(" Opening …".ljust(width), "$foreground 60% on $panel")
        return Content("\n").join([*lines[: height - 1], footer])


def opening_lines(name: str, width: int, height: int) -> list[Content]:
    """Header and rail, in the shape that there is room for."""
    header = Content.assemble(" ", (name, "bold"))
    lines = [header.truncate(width, ellipsis=True, pad=True).stylize("on $panel")]
    titles = [f"{place} · {stage.capitalize()}" for place, stage in enumerate(STAGES, 1)]
    if width < NARROW and height < LOW:
        row = " " + "  ".join(title.replace(" ", "") for title in titles)
        return [*lines, Content.styled(row[:width].ljust(width), "$foreground 60% on $surface")]
    stacked = width < NARROW
    wide = width if stacked else rail_width(width)
    spaced = not stacked and height - 2 >= 2 + 3 * len(STAGES)
    rows = [] if stacked else [""]
    for title in titles:
        rows += [*([""] if spaced else []), f" {title}", *([] if stacked else [""])]
    rows += [] if stacked else [""] * (height - len(rows) - 2)
    return lines + [Content.styled(row.ljust(wide), "$foreground 60% on $surface") for row in rows]
