"""Whether this process is the one that acts, where several may watch the same target."""

from __future__ import annotations

from typing import Protocol


class Standing(Protocol):
    """Who acts."""

    def other(self) -> str:
        """Who else acts at the moment; empty where it is us."""
        ...

    def close(self) -> None:
        """Let others act."""
        ...


class Alone:
    """Nobody else can: the target is this machine's own."""

    def other(self) -> str:
        """Nobody."""
        return ""

    def close(self) -> None:
        """There is nothing to give away."""
