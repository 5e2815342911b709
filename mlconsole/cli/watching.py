"""The commands that let releases begin by themselves, and tell what sets them off."""

from __future__ import annotations

from pathlib import Path

import click

from mlconsole.cli.options import json_option, open_journal_of, open_project_of, project_option, target_options


@click.command()
@click.option("--detach", is_flag=True, help="Watch in a process of its own, that outlives this terminal.")
@click.option("--stop", is_flag=True, help="End the process that watches; a release on its way goes on.")
@click.option("--manifest", is_flag=True, help="Print what runs it in the cluster: kubectl apply takes it.")
@click.option(
    "--image", default="", help="With --manifest: the image that holds mlconsole, git and the project's Python."
)
@target_options()
@project_option
def watch(detach: bool, stop: bool, manifest: bool, image: str, directory: Path, context: str, namespace: str) -> int:
    """Watch what [[watch]] names: new data, a branch, a schedule, parameters; propose or begin releases."""
    if sum((detach, stop, manifest)) > 1:
        raise click.UsageError("--detach, --stop and --manifest exclude each other.")
    if image and not manifest:
        raise click.UsageError("--image goes with --manifest.")
    from mlconsole.headless import watching

    if stop:
        return watching.stop(open_journal_of(directory))
    project = open_project_of(directory)
    if manifest:
        return watching.print_manifest(project, image=image, namespace=namespace)
    if detach:
        return watching.start(project)
    return watching.watch(project, context=context, namespace=namespace)


@click.group(invoke_without_command=True)
@click.option("-n", "most", type=click.IntRange(min=1), default=20, help="How many.")
@click.pass_context
@project_option
@json_option
def triggers(context: click.Context, most: int, directory: Path, as_json: bool) -> None:
    """List what set releases off, or waits for its turn; accept or dismiss what is proposed."""
    if context.invoked_subcommand is None:
        from mlconsole.headless.watching import show_triggers

        show_triggers(open_journal_of(directory), most, as_json=as_json)


@triggers.command("accept")
@click.argument("numbers", nargs=-1, type=int)
@project_option
def accept_triggers(numbers: tuple[int, ...], directory: Path) -> None:
    """Let proposals be released, up to the approval: these NUMBERS, or all."""
    from mlconsole.headless.watching import decide

    decide(open_journal_of(directory), "accept", numbers)


@triggers.command("dismiss")
@click.argument("numbers", nargs=-1, type=int)
@project_option
def dismiss_triggers(numbers: tuple[int, ...], directory: Path) -> None:
    """Let nothing follow from these NUMBERS, or from all proposals."""
    from mlconsole.headless.watching import decide

    decide(open_journal_of(directory), "dismiss", numbers)


@triggers.command("again")
@click.argument("numbers", nargs=-1, type=int, required=True)
@project_option
def trigger_again(numbers: tuple[int, ...], directory: Path) -> None:
    """Release NUMBERS after all, that were refused, failed or dismissed."""
    from mlconsole.headless.watching import decide

    decide(open_journal_of(directory), "again", numbers)


@triggers.command("forget")
@click.argument("numbers", nargs=-1, type=int, required=True)
@project_option
def forget_addition(numbers: tuple[int, ...], directory: Path) -> None:
    """Leave the rows that were added for NUMBERS as they are: you took them out by hand, or keep them."""
    from mlconsole.headless.watching import forget

    forget(open_journal_of(directory), numbers)


@click.command("monitor")
@click.option("--once", is_flag=True, help="Look once; nothing follows from it.")
@click.option("--client", is_flag=True, help="Print the module that a server imports to count features: one file.")
@target_options()
@project_option
@json_option
def monitor_command(once: bool, client: bool, directory: Path, context: str, namespace: str, as_json: bool) -> int:
    """Look at what serves: requests, errors, latency, drift, quality; and act as the rules of [monitor] say."""
    from mlconsole.headless import monitoring

    if client:
        return monitoring.print_client()
    project = open_project_of(directory).aimed_at(context, namespace)
    return monitoring.monitor(project, once=once, as_json=as_json)


COMMANDS = (watch, triggers, monitor_command)
"""All of them, for the command line to add."""
