"""Projects whose journal holds releases in every state, made through the journal's own methods."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import msgspec

from mlconsole.evidence.base import CommandRun, Fingerprint, Reason, StageName, Verdict, now
from mlconsole.evidence.cluster import (
    ClusterTarget,
    DeployEvidence,
    DeployPlan,
    ObjectChange,
    ObjectConflict,
    PodRow,
    PodsEvidence,
    PodsSnapshot,
    RolloutProgress,
    RolloutVerdict,
    WatchState,
    WorkloadRef,
)
from mlconsole.evidence.data import (
    ColumnProfile,
    DataChange,
    DataEvidence,
    DataFile,
    DataIdentity,
    DataProfile,
    DataSchema,
    ValueCount,
)
from mlconsole.evidence.release import (
    Evidence,
    MetricSeen,
    Note,
    PlanMade,
    ProblemRecord,
    ProgressSeen,
    Release,
    ReleaseState,
    RolloutSeen,
    StageFinished,
    StageRun,
    StageStarted,
    StageState,
    TestReported,
    TestsCollected,
)
from mlconsole.evidence.repo import CommitInfo, FileChange, RepoEvidence, TrackedModel
from mlconsole.evidence.testing import Comparison, TestEvidence, TestOutcome, TestRun
from mlconsole.evidence.training import (
    MetricPoint,
    ModelFile,
    ModelVersion,
    Parameter,
    PythonEnvironment,
    ResourceUse,
    TrainEvidence,
    TrainingProgress,
)
from mlconsole.journal import Journal
from mlconsole.project import Project, open_project

TARGET = ClusterTarget(context="staging", namespace="ml", selector="app=ml-model", server="https://10.0.0.1:6443")
NASTY = "a [/oops] b [red]c[/red] \x1b]52;c;aGVsbG8=\x07\x1b[31mred\x1b[0m"
"""Text as it may come from anywhere: markup of Textual, the clipboard escape, a colour."""
DIFF = """\
--- live
+++ planned
@@ -21,7 +21,7 @@
         env:
         - name: MODEL_URI
-          value: file:///models/sha256/11/model_v1.pkl
+          value: file:///models/sha256/22/model_v2.pkl
         - name: MODEL_VERSION
