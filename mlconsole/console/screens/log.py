"""A log as it grows, in the whole window: of a stage, of a pod, or of all pods as one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, cast

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Static

from mlconsole.console.actions.log import SINCE
from mlconsole.console.faults import as_record
from mlconsole.console.live_words import kubectl
from mlconsole.console.log_ask import PodAsk
from mlconsole.console.log_sources import LogMoved, LogSource
from mlconsole.console.messages import Faulted
from mlconsole.console.paint import DIM, GOOD, KEY, WARN, keys_in, line, split, wrapped
from mlconsole.console.patterns import GIVEN_UP, NotAPattern, Pattern
from mlconsole.console.screens.dialog import Dialog
from mlconsole.console.sieve import Wanted
from mlconsole.console.widgets.filter_bar import FilterBar
from mlconsole.console.widgets.log_view import LogView
from mlconsole.console.widgets.selectable import copied_words
from mlconsole.text import count

if TYPE_CHECKING:
    from mlconsole.console.app import MlconsoleApp
    from mlconsole.evidence.cluster import PodRow

FILTER, SEARCH = "log-filter", "log-search"
FILTER_HINT = "show lines that match: regular expression, !inverse"
SEARCH_HINT = "search: regular expression; n and N go on"


class LogScreen(Dialog[None]):
    """A log over the rest of the screen.

    Args:
        title: whose log.
        source: opens it, for what is asked of pods' logs.
        empty: what is said while there are no lines.
        folder: where it is saved to.
        pod, selector: whose log it is where it is that of a pod, or of all with these labels.
    """

    scope: ClassVar[str] = "log"
    CSS_PATH = "log.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,l", "close", "back", show=False),
        Binding("g", "top", "top", show=False),
    ]

    def __init__(
        self,
        title: str,
        source: Callable[[PodAsk], LogSource],
        *,
        empty: str,
        folder: Path,
        pod: PodRow | None = None,
        selector: str = "",
    ) -> None:
        super().__init__()
        self.pod, self.selector = pod, selector
        self.heading = title
        self._open = source
        self.ask = PodAsk()
        self._empty = empty
        self.source = source(self.ask)
        self.folder = folder
        self.view = LogView(empty=empty, lines=self.source.lines)
        self._state = Static(markup=False, classes="state")
        self._keys = Static(classes="keys", markup=False)
        self._bars = {FILTER: FilterBar(FILTER_HINT, id=FILTER), SEARCH: FilterBar(SEARCH_HINT, id=SEARCH)}
        self._around = 0
        self._said: Content | None = None

    def compose(self) -> ComposeResult:
        """Title, state, log, lines to type into, keys."""
        with Vertical():
            yield Static(line(self.heading), classes="title", markup=False)
            yield self._state
            yield self.view
            yield from self._bars.values()
            yield self._keys

    def on_mount(self) -> None:
        """Begin to follow."""
        super().on_mount()
        self.view.focus()
        self._begin()

    def _begin(self) -> None:
        self.source.start(self.post_message)
        if self.source.is_of_pods:
            app = cast("MlconsoleApp", self.app)
            name, stamps = self.pod.name if self.pod else "", self.view.look.stamps
            app.note_command(self.ask.command(kubectl(app.view), pod=name, selector=self.selector, stamps=stamps))

    def on_unmount(self) -> None:
        """Leave no thread behind."""
        self.source.stop()

    def on_resize(self) -> None:
        """The lines above and below are made for the width."""
        registry = cast("MlconsoleApp", self.app).view.registry
        actions = sorted(registry.of(self.scope), key=lambda one: one.footer)
        pairs = [(action.key, action.words) for action in actions if action.footer]
        ends = [(registry["help"].key, "help"), ("Esc", "back")]
        self._keys.update(keys_in([*pairs, *ends], max(self.size.width - 2, 10), last=2))
        self._tell()

    # what comes

    def on_log_moved(self, message: LogMoved) -> None:
        """Show what the log has more."""
        message.stop()
        if message.source is self.source:
            if message.fresh:
                self.view.start_anew()
            self.view.grown()

    def on_log_pane_changed(self, message: LogView.Changed) -> None:
        """Say how the log is shown."""
        message.stop()
        self._tell()

    def on_faulted(self, message: Faulted) -> None:
        """Say why there is no log, in its place."""
        message.stop()
        problem = as_record(message.error)
        self.say(f"{problem.sentence} {problem.next_step}".strip(), WARN)
        self.view.say_when_empty(f"── {problem.sentence}")

    def say(self, sentence: str, style: str = GOOD) -> None:
        """Say a sentence above the log until something else happens to it."""
        self._said = line((sentence, style))
        self._tell()

    def _tell(self) -> None:
        view, sieve, lines = self.view, self.view.sieve, self.source.lines
        following = ("● following", GOOD) if view.is_following else ("○ standing", DIM)
        parts: list[str | tuple[str, str]] = [following]
        if view.text_selection is not None:
            parts += [("  Ctrl+C", KEY), " copies"]
        if self.source.is_of_pods:
            parts.append((f"  {self.ask.words}{'  ' if self.source.part else ''}{self.source.part}", DIM))
        if view.look.wrap:
            parts.append(("  wrapped", DIM))
        if sieve is not None:
            around = f" ±{sieve.wanted.context}" if sieve.wanted.context else ""
            sign = "not " if sieve.wanted.inverse else ""
            parts.append((f"  {sign}/{sieve.wanted.pattern.text}/{around}: {sieve.matches:,}", KEY))
            if sieve.given_up:
                parts.append((f" {GIVEN_UP}", WARN))
            elif sieve.upto < lines.end:
                parts.append(" …")
        if view.searched is not None:
            parts.append((f"  ?{view.searched.text}", KEY))
        if view.searching:
            parts.append((f"  {view.searching}", WARN))
        left = self._said or line(*parts)
        whole = self._said is not None or view.searching == GIVEN_UP or (sieve is not None and sieve.given_up)
        self._said = None if view.searching else self._said
        dropped = f"{lines.first:,} dropped, " if lines.first else ""
        right = line((f"{dropped}{count(lines.end - lines.first, 'line')}", DIM))
        width = max(self.size.width - 2, 10)
        # a sentence may take several rows; what changes all the time does not: the log would move below the mouse
        first, *rest = wrapped(left, max(width - right.cell_length - 2, 10)) if whole else [left]
        self._state.update(Content("\n").join([split(first, right, width), *rest]))

    # what a person asks for

    def ask_for(self, ask: PodAsk) -> None:
        """Open the log anew, for another stretch of time, the run before, or another container."""
        self.source.stop()
        self.ask, self._said = ask, None
        self.source = self._open(ask)
        key = cast("MlconsoleApp", self.app).view.registry[f"log_since_{len(SINCE)}"].way
        narrow = f"No line of the {ask.words} yet: {key} shows all." if ask.since and not ask.previous else ""
        self.view.say_when_empty(narrow or self._empty)
        self.view.lines = self.source.lines
        self.view.start_anew()
        self.view.follow(True)
        self._begin()

    def open_bar(self, name: str) -> None:
        """Let a person type a filter or a search."""
        self._said = None
        self._bars[name].open()

    def more_context(self, step: int) -> None:
        """Show more or fewer lines around each match."""
        self._around = max(self._around + step, 0)
        if self.view.sieve is not None:
            self.view.filter(self.view.sieve.wanted.with_context(self._around))
        else:
            self.say(f"{self._around} lines around each match of a filter.", DIM)

    def on_filter_bar_left(self, message: FilterBar.Left) -> None:
        """Filter or search once it is whole, for a half expression means something else; stop where it was emptied."""
        message.stop()
        try:
            if message.bar.id == FILTER:
                self.view.filter(Wanted.of(message.text, self._around))
            else:
                self.view.search(Pattern(message.text) if message.text else None)
        except NotAPattern as problem:
            message.bar.refuse()
            self.say(str(problem), WARN)
            return
        self.view.focus()

    def action_copy_text(self) -> None:
        """Copy what the mouse has selected, and say so."""
        super().action_copy_text()
        words = copied_words(self.get_selected_text() or "")
        if self.view.copied_all:
            self.say(words)
        else:
            key = cast("MlconsoleApp", self.app).view.registry["log_save"].key
            self.say(f"{words} These were the first of too many: {key} saves all to a file.", WARN)

    def action_top(self) -> None:
        """To the first line."""
        self.view.action_scroll_home()

    def action_close(self) -> None:
        """Back to where one was."""
        self.dismiss(None)
