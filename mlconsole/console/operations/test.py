"""Runs tests again outside of the release, on the candidate of the release that is shown."""

from __future__ import annotations

import shlex
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from mlconsole.console.panels.test import TestPanel, outcomes_of
from mlconsole.console.screens.rerun import RerunScreen
from mlconsole.evidence.testing import TestOutcome, TestRun, failed_ids
from mlconsole.stages.test_again import model_of, run_again

if TYPE_CHECKING:
    from mlconsole.console.app import MlconsoleApp


def test_again(app: MlconsoleApp) -> None:
    """Run what the cursor is on."""
    panel = app.main.panel
    if isinstance(panel, TestPanel) and panel.selected_tests:
        _run_again(app, panel.selected_tests)


def failed_again(app: MlconsoleApp) -> None:
    """Run all that failed."""
    _run_again(app, failed_ids(outcomes_of(app.view)))


def slowest(app: MlconsoleApp) -> None:
    """List the slowest, or the tree."""
    if isinstance(app.main.panel, TestPanel):
        app.main.panel.toggle_slowest()


def _run_again(app: MlconsoleApp, nodeids: tuple[str, ...]) -> None:
    version, project = model_of(app.view.run("train")), app.project
    from mlconsole.stages.base import model_store

    digest = version.model.digest
    model = model_store(project).local_path(digest) or version.model.filename
    command = f"MODEL_PATH={shlex.quote(str(model))} pytest {shlex.join(nodeids)}"

    def work(report: Callable[[TestOutcome], None], cancelled: threading.Event) -> TestRun:
        return run_again(project, digest, nodeids, report, cancelled)

    app.push_screen(RerunScreen(nodeids, command, work))
