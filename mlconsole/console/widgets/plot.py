"""A chart with axes: several curves in braille, named where they end, with a cursor that reads their values."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from operator import itemgetter
from typing import NamedTuple

from rich.cells import cell_len
from textual.content import Content

from mlconsole.console.paint import DIM, FAINT, STRONG, fit, line
from mlconsole.text import number

SERIES_STYLES = ("$text-primary", "$text-warning", "$text-success", "$text-accent", "$text-error")
GAPS = (0, 6, 3)
"""Curves are told apart without colour: the first is whole, the next have a gap every sixth and every third dot."""
LEAST_HEIGHT = 5
_DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
"""The bit of each dot by row and column (Unicode block Braille Patterns)."""
_LABEL_ROOM = 16
_VALUE = itemgetter(1)


class Series(NamedTuple):
    """One curve: points of (step, value) with rising steps. `past` ones are drawn faint, below the others."""

    name: str
    points: tuple[tuple[float, float], ...]
    past: bool = False


class Frame(NamedTuple):
    """The part of the plane that is drawn: steps from left to right, values from bottom to top."""

    left: float
    right: float
    bottom: float
    top: float


class Area(NamedTuple):
    """Where the curves are in the chart: cells from the left edge, how many, and what they show."""

    left: int
    cells: int
    frame: Frame

    def step_at(self, x: float) -> float:
        """The step of a cell's middle."""
        part = min(max((x - self.left + 0.5) / self.cells, 0.0), 1.0)
        return self.frame.left + part * (self.frame.right - self.frame.left)


