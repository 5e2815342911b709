"""What a person or a CI job types: parse, call, print. Nothing heavy is imported before a command needs it.

`mlconsole [DIR]` opens the console; everything else is a command. Exit codes: 0 done, 1 a gate said no, 2 wrong use or
settings, 3 something outside failed, 130 cancelled.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import NoReturn

import click

from mlconsole import __version__
from mlconsole.cli import ci, cluster, console, projects, records, releases, watching
from mlconsole.cli.models import models
from mlconsole.errors import Exit, Problem, WrongUse


class DirectoryGroup(click.Group):
    """A group of commands whose first word may be a folder instead: then the console opens there."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        first = next((word for word in args if not word.startswith("-")), None)
        asks = {"-h", "--help", "--version"}.intersection(args)
        # a path, an address to clone, or a folder's name
        is_place = (
            first is not None
            and first not in self.commands
            and (not {"/", ":"}.isdisjoint(first) or Path(first).is_dir())
        )
        options = {name for option in self.commands["open"].params for name in (*option.opts, *option.secondary_opts)}
        begins_with_option = bool(args) and args[0].partition("=")[0] in options
        if is_place or begins_with_option or (first is None and not asks):
            args = ["open", *args]
        return super().parse_args(ctx, args)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            import difflib

            near = difflib.get_close_matches(args[0], self.commands, n=1, cutoff=0.5)
            hint = f" Did you mean {near[0]}?" if near else ""
            raise click.UsageError(f"There is no command {args[0]!r}.{hint}", ctx) from error


@click.group(cls=DirectoryGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="mlconsole")
def commands() -> None:
    """Take a machine-learning model from a git commit to ready pods.

    `mlconsole [DIR]` opens the console in a project's folder; the commands below do the same without a screen.
    """


for _command in (
    *console.COMMANDS,
    *projects.COMMANDS,
    *releases.COMMANDS,
    *records.COMMANDS,
    *cluster.COMMANDS,
    *ci.COMMANDS,
    *watching.COMMANDS,
    models,
):
    commands.add_command(_command)


def main() -> None:
    """Run the command line and exit by the table of exit codes."""
    try:
        _check_folder()
        code = commands.main(standalone_mode=False)
    except Problem as problem:
        from mlconsole.headless.output import say_problem

        say_problem(problem)
        code = problem.exit_code
    except click.ClickException as error:
        error.show()
        code = Exit.WRONG_USE
    except (click.Abort, KeyboardInterrupt):
        click.echo("Cancelled.", err=True)
        code = Exit.CANCELLED
    except BrokenPipeError:
        code = _reader_gone()
    except Exception as error:  # noqa: BLE001 - a defect of ours is told in a sentence, too
        from mlconsole.headless.output import say_defect

        code = say_defect(error)
    if console.was_open:
        _leave(int(code or 0))
    sys.exit(int(code or 0))


def _check_folder() -> None:
    try:
        Path.cwd()
    except FileNotFoundError as error:
        raise WrongUse("The folder that you are in is not there any more.", "Go to another one: cd") from error


def _leave(code: int) -> NoReturn:
    """End the process now: Python would wait for threads that wait for an answer of the cluster."""
    import contextlib
    import os

    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)


def _reader_gone() -> int:
    """Whoever read our output has left (`| head`): end quietly, and keep Python from flushing into nowhere."""
    import os

    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0
