"""What the events of a release say so far, folded into what the panels draw."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeVar

from mlconsole.evidence.base import CommandRun, StageName
from mlconsole.evidence.cluster import DeployPlan, PodRow, RolloutProgress
from mlconsole.evidence.release import (
    CommandNoted,
    Event,
    MetricSeen,
    PlanMade,
    PodSeen,
    ProgressSeen,
    ReleaseFinished,
    RolloutSeen,
    StageStarted,
    SweepSeen,
    TestReported,
    TestRunning,
    TestsCollected,
    UseSeen,
)
from mlconsole.evidence.testing import Phase, TestOutcome
from mlconsole.evidence.training import MetricPoint, SweepRun, TrainingProgress, UseSample

T = TypeVar("T")
MOST_POINTS = 4000
MOST_LINES = 400


@dataclass(frozen=True)
class Happening:
    """One line of a release's story: the moment, its stage, and words."""

    at: datetime
    stage: StageName | None
    words: str


@dataclass(frozen=True)
class ToldCommand:
    """A command that did what was done at that moment: for a stage, or for the console itself."""

    at: datetime
    stage: StageName | None
    command: CommandRun


@dataclass(frozen=True)
class Story:
    """A release's events so far. `metrics` holds the points of each metric in order; `rollouts` the latest of each.

    `uses` are the looks at the children of training and tests, `pods` the latest of each pod that was seen.
    """

    metrics: tuple[tuple[str, tuple[MetricPoint, ...]], ...] = ()
    progress: TrainingProgress | None = None
    progress_at: datetime | None = None
    collected: int | None = None
    tests: tuple[str, ...] = ()
    """The tests that were collected, by node id."""
    collected_at: datetime | None = None
    reported_at: datetime | None = None
    """When the last test ended."""
    running: tuple[tuple[str, Phase], ...] = ()
    """The tests that are run now, where that lasts, each with its phase."""
    running_since: Mapping[str, datetime] = field(default_factory=dict)
    """When each of them was first seen, by node id."""
    outcomes: tuple[TestOutcome, ...] = ()
    plan: DeployPlan | None = None
    rollouts: tuple[RolloutProgress, ...] = ()
    uses: Mapping[StageName, tuple[UseSample, ...]] = field(default_factory=dict)
    sweep: tuple[SweepRun, ...] = ()
    """The latest of each run of a sweep that has begun, by number; there are `sweep_total`."""
    sweep_total: int = 0
    pods: tuple[PodRow, ...] = ()
    happenings: tuple[Happening, ...] = ()
    commands: tuple[ToldCommand, ...] = ()
    last_words: str = ""
    """Why the runner ended, as it said it."""


