"""Actions in history, record, comparison and replay."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from mlconsole.console.actions import action
from mlconsole.console.actions.action import LOOK
from mlconsole.evidence.base import STAGES

if TYPE_CHECKING:
    from mlconsole.console.view import View

Action = partial(action.Action, group=LOOK, operations="history")


def _has_release(view: View) -> str | None:
    return None if view.shown is not None else "There is no release yet."


EVERYWHERE = (*STAGES, "history")

ACTIONS = (
    Action(
        id="record",
        keys="i",
        words="record",
        help="The record of the release on one page: from the pods that serve back to the commit.",
        available=_has_release,
        scope=EVERYWHERE,
    ),
    Action(
        id="replay",
        keys="P",
        words="replay",
        help="Show the release again as it went, at any speed.",
        available=_has_release,
        scope=EVERYWHERE,
    ),
    Action(
        id="mark",
        keys="space",
        words="mark",
        help="Mark a release; Enter compares two that are marked.",
        scope=("history",),
    ),
    Action(
        id="compare",
        keys="C",
        words="compare",
        help="The two marked releases side by side; where fewer are marked, the selected one and the one before.",
        scope=("history",),
    ),
    Action(
        id="replay_pause",
        keys="space",
        words="pause",
        help="Hold the replay, or go on.",
        scope=("replay",),
    ),
    Action(
        id="replay_faster",
        keys="plus,equals_sign",
        words="faster",
        help="Replay at double speed.",
        scope=("replay",),
    ),
    Action(
        id="replay_slower",
        keys="minus",
        words="slower",
        help="Replay at half the speed.",
        scope=("replay",),
    ),
    Action(
        id="replay_back",
        keys="left_square_bracket",
        words="event before",
        help="Go back by an event that changed a stage.",
        scope=("replay",),
    ),
    Action(
        id="replay_on",
        keys="right_square_bracket",
        words="next event",
        help="Go on to the next event that changes a stage.",
        scope=("replay",),
    ),
)
