"""Carries actions out. What changes anything outside is shown first, with its exact command, and asked for."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from textual.content import Content

from mlconsole.console.background import Post
from mlconsole.console.faults import as_record
from mlconsole.console.log_feed import Feed, FileFeed, PodFeed, StoryFeed
from mlconsole.console.paint import (
    DIM,
    FAINT,
    STRONG,
    block_lines,
    heading,
    line,
    problem_lines,
    verdict_lines,
    wrapped,
)
from mlconsole.console.palette import Palette
from mlconsole.console.panels.base import sections
from mlconsole.console.panels.deploy import plan_diff, plan_head, plan_summary
from mlconsole.console.screens.confirm import Answer, ConfirmScreen, Question
from mlconsole.console.screens.detail import DetailScreen
from mlconsole.console.screens.help import help_screen
from mlconsole.console.screens.history import HistoryScreen
from mlconsole.console.screens.log import LogScreen
from mlconsole.console.view import View
from mlconsole.errors import OutsideFailed, Problem
from mlconsole.evidence.release import StageRun
from mlconsole.journal import Journal

if TYPE_CHECKING:
    from mlconsole.console.app import MlconsoleApp

T = TypeVar("T")
RUNNER_SECONDS = 20.0
"""A runner that has not taken its release by then is no longer waited for."""


class Operations:
    """One method for each action, by its id."""

    def __init__(self, app: MlconsoleApp) -> None:
        self._app = app

    @property
    def _view(self) -> View:
        return self._app.view

    # releases

    async def next(self) -> None:
        """Run the next stage, or begin a release with its first."""
        release, stage = self._view.open_release, self._view.next_stage
        if release is None or stage is None:
            await self._launch(["run", "--until", "repo"], "Starting a release")
        else:
            await self._launch(["resume", str(release.number), "--until", stage], f"Starting {stage}")

    async def go(self) -> None:
        """Run on until a gate stops it."""
        release = self._view.open_release
        arguments = ["run"] if release is None else ["resume", str(release.number)]
        await self._launch(
            arguments, "Starting a release" if release is None else f"Going on with release {release.number}"
        )

    async def begin(self) -> None:
        """Begin a new release."""
        await self._launch(["run", "--until", "repo"], "Starting a release")

    async def approve(self) -> None:
        """Show the plan, ask, write the decision, go on."""
        release, plan = self._view.latest, self._view.plan
        if release is None or plan is None:
            return
        run = self._view.run("deploy")
        commands = [f"mlconsole approve {release.number}", *(found.line for found in (run.commands if run else ()))]

        def preview(width: int) -> list[Content]:
            goes = (f"{plan.version} goes to {plan.target.context}: ", STRONG)
            summary = wrapped(line(goes, f"{plan_summary(plan)}."), width)
            judged = verdict_lines(run.verdict, width) if run and run.verdict and run.verdict.reasons else []
            return sections(
                summary, judged, command_preview(commands, width), plan_head(plan, None, self._view), plan_diff(plan)
            )

        question = Question(
            f"Approve release {release.number}?", preview, "Approve", typed=self._typed(plan.target.context)
        )
        if await self._asked(question) is None:
            return
        from mlconsole.release import decisions

        if await self._decided(lambda journal: decisions.approve(journal, release.number, who=decisions.who_am_i())):
            await self._launch(["resume", str(release.number)], f"Going on with release {release.number}")

    async def override(self) -> None:
        """Show what the gate said, ask for a reason, write the decision, go on."""
        release = self._view.latest
        if release is None:
            return
        refused = next((run for run in self._runs() if run.state == "refused"), None)

        def preview(width: int) -> list[Content]:
            verdict = refused.verdict if refused else None
            found = [heading("The gate said"), *verdict_lines(verdict, width)] if verdict else []
            return sections(found, command_preview([f'mlconsole resume {release.number} --override "…"'], width))

        question = Question(f"Override the gate of release {release.number}?", preview, "Override", wants_reason=True)
        answer = await self._asked(question)
        if answer is None:
            return
        from mlconsole.release import decisions

        who, reason = decisions.who_am_i(), answer.reason
        if await self._decided(lambda journal: decisions.override(journal, release.number, who=who, reason=reason)):
            await self._launch(["resume", str(release.number)], f"Going on with release {release.number}")

    async def cancel(self) -> None:
        """Ask, then write the decision: the runner ends its release."""
        release = self._view.latest
        if release is None:
            return

        def preview(width: int) -> list[Content]:
            words = "The stage that runs is ended with all of its processes; what is finished stays in the journal."
            return sections(
                [*block_lines((), width), line(words)], command_preview([f"mlconsole cancel {release.number}"], width)
            )

        if await self._asked(Question(f"Cancel release {release.number}?", preview, "Cancel it")) is None:
            return
        from mlconsole.release import decisions

        await self._decided(lambda journal: decisions.cancel(journal, release.number, who=decisions.who_am_i()))

    async def rollback(self) -> None:
        """Show from where to where, ask, start the rollback."""
        view = self._view
        previous = view.journal.previous if view.journal else ""
        context = view.cluster.context

        def preview(width: int) -> list[Content]:
            way = line((view.champion or "nothing", STRONG), (" serves now  →  ", DIM), (previous, STRONG))
            words = line((f"Its manifests are applied again to {context or 'the current context'}.", DIM))
            return sections([way, words], command_preview([f"mlconsole rollback {previous.rpartition('@')[2]}"], width))

        question = Question(f"Roll back to {previous}?", preview, "Roll back", typed=self._typed(context))
        if await self._asked(question) is not None:
            await self._launch(["rollback", previous.rpartition("@")[2]], f"Rolling back to {previous}")

    async def cluster(self) -> None:
        """Ask, then start the local cluster."""
        project = self._view.project

        def preview(width: int) -> list[Content]:
            words = (
                "A process of its own on this machine; it goes on when the console ends, until: mlconsole cluster stop"
            )
            return sections(wrapped(line(words), width), command_preview(["mlconsole cluster start"], width))

        if await self._asked(Question("Start the local cluster?", preview, "Start")) is None:
            return
        from mlconsole.console.live import start_local_cluster

        self._app.change(busy="Starting the local cluster")
        try:
            await self._aside(lambda: start_local_cluster(project))
        finally:
            self._app.change(busy="")
        self._app.refresh_live()

    # looking

    async def log(self) -> None:
        """Open the log of the selected stage, or of the selected pod."""
        view = self._view
        if view.selected == "pods":
            pod = self._app.selected_pod
            if pod is not None:
                connect = self._app.connect
                self._app.push_screen(
                    LogScreen(
                        f"Log of {pod.name}",
                        lambda post: PodFeed(connect, pod.namespace, pod.name, post),
                        empty="Waiting for the first line …",
                    )
                )
            return
        if view.shown is not None:
            app, stage = self._app, view.selected
            path = view.project.release_folder(view.shown.number) / f"{stage}.log"
            title = f"Log of {stage}, release {view.shown.number}"

            def feed(post: Post) -> Feed:
                has_own = path.is_file() and path.stat().st_size > 0
                return FileFeed(path, post) if has_own else StoryFeed(stage, lambda: app.view.story, post)

            app.push_screen(LogScreen(title, feed, empty="Nothing was written to this log yet."))

    async def history(self) -> None:
        """Choose a release to show."""
        number = await self._app.push_screen_wait(HistoryScreen(self._view))
        if number is not None:
            latest = self._view.latest
            self._app.show_release(None if latest is not None and latest.number == number else number)

    async def refresh(self) -> None:
        """Look anew at everything that is live."""
        self._app.refresh_live()
        self._app.say("Looking again at repository, data and cluster.")

    async def zoom(self) -> None:
        """Give the panel the whole width, or take it back."""
        self._app.main.zoom()

    async def theme(self) -> None:
        """Choose other colours."""
        from textual.theme import ThemeProvider

        await self._app.push_screen(Palette(providers=[ThemeProvider], placeholder="Search for themes…"))

    async def palette(self) -> None:
        """Find an action by its name."""
        await self._app.push_screen(Palette(id="--command-palette"))

    async def help(self) -> None:
        """All keys."""
        await self._app.push_screen(help_screen(self._view))

    async def quit(self) -> None:
        """Leave; a running release goes on."""
        self._app.exit()

    # how

    def _runs(self) -> Sequence[StageRun]:
        return tuple(self._view.journal.runs.values()) if self._view.journal else ()

    def _typed(self, context: str) -> str:
        from mlconsole.console.view import is_protected

        return context if is_protected(context, self._view.project.settings.deploy.protected) else ""

    async def _asked(self, question: Question) -> Answer | None:
        return await self._app.push_screen_wait(ConfirmScreen(question))

    async def _aside(self, work: Callable[[], T]) -> T:
        """Do blocking work in a thread and wait for it."""
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._app.background.run("operation", lambda stop: work(), future.set_result, future.set_exception)
        return await future

    async def _decided(self, write: Callable[[Journal], object]) -> bool:
        """Write a decision into the journal; show why where that is refused."""
        path = self._view.project.journal_path

        def work() -> None:
            journal = Journal(path)
            try:
                write(journal)
            finally:
                journal.close()

        try:
            await self._aside(work)
        except Problem as problem:
            await self.tell(problem)
            return False
        return True

    async def tell(self, problem: Problem) -> None:
        """Show a problem in full."""
        record = as_record(problem)
        await self._app.push_screen(DetailScreen("That did not work", lambda width: problem_lines(record, width)))

    async def _launch(self, arguments: Sequence[str], words: str) -> None:
        """Start a runner and watch that it takes its release."""
        from mlconsole.release.launch import launch

        project = self._view.project
        log = project.state / "runner.log"
        self._app.follow()
        self._app.change(busy=words, runner_problem=None)
        try:
            offset = log.stat().st_size if log.exists() else 0
            pid = await self._aside(lambda: launch(project, arguments))
        except Problem as problem:
            self._app.change(busy="", runner_problem=as_record(problem))
            return
        except BaseException:
            self._app.change(busy="")
            raise
        self._app.background.run(
            "runner", lambda stop: _watch(project.journal_path, log, offset, pid, stop), self._app.runner_started
        )


def command_preview(commands: Sequence[str], width: int) -> list[Content]:
    """The commands that do the same, in full."""
    lines = [heading("The same by hand")]
    for text in commands:
        lines += wrapped(line(("$ ", FAINT), text), width, indent=2)
    return lines


def _watch(journal_path: Path, log: Path, offset: int, pid: int, stop: threading.Event) -> Problem | None:
    """Wait until a runner has taken a release; None, or why it ended before."""
    deadline = time.monotonic() + RUNNER_SECONDS
    while not stop.is_set() and time.monotonic() < deadline:
        ended = _has_ended(pid)
        if _has_taken(journal_path, pid):
            return None
        if ended:
            return OutsideFailed(*_last_words(log, offset))
        stop.wait(0.1)
    return None


def _has_ended(pid: int) -> bool:
    import psutil

    try:
        if os.waitpid(pid, os.WNOHANG)[0] == pid:
            return True
    except ChildProcessError:
        pass
    return not psutil.pid_exists(pid)


def _has_taken(journal_path: Path, pid: int) -> bool:
    if not journal_path.exists():
        return False
    journal = Journal(journal_path)
    try:
        return any(release.runner is not None and release.runner.pid == pid for release in journal.releases(3))
    finally:
        journal.close()


def _last_words(log: Path, offset: int) -> tuple[str, str]:
    """What a runner printed, as a sentence and a next step."""
    from mlconsole.text import clean_line

    try:
        with log.open("rb") as file:
            file.seek(offset)
            text = file.read(64_000).decode("utf-8", "replace")
    except OSError:
        text = ""
    lines = [clean_line(part) for part in text.splitlines() if part.strip()]
    if not lines:
        return "The runner ended before it began, and said nothing.", f"Look at {log}."
    return f"The runner ended before it began: {' '.join(lines[-3:])}", f"All that it said is in {log}."
