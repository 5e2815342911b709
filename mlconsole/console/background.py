"""Blocking work beside the screen: daemon threads, so that quitting never waits for a git command or a profile.

Textual's thread workers run on the loop's executor, and the interpreter waits for that when it ends.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from typing import TypeVar

from textual.message import Message

T = TypeVar("T")
Post = Callable[[Message], object]


class Finished(Message):
    """Background work ended. The handler calls `deliver` on the app's own loop."""

    def __init__(self, group: str, deliver: Callable[[], None]) -> None:
        super().__init__()
        self.group = group
        self.deliver = deliver


class Background:
    """Runs work in threads, the latest of each group only: what an earlier one returns is dropped.

    Args:
        post: how a message reaches the app from a thread.
        failed: takes an error that the work raised, with its group; called on the app's loop.
    """

    def __init__(self, post: Post, failed: Callable[[str, BaseException], None]) -> None:
        self._post = post
        self._failed = failed
        self._turn: dict[str, int] = {}
        self._busy: dict[str, threading.Event] = {}
        self._closed = False

    def run(
        self,
        group: str,
        work: Callable[[threading.Event], T],
        then: Callable[[T], None],
        failed: Callable[[BaseException], None] | None = None,
    ) -> None:
        """Do `work` in a thread and give what it returns to `then` on the app's loop, or what it raises to `failed`.

        `work` gets an event that is set when a later work of the group takes over, or when the app ends.
        """
        if self._closed:
            return
        if group in self._busy:
            self._busy[group].set()
        stop = self._busy[group] = threading.Event()
        turn = self._turn[group] = self._turn.get(group, 0) + 1

        def deliver(take: Callable[[], None]) -> None:
            if self._turn.get(group) == turn and not self._closed:
                self._busy.pop(group, None)
                take()

        def body() -> None:
            try:
                result = work(stop)
            except BaseException as error:  # noqa: BLE001 - every end of a thread has to reach the screen as words
                caught = error
                fail = failed or (lambda found: self._failed(group, found))
                message = Finished(group, lambda: deliver(lambda: fail(caught)))
            else:
                message = Finished(group, lambda: deliver(lambda: then(result)))
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody is there to be told
                self._post(message)

        threading.Thread(target=body, name=f"console-{group}", daemon=True).start()

    def is_busy(self, group: str) -> bool:
        """Whether work of a group is under way."""
        return group in self._busy

    def stop(self, group: str) -> None:
        """Ask the work of a group to stop; what it still returns or raises is delivered."""
        if (found := self._busy.get(group)) is not None:
            found.set()

    def close(self) -> None:
        """Ask all work to stop, and drop whatever it still returns."""
        self._closed = True
        for stop in self._busy.values():
            stop.set()


class Ticker(threading.Thread):
    """A daemon thread that takes a step at an interval, and at once when it is woken.

    Args:
        name: of the thread.
        step: one turn; what it raises ends up with `failed`, and the thread goes on.
        interval: seconds between turns.
        least: seconds between turns however often it is woken.
        at_end: lets go of what the steps hold; called in the thread, after its last step.
    """

    def __init__(
        self,
        name: str,
        step: Callable[[], None],
        interval: float,
        failed: Callable[[BaseException], None],
        *,
        least: float = 0,
        at_end: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__(name=f"console-{name}", daemon=True)
        self._step = step
        self._interval, self._least = interval, least
        self._failed, self._at_end = failed, at_end
        self._wake = threading.Event()
        self._ended = threading.Event()

    def run(self) -> None:
        """Take turns until the end."""
        while not self._ended.is_set():
            self._wake.clear()
            try:
                self._step()
            except Exception as error:  # noqa: BLE001 - reported in words, the next turn tries again
                with contextlib.suppress(RuntimeError):
                    self._failed(error)
            self._ended.wait(self._least)
            self._wake.wait(max(self._interval - self._least, 0))
        self._at_end()

    def wake(self) -> None:
        """Take the next turn now."""
        self._wake.set()

    def stop(self) -> None:
        """End after the present turn; does not wait for it."""
        self._ended.set()
        self._wake.set()
