"""All releases: what each came to, and one of them opened."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.widgets import Static

from mlconsole.console.paint import DIM, STATE_STYLES, keys, line
from mlconsole.console.screens.dialog import Dialog
from mlconsole.console.view import View
from mlconsole.console.widgets.table import Row, Table
from mlconsole.evidence.release import Release
from mlconsole.present import age, glyph
from mlconsole.text import duration


class HistoryScreen(Dialog[int | None]):
    """A table of releases; answers with the number of the one that was opened."""

    CSS_PATH = "history.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,q,h", "close", "back", show=False)]

    def __init__(self, view: View) -> None:
        super().__init__()
        self._view = view

    def compose(self) -> ComposeResult:
        """Title, table, keys."""
        columns = ("release", "state", "version", "started", "took", "by", "reason")
        with Vertical():
            yield Static(line(f"Releases of {self._view.project.settings.name}"), classes="title", markup=False)
            yield Table(columns, numeric=frozenset({0}), whole=frozenset(range(5)))
            yield Static(keys([("Enter", "open"), ("Esc", "back")]), classes="keys")

    def on_mount(self) -> None:
        """Fill the table; the cursor is on the release that is shown."""
        table = self.query_one(Table)
        table.show([release_row(release, self._view.moment) for release in self._view.releases])
        if self._view.shown is not None:
            table.move_to(str(self._view.shown.number))
        table.focus()

    def on_table_chosen(self, message: Table.Chosen) -> None:
        """Open a release."""
        message.stop()
        self.dismiss(int(message.key))

    def action_close(self) -> None:
        """Open none."""
        self.dismiss(None)


def release_row(release: Release, moment: datetime) -> Row:
    """A release in cells."""
    took = duration((release.finished_at - release.started_at).total_seconds()) if release.finished_at else ""
    state = f"{glyph(release.state)} {release.state}"
    reason = "rollback" if release.kind == "rollback" else ""
    cells = (
        str(release.number),
        state,
        release.version.rpartition("@")[2] or "-",
        age(release.started_at, moment),
        took,
        release.started_by,
        " ".join(part for part in (reason, release.reason) if part),
    )
    return Row(str(release.number), cells, ("bold", STATE_STYLES[release.state], "", DIM, DIM, DIM, DIM))
