"""What came out, and how? Progress and use while it trains, its facts afterwards; the curves, and the log below."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec
from textual.content import Content
from textual.widget import Widget

from mlconsole.console.bars import word
from mlconsole.console.curves import Group, groups, results
from mlconsole.console.live_words import time_left
from mlconsole.console.log_feed import FileFeed, LogGrew, told_lines
from mlconsole.console.paint import BUSY, DIM, STRONG, bar, heading, line, table_lines
from mlconsole.console.panels.base import Panel, command_lines, evidence_lines, quiet, run_lines, sections
from mlconsole.console.related import Metrics, PastRun
from mlconsole.console.story import Story
from mlconsole.console.view import View
from mlconsole.console.widgets.lines import Document
from mlconsole.console.widgets.log_view import LogView
from mlconsole.console.widgets.metrics_chart import MetricsChart
from mlconsole.evidence.training import TrainEvidence, UseSample
from mlconsole.present import Table
from mlconsole.present.stages import sweep_table
from mlconsole.services.training import sweep
from mlconsole.text import count, duration, number, size

LOW = 20
"""Below this height of the panel, the log is left to its own screen: facts and curves need the room."""
USE_LETTERS = 24
DISK_WORTH_TELLING = 1 << 20
"""Bytes a second."""


class TrainPanel(Panel):
    """State and facts above, curves in the middle, the log below as it grows."""

    stage = "train"
    DEFAULT_CSS = """
    TrainPanel Document { height: auto; }
    TrainPanel.-no-log.-no-curves Document { height: 1fr; max-height: 100%; }
    TrainPanel MetricsChart { margin-top: 1; height: 1fr; }
    TrainPanel.-no-curves MetricsChart { display: none; }
    TrainPanel LogView { border-top: solid $surface-lighten-3; border-title-color: $foreground 60%; height: 1fr; }
    TrainPanel.-no-log LogView, TrainPanel.-low.-curves LogView { display: none; }
    TrainPanel.-low MetricsChart { margin-top: 0; }
    """

    def __init__(self, view: View) -> None:
        super().__init__(view)
        self.document = Document()
        self.chart = MetricsChart()
        self.log_view = LogView()
        self.log_view.border_title = "Log"
        self._feed: FileFeed | None = None
        self._drawn: tuple[object, ...] = ()
        self._made_of: tuple[Metrics, Sequence[PastRun]] | None = None
        self._curves: tuple[Group, ...] = ()
        self._told: Story | None = None

    def body(self) -> Iterator[Widget]:
        """The document, the curves, the log."""
        yield self.document
        yield self.chart
        yield self.log_view

    @property
    def target(self) -> Widget:
        """The curves where there are some, else the log."""
        if not self.has_class("-no-curves"):
            return self.chart
        return self.document if self.has_class("-no-log") else self.log_view

    def on_resize(self) -> None:
        """Say more or less, as there is room."""
        self.draw(self.view)

    def draw(self, view: View) -> None:
        """Bring all parts up to a view, and follow the log of the shown release."""
        height = self.size.height
        curves = self._curves_of(view)
        self.set_class(not curves, "-no-curves")
        self.set_class(bool(curves), "-curves")
        self.set_class(height < LOW, "-low")
        self.chart.show(curves)
        self.document.styles.max_height = max(height * 2 // 5, 3) if curves else "60%"
        drawn = (view.run("train"), view.story, view.related, height, view.moment if _is_running(view) else None)
        if not self._drawn or any(new is not old for new, old in zip(drawn, self._drawn, strict=True)):
            self._drawn = drawn
            self.document.show(lambda width: train_lines(view, width, low=height < LOW))
        if view.replaying:
            self._retell(view)
        else:
            self._follow(view)

    def _curves_of(self, view: View) -> tuple[Group, ...]:
        """The curves of a view, put together anew only where one of them has grown."""
        made_of = (view.story.metrics, view.related.past_runs)
        if self._made_of is None or any(new is not old for new, old in zip(made_of, self._made_of, strict=True)):
            self._made_of, self._curves = made_of, groups(*made_of)
        return self._curves

    def _retell(self, view: View) -> None:
        """In place of the log, which tells no times: what the release said until the moment."""
        self.stop()
        if self._told is view.story:
            return
        self._told = view.story
        told = [text for found in view.story.happenings if found.stage == "train" for text in told_lines(found)]
        self.set_class(not told, "-no-log")
        self.log_view.clear()
        self.log_view.append(told)

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


def _is_running(view: View) -> bool:
    run = view.run("train")
    return run is not None and run.state == "running"


def train_lines(view: View, width: int, *, low: bool = False) -> list[Content]:
    """All that is above the curves; the results first where there is little room."""
    run = view.run("train")
    if run is None:
        command = view.project.settings.train.command
        if view.past:
            return quiet("This release did not come to its training.")
        if not command:
            return quiet("No training command was found.", "Name it in mlconsole.toml: [train] command.")
        return [line(("Not trained yet in this release.", DIM)), line(("$ ", DIM), command)]
    uses = view.story.uses.get("train", ())
    if run.state == "running":
        limit = view.project.settings.train.memory
        if view.story.sweep:
            return [*sweep_lines(view, width), *use_lines(uses, None, width, limit)]
        waiting = [] if view.story.metrics else quiet("No metric was printed yet.")
        return [*progress_lines(view, width), *use_lines(uses, None, width, limit), *waiting]
    found = result_lines(view, width)
    evidence = run.evidence if isinstance(run.evidence, TrainEvidence) else None
    use = use_lines(uses, evidence, width)
    # results and curves have the values, the log below has the last lines
    without = ("Metrics", "Last lines") if view.story.metrics else ()
    rest = [run_lines(run, width), evidence_lines(run, width, without=without), command_lines(run, view, width)]
    if low and run.problem is None:
        return [*found, *use, *sections([], *rest)]
    return sections(rest[0], [*found, *use], *rest[1:])


def progress_lines(view: View, width: int) -> list[Content]:
    """The bar with the words that training printed, and the time left."""
    progress = view.story.progress
    if progress is None:
        return [line(("Training runs; it has not said how far it is.", DIM))]
    left = time_left(view)
    words = f" {progress.fraction:4.0%}" + (f"  {left} left" if left else "")
    room = max(min(width - len(words) - 2 - len(progress.message), 60), 10)
    return [line(bar(progress.fraction, room), (words, STRONG), (f"  {progress.message}", DIM))]


def sweep_lines(view: View, width: int) -> list[Content]:
    """How far a sweep is, and its runs: those that run, then the others, the best so far first."""
    settings = view.project.settings
    metric = settings.train.best or settings.quality.metric
    runs, total = view.story.sweep, view.story.sweep_total
    ended = [run for run in runs if run.state not in ("waiting", "running")]
    parts = sum(run.progress or 0.0 for run in runs if run.state == "running")
    fraction = min((len(ended) + parts) / max(total, 1), 1.0)
    sign = 1 if sweep.lower_is_better(metric) else -1
    scored = sorted((run for run in ended if run.score is not None), key=lambda run: sign * (run.score or 0.0))
    running = [run for run in runs if run.state == "running"]
    rest = [run for run in ended if run.score is None]
    leading = [msgspec.structs.replace(run, is_best=True) for run in scored[:1]]
    words = f" {fraction:4.0%}  {len(ended)} of {count(total, 'run')} ended"
    table = sweep_table([*leading, *running, *scored[1:], *rest], metric)
    return [line(bar(fraction, max(min(width - len(words), 60), 10)), (words, STRONG)), *table_lines(table, width)]


def use_lines(uses: Sequence[UseSample], evidence: TrainEvidence | None, width: int, limit: str = "") -> list[Content]:
    """Processors and memory of the training and all that it started: now, and the way there.

    `limit` is the memory that it may take, as the settings have it.
    """
    if evidence is not None and evidence.environment.found == "elsewhere":
        return []
    if evidence is not None:
        use = evidence.use
        seconds = max(use.seconds, 0.001)
        now = f"{use.cpu_seconds / seconds:.1f}", size(max([use.peak_memory, *(sample.memory for sample in uses)]))
        tail, most = f"in {duration(use.seconds)}", "at most"
    elif uses:
        last = uses[-1]
        now = f"{last.processors:.1f}", size(last.memory) + (f" of {limit}" if limit else "")
        tail, most = f"in {count(last.processes, 'process', 'processes')}", ""
        tail += f", {count(last.threads, 'thread')}" if last.threads > last.processes else ""
        if max(last.disk_read, last.disk_written) >= DISK_WORTH_TELLING:
            tail += f"; disk {size(int(last.disk_read))}/s read, {size(int(last.disk_written))}/s written"
    else:
        return []
    letters = min(USE_LETTERS, max((width - 56) // 2, 0))
    recent = uses[-letters:] if letters >= 4 else ()
    return [
        line(
            ("Processors ", DIM),
            (now[0], STRONG),
            (f" {word([sample.processors for sample in recent])}".rstrip(), BUSY),
            (f"   Memory {most}".rstrip() + " ", DIM),
            (now[1], STRONG),
            (f" {word([sample.memory for sample in recent])}".rstrip(), BUSY),
            (f"   {tail}", DIM),
        ),
        *_gpu_lines(uses, recent, most),
    ]


def _gpu_lines(uses: Sequence[UseSample], recent: Sequence[UseSample], most: str) -> list[Content]:
    """GPUs, where the training was seen on one."""
    if not any(sample.gpu_memory for sample in uses):
        return []
    told = [sample.gpu for sample in uses if sample.gpu is not None]
    # at the end, what it came to on the whole
    share = (sum(told) / len(told) if most else told[-1]) if told else None
    memory = max(sample.gpu_memory for sample in uses) if most else uses[-1].gpu_memory
    return [
        line(
            ("GPU        ", DIM),
            (f"{share:.0%}" if share is not None else "in use", STRONG),
            (f" {word([sample.gpu or 0 for sample in recent])}".rstrip(), BUSY),
            (f"   Memory {most}".rstrip() + " ", DIM),
            (size(memory), STRONG),
            (f" {word([sample.gpu_memory for sample in recent])}".rstrip(), BUSY),
        )
    ]


def result_lines(view: View, width: int) -> list[Content]:
    """The values that training ended with, beside the last version's."""
    found = results(view.story.metrics, view.related.past_runs)
    if not found:
        return []
    label = found[0][2]
    columns = ("metric", "value", *([label, "change"] if label else []))
    rows = tuple(
        (name, number(value), *((_told(before), _change(value, before)) if label else ()))
        for name, value, _, before in found
    )
    return [heading("Results"), *table_lines(Table("", columns, rows, frozenset({1, 2, 3})), width)]


def _told(value: float | None) -> str:
    return "" if value is None else number(value)


def _change(value: float, before: float | None) -> str:
    if before is None or not before:
        return ""
    return f"{(value - before) / abs(before):+.1%}"
