"""A release as the journal keeps it: its stages, events and decisions."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from mlconsole.errors import Problem
from mlconsole.evidence.base import CommandRun, Fingerprint, Record, StageName, Verdict
from mlconsole.evidence.cluster import DeployEvidence, DeployOptions, DeployPlan, PodRow, PodsEvidence, RolloutProgress
from mlconsole.evidence.data import DataEvidence
from mlconsole.evidence.repo import RepoEvidence
from mlconsole.evidence.testing import Phase, TestEvidence, TestOutcome
from mlconsole.evidence.training import MetricPoint, ModelVersion, SweepRun, TrainEvidence, TrainingProgress, UseSample

Evidence = RepoEvidence | DataEvidence | TrainEvidence | TestEvidence | DeployEvidence | PodsEvidence

ReleaseState = Literal["running", "waiting", "paused", "refused", "failed", "cancelled", "done", "interrupted"]
"""`waiting` for an approval, `paused` after the stage it was asked to stop at, `refused` by a gate, `failed` by a
problem, `interrupted`: its runner died."""

StageState = Literal["running", "done", "reused", "skipped", "waiting", "refused", "failed", "cancelled", "interrupted"]
"""`skipped` where there is nothing to look at in this release: the data of a model that was made elsewhere."""
ReleaseKind = Literal["release", "rollback"]
TriggerKind = Literal["data", "branch", "schedule", "parameters", "monitor"]
"""What sets a release off: new data, a branch that moved on, a moment, parameters, a verdict on what serves."""
DecisionKind = Literal["approve", "override", "cancel", "force-conflicts", "leave-conflicts", "monitor"]
"""`monitor`: what the monitor decided about a version that serves, in a person's place."""
AliasName = Literal["candidate", "champion", "previous"]

OPEN_STATES: tuple[ReleaseState, ...] = (
    "running",
    "waiting",
    "paused",
    "refused",
    "failed",
    "cancelled",
    "interrupted",
)
"""A release in one of these can go on by `resume`, as long as no later one was started."""


class ProblemRecord(Record, frozen=True, kw_only=True):
    """A `Problem` as it is kept: the sentence, the next step, what failed and its last lines."""

    sentence: str
    next_step: str = ""
    command: str = ""
    tail: tuple[str, ...] = ()
    exit_code: int = 3

    @classmethod
    def of(cls, problem: Problem) -> ProblemRecord:
        """Keep a problem."""
        return cls(
            sentence=problem.sentence,
            next_step=problem.next_step,
            command=problem.command,
            tail=problem.tail,
            exit_code=int(problem.exit_code),
        )


class Runner(Record, frozen=True, kw_only=True):
    """The process that carries a release out; `started` (its creation time) tells it from a later one of this id."""

    pid: int
    started: float
    host: str


class ReleaseTrigger(Record, frozen=True, kw_only=True):
    """What set a release off: the kinds of the triggers that it answers, their numbers, and all of them in words."""

    kinds: tuple[TriggerKind, ...]
    words: str
    ids: tuple[int, ...] = ()


class Release(Record, frozen=True, kw_only=True):
    """One release: who started it, what for, how it stands."""

    number: int
    kind: ReleaseKind
    state: ReleaseState
    started_at: datetime
    started_by: str
    finished_at: datetime | None = None
    version: str = ""
    """The candidate, such as `ml-model@v2`, once there is one."""
    reason: str = ""
    approved: bool = False
    """Started with `--approve`: the deploy gate does not wait."""
    options: DeployOptions = DeployOptions()
    runner: Runner | None = None
    """The process that works on it, or that did so last."""
    trigger: ReleaseTrigger | None = None
    """What set it off; None where a person began it."""
    already: str = ""
    """The version that another machine had released from the same source: this one stopped before it did so again."""


def release_words(number: int) -> str:
    """A release that evidence was taken from, in words; those of other machines have no number here."""
    return f"release {number}" if number else "a release of another machine"


class StageRun(Record, frozen=True, kw_only=True):
    """One stage of a release, the latest attempt at it."""

    release: int
    stage: StageName
    attempt: int
    state: StageState
    started_at: datetime
    finished_at: datetime | None = None
    fingerprint: Fingerprint | None = None
    evidence: Evidence | None = None
    verdict: Verdict | None = None
    evidence_digest: str = ""
    """Of evidence and verdict as the stage ended; empty in runs of an mlconsole that did not keep it."""
    problem: ProblemRecord | None = None
    reused_from: int | None = None
    """The release whose evidence stands for this one, where nothing had changed."""
    commands: tuple[CommandRun, ...] = ()
    because: tuple[str, ...] = ()
    """The inputs that changed since the stage last ran: why it ran."""

    @property
    def taken_from(self) -> str:
        """Whose evidence stands for this one, in words: `release 3`; empty where it is its own."""
        return "" if self.reused_from is None else release_words(self.reused_from)

    @property
    def seconds(self) -> float | None:
        """How long it took, or None while it runs."""
        return (self.finished_at - self.started_at).total_seconds() if self.finished_at else None


