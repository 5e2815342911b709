"""What threads tell the app."""

from __future__ import annotations

from textual.message import Message

from mlconsole.console.view import JournalReading
from mlconsole.evidence.cluster import PodsSnapshot


class JournalSeen(Message):
    """The journal was read; of several that wait, the last one counts."""

    def __init__(self, reading: JournalReading) -> None:
        super().__init__()
        self.reading = reading

    def can_replace(self, message: Message) -> bool:
        """A newer reading stands for an older one."""
        return isinstance(message, JournalSeen)


class PodsSeen(Message):
    """The pods as they are now."""

    def __init__(self, snapshot: PodsSnapshot) -> None:
        super().__init__()
        self.snapshot = snapshot

    def can_replace(self, message: Message) -> bool:
        """A newer snapshot stands for an older one."""
        return isinstance(message, PodsSeen)


class Faulted(Message):
    """Something failed in a thread that goes on by itself."""

    def __init__(self, where: str, error: BaseException) -> None:
        super().__init__()
        self.where = where
        self.error = error


class Perform(Message):
    """A widget or the palette asks for an action by its id."""

    def __init__(self, action: str) -> None:
        super().__init__()
        self.action = action