-          value: v1
+          value: v2
"""
NAMES = (
    "test_mean_absolute_error_is_low",
    "test_explains_most_of_the_variance",
    "test_is_far_better_than_the_mean",
    "test_is_not_far_off_on_average",
    "test_every_prediction_is_a_number_from_zero",
    "test_rush_hour_is_busier_than_the_night",
    "test_rain_keeps_people_at_home",
    "test_one_row_is_predicted_fast",
)


def repo_evidence(subject: str = "Train on the months until May", path: str = "data/training.csv") -> RepoEvidence:
    """A repository with one changed file."""
    at = now() - timedelta(hours=3)
    commits = tuple(
        CommitInfo(sha=sha * 5, author="Ada Lovelace", at=at - timedelta(days=place), subject=words)
        for place, (sha, words) in enumerate(
            [("a1b2c3d4", subject), ("b2c3d4e5", "Judge by days that no training reads"), ("c3d4e5f6", "First commit")]
        )
    )
    return RepoEvidence(
        root="/project",
        commit=commits[0],
        branch="main",
        url="https://example.com/ml-project.git",
        upstream="origin/main",
        ahead=1,
        dirty=(FileChange(path=path, state=" M"), FileChange(path="notes.md", state="??")),
        recent=commits,
        tracked_models=(TrackedModel(path="models/old.pkl", size=12_400_000),),
    )


def data_evidence() -> DataEvidence:
    """Some columns of hourly bike rentals."""
    rows = 3_548
    columns = (
        ColumnProfile(
            name="season", kind="category", type="string", rows=rows, missing=0, distinct=4,
            top=(ValueCount(value="spring", count=2_000), ValueCount(value="summer", count=1_548)),
        ),
        ColumnProfile(
            name="hr", kind="integer", type="int64", rows=rows, missing=0, distinct=24, minimum=0, maximum=23,
            mean=11.57,
        ),
        ColumnProfile(
            name="temp", kind="number", type="double", rows=rows, missing=12, distinct=48, minimum=0.02, maximum=0.9,
            mean=0.4113,
        ),
        ColumnProfile(
            name="bikers", kind="integer", type="int64", rows=rows, missing=0, distinct=512, minimum=1, maximum=638,
            mean=143.8,
        ),
    )  # fmt: skip
    identity = DataIdentity(
        digest="sha256:" + "d1" * 32,
        files=(DataFile(path="data/training.csv", size=212_480, digest="sha256:" + "d2" * 32),),
        size=212_480,
    )
    return DataEvidence(
        profile=DataProfile(identity=identity, rows=rows, columns=columns, target="bikers"),
        schema=DataSchema(columns=()),
        change=DataChange(reference="ml-model@v1", rows_before=2_804, rows_after=rows, rows_added=744),
        seconds=0.2,
    )


def model_version(number: int = 2) -> ModelVersion:
    """A version of the model."""
    model = ModelFile(digest=f"sha256:{number:02d}" + "ab" * 31, size=1_240_000, filename=f"model_v{number}.pkl")
    return ModelVersion(
        name="ml-model", number=number, model=model, release=number, created_at=now(),
        metrics=(MetricPoint(name="mean_absolute_error", value=24.1),),
    )  # fmt: skip


def train_evidence(number: int = 2) -> TrainEvidence:
    """A training that ended well."""
    return TrainEvidence(
        command=f"python train_model.py --data data/training.csv --output model_v{number}.pkl",
        environment=PythonEnvironment(
            executable=".venv/bin/python", version="3.12.4", digest="sha256:e1", found=".venv"
        ),
        parameters=(Parameter(name="learning_rate", value="0.02"), Parameter(name="epochs", value="20")),
        exit_code=0,
        use=ResourceUse(seconds=6.2, cpu_seconds=5.9, peak_memory=210_000_000),
        metrics=(MetricPoint(name="mean_absolute_error", value=24.1), MetricPoint(name="r2", value=0.9127)),
        version=model_version(number),
        lines=24,
    )


def outcomes(failing: int = 0, name: str = "") -> tuple[TestOutcome, ...]:
    """The outcomes of a test run, the first `failing` of which failed."""
    names = (name, *NAMES) if name else NAMES
    return tuple(
        TestOutcome(
            nodeid=f"tests/test_model_quality.py::{test}",
            outcome="failed" if place < failing else "passed",
            seconds=0.04 + 0.01 * place,
            message="assert 52.1 < 45" if place < failing else "",
            traceback="    def test():\n>       assert error < 45\nE       assert 52.1 < 45" if place < failing else "",
            output="judging 1,200 rows" if place < failing else "",
        )
        for place, test in enumerate(names)
    )


def evidence_of_tests(failing: int = 0, name: str = "") -> TestEvidence:
    """A test run, and a candidate that is better than the champion."""
    found = outcomes(failing, name)
    run = TestRun(command="pytest", exit_code=int(failing > 0), seconds=1.4, collected=len(found), outcomes=found)
    comparison = Comparison(
        metric="mean_absolute_error", lower_is_better=True, rows=1_200, candidate="ml-model@v2",
        champion="ml-model@v1", candidate_value=24.1, champion_value=33.9, difference=-9.8, low=-11.2, high=-8.4,
        relative=-0.289, tolerance=0.01, verdict="better",
    )  # fmt: skip
    return TestEvidence(version="ml-model@v2", run=run, comparison=comparison)


def a_plan(context: str = "staging") -> DeployPlan:
    """A plan that changes the deployment."""
    return DeployPlan(
        digest="sha256:" + "9f" * 32,
        target=msgspec.structs.replace(TARGET, context=context),
        version="ml-model@v2",
        manifests="kind: Deployment\n",
        manifests_digest="sha256:" + "8e" * 32,
        changes=(
            ObjectChange(kind="Deployment", name="ml-model", namespace="ml", action="change", diff=DIFF),
            ObjectChange(kind="Service", name="ml-model", namespace="ml", action="none"),
        ),
    )


def pod(number: int, *, ready: bool = True, version: str = "ml-model@v2", reason: str = "") -> PodRow:
    """A pod's row."""
    return PodRow(
        name=f"ml-model-7c9d8f6b5-{'abcdefgh'[number % 8]}{number:04d}",
        namespace="ml",
        uid=f"uid-{number}",
        ready="1/1" if ready else "0/1",
        status="Running" if ready else "CrashLoopBackOff",
        restarts="0" if ready else "4 (12s ago)",
        created_at=now() - timedelta(minutes=5),
        is_ready=ready,
        restart_count=0 if ready else 4,
        version=version,
        reason=reason,
    )


def snapshot(*rows: PodRow, state: str = "live", sentence: str = "", again: float = 0) -> PodsSnapshot:
    """Pods as a watcher sees them."""
    watch = msgspec.convert({"state": state, "sentence": sentence, "again": again, "since": now()}, type=WatchState)
    return PodsSnapshot(target=TARGET, rows=rows, watch=watch, at=now())


