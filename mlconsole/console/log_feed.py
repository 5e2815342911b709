"""Feeds log views from growing files and from pods, beside the screen."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from textual.message import Message

from mlconsole.console.background import Post, Ticker
from mlconsole.console.messages import Faulted
from mlconsole.console.story import Happening, Story
from mlconsole.console.tail import FileTail, Growth
from mlconsole.evidence.base import StageName

if TYPE_CHECKING:
    from mlconsole.services.kubernetes.connection import Connection

FILE_SECONDS = 0.2
BATCH_SECONDS = 0.05
MOST_WAITING = 20_000


class LogGrew(Message):
    """A log has more lines. `source` tells which log: a path, or a pod's name."""

    def __init__(self, source: str, growth: Growth) -> None:
        super().__init__()
        self.source = source
        self.growth = growth


class FileFeed:
    """Follows a file and posts what is added."""

    def __init__(self, path: Path, post: Post) -> None:
        self.source = str(path)
        self._post = post
        self._tail = FileTail(path)
        self._ticker = Ticker("log", self._step, FILE_SECONDS, self._failed)
        self._ticker.start()

    def _step(self) -> None:
        growth = self._tail.read()
        if growth != Growth():
            self._post(LogGrew(self.source, growth))

    def _failed(self, error: BaseException) -> None:
        self._post(Faulted("log", error))

    def stop(self) -> None:
        """End following."""
        self._ticker.stop()


class PodFeed:
    """Follows a pod's log; lines are posted in batches, so that a burst of them does not flood the screen."""

    def __init__(self, connect: Callable[[], Connection], namespace: str, pod: str, post: Post) -> None:
        self.source = pod
        self._connect, self._namespace, self._pod, self._post = connect, namespace, pod, post
        self._cancelled = threading.Event()
        self._lock = threading.Lock()
        self._waiting: list[str] = []
        self._ticker = Ticker("pod-log", self._flush, BATCH_SECONDS, self._failed)
        self._thread = threading.Thread(target=self._follow, name=f"console-log-{pod}", daemon=True)
        self._thread.start()
        self._ticker.start()

    def _follow(self) -> None:
        from mlconsole.services.kubernetes import logs

        try:
            connection = self._connect()
            try:
                logs.follow(connection, self._namespace, self._pod, on_line=self._take, cancelled=self._cancelled)
            finally:
                connection.close()
            self._end("The log has ended.")
        except Exception as error:  # noqa: BLE001 - the reason is shown in place of the log
            if not self._cancelled.is_set():
                self._failed(error)

    def _end(self, words: str) -> None:
        if not self._cancelled.is_set():
            self._take(f"── {words}")

    def _take(self, text: str) -> None:
        with self._lock:
            self._waiting.append(text)
            del self._waiting[:-MOST_WAITING]

    def _flush(self) -> None:
        with self._lock:
            lines: Sequence[str] = self._waiting
            self._waiting = []
        if lines:
            self._post(LogGrew(self.source, Growth(lines=tuple(lines))))

    def _failed(self, error: BaseException) -> None:
        self._post(Faulted("log", error))

    def stop(self) -> None:
        """End following; does not wait for the connection."""
        self._cancelled.set()
        self._ticker.stop()


class StoryFeed:
    """Follows what a release says of one of its stages, for stages whose work prints nothing itself."""

    def __init__(self, stage: StageName, story: Callable[[], Story], post: Post) -> None:
        self.source = stage
        self._stage: StageName = stage
        self._story = story
        self._post = post
        self._seen: datetime | None = None
        self._ticker = Ticker("story", self._step, FILE_SECONDS, self._failed)
        self._ticker.start()

    def _step(self) -> None:
        found = [told for told in self._story().happenings if told.stage == self._stage]
        fresh = [told for told in found if self._seen is None or told.at > self._seen]
        if fresh:
            self._seen = fresh[-1].at
            self._post(LogGrew(self.source, Growth(lines=tuple(text for told in fresh for text in told_lines(told)))))

    def _failed(self, error: BaseException) -> None:
        self._post(Faulted("log", error))

    def stop(self) -> None:
        """End following."""
        self._ticker.stop()


def told_lines(told: Happening) -> list[str]:
    """A happening with its local time; further lines stand below its words."""
    first, *rest = told.words.splitlines() or [""]
    return [f"{told.at.astimezone():%H:%M:%S}  {first}", *(f"          {text}" for text in rest)]


Feed = FileFeed | PodFeed | StoryFeed
