"""The app: it holds the view, lets threads keep it up to date, and hands it to the main screen."""

from __future__ import annotations

import importlib
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from textual.app import App
from textual.binding import BindingType
from textual.screen import Screen

from mlconsole.console.actions import Action
from mlconsole.console.actions.action import RELEASE
from mlconsole.console.actions.registry import applies_in
from mlconsole.console.background import Background, Finished, Ticker
from mlconsole.console.faults import as_record, console_log
from mlconsole.console.journal_reader import INTERVAL, JournalReader
from mlconsole.console.live import PLACE_SECONDS, REPO_SECONDS, PodsFeed, read_data, read_place, read_repo
from mlconsole.console.messages import Faulted, JournalSeen, Perform, PodsSeen
from mlconsole.console.palette import ActionCommands
from mlconsole.console.panels.pods import PodsPanel
from mlconsole.console.screens.main import MainScreen
from mlconsole.console.view import ClusterPlace, JournalReading, View
from mlconsole.errors import Problem
from mlconsole.evidence.base import StageName, now
from mlconsole.evidence.release import Release

if TYPE_CHECKING:
    from mlconsole.evidence.cluster import PodRow
    from mlconsole.project import Project
    from mlconsole.services.kubernetes.connection import Connection


class MlconsoleApp(App[None]):
    """The console of one project.

    Args:
        project: the project.
        readonly: change nothing outside.
        follow_pods: watch the cluster.
    """

    CSS_PATH = Path(__file__).with_name("screens") / "main.tcss"
    """The default screen's: Textual reads the style sheets of screens only where they are pushed."""
    COMMANDS: ClassVar[set[Any]] = {ActionCommands}
    ENABLE_COMMAND_PALETTE = True
    COMMAND_PALETTE_BINDING = "f24"
    """The registry of actions has the palette's keys; Textual wants one of its own, so it gets one that no one has."""
    BINDINGS: ClassVar[list[BindingType]] = []

    def __init__(self, project: Project, *, readonly: bool = False) -> None:
        super().__init__()
        self.project = project
        self.title = project.settings.name
        self.view = View(project=project, readonly=readonly)
        self.background = Background(self.post_message, self._work_failed)
        self.main = MainScreen(self.view)
        self._pods = PodsFeed(project, self.background, self.post_message)
        self._reader = JournalReader(project, lambda reading: self._post(JournalSeen(reading)))
        self._reading = Ticker(
            "journal", self._reader.step, INTERVAL, lambda error: self._post(Faulted("journal", error)), least=0.05
        )
        self._chosen = False
        self._under_way: set[str] = set()
        """What was asked for and goes on: a key that comes twice does not do things twice."""

    def _post(self, message: JournalSeen | Faulted) -> None:
        self.post_message(message)

    def get_default_screen(self) -> Screen[None]:
        """The main screen is the one below all others."""
        return self.main

    def on_mount(self) -> None:
        """Let the first frame come before anything heavy is imported."""
        self._reading.start()
        self.call_after_refresh(self._begin)

    async def _begin(self) -> None:
        await self.main.complete()
        self.refresh_live()
        self.set_interval(1.0, self._tick)
        self.set_interval(REPO_SECONDS, self._look_at_repo)
        self.set_interval(PLACE_SECONDS, self._look_at_place)

    def _tick(self) -> None:
        self.change(moment=now())

    # the view

    def change(self, **parts: Any) -> None:
        """Replace parts of the view, and show it."""
        self.view = replace(self.view, **parts)
        if self.main.is_mounted:
            self.main.show(self.view)

    def select(self, stage: StageName) -> None:
        """Show another stage."""
        self._chosen = True
        self.change(selected=stage)

    def follow(self) -> None:
        """Let the selection go along with the release, until a person selects a stage."""
        self._chosen = False

    def show_release(self, number: int | None) -> None:
        """Show a past release, or the latest one (None)."""
        self._reader.show(number)
        self._reading.wake()

    def show_latest(self) -> None:
        """Show the latest release, where a past one is shown."""
        if self.view.past:
            self.show_release(None)

    def say(self, sentence: str) -> None:
        """Say a sentence in the footer."""
        self.main.footer.say(sentence)

    @property
    def selected_pod(self) -> PodRow | None:
        """The pod that the cursor is on."""
        panel = self.main.panel
        return panel.selected_pod if isinstance(panel, PodsPanel) else None

    def watch_pods(self, selector: str) -> None:
        """Watch the pods with these labels; the project's where it is empty."""
        self._pods.selector = selector
        self._pods.start(lambda error: self.change(pods_problem=as_record(error, console_log(self.project))))

    def connect(self) -> Connection:
        """Open a connection to the project's cluster; blocks."""
        return self._pods.connect()

    # what threads tell

    def on_journal_seen(self, message: JournalSeen) -> None:
        """Show what was read; at first, the stage that matters now."""
        reading = message.reading
        stay = self._chosen or self.main.is_inside
        selected = self.view.selected if stay else stage_that_matters(reading) or self.view.selected
        self.change(journal=reading, selected=selected, moment=now())

    def on_pods_seen(self, message: PodsSeen) -> None:
        """Show the pods."""
        place = self.view.cluster
        target = message.snapshot.target
        if target.namespace and target.namespace != place.namespace:
            place = replace(place, namespace=target.namespace)
        self.change(pods=message.snapshot, pods_problem=None, cluster=place)

    def on_faulted(self, message: Faulted) -> None:
        """Say what went wrong in a thread that goes on."""
        self._work_failed(message.where, message.error)

    def on_finished(self, message: Finished) -> None:
        """Take what background work returned."""
        message.deliver()

    def on_perform(self, message: Perform) -> None:
        """Carry out what a widget asks for."""
        self.perform(message.action)

    def _work_failed(self, where: str, error: BaseException) -> None:
        record = as_record(error, console_log(self.project))
        if where == "journal":
            self.change(journal=JournalReading(problem=record))
        self.say(f"{where}: {record.sentence}")

    def runner_started(self, problem: Problem | None) -> None:
        """A runner has taken its release, or ended before it did."""
        self.change(busy="", runner_problem=as_record(problem) if problem else None)
        self._reading.wake()

    # what is live

    def refresh_live(self) -> None:
        """Look anew at repository, data and cluster."""
        self._look_at_repo()
        self._look_at_place()
        self.background.run("data", lambda stop: read_data(self.project), lambda found: self.change(data=found))
        self._pods.start(lambda error: self.change(pods_problem=as_record(error, console_log(self.project))))

    def _look_at_repo(self) -> None:
        if not self.background.is_busy("repo"):
            root = self.project.root
            self.background.run("repo", lambda stop: read_repo(root), lambda found: self.change(repo=found))

    def _look_at_place(self) -> None:
        if not self.background.is_busy("place"):
            self.background.run("place", lambda stop: read_place(self.project), self._place_seen)

    def _place_seen(self, place: ClusterPlace) -> None:
        came_up = self.view.cluster.local_running is False and place.local_running
        if not place.namespace and self.view.pods is not None:
            place = replace(place, namespace=self.view.pods.target.namespace)
        self.change(cluster=place)
        if came_up:
            self._pods.start(lambda error: self.change(pods_problem=as_record(error, console_log(self.project))))

    # actions

    def action_perform(self, name: str) -> None:
        """A key was pressed."""
        self.perform(name)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """A key that does something for one stage does nothing for another."""
        if action == "perform" and parameters:
            return applies_in(self.view.registry[str(parameters[0])], self.scope)
        return super().check_action(action, parameters)

    @property
    def scope(self) -> str:
        """Which actions the keys are for: a stage's, or those of the screen on top."""
        scope = getattr(self.screen, "scope", "")
        return scope if isinstance(scope, str) else ""

    def perform(self, name: str) -> None:
        """Carry out an action by its id, or say why it does not apply."""
        action = self.view.registry[name]
        if (reason := action.why_not(self.view)) is not None:
            self.say(reason)
            return
        turn = RELEASE if action.group == RELEASE else name
        if turn not in self._under_way:
            self._under_way.add(turn)
            self.run_worker(self._carried_out(action, turn), group="operation", exit_on_error=False)

    async def _carried_out(self, action: Action, turn: str) -> None:
        try:
            module = importlib.import_module(f"mlconsole.console.operations.{action.operations}")
            await getattr(module, action.id)(self)
        except Problem as problem:
            from mlconsole.console.operations.common import tell

            await tell(self, problem)
        except Exception as error:  # noqa: BLE001 - said in words, with the details in our log; the app goes on
            self._work_failed(action.words, error)
        finally:
            self._under_way.discard(turn)

    def on_unmount(self) -> None:
        """Let all threads go; none of them is waited for."""
        self._reading.stop()
        self.background.close()
        self._pods.stop()


def stage_that_matters(reading: JournalReading) -> StageName | None:
    """The stage to look at first: the one that runs, waits or failed, else the last one that ran."""
    release: Release | None = reading.shown
    if release is None:
        return None
    for state in ("running", "waiting", "refused", "failed", "interrupted", "cancelled"):
        for run in reading.runs.values():
            if run.state == state:
                return run.stage
    ran = sorted(reading.runs.values(), key=lambda run: run.started_at)
    return ran[-1].stage if ran else None


def run(project: Project, *, readonly: bool = False) -> None:
    """Show the console of a project until the person leaves it."""
    import gc

    MlconsoleApp(project, readonly=readonly).run()
    # the process ends soon: the last collection would look at every object of every library once more, for nothing
    gc.disable()
    gc.freeze()
