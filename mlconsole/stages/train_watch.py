"""What a training on the cluster tells, turned into the events that one on this machine makes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mlconsole.evidence.release import UseSeen
from mlconsole.evidence.training import MetricPoint, Parameter, TrainingProgress, UseSample
from mlconsole.project.settings import TrainSettings
from mlconsole.services.kubernetes.jobs import JobState
from mlconsole.services.training import metric_files
from mlconsole.services.training import parameters as parameter_files
from mlconsole.services.training.collector import Collector
from mlconsole.services.training.reports import ReportReader, Told
from mlconsole.stages.base import StageContext
from mlconsole.stages.train_sweep import Report, Sweep
from mlconsole.stages.trained import events_of


class Reports:
    """What the helper reported in the pod, as a source of the collector."""

    every = 0.0
    exact = True

    def __init__(self) -> None:
        self._reader = ReportReader()
        self._told: list[Told] = []

    def read(self, text: str) -> None:
        """Take a line of the helper's."""
        told = self._reader.read(text)
        if told is not None:
            self._told.append(told)

    def look(self) -> list[Told]:
        """Return what is new."""
        told, self._told = self._told, []
        return told

    def close(self) -> None:
        """Nothing is held open."""


class TrainingWatch:
    """Tells of a training on the cluster what one here tells.

    Args:
        context: of the stage.
        settings: which files it writes metrics to.
        folder: the training's own, where a stage has several.
    """

    def __init__(self, context: StageContext, settings: TrainSettings, folder: Path | None = None) -> None:
        self._context, self._settings = context, settings
        self._folder = (folder or context.folder) / ".watch"
        self._reports = Reports()
        names = settings.metrics or metric_files.USUAL
        self._files = {name: self._folder / f"{place}.json" for place, name in enumerate(names)}
        for path in self._files.values():
            path.unlink(missing_ok=True)
        self._seen: set[tuple[str, int | None, float]] = set()
        self.collector = Collector(self._report, [self._reports, metric_files.MetricFiles(self._files.values())])

    def _report(self, told: Sequence[MetricPoint | TrainingProgress]) -> None:
        self._seen.update((point.name, point.step, point.value) for point in told if isinstance(point, MetricPoint))
        self._tell(told)

    def _tell(self, told: Sequence[MetricPoint | TrainingProgress]) -> None:
        self._context.emit_all(list(events_of(told)))

    def parameters(self) -> tuple[Parameter, ...]:
        """The project's own parameters, and what the training told by itself."""
        root, name = self._context.project.root, self._settings.parameters
        read = parameter_files.read(root / name) if name else ()
        found = {parameter.name: parameter for parameter in read} | self.collector.parameters
        return tuple(found.values())

    def line(self, text: str) -> None:
        """A line of its output."""
        self.collector.line(text)

    def look(self) -> None:
        """Report what was told since the last look."""
        self.collector.look()

    def report(self, text: str) -> None:
        """A line of the helper's."""
        self._reports.read(text)

    def file(self, name: str, text: str) -> None:
        """A file of metrics, put where the reader of such files looks."""
        path = self._files.get(name)
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")

    def use(self, sample: UseSample) -> None:
        """What its processes use."""
        self._context.emit(UseSeen(use=sample))

    def state(self, state: JobState) -> None:
        """How the Job stands."""
        self.note(f"{state.sentence} {state.next_step}".strip())

    def note(self, text: str) -> None:
        """Something worth a line."""
        self._context.note(text)

    def again(self, lines: list[str], gaps: list[tuple[int, int]], reports: list[str]) -> None:
        """Read all of it again, and tell those metrics that had not been read."""
        told: list[MetricPoint | TrainingProgress] = []
        source = Reports()
        quiet = Collector(told.extend, [source])
        for text in reports:
            source.read(text)
        quiet.look()
        missed = [entry for entry in told if isinstance(entry, MetricPoint) and not self._is_seen(entry)]
        for place, text in enumerate(lines):
            told.clear()
            quiet.line(text)
            quiet.look()
            if any(first <= place < last for first, last in gaps):
                missed += [entry for entry in told if isinstance(entry, MetricPoint)]
        self._tell(missed)
        self.collector.last.update(quiet.last)
        self.collector.points += len(missed)

    def _is_seen(self, point: MetricPoint) -> bool:
        return (point.name, point.step, point.value) in self._seen


class RunWatch(TrainingWatch):
    """Tells of one run of a sweep.

    Args:
        context: of the stage.
        folder: the run's own.
        of: the sweep.
        number: which run it is.
        report: takes its metrics and how far it is.
    """

    def __init__(self, context: StageContext, folder: Path, of: Sweep, number: int, report: Report) -> None:
        super().__init__(context, context.project.settings.train, folder)
        self._of, self._number, self._to = of, number, report

    def _tell(self, told: Sequence[MetricPoint | TrainingProgress]) -> None:
        self._to(told)

    def use(self, sample: UseSample) -> None:
        """What its processes use is told with that of the others."""
        self._of.use(self._number, sample)

    def note(self, text: str) -> None:
        """Something worth a line."""
        self._context.note(f"Run {self._number}: {text}")
