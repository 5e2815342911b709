"""The gates: which evidence passes, which is worth a warning, and which stops a release."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import msgspec
import pytest

from mlconsole.errors import WrongUse
from mlconsole.evidence.base import now
from mlconsole.evidence.cluster import (
    ClusterTarget,
    DeployEvidence,
    DeployPlan,
    PodsEvidence,
    RolloutVerdict,
    SmokeAnswer,
    WorkloadRef,
)
from mlconsole.evidence.repo import CommitInfo, FileChange, RepoEvidence, TrackedModel
from mlconsole.evidence.testing import Comparison, TestEvidence, TestOutcome, TestRun
from mlconsole.evidence.training import MetricPoint, PythonEnvironment, ResourceUse, TrainEvidence
from mlconsole.project import open_project
from mlconsole.project.settings import Settings, TrainSettings
from mlconsole.stages.base import StageContext
from mlconsole.stages.deploy import DeployStage
from mlconsole.stages.pods import PodsStage
from mlconsole.stages.repo import RepoStage
from mlconsole.stages.test import _comparison_reasons, _flaky_reasons, _test_reasons
from mlconsole.stages.train import TrainStage

NO_CONTEXT = cast("StageContext", None)
TARGET = ClusterTarget(context="local", namespace="default", selector="app=m")
COMMIT = CommitInfo(sha="a" * 40, author="Ada", at=now(), subject="one")


@pytest.mark.parametrize(
    ("evidence", "level", "words"),
    [
        (RepoEvidence(root="/p", commit=COMMIT), "pass", ""),
        (RepoEvidence(root="/p"), "fail", "no commit"),
        (RepoEvidence(root="/p", commit=COMMIT, dirty=(FileChange(path="a.py", state=" M"),)), "warn", "a.py"),
        (RepoEvidence(root="/p", commit=COMMIT, upstream="origin/main", behind=2), "warn", "2 commits behind"),
        (
            RepoEvidence(root="/p", commit=COMMIT, tracked_models=(TrackedModel(path="m.pkl", size=2048),)),
            "warn",
            "m.pkl (2.0 KiB)",
        ),
    ],
)
def test_repo(evidence: RepoEvidence, level: str, words: str) -> None:
    verdict = RepoStage().judge(NO_CONTEXT, evidence)
    assert verdict.level == level
    assert words in "".join(reason.sentence for reason in verdict.reasons)


def a_training(**changes: Any) -> TrainEvidence:
    environment = PythonEnvironment(executable="python", version="3.12", digest="d")
    given = {"metrics": (MetricPoint(name="mae", value=1),), **changes}
    return TrainEvidence(
        command="c", environment=environment, parameters=(), exit_code=0, use=ResourceUse(seconds=1), **given
    )


@pytest.mark.parametrize(
    ("changes", "level"),
    [({}, "pass"), ({"metrics": ()}, "warn"), ({"dangerous": ("os.system",)}, "fail"), ({"not_scanned": "?"}, "warn")],
)
def test_train(changes: dict[str, Any], level: str) -> None:
    assert TrainStage().judge(NO_CONTEXT, a_training(**changes)).level == level


def test_a_model_of_an_unknown_package_is_a_warning_until_it_is_trusted() -> None:
    evidence = a_training(unknown_imports=("shop.steps.Scaler",))

    class Context:
        class project:
            settings = Settings()

    verdict = TrainStage().judge(cast("StageContext", Context()), evidence)
    assert verdict.level == "warn"
    assert verdict.reasons[0].next_step == 'If you trust it, say so: [train] trusted = ["shop"]'
    Context.project.settings = Settings(train=TrainSettings(trusted=("shop",)))
    assert TrainStage().judge(cast("StageContext", Context()), evidence).level == "pass"


def a_run(*outcomes: str, ended: str = "") -> TestRun:
    tests = tuple(
        TestOutcome(nodeid=f"test_m.py::t{n}", outcome=cast("Any", o), seconds=0) for n, o in enumerate(outcomes)
    )
    return TestRun(command="pytest", exit_code=0, seconds=1, collected=len(tests), outcomes=tests, ended=ended)


@pytest.mark.parametrize(
    ("run", "levels"),
    [
        (a_run("passed", "skipped"), []),
        (a_run("passed", "failed"), ["fail"]),
        (a_run("error"), ["fail"]),
        (a_run(), ["fail"]),
        (a_run("skipped", "skipped"), ["warn"]),
        (a_run("passed", ended="pytest was killed by signal 9."), ["fail"]),
    ],
)
def test_tests(run: TestRun, levels: list[str]) -> None:
    assert [reason.level for reason in _test_reasons(run)] == levels


def test_a_file_that_can_not_be_collected_is_no_test_that_failed() -> None:
    broken = TestOutcome(nodeid="tests/test_n.py", outcome="error", seconds=0, message="No module named 'nope'")
    some = a_run("passed", "failed")
    run = msgspec.structs.replace(some, outcomes=(broken, *some.outcomes))
    assert [(reason.sentence, reason.next_step) for reason in _test_reasons(run)] == [
        ("pytest could not collect tests/test_n.py.", "No module named 'nope'"),
        ("1 of 2 tests failed: test_m.py::t1.", ""),
    ]


@pytest.mark.parametrize(("level", "told"), [("warn", ["warn"]), ("fail", ["fail"]), ("pass", [])])
def test_the_settings_say_what_a_flaky_test_is_worth(level: Any, told: list[str]) -> None:
    run = a_run("passed", "flaky")
    assert list(_test_reasons(run)) == []
    reasons = list(_flaky_reasons(run, level))
    assert [reason.level for reason in reasons] == told
    assert all(
        reason.sentence == "1 test failed first, and passed when run again: test_m.py::t1." for reason in reasons
    )


@pytest.mark.parametrize(
    ("verdict", "levels"), [("better", []), ("equal", []), ("worse", ["fail"]), ("undecided", ["warn"])]
)
def test_comparison(verdict: str, levels: list[str]) -> None:
    evidence = TestEvidence(version="m@v2", run=a_run("passed"), comparison=a_comparison(verdict))
    assert [reason.level for reason in _comparison_reasons(evidence)] == levels


@pytest.mark.parametrize(
    ("widened", "rows", "sentence", "hint"),
    [
        (1.3, 1000, "Too few rows to tell", "more rows"),
        # one in nine tables of independent rows is as wide as that
        (2.2, 1000, "Too few rows to tell", "more rows"),
        (4.0, 1000, "Neighbouring rows go together", "other periods"),
        (4.0, 150, "Too few rows to tell", "more rows"),
    ],
)
def test_what_can_not_be_told_says_what_is_missing(widened: float, rows: int, sentence: str, hint: str) -> None:
    found = msgspec.structs.replace(a_comparison("undecided", rows=rows), widened=widened)
    evidence = TestEvidence(version="m@v2", run=a_run("passed"), comparison=found)
    (reason,) = _comparison_reasons(evidence)
    assert reason.sentence.startswith(sentence)
    assert hint in reason.next_step


@pytest.mark.parametrize(
    ("why", "hint"),
    [
        ("Not compared with m@v1: no rows are known that neither model has seen.", "Keep rows out of training"),
        ("Not compared with m@v1: the settings don't name data.target, which is to be predicted.", "[data] target"),
    ],
)
def test_what_can_not_be_compared_for_want_of_a_setting_is_a_warning(why: str, hint: str) -> None:
    evidence = TestEvidence(version="m@v2", run=a_run("passed"), not_compared=why)
    (reason,) = _comparison_reasons(evidence)
    assert (reason.level, reason.sentence) == ("warn", why)
    assert hint in reason.next_step


def test_without_a_champion_the_tests_alone_judge() -> None:
    why = "There is no other version in production to compare with."
    assert list(_comparison_reasons(TestEvidence(version="m@v1", run=a_run("passed"), not_compared=why))) == []


def a_comparison(verdict: str, segment: str = "", rows: int = 1000) -> Comparison:
    return Comparison(
        metric="mean_absolute_error",
        lower_is_better=True,
        rows=rows,
        candidate="m@v2",
        champion="m@v1",
        candidate_value=30,
        champion_value=20,
        difference=10,
        low=8,
        high=12,
        relative=0.5,
        tolerance=0.01,
        verdict=cast("Any", verdict),
        segment=segment,
    )


def test_a_segment_where_the_candidate_is_worse_stops_the_release_and_one_of_few_rows_is_told() -> None:
    further = (
        a_comparison("worse", "weather = rain"),
        a_comparison("equal", "weather = clear"),
        a_comparison("undecided", "weather = snow", rows=3),
    )
    evidence = TestEvidence(version="m@v2", run=a_run("passed"), comparison=a_comparison("equal"), further=further)
    worse, untold = _comparison_reasons(evidence)
    assert (worse.level, untold.level) == ("fail", "warn")
    assert "worse than what serves where weather = rain: mean_absolute_error 30 against 20" in worse.sentence
    assert "weather = snow (mean_absolute_error, 3 rows)" in untold.sentence


def test_segments_are_not_told_one_by_one_where_the_candidate_is_worse_anyway() -> None:
    further = (
        a_comparison("worse", "weather = rain"),
        a_comparison("undecided", "weather = snow", rows=3),
        msgspec.structs.replace(a_comparison("worse", "weather = snow"), metric="r2_score"),
    )
    evidence = TestEvidence(version="m@v2", run=a_run("passed"), comparison=a_comparison("worse"), further=further)
    everywhere, snow = _comparison_reasons(evidence)
    assert "worse than what serves: mean_absolute_error" in everywhere.sentence
    assert "where weather = snow: r2_score" in snow.sentence


def test_rows_that_training_has_seen_are_told() -> None:
    evidence = TestEvidence(version="m@v2", run=a_run("passed"), comparison=a_comparison("equal"), seen_rows=400)
    (reason,) = _comparison_reasons(evidence)
    assert (reason.level, "400 of the 1,000 rows" in reason.sentence) == ("warn", True)
    few = TestEvidence(version="m@v2", run=a_run("passed"), comparison=a_comparison("equal"), seen_rows=10)
    assert list(_comparison_reasons(few)) == []


def a_plan(manifests: str = "") -> DeployPlan:
    return DeployPlan(digest="d", target=TARGET, version="m@v1", manifests=manifests, manifests_digest="d", changes=())


class LocalContext:
    """As much of a context as the deploy gate looks at."""

    class project:
        is_local = True


@pytest.mark.parametrize(("succeeded", "level"), [(True, "pass"), (False, "fail")])
def test_deploy(succeeded: bool, level: str) -> None:
    workload = WorkloadRef(kind="Deployment", name="m", namespace="default")
    rollout = RolloutVerdict(workload=workload, succeeded=succeeded, sentence="…", reason="the image can't be pulled")
    evidence = DeployEvidence(plan=a_plan(), applied=True, rollouts=(rollout,))
    verdict = DeployStage().judge(cast("StageContext", LocalContext()), evidence)
    assert verdict.level == level


@pytest.mark.parametrize(
    ("serving", "restarts", "level"), [(3, 0, "pass"), (2, 0, "fail"), (3, 1, "fail"), (0, 2, "fail")]
)
def test_pods(serving: int, restarts: int, level: str) -> None:
    evidence = PodsEvidence(target=TARGET, version="m@v1", rows=(), wanted=3, serving=serving, restarts=restarts)
    assert PodsStage().judge(NO_CONTEXT, evidence).level == level


def test_pods_that_fail_the_smoke_test_are_named_and_many_are_counted() -> None:
    answers = tuple(SmokeAnswer(pod=f"m-{n}", passed=n == 0, status=200, sentence="answered v1") for n in range(7))
    evidence = PodsEvidence(target=TARGET, version="m@v2", rows=(), wanted=7, serving=7, smoke=answers)
    verdict = PodsStage().judge(NO_CONTEXT, evidence)
    assert verdict.level == "fail"
    assert [reason.sentence for reason in verdict.reasons] == [
        "Smoke test: m-1 answered v1",
        "Smoke test: m-2 answered v1",
        "Smoke test: m-3 answered v1",
        "Smoke test: 3 more pods failed as well.",
    ]


@pytest.mark.parametrize(
    ("settings", "error"), [("path = 'x'", "is no path"), ("path = '/'\nbody = '@absent'", "can't be read")]
)
def test_a_smoke_test_that_can_not_be_is_told_before_anything_runs(tmp_path: Path, settings: str, error: str) -> None:
    (tmp_path / "mlconsole.toml").write_text(f"[deploy.smoke]\n{settings}\n")
    with pytest.raises(WrongUse, match=error):
        PodsStage().check(open_project(tmp_path))
