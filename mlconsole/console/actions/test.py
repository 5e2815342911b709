"""Actions in the Test panel."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from mlconsole.console.actions import action
from mlconsole.console.actions.action import LOOK

if TYPE_CHECKING:
    from mlconsole.console.view import View

# tests are the project's own code, which may write whatever it likes: to run them is a change
Action = partial(action.Action, group=LOOK, operations="test", scope=("test",))


def _may_run_again(view: View) -> str | None:
    from mlconsole.console.panels.test import outcomes_of
    from mlconsole.stages.test_again import NO_TEST_ENDED, TESTS_RUN

    if view.replaying:
        return "A replay only shows what was."
    if not outcomes_of(view):
        return NO_TEST_ENDED
    run = view.run("test")
    return TESTS_RUN if run is not None and run.state == "running" else None


def _may_run_failed(view: View) -> str | None:
    from mlconsole.console.panels.test import outcomes_of
    from mlconsole.evidence.testing import failed_ids
    from mlconsole.stages.test_again import NO_TEST_FAILED

    if reason := _may_run_again(view):
        return reason
    return None if failed_ids(outcomes_of(view)) else NO_TEST_FAILED


def _has_tests(view: View) -> str | None:
    from mlconsole.console.panels.test import outcomes_of
    from mlconsole.stages.test_again import NO_TEST_ENDED

    return None if outcomes_of(view) else NO_TEST_ENDED


ACTIONS = (
    Action(
        id="test_again",
        keys="e",
        words="run again",
        help="Run the test, class or file of the cursor again, outside of the release: the result is not recorded.",
        available=_may_run_again,
        footer=8,
        changes=True,
    ),
    Action(
        id="failed_again",
        keys="E",
        words="run failed again",
        help="Run all tests that failed again, outside of the release: the result is not recorded.",
        available=_may_run_failed,
        footer=9,
        changes=True,
    ),
    Action(
        id="slowest",
        keys="w",
        words="slowest",
        help="List the slowest tests, or all of them as a tree.",
        available=_has_tests,
        footer=40,
    ),
)
