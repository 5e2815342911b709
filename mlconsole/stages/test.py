"""Stage 4: may it be released?"""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path

from mlconsole.errors import Cancelled, WrongUse
from mlconsole.evidence.base import Input, Reason, Verdict
from mlconsole.evidence.release import TestReported, TestsCollected
from mlconsole.evidence.testing import Comparison, TestEvidence, TestRun
from mlconsole.project import Project
from mlconsole.project.settings import seconds
from mlconsole.services.models.compare import compare
from mlconsole.services.models.store import ModelStore
from mlconsole.services.processes import child_environment
from mlconsole.services.testing.runner import run_tests
from mlconsole.stages.base import Stage, StageContext, digest_of_files
from mlconsole.stages.train import project_python
from mlconsole.text import count, listed, number


class TestsMissing(WrongUse):
    """The project names no tests, or names some that are not there."""

    __test__ = False


def test_paths(project: Project) -> tuple[Path, ...]:
    """The test files and folders of the project.

    Raises:
        TestsMissing: see there.
    """
    if not project.settings.test.paths:
        hint = 'Name them in mlconsole.toml: [test] paths = ["tests/test_model_quality.py"]'
        raise TestsMissing("No tests were found: nothing would say whether the model may be released.", hint)
    paths = tuple(project.root / name for name in project.settings.test.paths)
    missing = [str(path.relative_to(project.root)) for path in paths if not path.exists()]
    if missing:
        raise TestsMissing(f"The tests {listed(missing)} are not there.", "Check test.paths in the settings.")
    return paths


def _test_files(paths: tuple[Path, ...]) -> Iterator[Path]:
    for path in paths:
        folder = path if path.is_dir() else path.parent
        yield from (
            file for file in folder.rglob("*.py") if path.is_dir() or file == path or file.name == "conftest.py"
        )


def rolled_back_words(context: StageContext) -> str:
    """Say that the candidate was taken out of production by a rollback; empty where it never was."""
    candidate = context.known.candidate
    moves = context.journal.alias_moves(candidate.name)
    last = next(
        (move for move in reversed(moves) if move.number == candidate.number and move.alias != "candidate"), None
    )
    if last is None or last.alias != "previous":
        return ""
    release = context.journal.release(last.release)
    why = f" ({release.reason})" if release.reason else ""
    return f"{candidate.label} was rolled back in release {release.number}{why}." if release.kind == "rollback" else ""


