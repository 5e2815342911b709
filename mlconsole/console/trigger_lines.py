"""What sets releases off by itself, as lines: proposals, what waits for its turn, and who watches."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from textual.content import Content

from mlconsole.console.paint import BUSY, DIM, KEY, WARN, fit_line, heading, keys, line, split
from mlconsole.evidence.watching import Trigger, WatcherState
from mlconsole.present import age
from mlconsole.text import count, listed, shorten

if TYPE_CHECKING:
    from mlconsole.console.view import View

MOST_WAITING = 8


@dataclass(frozen=True)
class Triggers:
    """The triggers that are open, oldest first, and the process that watches, if there is one."""

    open: tuple[Trigger, ...] = ()
    watcher: WatcherState | None = None

    @property
    def proposed(self) -> tuple[Trigger, ...]:
        """Those that a person decides about."""
        return tuple(trigger for trigger in self.open if trigger.state == "proposed")


def proposal_banner(view: View, width: int) -> list[Content]:
    """One line for all that is proposed, with the keys that answer; nothing where nothing is."""
    proposed = view.triggers.proposed
    if not proposed or view.past:
        return []
    actions = (view.registry["accept_triggers"], view.registry["dismiss_triggers"])
    hints = keys([(action.key, action.words) for action in actions if action.why_not(view) is None])
    words = f"A release is proposed: {listed([trigger.words for trigger in proposed], 2)}"
    room = max(width - hints.cell_length - 5, 20)
    return [fit_line(split(line(("◆ ", KEY), (shorten(words, room), WARN)), hints, width), width)]


def waiting_lines(view: View, width: int) -> list[Content]:
    """The data that waits for its release, and what the watch of data is at."""
    waiting = [trigger for trigger in view.triggers.open if trigger.kind == "data"]
    lines = []
    if waiting:
        lines.append(heading("Waiting", count(len(waiting), "batch", "batches")))
        for trigger in waiting[:MOST_WAITING]:
            told = f"{trigger.state}, {age(trigger.seen_at, view.moment)}"
            lines.append(fit_line(line(f"{trigger.words}  ", (told, DIM)), width))
        if len(waiting) > MOST_WAITING:
            lines.append(line((f"and {len(waiting) - MOST_WAITING} more", DIM)))
    for watch in view.triggers.watcher.watches if view.triggers.watcher else ():
        if watch.kind == "data" and (watch.words or watch.problem):
            words = line((watch.problem, WARN)) if watch.problem else line((f"{watch.name}: {watch.words}", BUSY))
            lines.append(fit_line(words, width))
    return lines


def watcher_flag(view: View) -> Content | None:
    """The header's sign that somebody watches; the colour says that it has trouble."""
    watcher = view.triggers.watcher
    if watcher is None:
        return None
    trouble = any(watch.problem for watch in watcher.watches)
    return line(("◉ watching", WARN if trouble else DIM))


def watcher_words(watcher: WatcherState) -> list[str]:
    """What is watched, and how that goes: a sentence each."""
    found = [f"Process {watcher.runner.pid} on {watcher.runner.host}" + (f": {watcher.busy}" if watcher.busy else "")]
    for watch in watcher.watches:
        after = f", next {watch.next_at.astimezone():%a %d %b %H:%M}" if watch.next_at else ""
        found.append(f"{watch.name}: {watch.then}{after}" + (f". {watch.problem}" if watch.problem else ""))
    return found


def news(before: Triggers, after: Triggers) -> tuple[Trigger, ...]:
    """Proposals that were not there before: those who sit before the console are told of them."""
    known = {trigger.id for trigger in before.proposed}
    return tuple(trigger for trigger in after.proposed if trigger.id not in known)
