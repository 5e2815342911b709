"""What can go wrong, as types: each carries a sentence for the person and the next step to take.

A service raises its own subclass of `Problem` where the fault is known; the command line and the console show it in
one place each. Whatever is not a `Problem` is a defect of ours.
"""

from __future__ import annotations

from enum import IntEnum

from mlconsole.text import clean


class Exit(IntEnum):
    """The exit codes of every command."""

    DONE = 0
    REFUSED = 1
    WRONG_USE = 2
    OUTSIDE_FAILED = 3
    CANCELLED = 130


class Problem(Exception):
    """Something a person has to know about and can act on.

    Args:
        sentence: what is wrong, in one sentence; text from outside in it is cleaned here.
        next_step: what to do about it, or empty where there is nothing to do.
        command: the command line that failed, if one did.
        tail: the last lines that it printed.
    """

    exit_code = Exit.OUTSIDE_FAILED

    def __init__(self, sentence: str, next_step: str = "", *, command: str = "", tail: tuple[str, ...] = ()) -> None:
        super().__init__(sentence)
        self.sentence = clean(sentence)
        self.next_step = clean(next_step)
        self.command = clean(command)
        self.tail = tuple(clean(line) for line in tail)

    def __str__(self) -> str:
        return f"{self.sentence} {self.next_step}".strip()


class WrongUse(Problem):
    """The project, its settings or the command that was typed can't be used as they are."""

    exit_code = Exit.WRONG_USE


class Refused(Problem):
    """What was asked is possible, but a gate or a rule says no."""

    exit_code = Exit.REFUSED


class OutsideFailed(Problem):
    """Something that is not ours failed: a cluster, a git remote, a disk."""

    exit_code = Exit.OUTSIDE_FAILED


class Cancelled(Problem):
    """A person asked for the end of what was running."""

    exit_code = Exit.CANCELLED

    def __init__(self, sentence: str = "Cancelled.", next_step: str = "") -> None:
        super().__init__(sentence, next_step)
