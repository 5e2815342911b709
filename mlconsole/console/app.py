"""The app: it holds the view, lets threads keep it up to date, and hands it to the main screen.

Nothing but Textual is imported on the way to the first frame: a thread brings in the rest, then `_open` goes on.
"""

from __future__ import annotations

import asyncio
import gc
import os
import signal
from dataclasses import replace
from inspect import iscoroutinefunction
from typing import TYPE_CHECKING, Any, ClassVar

from textual.app import App
from textual.binding import BindingType
from textual.events import DescendantFocus, Event, InputEvent
from textual.screen import Screen

from mlconsole.console.ascii_only import sign_filters
from mlconsole.console.background import Background, Finished
from mlconsole.console.loading import load, operation_of, warm
from mlconsole.console.screens.opening import OpeningScreen
from mlconsole.console.themes import OURS, chosen, shades
from mlconsole.errors import Exit, Problem
from mlconsole.evidence.base import StageName, now
from mlconsole.project.preferences import Preferences
from mlconsole.text import listed

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from pathlib import Path

    from textual.filter import LineFilter

    from mlconsole.console.actions import Action, Registry
    from mlconsole.console.cloning import CloneOrder
    from mlconsole.console.messages import Faulted, JournalSeen, Perform, PodsSeen
    from mlconsole.console.screens.main import MainScreen
    from mlconsole.console.typeahead import TypeAhead
    from mlconsole.console.view import ClusterPlace, View
    from mlconsole.console.watching import Watching
    from mlconsole.evidence.cluster import PodRow
    from mlconsole.project import Project
    from mlconsole.services.kubernetes.connection import Connection

REPO_SECONDS = 4.0
PLACE_SECONDS = 2.0
SETTLED_SECONDS = (2.0, 5.0, 15.0)
"""When what is there is taken for good: modules that threads import later are many objects, and the collector would
look at all of them again and again, while a frame is drawn."""