class Decision(Record, frozen=True, kw_only=True):
    """What a person decided.

    `subject` is what it is about: the digest of a plan or of its conflicts, or the stage that is overridden.
    """

    id: int
    release: int
    kind: DecisionKind
    stage: StageName
    who: str
    at: datetime
    reason: str = ""
    subject: str = ""


class AliasMove(Record, frozen=True, kw_only=True):
    """An alias that points at a version since a release moved it.

    Where another machine of the team moved it, `release` is 0, and `elsewhere` says who did, and where. `sequence` is
    the number of the move in the store that the team shares, 0 where it is not there.
    """

    name: str
    alias: AliasName
    number: int
    release: int
    at: datetime
    elsewhere: str = ""
    sequence: int = 0


class ReleaseStarted(Record, frozen=True, kw_only=True, tag="release-started"):
    """A runner began, or went on."""

    resumed: bool = False


class StageStarted(Record, frozen=True, kw_only=True, tag="stage-started"):
    """A stage began; `because` names the inputs that changed since it last ran."""

    because: tuple[str, ...] = ()


class StageReused(Record, frozen=True, kw_only=True, tag="stage-reused"):
    """A stage did not run: its inputs are those of an earlier release."""

    release: int


class Note(Record, frozen=True, kw_only=True, tag="note"):
    """Something worth saying while a stage runs."""

    text: str


class MetricSeen(Record, frozen=True, kw_only=True, tag="metric"):
    """Training printed a metric."""

    point: MetricPoint


class ProgressSeen(Record, frozen=True, kw_only=True, tag="progress"):
    """Training said how far it is."""

    progress: TrainingProgress


class UseSeen(Record, frozen=True, kw_only=True, tag="use"):
    """The child of a stage was looked at: what it uses."""

    use: UseSample


class SweepSeen(Record, frozen=True, kw_only=True, tag="sweep"):
    """A run of a sweep began, moved on or ended; `total` is how many there are."""

    run: SweepRun
    total: int


class VersionMade(Record, frozen=True, kw_only=True, tag="version"):
    """Training's model was stored as a version."""

    version: ModelVersion


class TestsCollected(Record, frozen=True, kw_only=True, tag="tests-collected"):
    """Pytest found so many tests, by their node ids in the order in which they run."""

    __test__ = False

    count: int
    nodeids: tuple[str, ...] = ()


class TestRunning(Record, frozen=True, kw_only=True, tag="test-running"):
    """What is run at this moment: tests by their node ids, each with its phase; told where that lasts."""

    __test__ = False

    tests: tuple[tuple[str, Phase], ...]


class TestReported(Record, frozen=True, kw_only=True, tag="test"):
    """A test ended."""

    __test__ = False

    outcome: TestOutcome


class PlanMade(Record, frozen=True, kw_only=True, tag="plan"):
    """The dry run of a deploy is there to be looked at."""

    plan: DeployPlan


class RolloutSeen(Record, frozen=True, kw_only=True, tag="rollout"):
    """A rollout moved on."""

    progress: RolloutProgress


class PodSeen(Record, frozen=True, kw_only=True, tag="pod"):
    """A pod of the release changed."""

    pod: PodRow


class CommandNoted(Record, frozen=True, kw_only=True, tag="command"):
    """What a person would have typed for what was just done."""

    command: CommandRun


class DecisionTaken(Record, frozen=True, kw_only=True, tag="decision"):
    """A runner acted on a decision."""

    decision: Decision


class StageFinished(Record, frozen=True, kw_only=True, tag="stage-finished"):
    """A stage ended; `verdict` is None where a problem or a cancel ended it."""

    state: StageState
    verdict: Verdict | None = None
    problem: ProblemRecord | None = None


class ReleaseFinished(Record, frozen=True, kw_only=True, tag="release-finished"):
    """A runner is done with a release: for good, or until a person decides."""

    state: ReleaseState
    sentence: str = ""


EventBody = (
    ReleaseStarted
    | StageStarted
    | StageReused
    | Note
    | MetricSeen
    | ProgressSeen
    | UseSeen
    | SweepSeen
    | VersionMade
    | TestsCollected
    | TestRunning
    | TestReported
    | PlanMade
    | RolloutSeen
    | PodSeen
    | CommandNoted
    | DecisionTaken
    | StageFinished
    | ReleaseFinished
)


class Event(Record, frozen=True, kw_only=True):
    """Something that happened in a release, in the order of `id`."""

    id: int
    release: int
    at: datetime
    body: EventBody
    stage: StageName | None = None