class Builder:
    """Fills a project's journal."""

    def __init__(self, root: Path, *, context: str = "staging") -> None:
        root.mkdir(parents=True, exist_ok=True)
        (root / "mlconsole.toml").write_text(
            f'name = "ml-model"\n[deploy]\ncontext = "{context}"\nnamespace = "ml"\nselector = "app=ml-model"\n'
            '[data]\npath = "data/training.csv"\ntarget = "bikers"\n[train]\ncommand = "python train_model.py"\n'
            '[test]\npaths = ["tests/test_model_quality.py"]\n',
            encoding="utf-8",
        )
        (root / "data").mkdir(exist_ok=True)
        (root / "data" / "training.csv").write_text("hr,bikers\n1,2\n", encoding="utf-8")
        self.project: Project = open_project(root)
        self.journal = Journal(self.project.journal_path)
        self.context = context

    def begin(self, version: str = "") -> Release:
        """A release that runs, in this process."""
        for earlier in self.journal.releases(1):
            if earlier.state == "running":
                self.end(earlier, "cancelled")
        return self.journal.begin_release(kind="release", who="ada", approved=False, version=version)

    def end(self, release: Release, state: ReleaseState) -> Release:
        """A release that is not running any more."""
        ended = msgspec.structs.replace(release, state=state, finished_at=now())
        self.journal.save_release(ended)
        return ended

    def stage(
        self,
        release: Release,
        stage: StageName,
        state: StageState = "done",
        evidence: Evidence | None = None,
        *,
        verdict: Verdict | None = None,
        problem: ProblemRecord | None = None,
        reused_from: int | None = None,
        commands: tuple[CommandRun, ...] = (),
    ) -> StageRun:
        """A stage of a release, and the events of its begin and end."""
        self.journal.emit(release.number, StageStarted(), stage)
        run = StageRun(
            release=release.number,
            stage=stage,
            attempt=1,
            state=state,
            started_at=now() - timedelta(seconds=4.2),
            finished_at=None if state in ("running", "waiting") else now(),
            fingerprint=Fingerprint(digest=f"sha256:{stage}"),
            evidence=evidence,
            verdict=verdict,
            problem=problem,
            reused_from=reused_from,
            commands=commands,
        )
        self.journal.save_stage(run)
        if state != "running":
            self.journal.emit(release.number, StageFinished(state=state, verdict=verdict, problem=problem), stage)
        return run

    def first_stages(self, release: Release, until: StageName) -> None:
        """The stages before one, all done."""
        warned = Verdict.of([Reason(level="warn", sentence="2 files are not committed.", next_step="Commit them.")])
        done: dict[StageName, Evidence] = {
            "repo": repo_evidence(),
            "data": data_evidence(),
            "train": train_evidence(),
            "test": evidence_of_tests(),
            "deploy": DeployEvidence(plan=a_plan(self.context), applied=True, applied_at=now()),
        }
        for stage, evidence in done.items():
            if stage == until:
                return
            self.stage(release, stage, "done", evidence, verdict=warned if stage == "repo" else Verdict(level="pass"))

    def done(self) -> Release:
        """A release that went through, and its version as champion."""
        release = self.begin("ml-model@v2")
        self.first_stages(release, "pods")
        rows = (pod(1), pod(2), pod(3))
        pods = PodsEvidence(target=TARGET, version="ml-model@v2", rows=rows, wanted=3, serving=3, settled=10)
        self.stage(release, "pods", "done", pods, verdict=Verdict(level="pass"))
        for number in (1, 2):
            if not self.journal.versions("ml-model") or number == 2:
                self.journal.add_version(model_version(self.journal.next_version_number("ml-model")))
        self.journal.move_alias("ml-model", "previous", 1, release.number)
        self.journal.move_alias("ml-model", "champion", 2, release.number)
        return self.end(release, "done")

    def training(self) -> Release:
        """A release in the middle of its training."""
        release = self.begin()
        self.first_stages(release, "train")
        self.stage(release, "train", "running")
        number = release.number
        folder = self.project.release_folder(number)
        folder.mkdir(parents=True, exist_ok=True)
        log = ["data: data/training.csv, 3548 rows", "2957 rows to train, 591 to validate"]
        for epoch in range(1, 13):
            error = 30 + 50 / epoch
            self.journal.emit(
                number, MetricSeen(point=MetricPoint(name="train_mae", value=error - 3, step=epoch)), "train"
            )
            self.journal.emit(number, MetricSeen(point=MetricPoint(name="valid_mae", value=error, step=epoch)), "train")
            log.append(f"epoch {epoch}/20 train_mae={error - 3:.3f} valid_mae={error:.3f}")
        progress = TrainingProgress(fraction=0.6, message="epoch 12/20", seconds_left=30)
        self.journal.emit(number, ProgressSeen(progress=progress), "train")
        (folder / "train.log").write_text("\n".join(log) + "\n", encoding="utf-8")
        return release

    def testing(self) -> Release:
        """A release whose tests run."""
        release = self.begin("ml-model@v2")
        self.first_stages(release, "test")
        self.stage(release, "test", "running")
        self.journal.emit(release.number, TestsCollected(count=len(NAMES)), "test")
        for outcome in outcomes(failing=1)[:5]:
            self.journal.emit(release.number, TestReported(outcome=outcome), "test")
        return release

    def refused(self) -> Release:
        """A release that its tests' gate refused."""
        release = self.begin("ml-model@v2")
        self.first_stages(release, "test")
        reasons = [Reason(level="fail", sentence="2 of 8 tests failed.", next_step="Look at them, or override with o.")]
        self.stage(release, "test", "refused", evidence_of_tests(failing=2), verdict=Verdict.of(reasons))
        return self.end(release, "refused")

    def waiting(self, conflicts: tuple[ObjectConflict, ...] = ()) -> Release:
        """A release that waits for an approval."""
        release = self.begin("ml-model@v2")
        self.first_stages(release, "deploy")
        plan = msgspec.structs.replace(a_plan(self.context), conflicts=conflicts)
        self.journal.emit(release.number, PlanMade(plan=plan), "deploy")
        command = CommandRun(line="kubectl apply --server-side --field-manager=mlconsole -f manifests.yaml")
        self.stage(release, "deploy", "waiting", DeployEvidence(plan=plan), commands=(command,))
        return self.end(release, "waiting")

    def rolling_out(self) -> Release:
        """A release whose rollout is on its way."""
        release = self.begin("ml-model@v2")
        self.first_stages(release, "deploy")
        self.stage(release, "deploy", "running")
        self.journal.emit(release.number, PlanMade(plan=a_plan(self.context)), "deploy")
        progress = RolloutProgress(
            workload=WorkloadRef(kind="Deployment", name="ml-model", namespace="ml"),
            sentence='Waiting for deployment "ml-model" rollout to finish: 2 out of 3 new replicas updated',
            wanted=3, updated=2, ready=2, available=1,
        )  # fmt: skip
        self.journal.emit(release.number, RolloutSeen(progress=progress), "deploy")
        return release

    def rollout_failed(self) -> Release:
        """A release whose pods do not get ready."""
        release = self.begin("ml-model@v2")
        self.first_stages(release, "deploy")
        verdict = RolloutVerdict(
            workload=WorkloadRef(kind="Deployment", name="ml-model", namespace="ml"),
            succeeded=False,
            sentence="deployment/ml-model did not roll out.",
            reason="Pod ml-model-7c9d8f6b5-x1 crashes: exit code 1 (4 restarts).",
            next_step="Look at the log, mend it, and run the release again.",
            log_tail=("ValueError: the model's digest differs",),
            events=("Warning BackOff Back-off restarting failed container",),
            seconds=41,
        )
        evidence = DeployEvidence(plan=a_plan(self.context), applied=True, applied_at=now(), rollouts=(verdict,))
        gate = Verdict.of([Reason(level="fail", sentence="The rollout failed.", next_step="Roll back with b.")])
        self.stage(release, "deploy", "refused", evidence, verdict=gate)
        return self.end(release, "refused")

    def failed(self) -> Release:
        """A release whose training failed."""
        release = self.begin()
        self.first_stages(release, "train")
        problem = ProblemRecord(
            sentence="The training ended with exit code 1.",
            next_step="Mend what its last lines say, and run the stage again.",
            command="python train_model.py --data data/training.csv",
            tail=("Traceback (most recent call last):", "ValueError: could not convert string to float: 'n/a'"),
            exit_code=1,
        )
        self.stage(release, "train", "failed", problem=problem)
        return self.end(release, "failed")

    def paused(self) -> Release:
        """A release that stopped after its data stage, as it was asked to."""
        release = self.begin()
        self.journal.emit(release.number, Note(text="two stages were asked for"), "repo")
        self.first_stages(release, "train")
        return self.end(release, "paused")

    def interrupted(self) -> Release:
        """A release whose runner is gone."""
        release = self.training()
        assert release.runner is not None
        self.journal.save_release(
            msgspec.structs.replace(release, runner=msgspec.structs.replace(release.runner, started=0.0))
        )
        return self.journal.release(release.number)

    def cancelled(self) -> Release:
        """A release that a person ended."""
        release = self.begin()
        self.first_stages(release, "train")
        self.stage(release, "train", "cancelled")
        return self.end(release, "cancelled")


STATES = (
    "done", "training", "testing", "refused", "waiting", "rolling_out", "rollout_failed", "failed", "paused",
    "interrupted", "cancelled",
)  # fmt: skip
"""The names of the builder's releases."""
