"""Tells people what was proposed, what waits for them, and how releases ended: once each."""

from __future__ import annotations

import contextlib
import queue
import sys
import threading
from collections.abc import Callable

import msgspec

from mlconsole.evidence.base import now
from mlconsole.evidence.release import Release
from mlconsole.evidence.watching import Trigger
from mlconsole.journal import Journal
from mlconsole.project import Project
from mlconsole.services.notify import (
    Notification,
    NotificationKind,
    NotTold,
    address_of,
    body_of,
    post,
    terminal_text,
)
from mlconsole.text import listed
from mlconsole.trigger_queue import TriggerQueue

PAUSES = (1.0, 5.0, 25.0)
MOST_WAITING = 100
LAST_SECONDS = 5.0


class Teller:
    """Notifies people of what the queue holds and nobody was told yet.

    Args:
        project: whose settings say who is told of what.
        journal: its journal.
        say: takes a line about what could not be told.
        send: posts a body to an address.

    Raises:
        WrongUse: the environment does not hold the webhook's address.
    """

    def __init__(
        self,
        project: Project,
        journal: Journal,
        *,
        say: Callable[[str], None] = lambda words: None,
        send: Callable[[str, bytes], None] = post,
    ) -> None:
        self._settings, self._name = project.settings.notify, project.settings.name
        self._journal, self._queue = journal, TriggerQueue(journal)
        self._say, self._send = say, send
        self._address = address_of(self._settings.webhook)
        self._mark: object = None
        self._bodies: queue.Queue[bytes | None] = queue.Queue(MOST_WAITING)
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def tell(self) -> None:
        """Tell what is new since this was asked last."""
        mark = self._journal.change_mark()
        if mark == self._mark:
            return
        for event, triggers, release in self._untold():
            with self._journal.transaction():
                for trigger in triggers:
                    self._queue.save(msgspec.structs.replace(self._queue.trigger(trigger.id), told=event))
            if event in self._settings.on:
                self._notify(self._notification(event, triggers, release))
        self._mark = self._journal.change_mark()

    def close(self) -> None:
        """Post what is still to be posted, if that does not take long."""
        if self._thread is not None:
            self._ended.set()
            with contextlib.suppress(queue.Full):
                self._bodies.put_nowait(None)
            self._thread.join(LAST_SECONDS)

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
            "waiting": f"release {number} waits for an approval ({words}). mlconsole approve {number}",
            "released": f"release {number} is done ({words}).{sentence}",
            "refused": f"release {number} was refused ({words}).{sentence}" if number else f"{words}:{sentence}",
            "failed": f"release {number} failed ({words}).{sentence}" if number else f"{words} failed.{sentence}",
        }[event]
        return Notification(
            project=self._name,
            event=event,
            text=f"{self._name}: {text}",
            at=now(),
            release=number or None,
            version=release.version if release is not None else "",
            triggers=tuple(trigger.words for trigger in triggers),
        )

    def _notify(self, notification: Notification) -> None:
        if sys.stdout.isatty():
            sys.stdout.write(terminal_text(self._settings.terminal, notification.text))
            sys.stdout.flush()
        if not self._address:
            return
        if self._thread is None:
            self._thread = threading.Thread(target=self._post_all, name="webhook", daemon=True)
            self._thread.start()
        try:
            self._bodies.put_nowait(body_of(notification, self._settings.body))
        except queue.Full:
            self._say("the webhook is too slow: a notification was left out")

    def _post_all(self) -> None:
        while (body := self._bodies.get()) is not None:
            for pause in (*PAUSES, None):
                try:
                    self._send(self._address, body)
                    break
                except NotTold as problem:
                    if pause is None or self._ended.wait(pause):
                        self._say(str(problem))
                        break


def _event_of(trigger: Trigger, release: Release | None) -> NotificationKind | None:
    if trigger.state == "proposed":
        return "proposed"
    if trigger.state == "taken":
        return "waiting" if release is not None and release.state == "waiting" else None
    match trigger.outcome:
        case "released" | "refused" | "failed":
            return trigger.outcome
    return None
