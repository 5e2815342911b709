"""What operations share: asking, working beside the screen, telling a problem, starting a runner."""

from __future__ import annotations

import asyncio
import itertools
import os
import shlex
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from textual.content import Content

from mlconsole.console.faults import as_record
from mlconsole.console.paint import FAINT, heading, line, problem_lines, wrapped
from mlconsole.console.screens.confirm import Answer, ConfirmScreen, Question
from mlconsole.console.screens.detail import DetailScreen
from mlconsole.console.view import View
from mlconsole.errors import OutsideFailed, Problem
from mlconsole.journal import Journal

if TYPE_CHECKING:
    from mlconsole.console.app import MlconsoleApp

T = TypeVar("T")
_turns = itertools.count(1)
"""Each piece of work is a group of its own: none takes another's place."""
RUNNER_SECONDS = 20.0
"""A runner that has not taken its release by then is no longer waited for."""


def typed_name(view: View, context: str) -> str:
    """The name that has to be typed before anything changes in a context; empty where it is not protected."""
    return context if view.project.settings.deploy.protects(context) else ""


async def asked(app: MlconsoleApp, question: Question) -> Answer | None:
    """Show what would be done and wait for the answer; None: no."""
    return await app.push_screen_wait(ConfirmScreen(question))


async def aside(app: MlconsoleApp, work: Callable[[], T]) -> T:
    """Do blocking work in a thread and wait for it; what others wait for meanwhile goes on."""
    return await _in_thread(app, f"operation-{next(_turns)}", lambda stop: work())


async def at_length(app: MlconsoleApp, words: str, work: Callable[[threading.Event], T]) -> T:
    """Do work that takes its time: it is said in words meanwhile, and the action `cancel` ends it.

    Args:
        app: the app.
        words: what is said, such as `Pulling`; `say_busy` says more while it goes on.
        work: gets an event that is set when it is to end.
    """
    group = f"operation-{next(_turns)}"
    app.change(busy=words, busy_group=group)
    try:
        return await _in_thread(app, group, work)
    finally:
        app.change(busy="", busy_group="")


async def _in_thread(app: MlconsoleApp, group: str, work: Callable[[threading.Event], T]) -> T:
    future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
    app.background.run(group, work, future.set_result, future.set_exception)
    return await future


def tell(app: MlconsoleApp, problem: Problem) -> None:
    """Show a problem in full."""
    record = as_record(problem)
    app.push_screen(DetailScreen("That did not work", lambda width: problem_lines(record, width)))


async def decided(app: MlconsoleApp, write: Callable[[Journal], object]) -> bool:
    """Write a decision into the journal; show why where that is refused."""
    path = app.project.journal_path

    def work() -> None:
        journal = Journal(path)
        try:
            write(journal)
        finally:
            journal.close()

    try:
        await aside(app, work)
    except Problem as problem:
        tell(app, problem)
        return False
    return True


def command_preview(commands: Sequence[str], width: int) -> list[Content]:
    """The commands that do the same, in full."""
    lines = [heading("The same by hand")]
    for text in commands:
        lines += wrapped(line(("$ ", FAINT), text), width, indent=2)
    return lines


async def launch_runner(app: MlconsoleApp, arguments: Sequence[str], words: str, same_as: str = "") -> None:
    """Start `mlconsole ARGUMENTS` as a runner and watch that it takes its release.

    Args:
        app: the app.
        arguments: of the runner.
        words: what is said meanwhile.
        same_as: the command that a person would type for it, where it is another one.
    """
    from mlconsole.release import launch

    project = app.project
    if arguments[0] in ("run", "rollback"):
        arguments = [*arguments, *app.aimed]
    log = project.state / "runner.log"
    app.follow()
    app.change(busy=words, runner_problem=None)
    try:
        offset = log.stat().st_size if log.exists() else 0
        pid = await aside(app, lambda: launch.launch(project, arguments))
    except Problem as problem:
        app.change(busy="", runner_problem=as_record(problem))
        return
    except BaseException:
        app.change(busy="")
        raise
    app.note_command(same_as or shlex.join(["mlconsole", *arguments]))
    app.background.run("runner", lambda stop: _watch(project.journal_path, log, offset, pid, stop), app.runner_started)


def _watch(journal_path: Path, log: Path, offset: int, pid: int, stop: threading.Event) -> Problem | str:
    """Wait until a runner has taken a release: nothing more to say; its words where it found nothing to do; or why
    it ended before."""
    deadline = time.monotonic() + RUNNER_SECONDS
    while not stop.is_set() and time.monotonic() < deadline:
        status = _end_of(pid)
        if _has_taken(journal_path, pid):
            return ""
        if status is not None:
            return _last_words(log, offset, status)
        stop.wait(0.1)
    return ""


def _end_of(pid: int) -> int | None:
    """The exit status of a runner; None while it runs, 1 where somebody else has asked for it before."""
    import psutil

    try:
        ended, status = os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return None if psutil.pid_exists(pid) else 1
    return os.waitstatus_to_exitcode(status) if ended == pid else None


def _has_taken(journal_path: Path, pid: int) -> bool:
    if not journal_path.exists():
        return False
    journal = Journal(journal_path)
    try:
        return any(release.runner is not None and release.runner.pid == pid for release in journal.releases(3))
    finally:
        journal.close()


def _last_words(log: Path, offset: int, status: int) -> Problem | str:
    """What a runner printed that ended without a release: with status 0 there was nothing to do."""
    from mlconsole.text import clean_line

    try:
        with log.open("rb") as file:
            # one that became long was begun anew meanwhile
            file.seek(offset if offset <= os.fstat(file.fileno()).st_size else 0)
            text = file.read(64_000).decode("utf-8", "replace")
    except OSError:
        text = ""
    lines = [clean_line(part) for part in text.splitlines() if part.strip()]
    if not lines:
        return OutsideFailed("The runner ended before it began, and said nothing.", f"Look at {log}.")
    words = " ".join(lines[-3:])
    if status == 0:
        return words
    return OutsideFailed(f"The runner ended before it began: {words}", f"All that it said is in {log}.")
