"""Actions in the log screen."""

from __future__ import annotations

from functools import partial

from mlconsole.console.actions import action

LOG = "Log"
SINCE = ((60, "1 min"), (300, "5 min"), (900, "15 min"), (3600, "1 hour"), (None, "all"))
"""Seconds and words of the stretches of time that a pod's log can be asked for."""

Action = partial(action.Action, group=LOG, operations="log", scope=("log",))

ACTIONS = (
    Action(
        id="log_filter",
        keys="slash",
        words="filter",
        help="Show only lines that match a regular expression; ! before it for the others. Empty: all.",
        footer=1,
        opens_line=True,
    ),
    Action(
        id="log_search",
        keys="s",
        words="search",
        help="Mark what matches a regular expression.",
        footer=2,
        opens_line=True,
    ),
    Action(id="log_next", keys="n", words="next", help="The next line that matches search or filter.", footer=8),
    Action(id="log_before", keys="N", words="before", help="The line before that matches.", footer=9),
    Action(id="log_follow", keys="f", words="follow", help="Go to the end and stay there, or stand still.", footer=3),
    Action(id="log_wrap", keys="w", words="wrap", help="Wrap long lines, or let them go on to the right.", footer=4),
    Action(id="log_stamps", keys="t", words="times", help="Show when each line was written.", footer=7),
    Action(id="log_previous", keys="p", words="previous", help="Pods' runs before their last restarts.", footer=5),
    Action(
        id="log_container",
        keys="c",
        words="containers",
        help="Choose a container of the pod, those that come before the others included, or all of them.",
        footer=6,
    ),
    Action(id="log_more", keys="right_square_bracket", words="more around", help="One more line around each match."),
    Action(id="log_less", keys="left_square_bracket", words="less around", help="One line less around each match."),
    Action(id="log_save", keys="S", words="save", help="Write the lines that are shown to a file.", footer=10),
    *(
        Action(id=f"log_since_{place}", keys=str(place), words=words, help=f"Pods' lines of the last {words}.")
        if seconds
        else Action(id=f"log_since_{place}", keys=str(place), words=words, help="All lines of pods' logs.")
        for place, (seconds, words) in enumerate(SINCE, 1)
    ),
)
