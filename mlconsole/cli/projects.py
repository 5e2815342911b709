"""The commands that bring a project here and look whether it is ready."""

from __future__ import annotations

from pathlib import Path

import click

from mlconsole.cli.options import json_option, project_option


@click.command()
@click.argument("url")
@click.argument("directory", required=False, type=click.Path(path_type=Path))
def clone(url: str, directory: Path | None) -> None:
    """Clone a project's repository, with progress."""
    from mlconsole.headless.reports import clone_repository

    clone_repository(url, directory)


@click.command()
@project_option
@click.option("--set", "given", multiple=True, metavar="KEY=VALUE", help="Say a setting, as: deploy.manifests=k8s")
def init(directory: Path, given: tuple[str, ...]) -> int:
    """Write mlconsole.toml with what is found in the project; ask for what is not."""
    from mlconsole.headless.initialise import initialise_settings

    return initialise_settings(directory, given)


@click.command()
@project_option
@json_option
def doctor(directory: Path, as_json: bool) -> int:
    """Check git, Python, data, tests, the manifests, the cluster and what may be done there."""
    from mlconsole.headless.doctor import examine

    return examine(directory, as_json=as_json)


COMMANDS = (clone, init, doctor)
