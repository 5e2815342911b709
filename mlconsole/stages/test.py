"""Stage 4: may it be released?"""

from __future__ import annotations

import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path

import msgspec

from mlconsole.errors import Cancelled, WrongUse
from mlconsole.evidence.base import GateLevel, Input, Reason, Verdict, now
from mlconsole.evidence.release import AliasMove, TestReported, TestRunning, TestsCollected, UseSeen
from mlconsole.evidence.testing import Comparison, TestEvidence, TestRun
from mlconsole.evidence.training import ModelVersion
from mlconsole.journal import Journal
from mlconsole.project import Project
from mlconsole.project.settings import seconds
from mlconsole.services.datasets import files
from mlconsole.services.datasets.faults import DataMissing
from mlconsole.services.models.metrics import full_name
from mlconsole.services.processes import child_environment
from mlconsole.services.training import imports
from mlconsole.stages.base import (
    Stage,
    StageContext,
    digest_of,
    digest_of_files,
    input_of_files,
    model_store,
    needed,
    parts_of_settings,
)
from mlconsole.stages.data import dialect_of, digest_cache
from mlconsole.stages.deployed import taken_back_words
from mlconsole.stages.training_inputs import project_python, python_input
from mlconsole.text import count, listed, number

UNSEEN_ROWS_HINT = 'Keep rows out of training, and name their file: [quality] holdout = "data/holdout.csv"'
TARGET_HINT = 'Name the column that the model predicts: [data] target = "…"'
SEEN_PART = 0.01
"""The part of the hold-out that training data may hold: rows of few columns can be equal by chance."""
MOST_READ = 100
"""In more files of tests nobody looks for imports: a run with nothing changed would take too long."""


class TestsMissing(WrongUse):
    """The project names no tests, or names some that are not there."""

    __test__ = False


def test_paths(project: Project) -> tuple[Path, ...]:
    """The test files and folders of the project.

    Raises:
        TestsMissing: see there.
    """
    if not project.settings.test.paths:
        asked = project.asked("test.paths")
        raise TestsMissing(asked.sentence, asked.next_step)
    paths = tuple(project.root / name for name in project.settings.test.paths)
    missing = [str(path.relative_to(project.root)) for path in paths if not path.exists()]
    if missing:
        raise TestsMissing(f"The tests {listed(missing)} are not there.", "Check test.paths in the settings.")
    return paths


def _test_files(root: Path, paths: tuple[Path, ...]) -> set[Path]:
    """The tests, each `conftest.py` that pytest reads for them, and what of the project these import."""
    tests = [file for path in paths for file in (path.rglob("*.py") if path.is_dir() else (path,))]
    above = {folder for file in tests for folder in file.parents if folder.is_relative_to(root)}
    found = {*tests, *(folder / "conftest.py" for folder in above if (folder / "conftest.py").is_file())}
    return imports.closure(root, list(found)) if len(found) <= MOST_READ else found


def _configuration(root: Path) -> Iterator[Input]:
    """What configures pytest in the project; nothing where nothing does."""
    files = [root / name for name in ("pytest.ini", ".pytest.ini", "tox.ini", "setup.cfg") if (root / name).is_file()]
    try:
        document = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        document = {}
    table = document.get("tool", {}).get("pytest", {})
    if files or table:
        yield Input(name="pytest's configuration", digest=digest_of(digest_of_files(root, files), repr(table)))


def _settings_digest(project: Project) -> str:
    """A digest of what decides which tests are run, how, and how they are judged; empty where nothing is set."""
    settings = project.settings.test
    if not settings.args and not settings.rerun:
        return ""
    judged = (settings.flaky,) if settings.flaky != "warn" else ()
    return digest_of(*settings.args, str(settings.rerun), *judged)


def _holdout_files(project: Project) -> tuple[Path, ...]:
    """The files with the rows to compare on; none where they are not named, or not there (yet)."""
    holdout = project.settings.quality.holdout
    try:
        return files.find(project.root, holdout) if holdout else ()
    except DataMissing:
        return ()


def _writing(project: Project) -> Iterator[Input]:
    """How text tables are written, where that decides what the hold-out says."""
    dialect = dialect_of(project) if project.settings.quality.holdout else None
    if dialect is not None:
        words = digest_of(dialect.delimiter, dialect.quote, dialect.encoding)
        yield Input(name="how the hold-out is written", digest=words)