class MlconsoleApp(App[None]):
    """The console of one project.

    Args:
        project: the project.
        readonly: change nothing outside.
        preferences: the person's; none: the defaults.
        clone: what is cloned, or offered to be, before there is a project to open.
    """

    ENABLE_COMMAND_PALETTE = False
    """The registry of actions has one of its own."""
    BINDINGS: ClassVar[list[BindingType]] = []
    view: View
    main: MainScreen
    watching: Watching
    typeahead: TypeAhead

    def __init__(
        self,
        project: Project,
        *,
        readonly: bool = False,
        preferences: Preferences | None = None,
        clone: CloneOrder | None = None,
    ) -> None:
        super().__init__()
        self.project = project
        self._clone = clone
        self.preferences = preferences or Preferences()
        for theme in OURS:
            self.register_theme(theme)
        self.theme = chosen(self.preferences.theme, self.console.color_system, tuple(self.available_themes))
        self._signs = sign_filters(self.preferences.ascii, os.environ)
        if self.preferences.keys:
            self._read_keys()
        self.readonly = readonly
        self.title = project.settings.name
        self.background = Background(self.post_message, self._work_failed)
        self.is_open = False
        """Whether the first frame is past, and view, main screen and all that watches are there."""
        self._chosen = False
        self.aimed: tuple[str, ...] = ()
        """The options of a runner that goes where a person has switched to."""
        self.defect: Exception | None = None
        """What of ours went wrong and ended the console."""
        self._under_way: set[str] = set()
        """What was asked for and goes on: a key that comes twice does not do things twice."""

    def get_default_screen(self) -> Screen[None]:
        """The first frame."""
        return OpeningScreen(self.title)

    def get_css_variables(self) -> dict[str, str]:
        """The theme's, with two shades of text."""
        variables = super().get_css_variables()
        return {**variables, **shades(variables, self.current_theme)}

    def get_line_filters(self) -> Sequence[LineFilter]:
        """Signs are the last thing to be changed."""
        return [*super().get_line_filters(), *self._signs]

    def on_mount(self) -> None:
        """Let the first frame come before anything heavy is imported."""
        if not self.is_headless:
            # as `kill` asks for it: in order, so that the terminal is given back as it was
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, self.exit, None, 128 + signal.SIGTERM)
        self.call_after_refresh(self._load)

    def _load(self) -> None:
        def loaded(done: None) -> None:
            self.call_later(self._open)

        self.background.run("opening", load, loaded, self._opening_failed)

    def _opening_failed(self, error: BaseException) -> None:
        self.exit(
            return_code=int(Exit.OUTSIDE_FAILED), message=f"mlconsole can't open: {type(error).__name__}: {error}"
        )

    def _handle_exception(self, error: Exception) -> None:
        self.defect = self.defect or error
        super()._handle_exception(error)

    def _fatal_error(self) -> None:
        # in place of Textual's own report, which shows the values of variables: secrets may be among them
        self._close_messages_no_wait()

    def _read_keys(self) -> Registry:
        from mlconsole.console.keymap import with_preferred

        return with_preferred(self.preferences.keys, "config.toml")

    async def _open(self) -> None:
        from mlconsole.services import readonly

        readonly.switch(self.readonly)
        if self._clone is None:
            await self._open_project()
        else:
            from mlconsole.console.screens.clone import CloneScreen

            await self.push_screen(CloneScreen(self._clone), self._cloned)

    async def _cloned(self, folder: Path | None) -> None:
        from mlconsole.project import open_project

        if folder is None and self._clone is not None and self._clone.url:
            self.exit(return_code=int(Exit.CANCELLED))
            return
        try:
            self.project = open_project(folder) if folder is not None else self.project
        except Problem as problem:
            self.exit(return_code=int(problem.exit_code), message=f"mlconsole: {problem}")
            return
        await self._open_project()

    async def _open_project(self) -> None:
        await self.open(self.project)
        self.set_interval(1.0, lambda: self.change(moment=now()))
        self.set_interval(REPO_SECONDS, lambda: self.watching.look_at_repo())
        self.set_interval(PLACE_SECONDS, lambda: self.watching.look_at_place())
        await self.main.complete()
        self.background.run("warming", warm, lambda done: gc.freeze())
        for seconds in SETTLED_SECONDS:
            self.set_timer(seconds, gc.freeze)

    async def open(self, project: Project) -> None:
        """Show a project, in place of the one that was open."""
        from mlconsole.console.screens.main import MainScreen
        from mlconsole.console.typeahead import TypeAhead
        from mlconsole.console.view import View
        from mlconsole.console.watching import Watching

        before = self.main if self.is_open else None
        if before is not None:
            self.watching.stop()
        self.project, self.title = project, project.settings.name
        self.view = View(project=project, readonly=self.readonly, registry=self._read_keys())
        self.main = MainScreen(self.view)
        self.watching = Watching(self, self.background)
        self.typeahead = TypeAhead(self)
        await (self.push_screen(self.main) if before is None else self.switch_screen(self.main))
        self.is_open = True
        self.watching.start()
        if before is not None:
            await self.main.complete()

    def on_unmount(self) -> None:
        """Let all threads go; none of them is waited for."""
        self.background.close()
        if self.is_open:
            self.watching.stop()

    async def on_event(self, event: Event) -> None:
        """Keys and clicks that come while the app ends are nobody's: there is no screen to take them."""
        if isinstance(event, InputEvent) and (self._exit or not self.screen_stack):
            return
        if not (self.is_open and self.typeahead.holds(event)):
            await super().on_event(event)

    async def on_descendant_focus(self, event: DescendantFocus) -> None:
        """A line that was opened takes what was typed for it meanwhile."""
        if self.is_open:
            await self.typeahead.focus_moved(event.widget)

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
        self.watching.show_release(number)

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
        return getattr(self.main.panel, "selected_pod", None)

    def connect(self) -> Connection:
        """Open a connection to the project's cluster; blocks."""
        return self.watching.pods.connect()

    def watch_pods(self, selector: str) -> None:
        """Watch the pods with these labels; empty: the project's."""
        self.watching.pods.selector = selector
        self.watching.watch_pods()

    def aim_at(self, context: str, namespace: str = "") -> None:
        """Look at another context or namespace, and send new releases there; nothing waits for the one before."""
        self.project = self.project.aimed_at(context, namespace)
        self.aimed = tuple(word for pair in (("--context", context), ("-n", namespace)) if pair[1] for word in pair)
        self.watching.pods.aim(self.project)
        deploy = self.project.settings.deploy
        place = replace(
            self.view.cluster,
            context=context,
            namespace=deploy.namespace,
            protected=deploy.protects(context),
            local_running=None,
        )
        self.change(project=self.project, pods=None, pods_problem=None, cluster=place)
        self.watching.look_at_place()
        self.watching.watch_pods()

    def note_command(self, text: str, note: str = "") -> None:
        """Tell in the command log what the console itself has just done, as the command that does the same."""
        self.change(commands=self.view.with_command(text, note))

    def refresh_live(self) -> None:
        """Look anew at repository, data and cluster."""
        self.watching.refresh()

    # what threads tell

    def on_journal_seen(self, message: JournalSeen) -> None:
        """Show what was read; at first, the stage that matters now."""
        from mlconsole.console.trigger_lines import news
        from mlconsole.console.view import stage_that_matters

        reading = message.reading
        if self.view.journal is not None and (fresh := news(self.view.triggers, reading.triggers)):
            self._ring(f"{self.title}: a release is proposed: {listed([trigger.words for trigger in fresh])}")
        stay = self._chosen or self.main.is_inside
        selected = self.view.selected if stay else stage_that_matters(reading) or self.view.selected
        self.change(journal=reading, selected=selected, moment=now())

    def _ring(self, sentence: str) -> None:
        """Have the terminal call those who sit before it, as the settings say."""
        from mlconsole.services.notify import terminal_text

        text = terminal_text(self.project.settings.notify.terminal, sentence)
        if text and self._driver is not None and not self.is_headless:
            self._driver.write(text)

    def on_pods_seen(self, message: PodsSeen) -> None:
        """Show the pods."""
        place = self.view.cluster
        target = message.snapshot.target
        if target.namespace and target.namespace != place.namespace:
            place = replace(place, namespace=target.namespace)
        self.change(pods=message.snapshot, pods_problem=None, cluster=place)
        self.watching.tell_pods()

    def place_seen(self, place: ClusterPlace) -> None:
        """Show where releases go; the namespace may be known from the pods."""
        if not place.namespace and self.view.pods is not None:
            place = replace(place, namespace=self.view.pods.target.namespace)
        self.change(cluster=place)

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
        from mlconsole.console.faults import as_record, console_log
        from mlconsole.console.view import JournalReading

        record = as_record(error, console_log(self.project))
        if where == "journal":
            self.change(journal=JournalReading(problem=record))
        self.say(f"{where}: {record.sentence}")

    def runner_started(self, outcome: Problem | str) -> None:
        """A runner has taken its release, or ended before it did: with a problem, or in words why there is none."""
        from mlconsole.console.faults import as_record

        self.change(busy="", runner_problem=as_record(outcome) if isinstance(outcome, Problem) else None)
        if isinstance(outcome, str) and outcome:
            self.say(outcome)
        self.watching.look_at_journal()

    # actions

    def action_perform(self, name: str) -> None:
        """A key was pressed."""
        self.perform(name)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """A key that does something for one stage does nothing for another."""
        if action != "perform" or not parameters:
            return super().check_action(action, parameters)
        from mlconsole.console.actions.registry import applies_in

        return applies_in(self.view.registry[str(parameters[0])], self.scope)

    @property
    def scope(self) -> str:
        """Which actions the keys are for: a stage's, or those of the screen on top."""
        scope = getattr(self.screen, "scope", "")
        return scope if isinstance(scope, str) else ""

    def perform(self, name: str) -> None:
        """Carry out an action by its id, or say why it does not apply.

        What waits for nothing is done before this returns: the next key may already be on its way.
        """
        action = self.view.registry[name]
        if (reason := action.why_not(self.view)) is not None:
            self.say(reason)
        elif action.turn not in self._under_way:
            operation = operation_of(action)
            if iscoroutinefunction(operation):
                self._under_way.add(action.turn)
                self.run_worker(self._carried_out(action, operation), group="operation", exit_on_error=False)
                return
            try:
                operation(self)
            except Exception as error:  # noqa: BLE001 - said in words, with the details in our log; the app goes on
                self._failed(action, error)

    async def _carried_out(self, action: Action, operation: Callable[[MlconsoleApp], Awaitable[None]]) -> None:
        try:
            await operation(self)
        except Exception as error:  # noqa: BLE001 - as above
            self._failed(action, error)
        finally:
            self._under_way.discard(action.turn)

    def _failed(self, action: Action, error: Exception) -> None:
        if isinstance(error, Problem):
            from mlconsole.console.operations.common import tell

            tell(self, error)
        else:
            self._work_failed(action.words, error)
