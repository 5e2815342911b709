"""What a person or a CI job types: parse, call, print. Nothing heavy is imported before a command needs it.

`mlconsole [DIR]` opens the console; everything else is a command. Exit codes: 0 done, 1 a gate said no, 2 wrong use or
settings, 3 something outside failed, 130 cancelled.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mlconsole import __version__, cli_cluster, cli_console
from mlconsole.cli_models import models
from mlconsole.cli_options import json_option, open_project_of, project_option, target_options
from mlconsole.errors import Exit, Problem

if TYPE_CHECKING:
    from collections.abc import Callable

    from mlconsole.journal import Journal
    from mlconsole.release.engine import Engine, Order, Outcome

STAGE = click.Choice(["repo", "data", "train", "test", "deploy", "pods"])


class DirectoryGroup(click.Group):
    """A group of commands whose first word may be a folder instead: then the console opens there."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        first = next((word for word in args if not word.startswith("-")), None)
        asks = {"-h", "--help", "--version"}.intersection(args)
        is_folder = first is not None and first not in self.commands and ("/" in first or Path(first).is_dir())
        options = {name for option in self.commands["open"].params for name in (*option.opts, *option.secondary_opts)}
        begins_with_option = bool(args) and args[0].partition("=")[0] in options
        if is_folder or begins_with_option or (first is None and not asks):
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


for _command in (*cli_console.COMMANDS, *cli_cluster.COMMANDS):
    commands.add_command(_command)


@commands.command()
@click.argument("url")
@click.argument("directory", required=False, type=click.Path(path_type=Path))
def clone(url: str, directory: Path | None) -> None:
    """Clone a project's repository, with progress."""
    from mlconsole.headless.reports import clone_repository

    clone_repository(url, directory)


@commands.command()
@project_option
def init(directory: Path) -> None:
    """Write mlconsole.toml with what is found in the project, and a comment for each key."""
    from mlconsole.headless.reports import initialise_settings
    from mlconsole.project import open_project

    initialise_settings(open_project(directory, personal=False))


@commands.command()
@project_option
@json_option
def doctor(directory: Path, as_json: bool) -> int:
    """Check git, Python, data, tests, the manifests, the cluster and what may be done there."""
    from mlconsole.headless.doctor import examine

    return examine(directory, as_json=as_json)


def _order_options(function: Callable[..., Any]) -> Callable[..., Any]:
    for option in (
        project_option,
        json_option,
        click.option("--approve", "approved", is_flag=True, help="Deploy without waiting for an approval."),
        click.option("--reason", default="", help="Why; kept in the journal."),
    ):
        function = option(function)
    return function


def _conflict_options(function: Callable[..., Any]) -> Callable[..., Any]:
    for option in (
        click.option("--force-conflicts", "force", is_flag=True, help="Take over fields that others own."),
        click.option("--leave-conflicts", "leave", is_flag=True, help="Leave fields that others own as they are."),
    ):
        function = option(function)
    return function


def _deploy_options(function: Callable[..., Any]) -> Callable[..., Any]:
    prune = click.option("--prune", is_flag=True, help="Delete objects that the manifests no longer have.")
    return target_options()(_conflict_options(prune(function)))


@commands.command()
@click.option("--from", "again_from", type=STAGE, help="Run this stage and all after it again, changed or not.")
@click.option("--until", type=STAGE, default="pods", help="Stop after this stage.")
@_order_options
@_deploy_options
def run(
    directory: Path, as_json: bool, again_from: Any, until: Any, approved: bool, reason: str, **options: Any
) -> int:
    """Release the model: each stage whose inputs changed, up to ready pods."""
    order = _order(until=until, again_from=again_from, approved=approved, reason=reason, **_asked_of(options))
    return _carry_out(directory, order, lambda engine, journal: engine.run(order), as_json)


@commands.command()
@_order_options
@click.option("--again", is_flag=True, help="Train although nothing changed.")
def train(directory: Path, as_json: bool, approved: bool, reason: str, again: bool) -> int:
    """Run the stages up to train."""
    order = _order(until="train", again_from="train" if again else None, approved=approved, reason=reason)
    return _carry_out(directory, order, lambda engine, journal: engine.run(order), as_json)


@commands.command()
@_order_options
@click.option("--again", is_flag=True, help="Test although nothing changed.")
def test(directory: Path, as_json: bool, approved: bool, reason: str, again: bool) -> int:
    """Run the stages up to test."""
    order = _order(until="test", again_from="test" if again else None, approved=approved, reason=reason)
    return _carry_out(directory, order, lambda engine, journal: engine.run(order), as_json)


@commands.command()
@_order_options
@_deploy_options
def deploy(directory: Path, as_json: bool, approved: bool, reason: str, **options: Any) -> int:
    """Run the stages up to deploy."""
    order = _order(until="deploy", approved=approved, reason=reason, **_asked_of(options))
    return _carry_out(directory, order, lambda engine, journal: engine.run(order), as_json)


@commands.command()
@click.argument("number", type=int)
@click.option("--until", type=STAGE, default="pods", help="Stop after this stage.")
@_order_options
def resume(number: int, directory: Path, as_json: bool, until: Any, approved: bool, reason: str) -> int:
    """Go on with release NUMBER at the stage that had not finished."""
    order = _order(until=until, approved=approved, reason=reason)
    return _carry_out(directory, order, lambda engine, journal: engine.resume(number, order), as_json)


@commands.command()
@click.argument("number", type=int)
@_order_options
@_conflict_options
def approve(number: int, directory: Path, as_json: bool, approved: bool, reason: str, **options: Any) -> int:
    """Approve the plan that release NUMBER waits with, and go on."""
    from mlconsole.release.decisions import approve as decide

    order = _order(approved=approved, reason=reason, **_asked_of(options))

    def begin(engine: Engine, journal: Journal) -> Outcome:
        decide(journal, number, who=order.who, reason=reason, conflicts=order.options.conflicts)
        return engine.resume(number, order)

    return _carry_out(directory, order, begin, as_json)


