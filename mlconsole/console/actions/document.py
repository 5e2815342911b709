"""Actions on a page: what is described of a pod, its YAML, a record, two releases side by side, a diff, the help."""

from __future__ import annotations

from functools import partial

from mlconsole.console.actions import action

Action = partial(action.Action, group="Page", operations="document", scope=("page",))

ACTIONS = (
    Action(
        id="page_search",
        keys="slash",
        words="search",
        help="Mark what matches a regular expression, and go to the first. Empty: nothing.",
        footer=1,
        opens_line=True,
    ),
    Action(id="page_next", keys="n", words="next", help="Go to the next line that matches.", footer=2),
    Action(id="page_before", keys="N", words="before", help="Go to the line before that matches.", footer=3),
)
