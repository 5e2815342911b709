"""Posts what waits in the outbox, in a thread of its own: whoever waits for a slow webhook does nothing else."""

from __future__ import annotations

import threading
from collections.abc import Callable

from mlconsole.errors import Problem
from mlconsole.journal import Journal
from mlconsole.outbox import Letter, Outbox
from mlconsole.project import Project
from mlconsole.services.notify import NotTold, address_of, body_of, post

PAUSES = (1.0, 5.0, 25.0)
LONG_PAUSE = 300.0
LAST_SECONDS = 5.0


class Poster:
    """Posts the notifications of a journal's outbox to the webhook of the settings, one after another.

    Args:
        project: whose settings name the webhook.
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
        self._form, self._address = project.settings.notify.body, address_of(project.settings.notify.webhook)
        self._outbox, self._say, self._send = Outbox(journal), say, send
        self._called, self._ended = threading.Event(), threading.Event()
        self._thread: threading.Thread | None = None
        self._told = ""

    def wake(self) -> None:
        """Post what waits."""
        if not self._address:
            return
        self._called.set()
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="webhook", daemon=True)
            self._thread.start()

    def close(self) -> None:
        """Post what is still to be posted, if that does not take long; the rest waits for the next process."""
        self._ended.set()
        self._called.set()
        if self._thread is not None:
            self._thread.join(LAST_SECONDS)

    def _run(self) -> None:
        while True:
            self._called.clear()
            ended, taken = self._ended.is_set(), False
            try:
                taken = all(self._post(letter) for letter in self._outbox.letters())
            except Problem as problem:
                # a journal that can't be read or written now, or was closed: what waits is posted later
                self._say_once(str(problem))
            # what was put in while others were posted has its turn at the end, too
            if ended or (self._ended.is_set() and not taken):
                return
            self._called.wait(LONG_PAUSE)

    def _post(self, letter: Letter) -> bool:
        """Post one; whether to go on with the next."""
        if letter.is_stale:
            self._outbox.remove(letter)
            self._say(f"the webhook did not take it for a day, it is left out: {letter.notification.text}")
            return True
        body = body_of(letter.notification, self._form)
        for pause in (*PAUSES, None):
            if not self._outbox.begin(letter):
                self._say(f"nobody knows whether it was told, it is not told again: {letter.notification.text}")
                return True
            try:
                self._send(self._address, body, letter.notification.id)
            except NotTold as problem:
                self._outbox.not_taken(letter)
                if pause is None or self._ended.wait(pause):
                    self._say_once(str(problem))
                    return False
            else:
                self._outbox.remove(letter)
                self._told = ""
                return True
        return False

    def _say_once(self, words: str) -> None:
        if words != self._told:
            self._told = words
            self._say(words)