@commands.command()
@click.argument("number", type=int)
@_order_options
def override(number: int, directory: Path, as_json: bool, approved: bool, reason: str) -> int:
    """Go on with release NUMBER although a gate said no. It needs a --reason."""
    from mlconsole.release.decisions import override as decide

    order = _order(approved=approved, reason=reason)

    def begin(engine: Engine, journal: Journal) -> Outcome:
        decide(journal, number, who=order.who, reason=reason)
        return engine.resume(number, order)

    return _carry_out(directory, order, begin, as_json)


@commands.command()
@click.argument("version", default="")
@_order_options
@_deploy_options
def rollback(version: str, directory: Path, as_json: bool, approved: bool, reason: str, **options: Any) -> int:
    """Bring an earlier VERSION back: its manifests and the champion's alias together. Default: the previous one."""
    from mlconsole.release.rollback import roll_back, target_version

    # typing this command is the decision that a deploy waits for
    order = _order(approved=True, reason=reason, **_asked_of(options))
    project = open_project_of(directory)

    def begin(engine: Engine, journal: Journal) -> Outcome:
        return roll_back(engine, journal, order, target_version(journal, project.settings.name, version))

    return _carry_out(directory, order, begin, as_json)


@commands.command()
@click.argument("number", type=int)
@project_option
def cancel(number: int, directory: Path) -> None:
    """Ask release NUMBER, which runs in another process, to end."""
    from mlconsole.headless.reports import cancel_release

    cancel_release(open_project_of(directory), number)


@commands.command()
@project_option
@json_option
def status(directory: Path, as_json: bool) -> None:
    """Show the latest release, stage by stage."""
    from mlconsole.headless.reports import show_latest

    show_latest(open_project_of(directory), as_json=as_json)


@commands.command()
@click.option("-n", "most", default=20, help="How many.")
@project_option
@json_option
def history(most: int, directory: Path, as_json: bool) -> None:
    """List past releases."""
    from mlconsole.headless.reports import show_history

    show_history(open_project_of(directory), most, as_json=as_json)


@commands.command()
@click.argument("number", type=int)
@click.option("--stage", type=STAGE, help="Only this stage, in full.")
@project_option
@json_option
def show(number: int, stage: Any, directory: Path, as_json: bool) -> None:
    """Show the record of release NUMBER."""
    from mlconsole.headless.reports import show_release

    show_release(open_project_of(directory), number, stage, as_json=as_json)


@commands.command()
@click.argument("number", type=int)
@click.option("--format", "kind", type=click.Choice(["json", "markdown", "in-toto"]), default="json", show_default=True)
@project_option
def record(number: int, kind: str, directory: Path) -> None:
    """Export the record of release NUMBER: all of it as JSON, a model card, or an in-toto statement."""
    from mlconsole.headless.record import export_record

    export_record(open_project_of(directory), number, kind)


@commands.command()
@click.argument("version", default="")
@project_option
@json_option
def verify(version: str, directory: Path, as_json: bool) -> int:
    """Compute every digest of VERSION and its releases again. Default: the champion."""
    from mlconsole.headless.verify import verify as verify_version

    return verify_version(open_project_of(directory), version, as_json=as_json)


@commands.command()
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


@commands.group()
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


commands.add_command(models)


@models.command("promote")
@click.argument("version")
@click.pass_context
@_order_options
def promote_model(context: click.Context, version: str, **options: Any) -> int:
    """Make a VERSION that was deployed before the champion again, by the release that takes it there (as rollback)."""
    return int(context.invoke(rollback, version=version, **options) or 0)


@commands.group()
def cluster() -> None:
    """The project's local cluster."""


@cluster.command("start")
@project_option
def start_cluster(directory: Path) -> None:
    """Start it, and print its kubeconfig."""
    from mlconsole.headless.cluster import start

    start(open_project_of(directory))


@cluster.command("stop")
@project_option
def stop_cluster(directory: Path) -> None:
    """Stop it, with all of its pods."""
    from mlconsole.headless.cluster import stop

    stop(open_project_of(directory))


@cluster.command("status")
@project_option
@json_option
def cluster_status(directory: Path, as_json: bool) -> int:
    """Tell whether it runs, and where."""
    from mlconsole.headless.cluster import status as show_status

    return show_status(open_project_of(directory), as_json=as_json)


def _order(**asked: Any) -> Order:
    from mlconsole.release.decisions import who_am_i
    from mlconsole.release.engine import Order

    return Order(who=who_am_i(), **asked)


def _asked_of(options: dict[str, Any]) -> dict[str, Any]:
    """What was typed of a deploy's options, as an order takes it."""
    from mlconsole.evidence.cluster import DeployOptions

    force, leave = options.pop("force"), options.pop("leave")
    if force and leave:
        raise click.UsageError("--force-conflicts and --leave-conflicts exclude each other.")
    return {"options": DeployOptions(conflicts="force" if force else "leave" if leave else "ask", **options)}


def _carry_out(directory: Path, order: Order, begin: Callable[[Engine, Journal], Outcome], as_json: bool) -> int:
    from mlconsole.headless.release import carry_out

    return carry_out(open_project_of(directory), order, begin, as_json=as_json)


def main() -> None:
    """Run the command line and exit by the table of exit codes."""
    try:
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
    sys.exit(int(code or 0))


def _reader_gone() -> int:
    """Whoever read our output has left (`| head`): end quietly, and keep Python from flushing into nowhere."""
    import os

    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0
