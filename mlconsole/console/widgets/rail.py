"""The stages of a release, in order: what each is, how it stands, how long it took, and one fact."""

from __future__ import annotations

from typing import Literal

from rich.segment import Segment
from textual.binding import Binding
from textual.content import Content
from textual.events import Click
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from mlconsole.console.live_words import TITLES, elapsed, stage_fact, state_words
from mlconsole.console.paint import BUSY, DIM, FAINT, STATE_STYLES, STRONG, WARN, cut, fit_line, line, split
from mlconsole.console.view import View
from mlconsole.evidence.base import STAGES, StageName
from mlconsole.present import age, glyph, standing

Shape = Literal["tall", "list", "strip"]
"""`tall`: two lines a stage; `list`: one line a stage; `strip`: all in one line."""


class Rail(Widget, can_focus=True):
    """The rail. It draws a view in the shape that there is room for."""

    DEFAULT_CSS = """
    Rail { background: $surface; }
    Rail > .rail--cursor { background: $surface-lighten-2; }
    Rail:focus > .rail--cursor { background: $primary 35%; }
    """
    COMPONENT_CLASSES = {"rail--cursor"}
    BINDINGS = [
        Binding("j,down,right", "step(1)", "next stage", show=False),
        Binding("k,up,left", "step(-1)", "previous stage", show=False),
        Binding("home", "step(-9)", "first stage", show=False),
        Binding("end,G", "step(9)", "last stage", show=False),
    ]

    class Selected(Message):
        """A stage was selected; `enter`: with a second click."""

        def __init__(self, stage: StageName, *, enter: bool = False) -> None:
            super().__init__()
            self.stage = stage
            self.enter = enter

    def __init__(self, view: View) -> None:
        super().__init__()
        self._view = view
        self._shape: Shape = "tall"
        self._lines: list[tuple[Content, StageName | None]] = []

    @property
    def shape(self) -> Shape:
        """How it is drawn."""
        return self._shape

    def show(self, view: View, shape: Shape | None = None) -> None:
        """Show a view, in another shape where one is given."""
        self._view = view
        self._shape = shape or self._shape
        self._lines = []
        self.refresh()

    def action_step(self, step: int) -> None:
        """Select the stage that is `step` further."""
        index = min(max(STAGES.index(self._view.selected) + step, 0), len(STAGES) - 1)
        self.post_message(self.Selected(STAGES[index]))

    def on_click(self, event: Click) -> None:
        """Select the stage that is clicked; a second click goes into its panel."""
        if self._shape == "strip":
            stage = _stage_at(self._view, event.x - 1)
        else:
            stage = self._drawn()[event.y][1] if event.y < len(self._drawn()) else None
        if stage is not None:
            self.post_message(self.Selected(stage, enter=event.chain > 1))

    def notify_style_update(self) -> None:
        """Another theme: draw anew."""
        self._lines = []
        super().notify_style_update()

    def _drawn(self) -> list[tuple[Content, StageName | None]]:
        if not self._lines:
            self._lines = rail_lines(self._view, self._shape, self.size.width, self.size.height)
        return self._lines

    def on_resize(self) -> None:
        """Draw for the new size."""
        self._lines = []

    def render_line(self, y: int) -> Strip:
        """One line of the screen."""
        lines, base = self._drawn(), self.visual_style
        if y >= len(lines):
            return Strip.blank(self.size.width, base.rich_style)
        content, stage = lines[y]
        if stage == self._view.selected and self._shape != "strip":
            base += self.get_visual_style("rail--cursor")
        parts = content.render(base, end="", parse_style=self.app.stylesheet.parse_style)
        strip = Strip([Segment(text, style.rich_style) for text, style in parts])
        return strip.crop_extend(0, self.size.width, base.rich_style)


