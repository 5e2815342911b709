"""The commands for CI: write the workflow, and what its jobs run beside `mlconsole run`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mlconsole.cli.options import open_project_of, project_option

if TYPE_CHECKING:
    from collections.abc import Callable


@click.group()
def ci() -> None:
    """Release in CI: the same release without a screen, its record as a Markdown summary."""


def _workflow_options(function: Callable[..., Any]) -> Callable[..., Any]:
    for option in (
        click.option("--write", is_flag=True, help="Write the file instead of printing it."),
        click.option("--force", is_flag=True, help="Replace the file that is there."),
        click.option("--branch", default="main", show_default=True, help="The branch that is released."),
        click.option("--environment", default="production", show_default=True, help="What deploys wait for."),
        click.option("--install", default="mlconsole", show_default=True, help="What pip installs mlconsole by."),
        click.option("--approve", is_flag=True, help="Deploy without anyone's approval."),
        project_option,
    ):
        function = option(function)
    return function


@ci.command("github")
@_workflow_options
def write_github(directory: Path, write: bool, force: bool, **asked: Any) -> None:
    """Print a workflow of GitHub Actions, or write it."""
    _write(directory, "github", asked, write=write, force=force)


@ci.command("gitlab")
@_workflow_options
def write_gitlab(directory: Path, write: bool, force: bool, **asked: Any) -> None:
    """Print a configuration of GitLab CI, or write it."""
    _write(directory, "gitlab", asked, write=write, force=force)


def _write(directory: Path, kind: str, asked: dict[str, Any], *, write: bool, force: bool) -> None:
    from mlconsole.headless.ci import write_workflow
    from mlconsole.project import open_project
    from mlconsole.project.ci import Workflow
    from mlconsole.stages.training_inputs import project_python

    # what one person prefers is not for the team's workflow
    project = open_project(directory, personal=False)
    python = ".".join(project_python(project).version.split(".")[:2])
    write_workflow(project, kind, Workflow(python=python, **asked), write=write, force=force)


@ci.command("waits")
@project_option
def waits(directory: Path) -> int:
    """Exit with 0 where the latest release waits for an approval, else with 1."""
    from mlconsole.headless.ci import waits as show_waits

    return show_waits(open_project_of(directory))


@ci.command("report")
@project_option
def report(directory: Path) -> None:
    """Put the latest release's record where the CI shows it (GitHub, GitLab), or print it."""
    from mlconsole.headless.ci import report as show_report

    show_report(open_project_of(directory))


COMMANDS = (ci,)
"""All of them, for the command line to add."""