@dataclass
class StoryTeller:
    """Folds events one by one, so that a long release is not read again at each change."""

    last_id: int = 0
    _metrics: dict[str, list[MetricPoint]] = field(default_factory=dict)
    _progress: TrainingProgress | None = None
    _progress_at: datetime | None = None
    _collected: int | None = None
    _tests: tuple[str, ...] = ()
    _collected_at: datetime | None = None
    _reported_at: datetime | None = None
    _running: tuple[tuple[str, Phase], ...] = ()
    _running_since: dict[str, datetime] = field(default_factory=dict)
    _outcomes: list[TestOutcome] = field(default_factory=list)
    _plan: DeployPlan | None = None
    _rollouts: dict[str, RolloutProgress] = field(default_factory=dict)
    _sweep: dict[int, SweepRun] = field(default_factory=dict)
    _sweep_total: int = 0
    _uses: dict[StageName, list[UseSample]] = field(default_factory=dict)
    _pods: dict[str, PodRow] = field(default_factory=dict)
    _happenings: deque[Happening] = field(default_factory=lambda: deque(maxlen=MOST_LINES))
    _commands: deque[ToldCommand] = field(default_factory=lambda: deque(maxlen=MOST_LINES))
    _last_words: str = ""

    def tell(self, events: Iterable[Event]) -> None:
        """Take in events that came after those taken in before."""
        from mlconsole.present import event_line

        for event in events:
            self.last_id = event.id
            if words := event_line(event):
                self._happenings.append(Happening(event.at, event.stage, words))
            self._take(event)

    def _take(self, event: Event) -> None:
        match event.body:
            case StageStarted():
                self._begin(event.stage)
                self._last_words = ""
            case MetricSeen(point=point):
                self._metric(point)
            case ProgressSeen(progress=progress):
                self._progress, self._progress_at = progress, event.at
            case TestsCollected() | TestRunning() | TestReported():
                self._take_test(event.body, event.at)
            case PlanMade(plan=plan):
                self._plan = plan
            case RolloutSeen(progress=rollout):
                self._rollouts[f"{rollout.workload.kind}/{rollout.workload.name}"] = rollout
            case SweepSeen(run=run, total=total):
                self._sweep[run.number], self._sweep_total = run, total
            case UseSeen(use=use):
                self._use(event.stage or "train", use)
            case PodSeen(pod=pod):
                self._pods[pod.name] = pod
            case CommandNoted(command=command):
                self._commands.append(ToldCommand(event.at, event.stage, command))
            case ReleaseFinished(sentence=sentence):
                self._last_words = sentence
            case _:
                pass

    def _take_test(self, body: TestsCollected | TestRunning | TestReported, at: datetime) -> None:
        match body:
            case TestsCollected():
                self._collected, self._tests, self._collected_at = body.count, body.nodeids, at
            case TestRunning():
                self._running = body.tests
                self._running_since = {nodeid: self._running_since.get(nodeid, at) for nodeid, _ in body.tests}
            case TestReported():
                self._reported_at = at
                self._reported(body.outcome)

    def _begin(self, stage: StageName | None) -> None:
        """A stage that is tried again tells its story anew."""
        if stage is not None:
            self._uses.pop(stage, None)
        if stage == "train":
            self._metrics.clear()
            self._sweep.clear()
            self._progress = self._progress_at = None
        elif stage == "test":
            self._outcomes.clear()
            self._collected, self._tests, self._running, self._running_since = None, (), (), {}
            self._collected_at = self._reported_at = None
        elif stage == "deploy":
            self._rollouts.clear()
        elif stage == "pods":
            self._pods.clear()

    def _reported(self, outcome: TestOutcome) -> None:
        """One more; a test that was run again takes the place of its first run."""
        if outcome.attempts > 1:
            for place, before in enumerate(self._outcomes):
                if before.nodeid == outcome.nodeid:
                    self._outcomes[place] = outcome
                    return
        self._outcomes.append(outcome)

    def _metric(self, point: MetricPoint) -> None:
        points = self._metrics.setdefault(point.name, [])
        points.append(point)
        _thin_out(points)

    def _use(self, stage: StageName, use: UseSample) -> None:
        uses = self._uses.setdefault(stage, [])
        uses.append(use)
        _thin_out(uses)

    def story(self) -> Story:
        """The story as it stands, not to be changed any more."""
        return Story(
            metrics=tuple((name, tuple(points)) for name, points in self._metrics.items()),
            progress=self._progress,
            progress_at=self._progress_at,
            collected=self._collected,
            tests=self._tests,
            running=self._running,
            collected_at=self._collected_at,
            reported_at=self._reported_at,
            running_since=self._running_since,
            outcomes=tuple(self._outcomes),
            plan=self._plan,
            rollouts=tuple(self._rollouts.values()),
            uses={stage: tuple(uses) for stage, uses in self._uses.items()},
            sweep=tuple(self._sweep[number] for number in sorted(self._sweep)),
            sweep_total=self._sweep_total,
            pods=tuple(self._pods[name] for name in sorted(self._pods)),
            happenings=tuple(self._happenings),
            commands=tuple(self._commands),
            last_words=self._last_words,
        )


def _thin_out(points: list[T]) -> None:
    """Keep every second point of the older half of many: a curve keeps its shape, the memory its bound."""
    if len(points) > MOST_POINTS:
        half = len(points) // 2
        points[:half] = points[:half:2]
