"""The rows of the history: every release there was, each made when its line is drawn."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

from mlconsole.console.paint import DIM, STATE_STYLES, WARN, natural_widths
from mlconsole.console.release_facts import ReleaseFacts, changed_words, filled
from mlconsole.console.widgets.table import Row
from mlconsole.evidence.base import now
from mlconsole.evidence.release import Release
from mlconsole.present import age, needless, standing
from mlconsole.text import duration, shorten

COLUMNS = ("", "release", "state", "version", "started", "took", "by", "what changed", "decided")
MOST_CHANGED, MOST_DECIDED = 48, 32
"""Letters for two columns that would push the others out; the record has all of it."""
OTHERS = 36
"""Cells that the columns before them need where it is narrow."""
MOST_BACK = 20
"""So many releases before another one are looked at for what those after them did not come to."""
MEASURED = 200
"""So many of the latest releases, and those that were looked at, say how wide the columns are."""


class ReleaseRows:
    """What the history's table shows: releases, newest first, and what is known of those that were looked at."""

    def __init__(self, releases: Sequence[Release], champion: str) -> None:
        self.champion = champion
        self.marked: Collection[int] = ()
        self.moment: datetime = now()
        self.columns_of_screen = 80
        self._facts: dict[int, ReleaseFacts] = {}
        self.releases: tuple[Release, ...] = ()
        self._places: dict[str, int] = {}
        self.take_all(releases)

    def take_all(self, releases: Sequence[Release]) -> None:
        """All releases that the journal has."""
        self.releases = tuple(releases)
        self._places = {str(release.number): place for place, release in enumerate(self.releases)}

    def take_latest(self, latest: Sequence[Release]) -> None:
        """The latest releases as they are now; of one that went on, what was known of it is read again."""
        known = {release.number: release for release in self.releases}
        for release in latest:
            if known.get(release.number) != release:
                self._facts.pop(release.number, None)
        oldest = latest[-1].number if latest else 0
        self.take_all([*latest, *(release for release in self.releases if release.number < oldest)])

    def take_facts(self, facts: Mapping[int, ReleaseFacts]) -> None:
        """What tells some of the releases apart."""
        self._facts.update(facts)

    def unknown(self, first: int, last: int) -> list[int]:
        """Of which releases from one place to another, and the one before them, is it to be read what they came to."""
        asked = self.releases[first : last + 2]
        return [entry.number for entry in asked if entry.number not in self._facts or entry.state == "running"]

    def before(self, number: int) -> int | None:
        """The release before another one."""
        return max((release.number for release in self.releases if release.number < number), default=None)

    def __len__(self) -> int:
        return len(self.releases)

    def key(self, index: int) -> str:
        """The key of the row at a place: its release's number."""
        return str(self.releases[index].number)

    def place(self, key: str) -> int | None:
        """Where the release of a key is."""
        return self._places.get(key)

    def row(self, index: int) -> Row:
        """A release in cells."""
        release = self.releases[index]
        ended = release.finished_at
        cells = (
            "▪" if release.number in self.marked else " ",
            str(release.number),
            standing(release, self.releases[0].number),
            release.version.rpartition("@")[2] + (" ★" if release.version == self.champion else "")
            if release.version
            else "-",
            age(release.started_at, self.moment),
            duration((ended - release.started_at).total_seconds()) if ended else "",
            release.started_by,
            shorten("; ".join(part for part in (_why(release), self._changed(index)) if part), MOST_CHANGED),
            self._decided(release.number),
        )
        return Row(self.key(index), cells, (WARN, "bold", STATE_STYLES[release.state], "", DIM, DIM, DIM, "", DIM))

    def _changed(self, index: int) -> str:
        facts = self._facts.get(self.releases[index].number)
        if facts is None:
            return ""
        is_first = index + 1 == len(self.releases)
        before = None if is_first else self._facts.get(self.releases[index + 1].number)
        if before is None and not is_first:
            return ""
        for earlier in self.releases[index + 2 : index + 2 + MOST_BACK]:
            known = self._facts.get(earlier.number)
            if before is None or before.is_whole or known is None:
                break
            before = filled(before, known)
        words = changed_words(facts, before)
        return shorten(words, min(MOST_CHANGED, max(self.columns_of_screen - OTHERS, 16)))

    def _decided(self, number: int) -> str:
        facts = self._facts.get(number)
        room = max(MOST_DECIDED, self.columns_of_screen - 2 * OTHERS - MOST_CHANGED)
        return shorten(facts.decided, room) if facts else ""

    def widths(self) -> Sequence[int]:
        """How wide the widest cell of each column is, of the rows that are measured."""
        looked_at = [place for number in self._facts if (place := self._places.get(str(number))) is not None]
        places = {*range(min(len(self), MEASURED)), *looked_at[-MEASURED:], *([len(self) - 1] if len(self) else ())}
        return natural_widths([self.row(place).cells for place in places], len(COLUMNS))


def _why(release: Release) -> str:
    set_off = f"◆ {release.trigger.words}" if release.trigger else ""
    parts = ("rollback" if release.kind == "rollback" else "", set_off, release.reason, needless(release))
    return " ".join(part for part in parts if part)
