"""The commands that carry a release out, decide about one, or bring an earlier version back."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mlconsole.cli.models import models
from mlconsole.cli.options import STAGE, json_option, open_journal_of, open_project_of, project_option, target_options

if TYPE_CHECKING:
    from collections.abc import Callable

    from mlconsole.journal import Journal
    from mlconsole.release.engine import Engine, Order, Outcome


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


@click.command()
@click.option("--from", "again_from", type=STAGE, help="Run this stage and all after it again, changed or not.")
@click.option("--until", type=STAGE, default="pods", help="Stop after this stage.")
@click.option("--version", default="", help="Release this imported version in the place of one that is trained.")
@click.option("--trigger", "triggers", type=int, multiple=True, help="Answer this trigger of `mlconsole triggers`.")
@_order_options
@_deploy_options
def run(
    directory: Path,
    as_json: bool,
    again_from: Any,
    until: Any,
    approved: bool,
    reason: str,
    version: str,
    triggers: tuple[int, ...],
    **options: Any,
) -> int:
    """Release the model: each stage whose inputs changed, up to ready pods."""
    asked = {"until": until, "again_from": again_from, "approved": approved, "reason": reason, "version": version}
    order = _order(**asked, **_asked_of(options))

    def begin(engine: Engine, journal: Journal) -> Outcome:
        if not triggers:
            return engine.run(order)
        from mlconsole.watcher.answering import answer

        return answer(open_project_of(directory), journal, engine, order, triggers)

    return _carry_out(directory, order, begin, as_json)


@click.command()
@_order_options
@click.option("--again", is_flag=True, help="Train although nothing changed.")
def train(directory: Path, as_json: bool, approved: bool, reason: str, again: bool) -> int:
    """Run the stages up to train."""
    order = _order(until="train", again_from="train" if again else None, approved=approved, reason=reason)
    return _carry_out(directory, order, lambda engine, journal: engine.run(order), as_json)


@click.command()
@click.argument("nodeids", metavar="[NODEID]...", nargs=-1)
@click.option("-k", "keyword", default="", metavar="EXPR", help="Run tests that match this expression of pytest's.")
@click.option("--failed", is_flag=True, help="Run again what failed.")
@_order_options
@click.option("--again", is_flag=True, help="Test although nothing changed.")
def test(
    nodeids: tuple[str, ...],
    keyword: str,
    failed: bool,
    directory: Path,
    as_json: bool,
    approved: bool,
    reason: str,
    again: bool,
) -> int:
    """Run the stages up to test.

    With NODEIDs (tests, classes or files), -k or --failed: run these tests again, on the latest release's model and
    outside of the release. The result is not recorded.
    """
    if nodeids or keyword or failed:
        if again or approved or reason or (failed and nodeids):
            raise click.UsageError("NODEID and --failed exclude each other, and --again, --approve and --reason.")
        from mlconsole.headless.tests import test_again

        return test_again(open_project_of(directory), nodeids, keyword=keyword, failed=failed, as_json=as_json)
    order = _order(until="test", again_from="test" if again else None, approved=approved, reason=reason)
    return _carry_out(directory, order, lambda engine, journal: engine.run(order), as_json)


@click.command()
@_order_options
@_deploy_options
def deploy(directory: Path, as_json: bool, approved: bool, reason: str, **options: Any) -> int:
    """Run the stages up to deploy."""
    order = _order(until="deploy", approved=approved, reason=reason, **_asked_of(options))
    return _carry_out(directory, order, lambda engine, journal: engine.run(order), as_json)


@click.command()
@click.argument("number", type=int)
@click.option("--until", type=STAGE, default="pods", help="Stop after this stage.")
@_order_options
def resume(number: int, directory: Path, as_json: bool, until: Any, approved: bool, reason: str) -> int:
    """Go on with release NUMBER at the stage that had not finished."""
    order = _order(until=until, approved=approved, reason=reason)
    return _carry_out(directory, order, lambda engine, journal: engine.resume(number, order), as_json)


@click.command()
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


@click.command()
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


@click.command()
@click.argument("version", default="")
@_order_options
@_deploy_options
def rollback(version: str, directory: Path, as_json: bool, approved: bool, reason: str, **options: Any) -> int:
    """Bring an earlier VERSION back: its manifests and the champion's alias together. Default: the previous one."""
    from mlconsole.headless.reports import narrate_of_others
    from mlconsole.release.rollback import roll_back, target_version

    # typing this command is the decision that a deploy waits for
    order = _order(approved=True, reason=reason, **_asked_of(options))
    project = open_project_of(directory)

    def begin(engine: Engine, journal: Journal) -> Outcome:
        if project.settings.store.url:
            # a version that another machine made may be the one that is meant
            narrate_of_others(project, journal)
        return roll_back(engine, journal, order, target_version(journal, project.settings.name, version))

    return _carry_out(directory, order, begin, as_json)


@click.command()
@click.argument("number", type=int)
@project_option
def cancel(number: int, directory: Path) -> None:
    """Ask release NUMBER, which runs in another process, to end."""
    from mlconsole.headless.reports import cancel_release

    cancel_release(open_journal_of(directory), number)


@models.command("promote")
@click.argument("version")
@click.pass_context
@_order_options
def promote_model(context: click.Context, version: str, **options: Any) -> int:
    """Make a VERSION the champion by the release that takes it there.

    One that was deployed before goes there at once, as by rollback. One that was imported is tested, compared, and
    deployed after an approval, as by run --version.
    """
    if _is_new_import(options["directory"], version):
        return int(context.invoke(run, version=version, **options) or 0)
    return int(context.invoke(rollback, version=version, **options) or 0)


def _is_new_import(directory: Path, wanted: str) -> bool:
    """Whether a version was imported, and never deployed from here."""
    from mlconsole.headless.reports import journal_of
    from mlconsole.release.versions import find_version
    from mlconsole.stages.deployed import was_deployed

    project = open_project_of(directory)
    with journal_of(project) as journal:
        version = find_version(journal, project.settings.name, wanted)
        return bool(version.origin) and not was_deployed(journal, version.label)


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


COMMANDS = (run, train, test, deploy, resume, approve, override, rollback, cancel)
