"""The commands that tell what the journal, the data and the cluster know."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from mlconsole.cli.options import STAGE, json_option, open_journal_of, open_project_of, project_option


@click.command()
@project_option
@json_option
def status(directory: Path, as_json: bool) -> None:
    """Show the latest release, stage by stage."""
    from mlconsole.headless.reports import show_latest

    show_latest(open_journal_of(directory), as_json=as_json)


@click.command()
@click.option("-n", "most", type=click.IntRange(min=1), default=20, help="How many.")
@project_option
@json_option
def history(most: int, directory: Path, as_json: bool) -> None:
    """List past releases."""
    from mlconsole.headless.reports import show_history

    show_history(open_journal_of(directory), most, as_json=as_json)


@click.command()
@click.argument("number", type=int)
@click.option("--stage", type=STAGE, help="Only this stage, in full.")
@project_option
@json_option
def show(number: int, stage: Any, directory: Path, as_json: bool) -> None:
    """Show the record of release NUMBER."""
    from mlconsole.headless.reports import show_release

    show_release(open_journal_of(directory), number, stage, as_json=as_json)


@click.command()
@click.argument("number", type=int)
@click.option("--format", "kind", type=click.Choice(["json", "markdown", "in-toto"]), default="json", show_default=True)
@project_option
def record(number: int, kind: str, directory: Path) -> None:
    """Export the record of release NUMBER: all of it as JSON, a model card, or an in-toto statement."""
    from mlconsole.headless.record import export_record

    export_record(open_journal_of(directory), number, kind)


@click.command()
@click.argument("version", default="")
@project_option
@json_option
def verify(version: str, directory: Path, as_json: bool) -> int:
    """Compute every digest of VERSION and its releases again. Default: the champion."""
    from mlconsole.headless.verify import verify as verify_version

    return verify_version(open_journal_of(directory), version, as_json=as_json)


@click.command()
@click.option("-l", "selector", default="", help="A label selector instead of the settings'.")
@click.option("--context", default="", help="A kubeconfig context instead of the settings'.")
@click.option("-n", "namespace", default="", help="A namespace instead of the settings'.")
@project_option
@json_option
def where(selector: str, context: str, namespace: str, directory: Path, as_json: bool) -> int:
    """Ask the cluster what serves, and lead back to release, commit and data."""
    from mlconsole.headless.where import show_where

    return show_where(
        open_project_of(directory), selector=selector, context=context, namespace=namespace, as_json=as_json
    )


@click.group()
def data() -> None:
    """The training data by itself."""


@data.command("schema")
@click.option("--force", is_flag=True, help="Replace the file that is there.")
@project_option
def write_schema(force: bool, directory: Path) -> None:
    """Learn from good data what data has to look like, and write it to a file that people edit."""
    from mlconsole.headless.data import write_schema as write

    write(open_project_of(directory), force=force)


@data.command("check")
@project_option
@json_option
def check_data(directory: Path, as_json: bool) -> int:
    """Show which rules of the schema the data breaks."""
    from mlconsole.headless.data import check_data as check

    return check(open_project_of(directory), as_json=as_json)


COMMANDS = (status, history, show, record, verify, where, data)
