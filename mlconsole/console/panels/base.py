"""What all panels share: a title line, a body, and a view to draw."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.widget import Widget

from mlconsole.console.live_words import QUESTIONS, TITLES, aimed, elapsed, state_words
from mlconsole.console.paint import (
    DIM,
    FAINT,
    blank,
    block_lines,
    heading,
    line,
    problem_lines,
    split,
    verdict_lines,
    whole_words,
    wrapped,
)
from mlconsole.console.view import View
from mlconsole.console.widgets.lines import Document
from mlconsole.evidence.base import STAGES, StageName
from mlconsole.evidence.release import StageRun
from mlconsole.present import blocks, why_it_ran


class PanelTitle(Widget):
    """Which stage, what it asks, how it stands."""

    DEFAULT_CSS = """
    PanelTitle { height: 1; padding: 0 1; text-wrap: nowrap; }
    """

    def __init__(self, stage: StageName, view: View) -> None:
        super().__init__()
        self._stage = stage
        self._view = view

    def show(self, view: View) -> None:
        """Show a view."""
        self._view = view
        self.refresh()

    def render(self) -> Content:
        """The line, in the present width."""
        run = self._view.run(self._stage)
        sign, words, style = state_words(run)
        number = STAGES.index(self._stage) + 1
        inside = self.parent is not None and isinstance(self.parent, Widget) and self.parent.has_focus_within
        took = elapsed(run, self._view)
        right = line((f"{sign} {words}", style), (f"  {took}" if took else "", DIM))
        title, width = f"{number} {TITLES[self._stage]}", self.content_size.width
        question = whole_words(QUESTIONS[self._stage], width - right.cell_length - len(title) - 3)
        left = line((title, "bold $text-accent reverse" if inside else "bold $text-accent"), "  ", (question, DIM))
        return split(left, right, width)


class Panel(Vertical):
    """A panel. A subclass names its stage, composes its body and draws a view in `draw`."""

    DEFAULT_CSS = """
    Panel { height: 1fr; }
    Panel > .panel--body { padding: 0 1; }
    """
    stage: ClassVar[StageName]

    def __init__(self, view: View) -> None:
        super().__init__(id=f"panel-{self.stage}")
        self.view = view
        self._title = PanelTitle(self.stage, view)

    def compose(self) -> ComposeResult:
        """The title over the body."""
        yield self._title
        for part in self.body():
            part.add_class("panel--body")
            yield part

    def body(self) -> Iterator[Widget]:
        """The widgets below the title."""
        raise NotImplementedError

    def draw(self, view: View) -> None:
        """Bring the body up to a view."""
        raise NotImplementedError

    @property
    def target(self) -> Widget:
        """What gets the focus when a person goes into the panel."""
        raise NotImplementedError

    def show(self, view: View) -> None:
        """Show a view, at once or as soon as the panel is on the screen."""
        self.view = view
        if self.is_mounted:
            self._title.show(view)
            self.draw(view)

    def on_mount(self) -> None:
        """Show what was to be shown."""
        self._title.show(self.view)
        self.draw(self.view)

    def on_descendant_focus(self) -> None:
        """The title says where the keys go."""
        self._title.refresh()

    def on_descendant_blur(self) -> None:
        """The title says where the keys go."""
        self._title.refresh()


class DocumentPanel(Panel):
    """A panel that is one document."""

    def __init__(self, view: View) -> None:
        super().__init__(view)
        self.document = Document()

    def body(self) -> Iterator[Widget]:
        """The document."""
        yield self.document

    @property
    def target(self) -> Widget:
        """The document."""
        return self.document

    def draw(self, view: View) -> None:
        """Make the lines of a view."""
        self.document.show(lambda width: self.lines(view, width))

    def lines(self, view: View, width: int) -> list[Content]:
        """All lines of a view, in `width` cells."""
        raise NotImplementedError


def sections(*parts: list[Content]) -> list[Content]:
    """Put sections one below the other, with an empty line between those that say something."""
    lines: list[Content] = []
    for part in parts:
        if part:
            lines += [*([blank()] if lines else []), *part]
    return lines


def run_lines(run: StageRun | None, width: int) -> list[Content]:
    """What every panel tells of a stage's run: its problem, its gate, why it ran or did not."""
    if run is None:
        return []
    parts: list[list[Content]] = []
    if run.problem is not None:
        parts.append(problem_lines(run.problem, width))
    if run.verdict is not None and run.verdict.reasons:
        parts.append([heading("Gate"), *verdict_lines(run.verdict, width)])
    if run.reused_from is not None:
        parts.append([line((f"Nothing it depends on has changed: the evidence is {run.taken_from}'s.", DIM))])
    elif why := why_it_ran(run):
        parts.append(wrapped(line((why, DIM)), width))
    return sections(*parts)


def evidence_lines(run: StageRun | None, width: int, *, without: tuple[str, ...] = ()) -> list[Content]:
    """A run's evidence as tables and lines, but for those whose titles are named."""
    found = blocks(run.evidence) if run is not None and run.evidence is not None else ()
    return block_lines([block for block in found if block.title not in without], width)


def command_lines(run: StageRun | None, view: View, width: int) -> list[Content]:
    """The commands that do what the stage did, to be typed by hand in the project's folder."""
    if run is None or not run.commands:
        return []
    lines = [heading("By hand")]
    for command in (aimed(one, view.project) for one in run.commands):
        note = f"   {command.note}" if command.note else ""
        lines += wrapped(line(("$ ", FAINT), command.line, (note, DIM)), width, indent=2)
    return lines


def quiet(sentence: str, next_step: str = "", *, width: int = 0) -> list[Content]:
    """A sentence where there is nothing to show yet; wrapped where a width is given."""
    lines = [line((text, DIM)) for text in (sentence, next_step) if text]
    return [part for content in lines for part in wrapped(content, width)] if width else lines
