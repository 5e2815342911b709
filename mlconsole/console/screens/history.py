"""All releases: when, who, what changed, what was decided; one opened, two compared, one replayed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, cast

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.widgets import Static

from mlconsole.console.paint import DIM, STATE_STYLES, WARN, keys_in, line
from mlconsole.console.release_facts import ReleaseFacts, changed_words, facts_of
from mlconsole.console.screens.dialog import Dialog
from mlconsole.console.view import View
from mlconsole.console.widgets.table import Row, Table
from mlconsole.evidence.record import ReleaseRecord
from mlconsole.evidence.release import Release
from mlconsole.journal import Journal
from mlconsole.present import age, glyph
from mlconsole.text import duration, shorten

if TYPE_CHECKING:
    from pathlib import Path

    from mlconsole.console.app import MlconsoleApp

COLUMNS = ("", "release", "state", "version", "started", "took", "by", "what changed", "decided")
MOST_CHANGED, MOST_DECIDED = 48, 32
"""Letters for two columns that would push the others out; the record has all of it."""
OTHERS = 36
"""Cells that the columns before them need where it is narrow."""


class HistoryTable(Table):
    """Space marks a release here, so it does not turn the page."""

    def __init__(self) -> None:
        super().__init__(COLUMNS, numeric=frozenset({1}), whole=frozenset({0, 2, 3, 4, 5}), spare=(5, 6, 8, 4, 7))
        self._bindings.key_to_bindings.pop("space", None)


class HistoryScreen(Dialog[int | None]):
    """A table of releases; answers with the number of the one that was opened."""

    scope = "history"
    CSS_PATH = "history.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,q,h", "close", "back", show=False)]

    def __init__(self, view: View) -> None:
        super().__init__()
        self._view = view
        self._table = HistoryTable()
        self._facts: Mapping[int, ReleaseFacts] = {}
        self._marked: list[int] = []

    @property
    def selected(self) -> int | None:
        """The release that the cursor is on."""
        return int(self._table.cursor_key) if self._table.cursor_key else None

    @property
    def marked(self) -> tuple[int, ...]:
        """The releases that are marked, at most two."""
        return tuple(self._marked)

    def compose(self) -> ComposeResult:
        """Title, table, keys."""
        with Vertical():
            yield Static(line(f"Releases of {self._view.project.settings.name}"), classes="title", markup=False)
            yield self._table
            yield Static(classes="keys", markup=False)

    def on_mount(self) -> None:
        """Fill the table; the cursor is on the release that is shown. What changed comes a moment later."""
        self._show()
        if self._view.shown is not None:
            self._table.move_to(str(self._view.shown.number))
        self._table.focus()
        path, numbers = self._view.project.journal_path, [release.number for release in self._view.releases]
        background = cast("MlconsoleApp", self.app).background
        background.run("history", lambda stop: read_facts(path, numbers), self._take)

    def _take(self, facts: Mapping[int, ReleaseFacts]) -> None:
        self._facts = facts
        self._show()

    def _show(self) -> None:
        releases = self._view.releases
        rows = []
        for place, release in enumerate(releases):
            before = releases[place + 1].number if place + 1 < len(releases) else None
            rows.append(self._row(release, before))
        self._table.show(rows)

    def _row(self, release: Release, before: int | None) -> Row:
        facts = self._facts.get(release.number)
        changed = changed_words(facts, self._facts.get(before) if before is not None else None) if facts else ""
        return release_row(
            release,
            self._view,
            shorten(changed, min(MOST_CHANGED, max(self.app.size.width - OTHERS, 16))),
            shorten(facts.decided if facts else "", max(MOST_DECIDED, self.app.size.width - 2 * OTHERS - MOST_CHANGED)),
            marked=release.number in self._marked,
        )

    def on_resize(self) -> None:
        """Say more or less of what changed, and of the keys, as there is room."""
        self._show()
        registry = self._view.registry
        hints = [(registry[name].key, registry[name].words) for name in ("mark", "record", "replay", "compare")]
        pairs = [("Enter", "open, or compare two marked"), *hints, ("Esc", "back")]
        self.query_one(".keys", Static).update(keys_in(pairs, self.size.width - 4))

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
            cast("MlconsoleApp", self.app).perform("compare")
        else:
            self.dismiss(int(message.key))

    def action_close(self) -> None:
        """Open none."""
        self.dismiss(None)


def release_row(release: Release, view: View, changed: str = "", decided: str = "", *, marked: bool = False) -> Row:
    """A release in cells."""
    took = duration((release.finished_at - release.started_at).total_seconds()) if release.finished_at else ""
    state = f"{glyph(release.state)} {release.state}"
    set_off = f"◆ {release.trigger.words}" if release.trigger else ""
    why = " ".join(part for part in ("rollback" if release.kind == "rollback" else "", set_off, release.reason) if part)
    version = release.version.rpartition("@")[2] or "-"
    cells = (
        "▪" if marked else " ",
        str(release.number),
        state,
        version + (" ★" if release.version and release.version == view.champion else ""),
        age(release.started_at, view.moment),
        took,
        release.started_by,
        shorten("; ".join(part for part in (why, changed) if part), MOST_CHANGED),
        decided,
    )
    return Row(str(release.number), cells, (WARN, "bold", STATE_STYLES[release.state], "", DIM, DIM, DIM, "", DIM))


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
