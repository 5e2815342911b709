"""What came out, and how? Progress and curves while it trains, the model and its facts afterwards; the log below."""

from __future__ import annotations

from collections.abc import Iterator

from textual.content import Content
from textual.widget import Widget

from mlconsole.console.live_words import time_left
from mlconsole.console.log_feed import FileFeed, LogGrew
from mlconsole.console.paint import BUSY, DIM, STRONG, bar, cut, heading, line
from mlconsole.console.panels.base import Panel, command_lines, evidence_lines, quiet, run_lines, sections
from mlconsole.console.view import View
from mlconsole.console.widgets.chart import curve
from mlconsole.console.widgets.lines import Document
from mlconsole.console.widgets.log_view import LogView
from mlconsole.evidence.training import MetricPoint
from mlconsole.text import number

TALL = 34
"""From this height of the panel on, curves are three lines high."""


class TrainPanel(Panel):
    """State and metrics above, the log below as it grows."""

    stage = "train"
    DEFAULT_CSS = """
    TrainPanel Document { height: auto; max-height: 60%; }
    TrainPanel.-no-log Document { height: 1fr; max-height: 100%; }
    TrainPanel LogView { border-top: solid $surface-lighten-3; border-title-color: $foreground 60%; }
    TrainPanel.-no-log LogView { display: none; }
    """

    def __init__(self, view: View) -> None:
        super().__init__(view)
        self.document = Document()
        self.log_view = LogView()
        self.log_view.border_title = "Log"
        self._feed: FileFeed | None = None

    def body(self) -> Iterator[Widget]:
        """The document over the log."""
        yield self.document
        yield self.log_view

    @property
    def target(self) -> Widget:
        """The log where there is one."""
        return self.document if self.has_class("-no-log") else self.log_view

    def draw(self, view: View) -> None:
        """Bring the document up to a view, and follow the log of the shown release."""
        tall = self.size.height >= TALL
        self.document.show(lambda width: train_lines(view, width, tall=tall))
        self._follow(view)

    def _follow(self, view: View) -> None:
        wanted = None
        if view.shown is not None and view.run("train") is not None and view.selected == "train":
            wanted = view.project.release_folder(view.shown.number) / "train.log"
        self.set_class(wanted is None or not (self._feed or wanted.is_file()), "-no-log")
        if wanted is None and view.selected != "train":
            return
        if (str(wanted) if wanted else None) == (self._feed.source if self._feed else None):
            return
        self.stop()
        self.log_view.clear()
        if wanted is not None and wanted.is_file():
            self._feed = FileFeed(wanted, self.post_message)

    def stop(self) -> None:
        """Follow no log any more."""
        if self._feed is not None:
            self._feed.stop()
            self._feed = None

    def on_unmount(self) -> None:
        """Leave no thread behind."""
        self.stop()

    def on_log_grew(self, message: LogGrew) -> None:
        """Add what the log has more."""
        message.stop()
        if self._feed is None or message.source != self._feed.source:
            return
        if message.growth.fresh:
            self.log_view.clear()
        self.log_view.append(message.growth.lines, message.growth.partial)


def train_lines(view: View, width: int, *, tall: bool = False) -> list[Content]:
    """All that is above the log."""
    run = view.run("train")
    if run is None:
        command = view.project.settings.train.command
        if view.past:
            return quiet("This release did not come to its training.")
        if not command:
            return quiet("No training command was found.", "Name it in mlconsole.toml: [train] command.")
        return [line(("Not trained yet in this release.", DIM)), line(("$ ", DIM), command)]
    curves = metric_lines(view, width, 3 if tall else 1)
    if run.state == "running":
        return sections(progress_lines(view, width), curves or quiet("No metric was printed yet."))
    # the curves end with the last values, and the log below has the last lines
    without = ("Metrics", "Last lines") if curves else ()
    return sections(run_lines(run, width), curves, evidence_lines(run, width, without=without), command_lines(run))


def progress_lines(view: View, width: int) -> list[Content]:
    """The bar with the words that training printed, and the time left."""
    progress = view.story.progress
    if progress is None:
        return [line(("Training runs; it has not said how far it is.", DIM))]
    left = time_left(view)
    words = f" {progress.fraction:4.0%}" + (f"  {left} left" if left else "")
    room = max(min(width - len(words) - 2 - len(progress.message), 60), 10)
    return [line(bar(progress.fraction, room), (words, STRONG), (f"  {progress.message}", DIM))]


def metric_lines(view: View, width: int, height: int) -> list[Content]:
    """Each metric: its name, last value, the way there, and its curve."""
    metrics = view.story.metrics
    if not metrics:
        return []
    names = min(max(len(name) for name, _ in metrics), 28)
    lines = [heading("Metrics", "as they were printed")]
    for name, points in metrics:
        values = [point.value for point in points]
        if len(values) < 2:
            lines.append(line(f"{cut(name, names):<{names}}  ", (f"{number(values[-1]):>9}", STRONG)))
            continue
        note = _way(points, in_full=width >= 90)
        room = max(min(width - names - 13 - len(note) - 2, 60), 8)
        drawn = curve(values, room, height)
        lines.append(
            line(
                f"{cut(name, names):<{names}}  ",
                (f"{number(values[-1]):>9}  ", STRONG),
                (drawn[0].ljust(room), BUSY),
                (f"  {note}", DIM),
            )
        )
        lines += [line(" " * (names + 13), (part, BUSY)) for part in drawn[1:]]
    return lines


def _way(points: tuple[MetricPoint, ...], *, in_full: bool) -> str:
    values = [point.value for point in points]
    words = f"from {number(values[0])}, least {number(min(values))}, most {number(max(values))}"
    return f"{words}, {len(values)} points" if in_full else f"from {number(values[0])}"
