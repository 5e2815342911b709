"""Tests run again outside of a release, as lines."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from mlconsole.errors import Exit, WrongUse
from mlconsole.evidence.base import now
from mlconsole.evidence.release import Event, Release, TestReported
from mlconsole.evidence.testing import TestOutcome, TestRun, failed_ids
from mlconsole.evidence.training import ModelVersion
from mlconsole.headless.output import narrate, say, say_json
from mlconsole.headless.release import Printer, ended_by_signals
from mlconsole.headless.reports import journal_of
from mlconsole.journal import Journal
from mlconsole.present import test_fact
from mlconsole.project import Project
from mlconsole.stages.test_again import NO_TEST_FAILED, UNRECORDED, model_of, outcomes_of_release, run_again
from mlconsole.text import duration

WRONGLY_STARTED, NO_TESTS = 4, 5
"""Exit codes of pytest: it was given what it does not know or what is not there; it found no tests."""


def test_again(
    project: Project, nodeids: Sequence[str], *, keyword: str = "", failed: bool = False, as_json: bool = False
) -> int:
    """Run some tests on the model of the latest release that has one, print their outcomes, and return the exit code.

    Args:
        project: whose tests.
        nodeids: tests, classes or files, as pytest takes them.
        keyword: an expression of pytest's `-k`.
        failed: run those that failed in that release.
        as_json: print outcomes as JSON lines, and the whole run as the last one.

    Raises:
        Problem: there is no model, or nothing to run.
    """
    with journal_of(project) as journal:
        release, version = _tested(journal)
        if failed:
            nodeids = failed_ids(outcomes_of_release(journal, release.number))
    if failed and not nodeids:
        narrate(NO_TEST_FAILED)
        return Exit.DONE
    printer = Printer()

    def report(outcome: TestOutcome) -> None:
        if as_json:
            say_json(outcome)
        else:
            printer(Event(id=0, release=release.number, at=now(), body=TestReported(outcome=outcome), stage="test"))

    narrate(f"{version.label} of release {release.number}. {UNRECORDED}")
    with ended_by_signals() as cancelled:
        run = run_again(
            project,
            version.model.digest,
            nodeids,
            report,
            cancelled,
            keyword=keyword,
            say_command=lambda command: narrate(f"$ {command}"),
        )
    if as_json:
        say_json(run)
    else:
        _say_end(project, run, shlex.join([*nodeids, *(["-k", keyword] if keyword else [])]))
    return Exit.CANCELLED if cancelled.is_set() else _exit_code(run)


def _tested(journal: Journal) -> tuple[Release, ModelVersion]:
    """The latest release that made a model, and the model."""
    for release in journal.releases():
        train = next((run for run in journal.stage_runs(release.number) if run.stage == "train"), None)
        if train is not None and train.evidence is not None:
            return release, model_of(train)
    raise WrongUse("No release has a model yet that could be tested.", "Train one: mlconsole train")


def _say_end(project: Project, run: TestRun, asked: str) -> None:
    for test in run.outcomes:
        if test.outcome in ("failed", "error"):
            say(f"\n✗ {test.nodeid}")
            for part in filter(None, (test.traceback or test.message, test.output)):
                say("\n".join(f"  {line}".rstrip() for line in part.splitlines()))
    if run.outcomes:
        say(f"{test_fact(run)} of {run.collected} in {duration(run.seconds)}")
    if run.ended:
        narrate(run.ended if run.exit_code != NO_TESTS or not asked else f"There is no test for {asked}.")
    narrate(f"All that pytest printed: {project.state / 'tests-again.log'}")


def _exit_code(run: TestRun) -> Exit:
    if not run.outcomes and run.exit_code in (WRONGLY_STARTED, NO_TESTS):
        return Exit.WRONG_USE
    return Exit.REFUSED if run.ended or failed_ids(run.outcomes) else Exit.DONE
