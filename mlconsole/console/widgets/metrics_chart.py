"""The curves of a training, one measure at a time, with a cursor that reads values at a step."""

from __future__ import annotations

from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.content import Content
from textual.events import Click
from textual.widget import Widget

from mlconsole.console.curves import Group
from mlconsole.console.paint import DIM, KEY, fit_line, line
from mlconsole.console.widgets.plot import LEAST_HEIGHT, frame_of, legend, plot
from mlconsole.text import number


class MetricsChart(Widget, can_focus=True):
    """A title with the values, and the curves below it."""

    DEFAULT_CSS = """
    MetricsChart { height: 1fr; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left", "cursor(-1)", "a step back", show=False),
        Binding("right", "cursor(1)", "a step on", show=False),
        Binding("home", "cursor_end(0)", "the first step", show=False),
        Binding("end", "cursor_end(1)", "the last step", show=False),
        Binding("down,j", "turn(1)", "the next measure", show=False),
        Binding("up,k", "turn(-1)", "the measure before", show=False),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._groups: tuple[Group, ...] = ()
        self._measure = ""
        self._cursor: float | None = None
        self._with_past = True

    @property
    def group(self) -> Group | None:
        """The curves that are shown."""
        found = next((group for group in self._groups if group.measure == self._measure), None)
        return found or (self._groups[0] if self._groups else None)

    @property
    def cursor(self) -> float | None:
        """The step that is read; None: the last one."""
        return self._cursor

    def show(self, groups: tuple[Group, ...]) -> None:
        """Show other curves; measure and cursor stay."""
        if groups is not self._groups:
            self._groups = groups
            self.refresh()

    def action_turn(self, by: int) -> None:
        """Show another measure."""
        group = self.group
        if group is not None:
            self._measure = self._groups[(self._groups.index(group) + by) % len(self._groups)].measure
            self.refresh()

    def toggle_past(self) -> None:
        """Draw earlier trainings, or leave them out."""
        self._with_past = not self._with_past
        self.refresh()

    def _at(self) -> list[float]:
        group = self.group
        return sorted({x for entry in group.series if not entry.past for x, _ in entry.points}) if group else []

    def action_cursor(self, by: int) -> None:
        """Move the cursor by a step; with many steps to the next column."""
        steps = self._at()
        if not steps:
            return
        here = steps[-1] if self._cursor is None else min(self._cursor, steps[-1])
        place = next((place for place, step in enumerate(steps) if step >= here), len(steps) - 1)
        place += by * max(len(steps) // max(self.size.width, 1), 1)
        self._cursor = None if place >= len(steps) - 1 else steps[max(place, 0)]
        self.refresh()

    def action_cursor_end(self, last: int) -> None:
        """Move the cursor to the first or the last step."""
        steps = self._at()
        self._cursor = None if last or not steps else steps[0]
        self.refresh()

    def on_click(self, event: Click) -> None:
        """Put the cursor near where it was clicked."""
        group, steps = self.group, self._at()
        frame = frame_of(group.series) if group else None
        if frame is None or not steps:
            return
        part = min(max((event.x - 8) / max(self.size.width - 24, 1), 0.0), 1.0)
        wanted = frame.left + part * (frame.right - frame.left)
        self._cursor = min(steps, key=lambda step: abs(step - wanted))
        self.refresh()

    def render(self) -> Content:
        """Title, values, curves."""
        group = self.group
        width, height = self.content_size
        if group is None or width < 1 or height < 1:
            return Content("")
        series = group.series if self._with_past else tuple(entry for entry in group.series if not entry.past)
        steps = self._at()
        step = self._cursor if self._cursor is not None else steps[-1] if steps else None
        place = f" {self._groups.index(group) + 1}/{len(self._groups)}" if len(self._groups) > 1 else ""
        at = f"step {number(step)}" if step is not None else ""
        style = f"{KEY} reverse" if self.has_focus else KEY
        head = line((group.measure, style), (f"{place}  {at}   ", DIM))
        values = Content.assemble(head, legend(series, self._cursor))
        lines = [fit_line(values, width)]
        if height > LEAST_HEIGHT:
            lines += plot(series, width, height - 1, cursor=self._cursor)
        return Content("\n").join(lines)
