"""The curves of a training, one measure at a time, with a cursor that reads values at a step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.content import Content
from textual.events import Click, MouseMove
from textual.widget import Widget

from mlconsole.console.curves import Group
from mlconsole.console.paint import DIM, KEY, fit_line, line
from mlconsole.console.widgets.plot import LEAST_HEIGHT, Series, area_of, legend, plot
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
        self._hovered: float | None = None
        self._with_past = True

    @property
    def group(self) -> Group | None:
        """The curves that are shown."""
        found = next((group for group in self._groups if group.measure == self._measure), None)
        return found or (self._groups[0] if self._groups else None)

    @property
    def cursor(self) -> float | None:
        """The step that is read, the one under the mouse first; None: the last one."""
        return self._cursor if self._hovered is None else self._hovered

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
        """Put the cursor at the step that was clicked."""
        step = self._step_at(event.x)
        if step is not None:
            self._cursor = step
            self.refresh()

    def on_mouse_move(self, event: MouseMove) -> None:
        """Read the step under the mouse."""
        self._hover(self._step_at(event.x))

    def on_leave(self) -> None:
        """Read the cursor's step again."""
        self._hover(None)

    def _hover(self, step: float | None) -> None:
        if step != self._hovered:
            self._hovered = step
            self.refresh()

    def _step_at(self, x: int) -> float | None:
        """The step of this training that is nearest to a column."""
        steps = self._at()
        area = area_of(self._series(), self.content_size.width, self.content_size.height - 1)
        if area is None or not steps:
            return None
        wanted = area.step_at(x)
        return min(steps, key=lambda step: abs(step - wanted))

    def _series(self) -> tuple[Series, ...]:
        group = self.group
        return tuple(entry for entry in group.series if self._with_past or not entry.past) if group else ()

    def render(self) -> Content:
        """Title, values, curves."""
        group = self.group
        width, height = self.content_size
        if group is None or width < 1 or height < 1:
            return Content("")
        series, cursor = self._series(), self.cursor
        steps = self._at()
        step = cursor if cursor is not None else steps[-1] if steps else None
        place = f" {self._groups.index(group) + 1}/{len(self._groups)}" if len(self._groups) > 1 else ""
        at = self.place_words(step) if step is not None else ""
        style = f"{KEY} reverse" if self.has_focus else KEY
        head = line((group.measure, style), (f"{place}  {at}   ", DIM))
        values = Content.assemble(head, self.legend(series, cursor))
        lines = [fit_line(values, width)]
        if height > LEAST_HEIGHT:
            lines += self.curves(series, width, height - 1, cursor)
        return Content("\n").join(lines)

    def place_words(self, step: float) -> str:
        """Say the step that is read."""
        return f"step {number(step)}"

    def legend(self, series: Sequence[Series], cursor: float | None) -> Content:
        """Each curve's name with its value at the cursor."""
        return legend(series, cursor)

    def curves(self, series: Sequence[Series], width: int, height: int, cursor: float | None) -> list[Content]:
        """The curves with their axes."""
        return plot(series, width, height, cursor=cursor)
