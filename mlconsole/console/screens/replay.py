"""A past release shown again as it went, in the same rail and panels, at any speed."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container, Vertical
from textual.content import Content
from textual.events import Resize
from textual.widget import Widget

from mlconsole.console.paint import BUSY, DIM, STATE_STYLES, STRONG, WARN, bar, cut, keys_in, line, split
from mlconsole.console.panels.base import Panel
from mlconsole.console.screens.dialog import Dialog
from mlconsole.console.screens.main import PANELS
from mlconsole.console.screens.opening import LOW, NARROW
from mlconsole.console.tape import Player, Tape, read_tape, with_related
from mlconsole.console.view import JournalReading, View
from mlconsole.console.widgets.rail import Rail, Shape
from mlconsole.evidence.base import STAGES, StageName
from mlconsole.evidence.cluster import ClusterTarget, DeployEvidence, PodsSnapshot, WatchState
from mlconsole.present import glyph, word
from mlconsole.text import duration

TICK_SECONDS = 0.1
SLOWEST, FASTEST = 0.125, 64.0

__all__ = ["ReplayScreen", "read_tape"]


class Bar(Widget):
    """A line that is told what to draw."""

    DEFAULT_CSS = "Bar { height: 1; }"

    def __init__(self, classes: str) -> None:
        super().__init__(classes=classes)
        self._parts: tuple[Content, Content] = (Content(""), Content(""))

    def show(self, left: Content, right: Content) -> None:
        """Draw a left and a right part."""
        self._parts = (left, right)
        self.refresh()

    def render(self) -> Content:
        """The line, in the present width."""
        return split(*self._parts, self.content_size.width)


class ReplayScreen(Dialog[None]):
    """Plays a tape.

    Args:
        view: the console's view, of which project and settings are taken.
        tape: the release.
    """

    scope = "replay"
    CSS_PATH = "replay.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        *(Binding(str(place), f"select('{stage}')", stage, show=False) for place, stage in enumerate(STAGES, 1)),
        Binding("escape,q", "close", "back", show=False),
        Binding("enter", "enter", "into the panel", show=False),
    ]

    def __init__(self, view: View, tape: Tape) -> None:
        super().__init__()
        self._tape = with_related(tape, view.related) if view.shown == tape.release else tape
        self._player = Player(self._tape)
        self._seconds = 0.0
        self._speed = 1.0
        self._playing = True
        self._chosen: StageName | None = None
        self._base = replace(
            view, replaying=True, repo=None, pods=None, pods_problem=None, runner_problem=None, busy="", selected="repo"
        )
        self._view = self._at(0.0)
        self._title, self._bar, self._keys = Bar("title"), Bar("tape"), Bar("keys")
        self._rail = Rail(self._view)
        self._panels: dict[StageName, Panel] = {panel.stage: panel(self._view) for panel in PANELS}

    @property
    def seconds(self) -> float:
        """Where on the tape it is."""
        return self._seconds

    @property
    def is_playing(self) -> bool:
        """Whether it goes on by itself."""
        return self._playing

    @property
    def speed(self) -> float:
        """How many seconds of the release go by in one."""
        return self._speed

    def compose(self) -> ComposeResult:
        """Title, rail and panels, the tape, keys."""
        yield self._title
        with Container(id="replay-body"):
            yield self._rail
            with Vertical(id="replay-panels"):
                yield from self._panels.values()
        yield self._bar
        yield self._keys

    def on_mount(self) -> None:
        """Start to play."""
        self._rail.focus()
        self._draw()
        self.set_interval(TICK_SECONDS, self._tick)

    def on_resize(self, event: Resize) -> None:
        """Stack where it is narrow."""
        stacked = self.size.width < NARROW
        strip = stacked and self.size.height < LOW
        self.set_class(stacked, "-stacked")
        self.set_class(strip, "-strip")
        shape: Shape = "strip" if strip else "list" if stacked else "tall"
        self._rail.show(self._view, shape)

    # where on the tape

    def _tick(self) -> None:
        if self._playing:
            self.move_to(self._seconds + TICK_SECONDS * self._speed)

    def move_to(self, seconds: float) -> None:
        """Show another moment; at the end it holds."""
        self._seconds = min(max(seconds, 0.0), self._tape.length)
        if self._seconds >= self._tape.length:
            self._playing = False
        self._draw()

    def pause(self) -> None:
        """Hold, or go on; from the end again from the start."""
        if not self._playing and self._seconds >= self._tape.length:
            self._seconds = 0.0
        self._playing = not self._playing
        self._draw()

    def change_speed(self, factor: float) -> None:
        """Go faster or slower."""
        self._speed = min(max(self._speed * factor, SLOWEST), FASTEST)
        self._draw()

    def step(self, by: int) -> None:
        """Hold at the next or the last event that changed a stage."""
        self._playing = False
        self.move_to(self._tape.turn(self._seconds, by))

    # what is shown

    def _at(self, seconds: float) -> View:
        reading = self._player.reading(seconds)
        moment = self._tape.moment(seconds)
        selected = self._chosen or _stage_of(reading)
        view = replace(self._base, journal=reading, moment=moment, selected=selected)
        return replace(view, pods=_pods_of(view))

    def _draw(self) -> None:
        self._view = view = self._at(self._seconds)
        for stage, panel in self._panels.items():
            panel.display = stage == view.selected
        self._rail.show(view)
        self._panels[view.selected].show(view)
        self._draw_bars(view)

    def _draw_bars(self, view: View) -> None:
        release, tape = view.shown, self._tape
        assert release is not None
        state = (f"{glyph(release.state)} {word(release.state)}", STATE_STYLES[release.state])
        moment = f"{view.moment.astimezone():%Y-%m-%d %H:%M:%S}"
        self._title.show(
            line((f" Replay of release {release.number} ", f"reverse {WARN}"), "  ", state, f"  {release.version}"),
            line((moment, STRONG)),
        )
        sign = "▶" if self._playing else "‖"
        told = view.story.happenings[-1].words.partition("\n")[0] if view.story.happenings else ""
        width = max(self.size.width - 2, 20)
        where = f"{duration(self._seconds)} of {duration(tape.length)}"
        progress = bar(self._seconds / tape.length if tape.length else 1.0, min(width // 4, 40))
        left = line((f"{sign} {self._speed:g}× ", BUSY if self._playing else WARN), progress, (f" {where}  ", DIM))
        told_line = line((cut(told, max(width - left.cell_length, 0)), DIM))
        self._bar.show(Content.assemble(left, told_line), Content(""))
        registry = view.registry
        names = ("replay_pause", "replay_faster", "replay_slower", "replay_back", "replay_on")
        pairs = [(registry[name].key, registry[name].words) for name in names]
        pairs += [("1–6", "stage"), (registry["help"].key, "help"), ("Esc", "back")]
        self._keys.show(keys_in(pairs, width, last=2), Content(""))

    # what a person selects

    def on_rail_selected(self, message: Rail.Selected) -> None:
        """Stay with a stage."""
        message.stop()
        self.action_select(message.stage)
        if message.enter:
            self.action_enter()

    def action_select(self, stage: StageName) -> None:
        """Stay with a stage, whichever one runs."""
        self._chosen = stage
        self._draw()

    def action_enter(self) -> None:
        """Go into the panel."""
        self._panels[self._view.selected].target.focus()

    def action_close(self) -> None:
        """From a panel to the rail, from there back to where one was."""
        if self._rail.has_focus:
            self.dismiss(None)
        else:
            self._rail.focus()


def _stage_of(reading: JournalReading) -> StageName:
    """The stage that runs, else the last one that ran."""
    running = [run.stage for run in reading.runs.values() if run.state == "running"]
    ran = sorted(reading.runs.values(), key=lambda run: (run.started_at, STAGES.index(run.stage)))
    return running[0] if running else ran[-1].stage if ran else "repo"


def _pods_of(view: View) -> PodsSnapshot | None:
    """The pods as the release saw them."""
    pods, plan = view.story.pods, view.plan
    run = view.run("deploy")
    target = (
        plan.target if plan else run.evidence.plan.target if run and isinstance(run.evidence, DeployEvidence) else None
    )
    if not pods:
        return None
    target = target or ClusterTarget(context="", namespace=pods[0].namespace, selector="", server="")
    return PodsSnapshot(
        target=target, rows=pods, watch=WatchState(state="stopped", sentence="A replay."), at=view.moment
    )
