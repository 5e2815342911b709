"""What a person or a CI job types: parse, call, print. Nothing heavy is imported before a command needs it.

`mlconsole [DIR]` opens the console; everything else is a command. Exit codes: 0 done, 1 a gate said no, 2 wrong use or
settings, 3 something outside failed, 130 cancelled.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import click

from mlconsole import __version__
from mlconsole.cli import ci, cluster, console, projects, records, releases, watching
from mlconsole.cli.models import models
from mlconsole.cli.options import Call
from mlconsole.errors import Exit, Problem, WrongUse


class ReaderGone(Exception):
    """Whoever read our output has left (`| head`): what was asked for was read, and the command ends quietly."""


@contextlib.contextmanager
def _read_by_someone() -> Iterator[None]:
    """Turn a broken pipe into `ReaderGone`: click would leave with 1, and here that is what a gate says."""
    try:
        yield
    except BrokenPipeError as error:
        raise ReaderGone from error


class DirectoryGroup(click.Group):
    """A group of commands whose first word may be a folder instead: then the console opens there."""

    def make_context(self, *given: Any, **options: Any) -> click.Context:
        with _read_by_someone():
            return super().make_context(*given, **options)

    def invoke(self, ctx: click.Context) -> Any:
        with _read_by_someone():
            return super().invoke(ctx)

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
            raise click.UsageError(f"There is no command or folder {args[0]!r}.{hint}", ctx) from error


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
    _print_in_any_encoding()
    call = Call()
    code = _explained(lambda: _run(call))
    if code == Exit.DONE:
        # what is still buffered is written here, where it can be told that it can't be
        code = _explained(_flush)
    else:
        with contextlib.suppress(OSError):
            _flush()
    if call.showed_console:
        _leave(code)
    sys.exit(code)


def _run(call: Call) -> int:
    _check_folder()
    return int(commands.main(standalone_mode=False, obj=call) or Exit.DONE)


def _explained(work: Callable[[], int]) -> int:
    """Do some work, and tell what ends it in a sentence; returns the exit code."""
    try:
        return work()
    except Problem as problem:
        from mlconsole.headless.output import say_problem

        say_problem(problem)
        return problem.exit_code
    except click.ClickException as error:
        error.show()
        return Exit.WRONG_USE
    except (click.Abort, KeyboardInterrupt):
        click.echo("Cancelled.", err=True)
        return Exit.CANCELLED
    except (ReaderGone, BrokenPipeError):
        return Exit.DONE
    except Exception as error:  # noqa: BLE001 - a defect of ours is told in a sentence, too
        from mlconsole.headless.output import say_failure

        return say_failure(error)


def _check_folder() -> None:
    try:
        Path.cwd()
    except FileNotFoundError as error:
        raise WrongUse("The folder that you are in is not there any more.", "Go to another one: cd") from error


def _leave(code: int) -> NoReturn:
    """End the process now: Python would wait for threads that wait for an answer of the cluster."""
    import os

    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)


def _print_in_any_encoding() -> None:
    """What a terminal's or pipe's encoding lacks is printed as an escape (`\\u2713`), and ends nothing."""
    import io

    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def _flush() -> int:
    import os

    if sys.stdout is None:
        return Exit.DONE
    try:
        sys.stdout.flush()
    except OSError:
        # Python would try again at its end, and complain
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise
    return Exit.DONE
