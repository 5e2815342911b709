"""Actions on the console itself."""

from __future__ import annotations

from functools import partial

from mlconsole.console.actions import action
from mlconsole.console.actions.action import CONSOLE

Action = partial(action.Action, group=CONSOLE, operations="console")

ACTIONS = (
    Action(id="theme", keys="t", words="theme", help="Choose other colours, dark or light.", opens_line=True),
    Action(
        id="palette",
        keys="colon,ctrl+p",
        words="commands",
        help="Find an action by its name.",
        footer=32,
        opens_line=True,
    ),
    Action(
        id="help",
        keys="question_mark,f1",
        words="help",
        help="All keys, and why some do not apply now.",
        footer=31,
    ),
    Action(
        id="quit",
        keys="q,ctrl+q",
        words="quit",
        help="Leave the console. A running release goes on.",
        footer=33,
    ),
)