def _refuse_without_xdist(project: Project) -> None:
    python = project_python(project)
    if all(package.name.lower().replace("_", "-") != "pytest-xdist" for package in python.packages):
        sentence = f"test.workers needs pytest-xdist, which is not installed in {python.executable}."
        raise TestsMissing(sentence, f"Install it: {python.executable} -m pip install pytest-xdist")


def rolled_back_words(context: StageContext) -> str:
    """Say that the candidate was taken out of the cluster by a rollback; empty where it never was."""
    candidate = context.known.candidate
    moves = context.journal.alias_moves(candidate.name)
    last = next(
        (move for move in reversed(moves) if move.number == candidate.number and move.alias != "candidate"), None
    )
    if last is None or last.alias != "previous":
        return taken_back_words(context.journal, candidate.label)
    if last.elsewhere:
        return ""
    release = context.journal.release(last.release)
    why = f" ({release.reason})" if release.reason else ""
    if release.kind == "rollback":
        return f"{candidate.label} was rolled back in release {release.number}{why}."
    return _replaced_words(context.journal, candidate, last)


def _replaced_words(journal: Journal, candidate: ModelVersion, move: AliasMove) -> str:
    """Say that an imported version took the candidate's place: that was a choice, which no run undoes by accident."""
    now_serves = [found for found in journal.alias_moves(candidate.name) if found.release == move.release]
    numbers = [found.number for found in now_serves if found.alias == "champion"]
    version = journal.version(candidate.name, numbers[-1]) if numbers else None
    if version is None or not version.origin:
        return ""
    return f"{candidate.label} gave way to {version.label}, which was imported, in release {move.release}."


