"""Actions on the command log."""

from __future__ import annotations

from mlconsole.console.actions.action import COMMANDS, Action
from mlconsole.console.actions.registry import COMMANDS_SCOPE

ACTIONS = (
    Action(
        id="command_log",
        keys="at",
        words="command log",
        help="List the git, python, pytest and kubectl commands that do what was done, or only the last one.",
        group=COMMANDS,
        operations="commands",
        footer=29,
    ),
    Action(
        id="copy_command",
        keys="y",
        words="copy",
        help="Copy the selected command, ready for a shell.",
        group=COMMANDS,
        operations="commands",
        scope=(COMMANDS_SCOPE,),
        footer=1,
    ),
)
