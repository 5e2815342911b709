"""All that the screen shows at one moment, as one value that is replaced and never changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from mlconsole.console.actions import REGISTRY, Registry
from mlconsole.console.monitor_lines import Monitored
from mlconsole.console.related import Related
from mlconsole.console.story import Story, ToldCommand
from mlconsole.console.trigger_lines import Triggers
from mlconsole.evidence.base import STAGES, CommandRun, StageName, now
from mlconsole.evidence.cluster import DeployEvidence, DeployPlan, PodsSnapshot
from mlconsole.evidence.release import ProblemRecord, Release, StageRun, StageState
from mlconsole.evidence.repo import RepoEvidence

if TYPE_CHECKING:
    from mlconsole.project import Project

MOST_COMMANDS = 200
FINISHED: frozenset[StageState] = frozenset({"done", "reused", "skipped"})


@dataclass(frozen=True)
class JournalReading:
    """What was read from the journal: the latest releases, and one of them with its stages and its story."""

    releases: tuple[Release, ...] = ()
    shown: Release | None = None
    runs: Mapping[StageName, StageRun] = field(default_factory=dict)
    story: Story = field(default_factory=Story)
    champion: str = ""
    """The version that serves, such as `ml-model@v3`."""
    previous: str = ""
    """The version that a rollback goes to."""
    triggers: Triggers = field(default_factory=Triggers)
    """What waits to set a release off, and who watches."""
    monitored: Monitored = field(default_factory=Monitored)
    """What the monitor sees of what serves."""
    related: Related = field(default_factory=Related)
    """What other releases say to the shown one; it comes a moment after the rest."""
    problem: ProblemRecord | None = None


@dataclass(frozen=True)
class RepoReading:
    """The repository as it is now, or why it can't be read."""

    repo: RepoEvidence | None = None
    problem: ProblemRecord | None = None


@dataclass(frozen=True)
class ClusterPlace:
    """Where releases go: `local_running` is None where the project has no local cluster, or it was not asked yet."""

    context: str = ""
    namespace: str = ""
    protected: bool = False
    local_running: bool | None = None


@dataclass(frozen=True)
class DataReading:
    """The data files that are there now (path and size in bytes), or why there are none."""

    files: tuple[tuple[str, int], ...] = ()
    problem: ProblemRecord | None = None


@dataclass(frozen=True)
class View:
    """The state of the console. `past` tells that an older release than the latest is shown."""

    project: Project
    readonly: bool = False
    registry: Registry = REGISTRY
    """What keys do, with the keys that the person prefers."""
    selected: StageName = "repo"
    journal: JournalReading | None = None
    repo: RepoReading | None = None
    data: DataReading | None = None
    pods: PodsSnapshot | None = None
    pods_problem: ProblemRecord | None = None
    cluster: ClusterPlace = field(default_factory=ClusterPlace)
    runner_problem: ProblemRecord | None = None
    """Why a runner that was started from here ended before it wrote anything."""
    busy: str = ""
    """What was asked for and has not shown an effect yet, such as `Starting a release`."""
    busy_group: str = ""
    """The background work of `busy`, where the action `cancel` can end it."""
    replaying: bool = False
    """Whether a release is shown as it went, up to `moment`: then nothing is live."""
    commands: tuple[ToldCommand, ...] = ()
    """What the console itself did, as commands."""
    moment: datetime = field(default_factory=now)

    @property
    def releases(self) -> tuple[Release, ...]:
        """The latest releases, newest first."""
        return self.journal.releases if self.journal else ()

    @property
    def latest(self) -> Release | None:
        """The newest release."""
        return self.releases[0] if self.releases else None

    @property
    def shown(self) -> Release | None:
        """The release that rail and panels show."""
        return self.journal.shown if self.journal else None

    @property
    def past(self) -> bool:
        """Whether an older release than the latest is shown, or any as it went."""
        if self.shown is None or self.latest is None:
            return self.replaying
        return self.replaying or self.shown.number != self.latest.number

    @property
    def story(self) -> Story:
        """What happened in the shown release."""
        return self.journal.story if self.journal else Story()

    @property
    def related(self) -> Related:
        """What other releases say to the shown one."""
        return self.journal.related if self.journal else Related()

    @property
    def triggers(self) -> Triggers:
        """What waits to set a release off, and who watches."""
        return self.journal.triggers if self.journal else Triggers()

    @property
    def monitored(self) -> Monitored:
        """What the monitor sees of what serves."""
        return self.journal.monitored if self.journal else Monitored()

    @property
    def champion(self) -> str:
        """The version that serves."""
        return self.journal.champion if self.journal else ""

    def with_command(self, text: str, note: str = "") -> tuple[ToldCommand, ...]:
        """The console's own commands with one more, unless it is the last one again."""
        if self.commands and self.commands[-1].command.line == text:
            return self.commands
        told = ToldCommand(now(), None, CommandRun(line=text, note=note))
        return (*self.commands[1 - MOST_COMMANDS :], told)

    def run(self, stage: StageName) -> StageRun | None:
        """The shown release's run of a stage."""
        return self.journal.runs.get(stage) if self.journal else None

    @property
    def open_release(self) -> Release | None:
        """The release that can go on: the latest, where it did not end for good."""
        latest = self.latest
        return latest if latest is not None and latest.state not in ("done", "cancelled") else None

    @property
    def next_stage(self) -> StageName | None:
        """The first stage of the shown release that has not finished."""
        for stage in STAGES:
            run = self.run(stage)
            if run is None or run.state not in FINISHED:
                return stage
        return None

    @property
    def plan(self) -> DeployPlan | None:
        """The plan of the shown release: the one that an approval is of, or the latest that was seen."""
        run = self.run("deploy")
        if run is not None and isinstance(run.evidence, DeployEvidence):
            return run.evidence.plan
        return self.story.plan


def stage_that_matters(reading: JournalReading) -> StageName | None:
    """The stage to look at first: the one that runs, waits or failed, else the last one that ran."""
    if reading.shown is None:
        return None
    for state in ("running", "waiting", "refused", "failed", "interrupted", "cancelled"):
        for run in reading.runs.values():
            if run.state == state:
                return run.stage
    ran = sorted(reading.runs.values(), key=lambda run: run.started_at)
    return ran[-1].stage if ran else None