class TestStage(Stage[TestEvidence]):
    """Runs the project's tests on the candidate, and compares it with the champion on rows that neither has seen."""

    __test__ = False
    name = "test"
    compared_by = "champion"

    def inputs(self, context: StageContext) -> tuple[Input, ...]:
        project, quality = context.project, context.project.settings.quality
        candidate, rival = context.known.candidate, context.rival
        return (
            Input(name="candidate", digest=candidate.model.digest),
            Input(name="candidate's version", digest=candidate.label),
            input_of_files("tests", project.root, _test_files(project.root, test_paths(project))),
            *_configuration(project.root),
            Input(name="test settings", digest=_settings_digest(project)),
            input_of_files("hold-out", project.root, _holdout_files(project)),
            *_writing(project),
            Input(
                name="quality settings",
                digest=digest_of(msgspec.json.encode(quality).decode()),
                parts=parts_of_settings(quality),
            ),
            Input(name="champion", digest=rival.label + rival.model.digest if rival else ""),
            python_input(project),
            Input(name="rollbacks", digest=rolled_back_words(context)),
        )

    def check(self, project: Project) -> None:
        test_paths(project)
        if project.settings.test.workers:
            _refuse_without_xdist(project)
        quality = project.settings.quality
        for metric in (quality.metric, *quality.metrics) if quality.holdout else ():
            full_name(metric)

    def run(self, context: StageContext) -> TestEvidence:
        from mlconsole.services.testing import junit, run_tests

        project, settings = context.project, context.project.settings.test
        candidate = context.known.candidate
        model_path = model_store(project).path(candidate.model.digest)
        python = Path(project_python(project).executable)
        paths = tuple(str(path.relative_to(project.root)) for path in test_paths(project))
        options = [*(["-n", str(settings.workers)] if settings.workers else []), *settings.args]
        shown = model_path.relative_to(project.root) if model_path.is_relative_to(project.root) else model_path
        context.command(f"MODEL_PATH={shlex.quote(str(shown))} pytest {shlex.join([*options, *paths])}")
        started_at = now()
        run = run_tests(
            python=python,
            root=project.root,
            paths=paths,
            model_path=model_path,
            environment=child_environment(python),
            log_path=context.log_path("test"),
            report=lambda outcomes: context.emit_all([TestReported(outcome=outcome) for outcome in outcomes]),
            collected=lambda nodeids: context.emit(TestsCollected(count=len(nodeids), nodeids=nodeids)),
            cancelled=context.cancelled,
            timeout=seconds(project.settings.test.timeout, "test.timeout"),
            on_sample=lambda use: context.emit(UseSeen(use=use)),
            on_running=lambda running: context.emit(TestRunning(tests=tuple((t.nodeid, t.phase) for t in running))),
            args=settings.args,
            workers=settings.workers,
            rerun=settings.rerun,
        )
        if context.cancelled.is_set():
            raise Cancelled()
        junit_path = context.folder / "tests.xml"
        junit.write(run, junit_path, name=candidate.label, started_at=started_at)
        evidence = TestEvidence(
            version=candidate.label,
            run=run,
            not_compared=self._why_not(context, run),
            junit=str(junit_path.relative_to(project.root)),
        )
        return evidence if evidence.not_compared else self._compared(context, evidence, python, model_path)

    def _why_not(self, context: StageContext, run: TestRun) -> str:
        """Why the candidate can't be compared with a champion; empty where it can."""
        project, rival = context.project, context.rival
        holdout = project.settings.quality.holdout
        if rival is None:
            return "There is no other version in production to compare with."
        if _failed(run):
            return "Not compared: the tests say no."
        if not holdout:
            return f"Not compared with {rival.label}: no rows are known that neither model has seen."
        if not project.settings.data.target:
            return f"Not compared with {rival.label}: the settings don't name data.target, which is to be predicted."
        training = context.known.data.profile.identity.files if context.known.data else ()
        rows = {path.resolve() for path in _holdout_files(project)}
        if any((project.root / file.path).resolve() in rows for file in training):
            return f"Not compared with {rival.label}: {holdout} is training data, so its rows are not unseen."
        return ""

    def _compared(self, context: StageContext, evidence: TestEvidence, python: Path, model_path: Path) -> TestEvidence:
        from mlconsole.services.models.compare import compare
        from mlconsole.services.models.unseen import seen_rows

        project, quality, rival = context.project, context.project.settings.quality, needed(context.rival)
        dialect = dialect_of(project)
        context.note(f"Comparing with {rival.label} on {quality.holdout}")
        found = compare(
            python=python,
            root=project.root,
            candidate=model_path,
            champion=model_store(project).path(rival.model.digest),
            candidate_label=context.known.candidate.label,
            champion_label=rival.label,
            rows=quality.holdout,
            target=project.settings.data.target,
            metric=quality.metric,
            tolerance=quality.tolerance,
            log_path=context.log_path("test"),
            cancelled=context.cancelled,
            metrics=quality.metrics,
            segments=quality.segments,
            command=quality.predict,
            order=quality.order,
            dialect=dialect,
        )
        rows = files.identify(
            project.root, quality.holdout, digest_cache(project), dialect=dialect, cancelled=context.cancelled
        )
        seen = None
        if context.known.data is not None:
            seen = seen_rows(project.root, rows, context.known.data.profile.identity, context.cancelled)
        return msgspec.structs.replace(
            evidence, comparison=found[0], further=found[1:], seen_rows=seen or 0, holdout=rows.files
        )

    def judge(self, context: StageContext, evidence: TestEvidence) -> Verdict:
        flaky = context.project.settings.test.flaky
        reasons = [*_test_reasons(evidence.run), *_flaky_reasons(evidence.run, flaky), *_comparison_reasons(evidence)]
        if evidence.comparison is not None:
            reasons += _unknown_reasons(context)
        if rolled_back := rolled_back_words(context):
            reasons.append(
                Reason(level="fail", sentence=rolled_back, next_step="Override with a reason, or train anew.")
            )
        return Verdict.of(reasons)


def _failed(run: TestRun) -> bool:
    return bool(run.count("failed", "error")) or bool(run.ended) or not run.outcomes


def _test_reasons(run: TestRun) -> Iterator[Reason]:
    failed = [test for test in run.outcomes if test.outcome in {"failed", "error"}]
    if files := [test for test in failed if test.is_file]:
        sentence = f"pytest could not collect {listed([test.nodeid for test in files])}."
        yield Reason(level="fail", sentence=sentence, next_step=files[0].message)
    if bad := [test for test in failed if not test.is_file]:
        tests = sum(not test.is_file for test in run.outcomes)
        sentence = f"{len(bad)} of {count(tests, 'test')} failed: {listed([test.nodeid for test in bad])}."
        yield Reason(level="fail", sentence=sentence, next_step=bad[0].message)
    if run.ended:
        yield Reason(level="fail", sentence=run.ended)
    elif not run.outcomes:
        yield Reason(level="fail", sentence="No test was run.", next_step="Check test.paths in the settings.")
    elif not run.count("passed", "xpassed", "flaky", "failed", "error"):
        yield Reason(level="warn", sentence="Every test was skipped: nothing was tested.")


