"""Runs tests again outside of the release, on the candidate of the release that is shown."""

from __future__ import annotations

import shlex
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mlconsole.console.panels.test import TestPanel, outcomes_of
from mlconsole.console.screens.rerun import RerunScreen
from mlconsole.console.test_tree import failed_ids
from mlconsole.errors import WrongUse
from mlconsole.evidence.testing import TestOutcome, TestRun
from mlconsole.evidence.training import TrainEvidence

if TYPE_CHECKING:
    from mlconsole.console.app import MlconsoleApp
    from mlconsole.project import Project


async def test_again(app: MlconsoleApp) -> None:
    """Run what the cursor is on."""
    panel = app.main.panel
    if isinstance(panel, TestPanel) and panel.selected_tests:
        _run_again(app, panel.selected_tests)


async def failed_again(app: MlconsoleApp) -> None:
    """Run all that failed."""
    _run_again(app, failed_ids(outcomes_of(app.view)))


async def slowest(app: MlconsoleApp) -> None:
    """List the slowest, or the tree."""
    if isinstance(app.main.panel, TestPanel):
        app.main.panel.toggle_slowest()


def _run_again(app: MlconsoleApp, nodeids: tuple[str, ...]) -> None:
    run = app.view.run("train")
    evidence = run.evidence if run is not None else None
    if not isinstance(evidence, TrainEvidence) or evidence.version is None:
        raise WrongUse("This release has no model yet that could be tested.", "Run its train stage with n.")
    digest, project = evidence.version.model.digest, app.project
    from mlconsole.stages.base import model_store

    model = model_store(project).local_path(digest) or evidence.version.model.filename
    command = f"MODEL_PATH={shlex.quote(str(model))} pytest {shlex.join(nodeids)}"

    def work(report: Callable[[TestOutcome], None], cancelled: threading.Event) -> TestRun:
        return run_again(project, digest, nodeids, report, cancelled)

    app.push_screen(RerunScreen(nodeids, command, work))


def run_again(
    project: Project,
    digest: str,
    nodeids: tuple[str, ...],
    report: Callable[[TestOutcome], None],
    cancelled: threading.Event,
) -> TestRun:
    """Run tests on a stored model in the project's own Python; nothing of it goes into the journal.

    Raises:
        Problem: the model is not there, or there is no pytest.
    """
    from mlconsole.services.processes import child_environment
    from mlconsole.services.testing.runner import run_tests
    from mlconsole.stages.base import model_store
    from mlconsole.stages.training_inputs import project_python

    python = Path(project_python(project).executable)

    def tell(outcomes: Sequence[TestOutcome]) -> None:
        for outcome in outcomes:
            report(outcome)

    log = project.state / "tests-again.log"
    log.unlink(missing_ok=True)
    return run_tests(
        python=python,
        root=project.root,
        paths=project.settings.test.paths,
        only=nodeids,
        args=project.settings.test.args,
        model_path=model_store(project).path(digest),
        environment=child_environment(python),
        log_path=log,
        report=tell,
        collected=lambda nodeids: None,
        cancelled=cancelled,
    )
