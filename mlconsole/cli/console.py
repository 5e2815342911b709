"""The commands about the console itself: open it, try it, serve it, its keys and the schema of its settings."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mlconsole.cli.options import Call
from mlconsole.errors import Exit

if TYPE_CHECKING:
    from collections.abc import Callable

    from mlconsole.console.cloning import CloneOrder
    from mlconsole.project import Project


def look_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options that lay themselves over the person's preferences."""
    for option in (
        click.option("--readonly", is_flag=True, help="Look, and change nothing."),
        click.option("--ascii/--no-ascii", "ascii_only", default=None, help="Draw with ASCII characters only, or not."),
        click.option("--no-mouse", is_flag=True, help="Leave the mouse to the terminal."),
        click.option("--theme", default="", help="Colours: dark, light, high-contrast, …"),
    ):
        function = option(function)
    return function


def _show(
    project: Project,
    clone: CloneOrder | None = None,
    *,
    readonly: bool,
    ascii_only: bool | None,
    no_mouse: bool,
    theme: str,
) -> int:
    import msgspec

    from mlconsole.console.start import run
    from mlconsole.project.preferences import read_preferences

    preferences = read_preferences()
    preferences = msgspec.structs.replace(
        preferences,
        theme=theme or preferences.theme,
        ascii=preferences.ascii if ascii_only is None else ascii_only,
        mouse=preferences.mouse and not no_mouse,
    )
    click.get_current_context().ensure_object(Call).showed_console = True
    return run(project, readonly=readonly, preferences=preferences, clone=clone)


@click.command("open")
@click.argument("place", default=".", metavar="[DIR | URL]")
@click.argument("folder", required=False, type=click.Path(path_type=Path))
@look_options
def open_console(place: str, folder: Path | None, **look: Any) -> int:
    """Open the console (the same as `mlconsole DIR`); of an address, clone it into FOLDER first."""
    from mlconsole.console.cloning import CloneOrder, offer_for
    from mlconsole.project import open_project
    from mlconsole.services.git.addresses import folder_name, is_address

    directory = Path(place)
    if is_address(place) and not directory.exists():
        order = CloneOrder(place, (folder or Path(folder_name(place))).absolute())
        return _show(order.project, order, **look)
    if folder is not None:
        raise click.UsageError(f"{place} is no address: a folder to clone into goes with one only.")
    project = open_project(directory)
    return _show(project, None if look["readonly"] else offer_for(project, directory), **look)


@click.command()
@click.argument("directory", default="mlconsole-demo", type=click.Path(path_type=Path, file_okay=False))
@click.option("--headless", is_flag=True, help="Without the console: release, wait for ready pods, print the record.")
@click.option("--year", is_flag=True, help="A year in minutes: months of data arrive, and are released by themselves.")
@click.option("--months", default="", help="Of the year, only these: 2011-05,2011-08.")
@click.option("--stop", is_flag=True, help="Stop the local cluster at the end.")
@look_options
def demo(directory: Path, headless: bool, year: bool, months: str, stop: bool, **look: Any) -> int:
    """Try it: the sample project in DIRECTORY, with a local cluster of its own."""
    from mlconsole.headless.demo import prepare, release_and_show, stop_cluster

    if year and not headless:
        raise click.UsageError("--year goes with --headless.")
    if months and not year:
        raise click.UsageError("--months goes with --year.")
    # what can't be done is told before anything is copied or started
    if not headless:
        from mlconsole.console.start import check_terminal

        check_terminal()
    elif year:
        from mlconsole.headless.year import live_through, months_of, prepare_year

        chosen = months_of(tuple(filter(None, months.split(","))))
    project = prepare(directory)
    try:
        if year:
            return live_through(prepare_year(project), chosen)
        return release_and_show(project) if headless else _show(project, **look)
    finally:
        if stop:
            stop_cluster(project)


@click.command()
@click.argument("directory", default=".", type=click.Path(path_type=Path))
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=0,
    help="Where to listen, on loopback; default: wherever there is room.",
)
@click.option("--allow-changes", is_flag=True, help="Not read-only: whoever has the address can release.")
@click.option("--theme", default="", help="Colours: dark, light, high-contrast, …")
def serve(directory: Path, port: int, allow_changes: bool, theme: str) -> int:
    """Show the console in a browser of this machine, read-only; prints the address, with its token."""
    from mlconsole.console.serve import serve as serve_console
    from mlconsole.project import open_project

    options = [*([] if allow_changes else ["--readonly"]), *(["--theme", theme] if theme else [])]
    serve_console(open_project(directory), options, port=port, tell=lambda address: click.echo(address))
    return Exit.DONE


@click.command()
@click.option(
    "--into",
    "document",
    type=click.Path(path_type=Path, exists=True, dir_okay=False, writable=True),
    help="Put the default keys into this document.",
)
def keys(document: Path | None) -> int:
    """List the console's actions with the keys that you prefer, as a Markdown table."""
    from mlconsole.console.actions import REGISTRY
    from mlconsole.console.keymap import table, with_preferred, with_table
    from mlconsole.project.preferences import preferences_path, read_preferences

    if document is not None:
        document.write_text(with_table(document.read_text(encoding="utf-8"), REGISTRY), encoding="utf-8")
    else:
        click.echo(table(with_preferred(read_preferences().keys, preferences_path().name)))
    return Exit.DONE


@click.command()
@click.argument("what", type=click.Choice(["project", "preferences"]), default="project")
def schema(what: str) -> int:
    """Print the JSON Schema of mlconsole.toml (project), or of your own config.toml (preferences)."""
    from mlconsole.project.schema import preferences_schema, project_schema

    click.echo(preferences_schema() if what == "preferences" else project_schema(), nl=False)
    return Exit.DONE


COMMANDS = (open_console, demo, serve, keys, schema)
"""All of them, for the command line to add."""
