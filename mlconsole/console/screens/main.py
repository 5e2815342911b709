"""The main screen: header, rail, the panel of the selected stage, evidence strip, footer."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container, Vertical
from textual.events import Resize
from textual.screen import Screen

from mlconsole.console.actions.registry import COMMANDS_SCOPE
from mlconsole.console.panels.base import Panel
from mlconsole.console.panels.data import DataPanel
from mlconsole.console.panels.deploy import DeployPanel
from mlconsole.console.panels.pods import PodsPanel
from mlconsole.console.panels.repo import RepoPanel
from mlconsole.console.panels.test import TestPanel
from mlconsole.console.panels.train import TrainPanel
from mlconsole.console.screens.opening import LOW, NARROW
from mlconsole.console.view import View
from mlconsole.console.widgets.command_log import CommandLog
from mlconsole.console.widgets.evidence_strip import EvidenceStrip
from mlconsole.console.widgets.footer import Footer
from mlconsole.console.widgets.header import Header
from mlconsole.console.widgets.rail import Rail, Shape
from mlconsole.console.widgets.selectable import copied_words
from mlconsole.evidence.base import STAGES, StageName

PANELS: tuple[type[Panel], ...] = (RepoPanel, DataPanel, TrainPanel, TestPanel, DeployPanel, PodsPanel)


class MainScreen(Screen[None]):
    """Draws the app's view. What a person selects and enters here is the screen's own; the rest is the app's."""

    CSS_PATH = "main.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        *(Binding(str(place), f"select('{stage}')", stage, show=False) for place, stage in enumerate(STAGES, 1)),
        Binding("enter", "enter", "into the panel", show=False),
        Binding("escape", "leave", "back", show=False),
    ]

    def __init__(self, view: View) -> None:
        super().__init__()
        self._view = view
        for action in view.registry.actions:
            # Textual's own key map knows of one action a key; here a key may do one thing for each stage
            self._bindings.bind(action.keys, f"app.perform('{action.id}')", action.words, show=False)
        self._header = Header(view)
        self._rail = Rail(view)
        self._strip = EvidenceStrip(view)
        self._commands = CommandLog(view)
        self._footer = Footer(view)
        self._panels: dict[StageName, Panel] = {panel.stage: panel(view) for panel in PANELS}

    def compose(self) -> ComposeResult:
        """The parts, from top to bottom."""
        yield self._header
        with Container(id="body"):
            yield self._rail
            with Vertical(id="main"):
                with Vertical(id="panels"):
                    yield self.panel
                yield self._strip
        yield self._commands
        yield self._footer

    def on_mount(self) -> None:
        """Show the first view."""
        self.show(self._view)
        self._rail.focus()

    async def complete(self) -> None:
        """Add the panels that the first frame does without."""
        place = self.query_one("#panels")
        for panel in self._panels.values():
            if not place.is_attached:
                # the console ends while it comes up
                return
            if not panel.is_attached:
                # one at a time: between them, keys are taken
                await place.mount(panel)
                panel.display = panel is self.panel

    @property
    def panel(self) -> Panel:
        """The panel of the selected stage."""
        return self._panels[self._view.selected]

    @property
    def scope(self) -> str:
        """Which actions the keys are for: those of the selected stage, or of the command log."""
        return COMMANDS_SCOPE if self._commands.has_focus else self._view.selected

    @property
    def is_inside(self) -> bool:
        """Whether the keys go to the panel."""
        return self.panel.has_focus_within

    @property
    def footer(self) -> Footer:
        """The footer, which also says sentences."""
        return self._footer

    def show(self, view: View) -> None:
        """Show a view."""
        self._view = view
        for stage, panel in self._panels.items():
            panel.display = stage == view.selected
        self._header.show(view)
        self._rail.show(view)
        self.panel.show(view)
        self._strip.show(view)
        self._commands.show(view)
        self._footer.show(view, self.scope, inside=self.is_inside)

    def on_resize(self, event: Resize) -> None:
        """Stack where it is narrow."""
        self._arrange()

    def _arrange(self) -> None:
        width, height = self.size
        stacked = width < NARROW
        strip = stacked and (height < LOW or self.is_inside)
        self.set_class(stacked, "-stacked")
        self.set_class(strip, "-strip")
        shape: Shape = "strip" if strip else "list" if stacked else "tall"
        self._rail.show(self._view, shape)
        self._strip.most = 3 if height < 30 else 6
        self._strip.show(self._view)

    def zoom(self) -> None:
        """Give the panel the whole width, or take it back."""
        self.toggle_class("-zoomed")
        if self.has_class("-zoomed") and not self.is_inside:
            self.panel.target.focus()
        elif not self.has_class("-zoomed"):
            self._arrange()

    @property
    def command_log(self) -> CommandLog:
        """The commands that do what was done."""
        return self._commands

    def toggle_commands(self) -> None:
        """List all commands and go there, or only the last one and go back."""
        self._commands.toggle()
        (self._commands if self._commands.is_open else self._rail).focus()
        self._footer.show(self._view, self.scope, inside=self.is_inside)

    def on_rail_selected(self, message: Rail.Selected) -> None:
        """Show another stage."""
        message.stop()
        self.select(message.stage)
        if message.enter:
            self.action_enter()

    def action_select(self, stage: StageName) -> None:
        """Select a stage; who is inside a panel gets inside the other one."""
        inside = self.is_inside
        self.select(stage)
        if inside:
            self.panel.target.focus()

    def select(self, stage: StageName) -> None:
        """Ask the app for another stage."""
        from mlconsole.console.app import MlconsoleApp

        if isinstance(self.app, MlconsoleApp):
            self.app.select(stage)

    def action_copy_text(self) -> None:
        """Copy what the mouse has selected, and say so."""
        super().action_copy_text()
        self._footer.say(copied_words(self.get_selected_text() or ""))

    def action_enter(self) -> None:
        """Go into the panel."""
        self.panel.target.focus()

    def action_leave(self) -> None:
        """Come back: from the panel to the rail, from a past release to the latest."""
        from mlconsole.console.app import MlconsoleApp

        self.remove_class("-zoomed")
        if self._commands.has_focus:
            self.toggle_commands()
            return
        if self.is_inside or self.focused is not self._rail:
            self._rail.focus()
        elif isinstance(self.app, MlconsoleApp):
            self.app.show_latest()

    def on_descendant_focus(self) -> None:
        """Narrow screens give more room to the panel that one is in; the footer says what keys do there."""
        self._arrange()
        self._footer.show(self._view, self.scope, inside=self.is_inside)
