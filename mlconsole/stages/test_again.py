"""Tests run again outside of a release, on the model that it made."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from mlconsole.errors import WrongUse
from mlconsole.evidence.release import StageRun, TestReported
from mlconsole.evidence.testing import TestEvidence, TestOutcome, TestRun
from mlconsole.evidence.training import ModelVersion, TrainEvidence
from mlconsole.journal import Journal
from mlconsole.project import Project
from mlconsole.project.settings import seconds
from mlconsole.text import listed

UNRECORDED = "Outside of the release: this is not recorded, and changes no evidence and no gate."
NO_TEST_ENDED = "No test has ended in this release yet."
NO_TEST_FAILED = "No test has failed."
TESTS_RUN = "The tests are running: wait until they have ended."
MOST_LETTERS = 60_000
"""Systems take no command line that is much longer."""


class Chosen(NamedTuple):
    """The tests to run: what pytest is given as `paths`, and of all that it finds there, `only` these (empty: all)."""

    paths: tuple[str, ...]
    only: tuple[str, ...] = ()


def model_of(train: StageRun | None) -> ModelVersion:
    """The model that a release made, by its train stage.

    Raises:
        WrongUse: it has none yet.
    """
    evidence = train.evidence if train is not None else None
    if not isinstance(evidence, TrainEvidence) or evidence.version is None:
        raise WrongUse(
            "This release has no model yet that could be tested.", "Run its train stage: n, or mlconsole train."
        )
    return evidence.version


def outcomes_of_release(journal: Journal, number: int) -> tuple[TestOutcome, ...]:
    """How the tests of a release ended, each as it was told last; also where the stage did not come to its end.

    Raises:
        WrongUse: its tests still run, or none has ended.
    """
    runs = [run for run in journal.stage_runs(number) if run.stage == "test"]
    if runs and runs[-1].state == "running":
        raise WrongUse(TESTS_RUN)
    evidence = runs[-1].evidence if runs else None
    if isinstance(evidence, TestEvidence):
        return evidence.run.outcomes
    bodies = [event.body for event in journal.events(number) if isinstance(event.body, TestReported)]
    outcomes = {body.outcome.nodeid: body.outcome for body in bodies if isinstance(body, TestReported)}
    if not outcomes:
        raise WrongUse(NO_TEST_ENDED, "Run its test stage: mlconsole test")
    return tuple(outcomes.values())


def chosen(project: Project, nodeids: Sequence[str]) -> Chosen:
    """How pytest is told to run these tests, classes or files; all that the settings name where there are none.

    Node ids are those of pytest's root folder, which may be another than the project's. Only where they are paths of
    the project, too, can pytest be given them as such.
    """
    paths = tuple(project.settings.test.paths)
    if not nodeids:
        return Chosen(paths)
    are_paths = all((project.root / nodeid.partition("::")[0]).exists() for nodeid in nodeids)
    fit = are_paths and sum(len(nodeid) + 3 for nodeid in nodeids) < MOST_LETTERS
    return Chosen(tuple(nodeids)) if fit else Chosen(paths, tuple(nodeids))


def run_again(
    project: Project,
    digest: str,
    nodeids: Sequence[str],
    report: Callable[[TestOutcome], None],
    cancelled: threading.Event,
    *,
    keyword: str = "",
    say_command: Callable[[str], None] = lambda command: None,
) -> TestRun:
    """Run tests on a stored model in the project's own Python; nothing of it goes into the journal.

    Args:
        project: whose tests.
        digest: of the model under test.
        nodeids: tests, classes or files; all where there are none.
        report: gets each outcome, in this thread.
        cancelled: ends it once it is set.
        keyword: an expression of pytest's `-k`.
        say_command: gets the command before it is run.

    Raises:
        Problem: the model is not there, or there is no pytest.
    """
    from mlconsole.services.processes import child_environment
    from mlconsole.services.testing.runner import command_line, run_tests
    from mlconsole.stages.base import model_store
    from mlconsole.stages.training_inputs import project_python

    settings = project.settings.test
    python, model_path = Path(project_python(project).executable), model_store(project).path(digest)
    args = (*settings.args, *(["-k", keyword] if keyword else []))
    paths, only = chosen(project, nodeids)
    command = command_line(python=python, paths=paths, model_path=model_path, args=args)
    say_command(f"{command}  # only {listed(only)}" if only else command)

    def tell(outcomes: Sequence[TestOutcome]) -> None:
        for outcome in outcomes:
            report(outcome)

    log = project.state / "tests-again.log"
    log.unlink(missing_ok=True)
    return run_tests(
        python=python,
        root=project.root,
        paths=paths,
        only=only,
        args=args,
        model_path=model_path,
        environment=child_environment(python),
        log_path=log,
        report=tell,
        collected=lambda nodeids: None,
        cancelled=cancelled,
        timeout=seconds(settings.timeout, "test.timeout"),
    )