class TestStage(Stage[TestEvidence]):
    """Runs the project's tests on the candidate, and compares it with the champion on rows that neither has seen."""

    __test__ = False
    name = "test"

    def inputs(self, context: StageContext) -> tuple[Input, ...]:
        project, quality = context.project, context.project.settings.quality
        candidate, rival = context.known.candidate, context.rival
        holdout = [project.root / quality.holdout] if quality.holdout else []
        return (
            Input(name="candidate", digest=candidate.model.digest),
            Input(name="candidate's version", digest=candidate.label),
            Input(name="tests", digest=digest_of_files(project.root, set(_test_files(test_paths(project))))),
            Input(name="hold-out", digest=digest_of_files(project.root, [path for path in holdout if path.exists()])),
            Input(name="quality settings", digest=f"{quality.metric} {quality.tolerance} {quality.holdout}"),
            Input(name="champion", digest=rival.label + rival.model.digest if rival else ""),
            Input(name="Python environment", digest=project_python(project).digest),
            Input(name="rollbacks", digest=rolled_back_words(context)),
        )

    def check(self, project: Project) -> None:
        test_paths(project)

    def run(self, context: StageContext) -> TestEvidence:
        project = context.project
        candidate = context.known.candidate
        model_path = ModelStore(project.store).path(candidate.model.digest)
        python = Path(project_python(project).executable)
        paths = tuple(str(path.relative_to(project.root)) for path in test_paths(project))
        context.command(f"MODEL_PATH={shlex.quote(str(model_path))} pytest {shlex.join(paths)}")
        run = run_tests(
            python=python,
            root=project.root,
            paths=paths,
            model_path=model_path,
            environment=child_environment(python),
            log_path=context.log_path("test"),
            report=lambda outcome: context.emit(TestReported(outcome=outcome)),
            collected=lambda tests: context.emit(TestsCollected(count=tests)),
            cancelled=context.cancelled,
            timeout=seconds(project.settings.test.timeout, "test.timeout"),
        )
        if context.cancelled.is_set():
            raise Cancelled()
        comparison, why_not = self._compare(context, run, python, model_path)
        return TestEvidence(version=candidate.label, run=run, comparison=comparison, not_compared=why_not)

    def _compare(
        self, context: StageContext, run: TestRun, python: Path, model_path: Path
    ) -> tuple[Comparison | None, str]:
        project, quality, rival = context.project, context.project.settings.quality, context.rival
        if rival is None:
            return None, "There is no other version in production to compare with."
        if _failed(run):
            return None, "Not compared: the tests say no."
        if not quality.holdout or not project.settings.data.target:
            missing = "quality.holdout" if not quality.holdout else "data.target"
            return None, f"Not compared with {rival.label}: the settings don't name {missing}."
        context.note(f"Comparing with {rival.label} on {quality.holdout}")
        comparison = compare(
            python=python,
            root=project.root,
            candidate=model_path,
            champion=ModelStore(project.store).path(rival.model.digest),
            candidate_label=context.known.candidate.label,
            champion_label=rival.label,
            rows=project.root / quality.holdout,
            target=project.settings.data.target,
            metric=quality.metric,
            tolerance=quality.tolerance,
            log_path=context.log_path("test"),
            cancelled=context.cancelled,
        )
        return comparison, ""

    def judge(self, context: StageContext, evidence: TestEvidence) -> Verdict:
        reasons = [*_test_reasons(evidence.run), *_comparison_reasons(evidence)]
        if rolled_back := rolled_back_words(context):
            reasons.append(
                Reason(level="fail", sentence=rolled_back, next_step="Override with a reason, or train anew.")
            )
        return Verdict.of(reasons)


def _failed(run: TestRun) -> bool:
    return bool(run.count("failed", "error")) or bool(run.ended) or not run.outcomes


def _test_reasons(run: TestRun) -> Iterator[Reason]:
    bad = [test for test in run.outcomes if test.outcome in {"failed", "error"}]
    if bad:
        sentence = f"{len(bad)} of {count(len(run.outcomes), 'test')} failed: {listed([test.nodeid for test in bad])}."
        yield Reason(level="fail", sentence=sentence, next_step=bad[0].message)
    if run.ended:
        yield Reason(level="fail", sentence=run.ended)
    elif not run.outcomes:
        yield Reason(level="fail", sentence="No test was run.", next_step="Check test.paths in the settings.")
    elif not run.count("passed", "xpassed", "failed", "error"):
        yield Reason(level="warn", sentence="Every test was skipped: nothing was tested.")


def _comparison_reasons(evidence: TestEvidence) -> Iterator[Reason]:
    found = evidence.comparison
    if found is None:
        if evidence.not_compared and "settings" in evidence.not_compared:
            yield Reason(
                level="warn", sentence=evidence.not_compared, next_step="Name it, so that a worse model is noticed."
            )
        return
    words = (
        f"{found.metric} {number(found.candidate_value)} against {number(found.champion_value)} of {found.champion}"
        f" on {count(found.rows, 'row')}"
    )
    if found.verdict == "worse":
        sentence = f"{found.candidate} is worse than what serves: {words} ({found.relative:+.1%}, beyond chance)."
        yield Reason(level="fail", sentence=sentence, next_step="Override with a reason, or train a better one.")
    elif found.verdict == "undecided":
        sentence = f"Too few rows to tell whether {found.candidate} is worse: {words}."
        yield Reason(level="warn", sentence=sentence, next_step="Give quality.holdout more rows.")