def rail_lines(view: View, shape: Shape, width: int, height: int) -> list[tuple[Content, StageName | None]]:
    """The rail's lines, each with the stage that it belongs to."""
    if shape == "strip":
        return [(_strip(view, width), None)]
    if shape == "list":
        return [(_list_line(view, stage, width), stage) for stage in STAGES]
    spaced = height >= 2 + 3 * len(STAGES)
    lines: list[tuple[Content, StageName | None]] = [(_headline(view, width), None)]
    for stage in STAGES:
        if spaced:
            lines.append((Content(""), None))
        lines += [(content, stage) for content in _tall_lines(view, stage, width)]
    return lines + [(content, None) for content in _releases(view, width, height - len(lines) - 2)]


def _releases(view: View, width: int, most: int) -> list[Content]:
    """The latest releases, where there is room below the stages."""
    if most < 3 or len(view.releases) < 2:
        return []
    lines = [Content(""), Content(""), line((" Releases", "bold $text-accent"))]
    for release in view.releases[: most - 1]:
        style = STATE_STYLES[release.state]
        shown = view.shown is not None and release.number == view.shown.number
        left = line(
            (f" {release.number:>2} ", STRONG if shown else DIM),
            (standing(release, view.releases[0].number), style),
            ("  rollback" if release.kind == "rollback" else "", DIM),
            f"  {release.version.rpartition('@')[2]}" if release.version else "",
            ("  shown" if shown and view.past else "", WARN),
        )
        lines.append(split(left, line((f"{age(release.started_at, view.moment)} ", DIM)), width))
    return lines


def _headline(view: View, width: int) -> Content:
    release = view.shown
    if release is None:
        words = "no release yet" if view.journal is not None else "reading the journal …"
        return line((f" {view.busy or words}", DIM))
    kind = "Rollback" if release.kind == "rollback" else "Release"
    style = STATE_STYLES[release.state]
    left = line((f" {kind} {release.number} ", "bold"), (f"{glyph(release.state)} {release.state}", style))
    began = age(release.started_at, view.moment)
    room = width - left.cell_length - 2
    # without its smaller unit, but never without `ago`: it would be read as how long the release took
    roughly = " ".join([*began.split()[:2], "ago"])
    words = next((words for words in (began, roughly) if len(words) <= room), "")
    return split(left, line((f"{words} ", DIM)), width)


def _mark(view: View, stage: StageName) -> tuple[str, str]:
    return ("▌", BUSY) if stage == view.selected else (" ", "")


def _tall_lines(view: View, stage: StageName, width: int) -> tuple[Content, Content]:
    sign, words, style = state_words(view.run(stage))
    number = STAGES.index(stage) + 1
    left = line(
        _mark(view, stage), (f"{number} ", DIM), (f"{sign} ", style), (f"{TITLES[stage]:<7}", "bold"), (words, style)
    )
    right = line((f"{elapsed(view.run(stage), view)} ", DIM))
    below = line(_mark(view, stage), "    ", (cut(stage_fact(view, stage), width - 6), DIM))
    return split(left, right, width), fit_line(below, width)


def _list_line(view: View, stage: StageName, width: int) -> Content:
    sign, words, style = state_words(view.run(stage))
    number = STAGES.index(stage) + 1
    left = line(
        _mark(view, stage),
        (f"{number} ", DIM),
        (f"{sign} ", style),
        (f"{TITLES[stage]:<7} ", "bold"),
        (f"{words:<20} ", style),
        stage_fact(view, stage),
    )
    return split(left, line((f"{elapsed(view.run(stage), view)} ", DIM)), width)


def _strip_items(view: View) -> list[tuple[StageName, str]]:
    return [
        (stage, f"{number}{state_words(view.run(stage))[0]}{TITLES[stage]}") for number, stage in enumerate(STAGES, 1)
    ]


def _stage_at(view: View, x: int) -> StageName | None:
    left = 0
    for stage, text in _strip_items(view):
        if left <= x < left + len(text) + 2:
            return stage
        left += len(text) + 2
    return None


def _strip(view: View, width: int) -> Content:
    parts = []
    for stage, text in _strip_items(view):
        style = state_words(view.run(stage))[2]
        parts.append(line((text, f"reverse bold {BUSY}" if stage == view.selected else style or FAINT)))
    return fit_line(Content.assemble(" ", Content("  ").join(parts)), width)
