"""The curves of what serves over time, one measure at a time, with deploys marked and a cursor that reads values."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime

from textual.content import Content

from mlconsole.console.monitor_curves import Monitoring
from mlconsole.console.widgets.metrics_chart import MetricsChart
from mlconsole.console.widgets.plot import Series, legend, plot, value_at

SHORT = 600.0
"""Below so many seconds from left to right, moments are told to the second."""


class MonitorChart(MetricsChart):
    """A title with the values at a moment, and the curves by version below it."""

    DEFAULT_CSS = """
    MonitorChart { height: 1fr; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._deploys: tuple[tuple[float, str], ...] = ()

    def show_monitoring(self, found: Monitoring) -> None:
        """Show other curves; measure and cursor stay."""
        self._deploys = found.deploys
        self.show(found.groups)

    def place_words(self, step: float) -> str:
        """The moment that is read."""
        return _to_the_second(step)

    def legend(self, series: Sequence[Series], cursor: float | None) -> Content:
        """The value of each version at the moment; none of one that did not serve then."""
        named = [entry for entry in series if not entry.past]
        return legend([entry if _is_told(entry, cursor) else entry._replace(points=()) for entry in named], cursor)

    def curves(self, series: Sequence[Series], width: int, height: int, cursor: float | None) -> list[Content]:
        """The curves over the time of day, with an upright where a version came in."""
        marks = [(moment, f"▲{tag}") for moment, tag in self._deploys]
        moments = [moment for entry in series for moment, _ in entry.points]
        is_short = bool(moments) and max(moments) - min(moments) < SHORT
        return plot(
            series, width, height, cursor=cursor, marks=marks, label=_to_the_second if is_short else _to_the_minute
        )

    def _series(self) -> tuple[Series, ...]:
        """The curves, and a dot at zero: a rate is read by its distance from none. Where all are none, one above it."""
        series = super()._series()
        start = min((moment for entry in series for moment, _ in entry.points), default=0.0)
        is_flat = not any(value > 0 for entry in series for _, value in entry.points)
        dots = ((start, 0.0), (start, math.nan), (start, 1.0)) if is_flat else ((start, 0.0),)
        return (*series, Series("", dots, past=True)) if series else ()


def _is_told(series: Series, cursor: float | None) -> bool:
    value = value_at(series, cursor)
    return value is not None and math.isfinite(value)


def _to_the_minute(moment: float) -> str:
    return f"{datetime.fromtimestamp(moment).astimezone():%H:%M}"


def _to_the_second(moment: float) -> str:
    return f"{datetime.fromtimestamp(moment).astimezone():%H:%M:%S}"
