"""The commands below `mlconsole models`: as in `cli`, nothing heavy is imported before a command needs it."""

from __future__ import annotations

from pathlib import Path

import click

from mlconsole.cli.options import json_option, open_journal_of, open_project_of, project_option


@click.group()
def models() -> None:
    """Model versions and their aliases."""


@models.command("list")
@project_option
@json_option
def list_models(directory: Path, as_json: bool) -> None:
    """List versions, newest first."""
    from mlconsole.headless.reports import show_models

    show_models(open_journal_of(directory), as_json=as_json)


@models.command("verify")
@project_option
def verify_models(directory: Path) -> int:
    """Compute the digest of every stored model again."""
    from mlconsole.headless.reports import verify_store

    return verify_store(open_journal_of(directory))


@models.command("show")
@click.argument("version")
@project_option
@json_option
def show_model(version: str, directory: Path, as_json: bool) -> None:
    """Show what is known of VERSION (v3, or an alias such as champion)."""
    from mlconsole.headless.models import show_version

    show_version(open_journal_of(directory), version, as_json=as_json)


@models.command("compare")
@click.argument("first")
@click.argument("second")
@project_option
@json_option
def compare_models(first: str, second: str, directory: Path, as_json: bool) -> None:
    """Compare two versions: what they are made of, their metrics, and both on the hold-out."""
    from mlconsole.headless.models import compare_versions

    compare_versions(open_project_of(directory), first, second, as_json=as_json)


@models.command("gc")
@click.option(
    "--keep",
    type=click.IntRange(min=0),
    default=5,
    show_default=True,
    help="Keep the versions of so many last deploys.",
)
@click.option("--dry-run", is_flag=True, help="Only say what would be removed.")
@project_option
@json_option
def collect_models(keep: int, dry_run: bool, directory: Path, as_json: bool) -> None:
    """Remove stored models but those with an alias, of the last deploys, or younger than a day."""
    from mlconsole.headless.models import collect_garbage

    collect_garbage(open_project_of(directory), keep, dry_run=dry_run, as_json=as_json)


@models.command("tag")
@click.argument("version")
@click.option("--stage", default="", help="Also assign a stage, such as prod: the tag NAME#prod#1, NAME#prod#2, …")
@project_option
def tag_model(version: str, stage: str, directory: Path) -> None:
    """Name the commit of VERSION by an annotated git tag, NAME@vN."""
    from mlconsole.headless.models import tag_version

    tag_version(open_project_of(directory), version, stage)


@models.command("export")
@click.argument("version")
@click.option("--to", "target", type=click.Choice(["mlflow"]), default="mlflow", show_default=True)
@project_option
def export_model(version: str, target: str, directory: Path) -> None:
    """Bring VERSION and its aliases to an MLflow server (MLFLOW_TRACKING_URI)."""
    from mlconsole.headless.models import export_version

    export_version(open_project_of(directory), version)


@models.command("import")
@click.argument("source", type=click.Choice(["mlflow"]))
@click.argument("reference")
@click.option("--file", "filename", default="", help="Which file is the model, where its folder has several.")
@click.option("--to", "target", type=click.Path(path_type=Path, dir_okay=False), help="Only fetch the file to here.")
@project_option
@json_option
def import_model(
    source: str, reference: str, filename: str, target: Path | None, directory: Path, as_json: bool
) -> None:
    """Make a model of an MLflow server (MLFLOW_TRACKING_URI) a version: models:/NAME/3, models:/NAME@ALIAS, runs:/RUN.

    It is released by run --version. With --to it is only fetched and scanned, and its metrics are printed: for
    train.command.
    """
    from mlconsole.headless.models import import_from_mlflow

    import_from_mlflow(open_project_of(directory), reference, filename, target, as_json=as_json)