def _flaky_reasons(run: TestRun, level: GateLevel) -> Iterator[Reason]:
    flaky = [test for test in run.outcomes if test.outcome == "flaky"]
    if flaky and level != "pass":
        names = listed([test.nodeid for test in flaky])
        sentence = f"{count(len(flaky), 'test')} failed first, and passed when run again: {names}."
        yield Reason(level=level, sentence=sentence, next_step=flaky[0].message)


def _comparison_reasons(evidence: TestEvidence) -> Iterator[Reason]:
    found = evidence.comparison
    if found is None:
        if evidence.not_compared.startswith("Not compared with"):
            hint = TARGET_HINT if "data.target" in evidence.not_compared else UNSEEN_ROWS_HINT
            yield Reason(level="warn", sentence=evidence.not_compared, next_step=hint)
        return
    if evidence.seen_rows > SEEN_PART * found.rows:
        sentence = f"{evidence.seen_rows:,} of the {count(found.rows, 'row')} to compare on are training data, too."
        yield Reason(level="warn", sentence=sentence, next_step=UNSEEN_ROWS_HINT)
    compared = (found, *evidence.further)
    worse_anyway = {entry.metric for entry in compared if entry.verdict == "worse" and not entry.segment}
    for entry in compared:
        # a segment is news only where the candidate is not worse in all
        if entry.verdict == "worse" and not (entry.segment and entry.metric in worse_anyway):
            where = f" where {entry.segment}" if entry.segment else ""
            sentence = f"{entry.candidate} is worse than what serves{where}: {_words(entry)}"
            reason = f"{sentence} ({entry.relative:+.1%}, beyond chance)."
            yield Reason(level="fail", sentence=reason, next_step="Override with a reason, or train a better one.")
    if found.verdict == "undecided":
        limit = f" by more than the {found.tolerance:.1%} that is tolerated" if found.tolerance else ""
        why, more = _too_few(found)
        sentence = f"{why} to tell whether {found.candidate} is worse{limit}: {_words(found)}."
        yield Reason(level="warn", sentence=sentence, next_step=more)
    untold = [entry for entry in evidence.further if entry.verdict == "undecided" and entry.metric not in worse_anyway]
    if untold:
        why, more = _too_few(*untold)
        sentence = f"{why} to tell whether {found.candidate} is worse by or where {listed(list(map(_part, untold)))}."
        yield Reason(level="warn", sentence=sentence, next_step=more)


def _too_few(*untold: Comparison) -> tuple[str, str]:
    """What is missing to tell the difference, and what helps: more of the same period does not, where it is as one."""
    from mlconsole.services.models.compare import FEWEST_ROWS
    from mlconsole.services.models.dependence import wider_by_chance

    if all(entry.rows >= FEWEST_ROWS and entry.widened > wider_by_chance(entry.confidence) for entry in untold):
        return "Neighbouring rows go together, and there are too few that don't,", "Give quality.holdout other periods."
    return "Too few rows", "Give quality.holdout more rows."


def _unknown_reasons(context: StageContext) -> Iterator[Reason]:
    """A warning where an imported model may have been trained on the rows that it is compared on."""
    known = context.known.data.profile.identity.digest if context.known.data else ""
    imported = [found for found in (context.known.candidate, context.rival) if found is not None and found.origin]
    if strange := [found.label for found in imported if not known or found.data_digest != known]:
        which = f"{listed(strange)}, imported, {'was' if len(strange) == 1 else 'were'}"
        rows = context.project.settings.quality.holdout
        sentence = (
            f"Whether {which} trained on rows of {rows} is not known, as for all that is imported without its data."
        )
        yield Reason(level="warn", sentence=sentence)


def _words(found: Comparison) -> str:
    return (
        f"{found.metric} {number(found.candidate_value)} against {number(found.champion_value)} of {found.champion}"
        f" on {count(found.rows, 'row')}"
    )


def _part(found: Comparison) -> str:
    return f"{found.segment} ({found.metric}, {count(found.rows, 'row')})" if found.segment else found.metric