class _Canvas:
    """Dots in cells, two by four each; a cell has the style of the last curve that came by."""

    def __init__(self, width: int, height: int, frame: Frame) -> None:
        self.width, self.height, self.frame = width, height, frame
        self.bits = [[0] * width for _ in range(height)]
        self.styles = [[""] * width for _ in range(height)]

    def place(self, x: float, y: float) -> tuple[int, int]:
        """The dot of a point, from the top left."""
        frame = self.frame
        across = (x - frame.left) / ((frame.right - frame.left) or 1.0)
        up = (y - frame.bottom) / ((frame.top - frame.bottom) or 1.0)
        return round(across * (self.width * 2 - 1)), round((1 - up) * (self.height * 4 - 1))

    def column(self, x: float) -> int:
        """The cell of a step, or the nearest that there is."""
        return min(max(self.place(x, self.frame.top)[0] // 2, 0), self.width - 1)

    def dot(self, x: int, y: int, style: str) -> None:
        if 0 <= x < self.width * 2 and 0 <= y < self.height * 4:
            self.bits[y // 4][x // 2] |= _DOTS[y % 4][x % 2]
            self.styles[y // 4][x // 2] = style

    def curve(self, points: Sequence[tuple[float, float]], style: str, gap: int) -> None:
        """Join points by lines (Bresenham's way), leaving out a dot wherever `gap` says so."""
        dots = [self.place(x, y) for x, y in points]
        for (x, y), (to_x, to_y) in zip(dots, dots[1:] or dots, strict=False):
            steps = max(abs(to_x - x), abs(to_y - y), 1)
            for step in range(steps + 1):
                at = round(x + (to_x - x) * step / steps)
                if not gap or at % gap:
                    self.dot(at, round(y + (to_y - y) * step / steps), style)

    def row(self, row: int, cursor: int | None, marked: Collection[int] = ()) -> Content:
        """One line of cells; cursor and marks are thin uprights where no curve is."""
        parts: list[tuple[str, str]] = []
        for x, (bits, style) in enumerate(zip(self.bits[row], self.styles[row], strict=True)):
            if not bits and x == cursor:
                parts.append(("│", DIM))
            elif not bits and x in marked:
                parts.append(("┊", FAINT))
            elif not bits:
                parts.append((" ", ""))
            else:
                parts.append((chr(0x2800 + bits), f"{style} reverse" if x == cursor else style))
        return Content.assemble(*_joined(parts))


def _joined(parts: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Neighbours of one style as one part."""
    joined: list[tuple[str, str]] = []
    for text, style in parts:
        if joined and joined[-1][1] == style:
            joined[-1] = (joined[-1][0] + text, style)
        else:
            joined.append((text, style))
    return joined


def frame_of(series: Sequence[Series]) -> Frame | None:
    """A frame that holds all points, with a little room above and below; None without points."""
    points = [point for entry in series for point in entry.points if math.isfinite(point[1])]
    if not points:
        return None
    low, high = min(y for _, y in points), max(y for _, y in points)
    if not math.isfinite(high - low):
        return None
    if low == high:
        low, high = low - (abs(low) or 1) * 0.1, high + (abs(high) or 1) * 0.1
    room = (high - low) * 0.04
    left, right = min(x for x, _ in points), max(x for x, _ in points)
    return Frame(left, right if right > left else left + 1, low - room, high + room)


def _round_step(span: float) -> float:
    """A round number of which a handful fits into `span`."""
    power = 10.0 ** math.floor(math.log10(span / 4)) if span > 0 else 1.0
    return power * next(factor for factor in (1, 2, 2.5, 5, 10) if factor * power >= span / 4)


def plot(
    series: Sequence[Series],
    width: int,
    height: int,
    *,
    cursor: float | None = None,
    marks: Sequence[tuple[float, str]] = (),
    label: Callable[[float], str] | None = None,
) -> list[Content]:
    """Draw curves in `width` × `height` cells: a scale to the left, names to the right, steps below.

    Args:
        series: past ones first or last, they are drawn below the others.
        width: in cells.
        height: in lines, the line of steps included.
        cursor: the step at which an upright is drawn.
        marks: further steps with an upright, each with a word below it.
        label: how a step is written; as a number where it is not said.
    """
    given, series = series, _finite(series)
    rows = max(height, LEAST_HEIGHT) - 1
    area = area_of(series, width, height)
    if area is None:
        return []
    frame = area.frame
    scale = _scale(frame, rows)
    wide, room = area.left - 2, width - area.left - area.cells
    canvas = _Canvas(area.cells, rows, frame)
    order = sorted(range(len(series)), key=lambda place: (not series[place].past, -place))
    for place in order:
        style, gap = style_of(series, place)
        for part in _stretches(given[place].points):
            canvas.curve(thinned(part, canvas.width * 2), style, gap)
    names = _names(series, canvas) if room else {}
    upright = None if cursor is None else canvas.column(cursor)
    marked = {canvas.column(step): word for step, word in marks if frame.left <= step <= frame.right}
    lines = []
    for row in range(rows):
        value, (name, style) = scale.get(row, ""), names.get(row, ("", ""))
        axis = "┤" if row in scale else "│"
        start = line((f"{value:>{wide}} ", DIM), (axis, FAINT))
        end = line((f" {fit(name, room - 1)}", style)) if room else ""
        lines.append(Content.assemble(start, canvas.row(row, upright, marked), end))
    return [*lines, _steps(frame, wide + 2, canvas.width, marked, label)]


def _stretches(points: Sequence[tuple[float, float]]) -> Iterator[list[tuple[float, float]]]:
    """The parts of a curve between values that are none: nothing is drawn across them."""
    for is_told, part in groupby(points, lambda point: math.isfinite(point[1])):
        if is_told:
            yield list(part)


def _finite(series: Sequence[Series]) -> list[Series]:
    return [entry._replace(points=tuple(p for p in entry.points if math.isfinite(p[1]))) for entry in series]


def area_of(series: Sequence[Series], width: int, height: int) -> Area | None:
    """Where `plot` draws the curves; None where there is nothing to draw, or no room."""
    frame = frame_of(series)
    if frame is None or width < 24:
        return None
    wide = max(cell_len(text) for text in _scale(frame, max(height, LEAST_HEIGHT) - 1).values())
    room = min(max(len(entry.name) for entry in series) + 1, _LABEL_ROOM) if width >= 56 else 0
    cells = width - wide - 2 - room
    return Area(wide + 2, cells, frame) if cells >= 4 else None


def thinned(points: Sequence[tuple[float, float]], most: int) -> list[tuple[float, float]]:
    """Of many points the lowest and the highest of each of `most` groups, so that no peak is lost."""
    if len(points) <= 2 * most:
        return list(points)
    kept: list[tuple[float, float]] = []
    for group in range(most):
        part = points[group * len(points) // most : (group + 1) * len(points) // most]
        kept += sorted({min(part, key=_VALUE), max(part, key=_VALUE)})
    return kept


def style_of(series: Sequence[Series], place: int) -> tuple[str, int]:
    """The style of a curve, and how often it has a gap."""
    rank = sum(entry.past == series[place].past for entry in series[:place])
    if series[place].past:
        return DIM, 4 if rank % 2 == 0 else 2
    return SERIES_STYLES[rank % len(SERIES_STYLES)], GAPS[rank % len(GAPS)]


def _scale(frame: Frame, rows: int) -> dict[int, str]:
    """Labels of the values by row: as many round ones as there is room for."""
    step = _round_step(frame.top - frame.bottom)
    found: dict[int, str] = {}
    for place in range(math.ceil(frame.bottom / step), math.floor(frame.top / step) + 1):
        value = place * step
        row = round((1 - (value - frame.bottom) / (frame.top - frame.bottom)) * (rows - 1))
        if not any(abs(row - other) < 2 for other in found):
            found[row] = number(value)
    return found


def _names(series: Sequence[Series], canvas: _Canvas) -> dict[int, tuple[str, str]]:
    """The name of each curve, on the row where it ends or the nearest free one."""
    found: dict[int, tuple[str, str]] = {}
    for place in sorted(range(len(series)), key=lambda place: series[place].past):
        if not series[place].points:
            continue
        wanted = canvas.place(*series[place].points[-1])[1] // 4
        free = [row for row in range(canvas.height) if row not in found]
        if free:
            row = min(free, key=lambda row: abs(row - wanted))
            found[row] = (series[place].name, style_of(series, place)[0])
    return found


def _steps(
    frame: Frame, indent: int, width: int, marked: Mapping[int, str], label: Callable[[float], str] | None
) -> Content:
    """The line of steps below the curves; words of marks go before them."""
    count = max(min(width // 12, 6), 1)
    text = [" "] * width
    for column, word in sorted(marked.items()):
        start = min(column, width - len(word))
        if start >= 0 and all(letter == " " for letter in text[max(start - 1, 0) : start + len(word) + 1]):
            text[start : start + len(word)] = word
    for place in range(count + 1):
        value = frame.left + (frame.right - frame.left) * place / count
        told = label(value) if label else number(round(value) if frame.right - frame.left >= count else value)
        at = round(place * (width - 1) / count)
        start = min(max(at - len(told) // 2, 0), width - len(told))
        free = start >= 0 and all(letter == " " for letter in text[max(start - 1, 0) : start + len(told) + 1])
        if free:
            text[start : start + len(told)] = told
    return line((" " * indent + "".join(text).rstrip(), DIM))


def legend(series: Sequence[Series], cursor: float | None = None) -> Content:
    """Each curve's name with its value: the last one, or the one at the cursor."""
    marks = ("───", "─ ─", "···")
    parts = []
    for place, entry in enumerate(series):
        style, gap = style_of(series, place)
        mark = marks[0] if not gap else marks[1] if gap == GAPS[1] else marks[2]
        value = value_at(entry, cursor)
        parts.append(
            line((f"{mark} ", style), (entry.name, style), (f" {number(value)}" if value is not None else " –", STRONG))
        )
    return Content("   ").join(parts)


def value_at(series: Series, step: float | None) -> float | None:
    """The value of the last point that is not behind a step; the last one where no step is given."""
    if step is None:
        return series.points[-1][1] if series.points else None
    found = [value for at, value in series.points if at <= step]
    return found[-1] if found else None
