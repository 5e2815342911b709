"""Feeds log views from growing files and from pods, beside the screen."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from textual.message import Message

from mlconsole.console.background import Post, Ticker
from mlconsole.console.messages import Faulted
from mlconsole.console.story import Happening
from mlconsole.console.tail import FileTail, Growth

if TYPE_CHECKING:
    pass

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


def told_lines(told: Happening) -> list[str]:
    """A happening with its local time; further lines stand below its words."""
    first, *rest = told.words.splitlines() or [""]
    return [f"{told.at.astimezone():%H:%M:%S}  {first}", *(f"          {text}" for text in rest)]
