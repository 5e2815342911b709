"""Notifications in the journal that are still to be posted, in the order in which they were written down.

Each is written in the transaction of what it tells of, and removed once it was posted: whoever is killed in between,
it is not lost. Where nobody knows whether it arrived, it is posted once more, with the same `id`, and not a third time.
"""

from __future__ import annotations

from datetime import timedelta

import msgspec

from mlconsole.evidence.base import Record, now
from mlconsole.journal import Journal, JournalFailed
from mlconsole.services.notify import Notification

MOST = 1000
"""So many wait at most: of a webhook that is gone for good, the oldest are left out."""
KEPT = timedelta(days=1)
MOST_BEGUN = 2


class Letter(Record, frozen=True, kw_only=True):
    """A notification that waits to be posted."""

    number: int
    notification: Notification

    @property
    def is_stale(self) -> bool:
        """Whether it waited for so long that nobody wants to be told any more."""
        return now() - self.notification.at > KEPT


class Outbox:
    """The notifications of a project's journal. Like the journal, it may be used from several threads."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    def put(self, notification: Notification) -> None:
        """Write a notification down, in the transaction of what it tells of."""
        with self._journal.transaction(durable=True):
            body = msgspec.json.encode(notification)
            number = self._journal.keep("INSERT INTO outbox (begun, body) VALUES (0, ?)", body)
            self._journal.keep("DELETE FROM outbox WHERE id <= ?", number - MOST)

    def letters(self) -> tuple[Letter, ...]:
        """All that wait, the oldest first."""
        try:
            return tuple(
                Letter(number=number, notification=msgspec.json.decode(body, type=Notification))
                for number, body in self._journal.kept("SELECT id, body FROM outbox ORDER BY id")
            )
        except msgspec.DecodeError as error:
            raise JournalFailed(f"The journal holds a notification that can't be read: {error}.") from error

    def begin(self, letter: Letter) -> bool:
        """Write down that it is about to be posted; False where it was twice, and nobody knows what came of that."""
        with self._journal.transaction(durable=True):
            rows = self._journal.kept("SELECT begun FROM outbox WHERE id = ?", letter.number)
            if not rows or rows[0][0] >= MOST_BEGUN:
                self.remove(letter)
                return False
            self._journal.keep("UPDATE outbox SET begun = begun + 1 WHERE id = ?", letter.number)
        return True

    def not_taken(self, letter: Letter) -> None:
        """Write down that it did not arrive: that it was begun does not count."""
        self._journal.keep("UPDATE outbox SET begun = begun - 1 WHERE id = ?", letter.number)

    def remove(self, letter: Letter) -> None:
        """Write down that it was posted, or is left out."""
        with self._journal.transaction(durable=True):
            self._journal.keep("DELETE FROM outbox WHERE id = ?", letter.number)
