"""All releases: when, who, what changed, what was decided; one opened, two compared, one replayed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, cast

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.widgets import Static

from mlconsole.console.history_rows import COLUMNS, ReleaseRows
from mlconsole.console.paint import keys_in, line
from mlconsole.console.release_facts import ReleaseFacts, facts_of
from mlconsole.console.screens.dialog import Dialog
from mlconsole.console.view import View
from mlconsole.console.widgets.table import Table
from mlconsole.evidence.record import ReleaseRecord
from mlconsole.evidence.release import Release
from mlconsole.journal import Journal

if TYPE_CHECKING:
    from pathlib import Path

    from mlconsole.console.app import MlconsoleApp

LOOK_SECONDS = 0.25
ALL = 1_000_000_000


class HistoryTable(Table):
    """Space marks a release here, so it does not turn the page."""

    def __init__(self) -> None:
        super().__init__(COLUMNS, numeric=frozenset({1}), whole=frozenset({0, 2, 3, 4, 5}), spare=(5, 6, 8, 4, 7))
        self._bindings.key_to_bindings.pop("space", None)


class HistoryScreen(Dialog[int | None]):
    """A table of releases; answers with the number of the one that was opened."""

    scope = "history"
    CSS_PATH = "history.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,h", "close", "back", show=False),
        Binding("g", "top", "top", show=False),
    ]

    def __init__(self, view: View) -> None:
        super().__init__()
        self._view = view
        self._keys = Static(classes="keys", markup=False)
        self._table = HistoryTable()
        self._rows = ReleaseRows(view.releases, view.champion)
        self._marked: list[int] = []

    @property
    def selected(self) -> int | None:
        """The release that the cursor is on."""
        return int(self._table.cursor_key) if self._table.cursor_key else None

    @property
    def marked(self) -> tuple[int, ...]:
        """The releases that are marked, at most two."""
        return tuple(self._marked)

    def before(self, number: int) -> int | None:
        """The release before another one."""
        return self._rows.before(number)

    @property
    def _ours(self) -> MlconsoleApp:
        return cast("MlconsoleApp", self.app)

    def compose(self) -> ComposeResult:
        """Title, table, keys."""
        with Vertical():
            yield Static(line(f"Releases of {self._view.project.settings.name}"), classes="title", markup=False)
            yield self._table
            yield self._keys

    def on_mount(self) -> None:
        """Fill the table; the cursor is on the release that is shown. Older ones, and what changed, come later."""
        self._show()
        if self._view.shown is not None:
            self._table.move_to(str(self._view.shown.number))
        self._table.focus()
        path = self._view.project.journal_path
        self._ours.background.run("history", lambda stop: read_releases(path), self._take_all)
        self.set_interval(LOOK_SECONDS, self._look)

    def _take_all(self, releases: tuple[Release, ...]) -> None:
        shown = self._view.shown
        is_late = shown is not None and self._rows.place(str(shown.number)) is None
        self._rows.take_all(releases)
        self._show()
        self._look()
        if shown is not None and is_late:
            self._table.move_to(str(shown.number))

    def _look(self) -> None:
        """Show releases as they are now, and ask what tells those apart that are on the screen."""
        view = self._ours.view
        if view is not self._view:
            if view.releases is not self._view.releases:
                self._rows.take_latest(view.releases)
            self._view = view
            self._rows.champion, self._rows.moment = view.champion, view.moment
            self._show()
        background, path = self._ours.background, view.project.journal_path
        first, last = self._table.seen
        numbers = self._rows.unknown(max(first - 1, 0), last)
        if numbers and not background.is_busy("history-facts"):
            background.run("history-facts", lambda stop: read_facts(path, numbers), self._take_facts)

    def _take_facts(self, facts: Mapping[int, ReleaseFacts]) -> None:
        self._rows.take_facts(facts)
        self._show()

    def _show(self) -> None:
        self._rows.marked = frozenset(self._marked)
        self._rows.columns_of_screen = self.app.size.width
        self._table.show_model(self._rows)

    def on_resize(self) -> None:
        """Say more or less of what changed, and of the keys, as there is room."""
        self._show()
        registry = self._view.registry
        hints = [(registry[name].key, registry[name].words) for name in ("mark", "record", "replay", "compare")]
        pairs = [("Enter", "open, or compare two marked"), *hints, (registry["help"].key, "help"), ("Esc", "back")]
        self._keys.update(keys_in(pairs, self.size.width - 4, last=2))

    def mark(self) -> None:
        """Mark the release of the cursor for a comparison, or take its mark away; the last two count."""
        number = self.selected
        if number is None:
            return
        if number in self._marked:
            self._marked.remove(number)
        else:
            self._marked = [*self._marked, number][-2:]
        self._show()

    async def on_table_chosen(self, message: Table.Chosen) -> None:
        """Open a release; compare where two are marked."""
        message.stop()
        if len(self._marked) == 2:
            self._ours.perform("compare")
        else:
            self.dismiss(int(message.key))

    def action_top(self) -> None:
        """To the latest release."""
        self._table.action_scroll_home()

    def action_close(self) -> None:
        """Open none."""
        self.dismiss(None)


def read_releases(journal_path: Path) -> tuple[Release, ...]:
    """All releases, newest first."""
    journal = Journal(journal_path)
    try:
        return journal.releases(ALL)
    finally:
        journal.close()


def read_record(journal_path: Path, number: int) -> ReleaseRecord:
    """Read the record of a release.

    Raises:
        NoSuchRelease: there is none of this number.
    """
    from mlconsole.release.record import gather

    journal = Journal(journal_path)
    try:
        return gather(journal, number)
    finally:
        journal.close()


def read_facts(journal_path: Path, numbers: list[int]) -> Mapping[int, ReleaseFacts]:
    """What tells each of some releases apart."""
    from mlconsole.release.record import gather

    journal = Journal(journal_path)
    try:
        return {number: facts_of(gather(journal, number)) for number in numbers}
    finally:
        journal.close()
