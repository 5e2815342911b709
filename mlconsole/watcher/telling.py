"""Tells people what was proposed, what waits for them, and how releases ended: once each.

That they were told is written down together with the notification, which a thread posts from the outbox.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

import msgspec

from mlconsole.evidence.base import now
from mlconsole.evidence.release import Release
from mlconsole.evidence.watching import Trigger
from mlconsole.journal import Journal
from mlconsole.outbox import Outbox
from mlconsole.project import Project
from mlconsole.services.notify import Notification, NotificationKind, post, terminal_text
from mlconsole.text import listed
from mlconsole.trigger_queue import TriggerQueue
from mlconsole.watcher.answering import end_words
from mlconsole.watcher.posting import Poster


class Teller:
    """Notifies people of what the queue holds and nobody was told yet.

    Args:
        project: whose settings say who is told of what.
        journal: its journal.
        say: takes a line about what could not be told.
        send: posts a body to an address, with what tells it from every other.

    Raises:
        WrongUse: the environment does not hold the webhook's address.
    """

    def __init__(
        self,
        project: Project,
        journal: Journal,
        *,
        say: Callable[[str], None] = lambda words: None,
        send: Callable[[str, bytes, str], None] = post,
    ) -> None:
        self._settings, self._name = project.settings.notify, project.settings.name
        self._journal, self._queue, self._outbox = journal, TriggerQueue(journal), Outbox(journal)
        self._poster = Poster(project, journal, say=say, send=send)
        self._mark: object = None

    def tell(self) -> None:
        """Tell what is new since this was asked last."""
        mark = self._journal.change_mark()
        if mark == self._mark:
            return
        for event, triggers, release in self._untold():
            notification = self._notification(event, triggers, release)
            with self._journal.transaction(durable=True):
                for trigger in triggers:
                    self._queue.save(msgspec.structs.replace(self._queue.trigger(trigger.id), told=event))
                if event in self._settings.on and self._settings.webhook:
                    self._outbox.put(notification)
            if event in self._settings.on and sys.stdout.isatty():
                sys.stdout.write(terminal_text(self._settings.terminal, notification.text))
                sys.stdout.flush()
        self._poster.wake()
        # what others wrote meanwhile is looked at next time
        self._mark = mark

    def close(self) -> None:
        """Post what is still to be posted, if that does not take long."""
        self._poster.close()

    def _untold(self) -> list[tuple[NotificationKind, list[Trigger], Release | None]]:
        found: dict[tuple[NotificationKind, int | None], list[Trigger]] = {}
        releases: dict[int, Release] = {}
        for trigger in reversed(self._queue.triggers(most=200)):
            if trigger.release is not None and trigger.state == "taken" and trigger.release not in releases:
                releases[trigger.release] = self._journal.release(trigger.release)
            event = _event_of(trigger, releases.get(trigger.release or 0))
            if event is not None and trigger.told != event:
                found.setdefault((event, trigger.release), []).append(trigger)
        return [
            (event, triggers, self._journal.release(number) if number is not None else None)
            for (event, number), triggers in found.items()
        ]

    def _notification(self, event: NotificationKind, triggers: list[Trigger], release: Release | None) -> Notification:
        words = listed([trigger.words for trigger in triggers])
        number = release.number if release is not None else 0
        sentence = f" {triggers[0].sentence}" if triggers[0].sentence else ""
        text = {
            "proposed": f"{words}: a release is proposed. mlconsole triggers accept",
            "waiting": f"release {number} waits for an approval ({words}). {end_words(self._journal, number)}",
            "released": f"release {number} is done ({words}).{sentence}",
            "refused": f"release {number} was refused ({words}).{sentence}" if number else f"{words}:{sentence}",
            "failed": f"release {number} failed ({words}).{sentence}" if number else f"{words} failed.{sentence}",
        }.get(event, words)
        return Notification(
            project=self._name,
            event=event,
            text=f"{self._name}: {text}",
            at=now(),
            release=number or None,
            version=release.version if release is not None else "",
            triggers=tuple(trigger.words for trigger in triggers),
        )


def _event_of(trigger: Trigger, release: Release | None) -> NotificationKind | None:
    if trigger.state == "proposed":
        return "proposed"
    if trigger.state == "taken":
        return "waiting" if release is not None and release.state == "waiting" else None
    match trigger.outcome:
        case "released" | "refused" | "failed":
            return trigger.outcome
    return None
