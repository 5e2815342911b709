"""The options that most commands have, and what they leave behind."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from mlconsole.project import Project


@dataclass
class Call:
    """One call of the command line: what a command leaves for its end."""

    showed_console: bool = False
    """All that the console's threads still do is for nobody."""


def project_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the option `-C DIR`."""
    option = click.option(
        "-C", "directory", default=".", metavar="DIR", type=click.Path(path_type=Path), help="The project's folder."
    )
    return option(function)


STAGE = click.Choice(["repo", "data", "train", "test", "deploy", "pods"])
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON lines instead of text.")


def target_options(*, short: bool = True) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Give a command the options `--context` and `--namespace`; `-n` too, unless it means something else there."""

    def give(function: Callable[..., Any]) -> Callable[..., Any]:
        names = ("-n", "--namespace") if short else ("--namespace",)
        function = click.option(*names, default="", help="A namespace instead of the settings'.")(function)
        return click.option("--context", default="", help="A kubeconfig context instead of the settings'.")(function)

    return give


def open_project_of(directory: Path) -> Project:
    """Read the project that a command was typed for."""
    from mlconsole.project import open_project

    return open_project(directory)


def open_journal_of(directory: Path) -> Project:
    """As `open_project_of`, for a command that goes by the journal alone: settings that can't be read don't stop it."""
    from mlconsole.project import open_project
    from mlconsole.project.settings import SettingsInvalid

    try:
        return open_project(directory)
    except SettingsInvalid as problem:
        from mlconsole.headless.reports import project_by_journal

        return project_by_journal(directory, problem)
