"""All keys, from the registry of actions, and why some do not apply now."""

from __future__ import annotations

from textual.content import Content

from mlconsole.console.actions import ACTIONS, MOVES
from mlconsole.console.paint import DIM, FAINT, KEY, WARN, blank, heading, line, wrapped
from mlconsole.console.screens.detail import DetailScreen
from mlconsole.console.view import View

LABEL = 10
WORDS = 14


def help_screen(view: View) -> DetailScreen:
    """The help for a view."""
    return DetailScreen("Keys", lambda width: help_lines(view, width))


def help_lines(view: View, width: int) -> list[Content]:
    """Each action with its help sentence; below one that does not apply, its reason."""
    lines = [heading("Moving")]
    for label, words in MOVES:
        lines += wrapped(line((f"{label:<{LABEL}}", KEY), words), width, indent=LABEL)
    group = ""
    for action in ACTIONS:
        if action.group != group:
            group = action.group
            lines += [blank(), heading(group)]
        reason = action.available(view)
        key_style, text_style = (KEY, "") if reason is None else (FAINT, DIM)
        row = line(
            (f"{action.label:<{LABEL}}", key_style), (f"{action.words:<{WORDS}}", text_style), (action.help, text_style)
        )
        lines += wrapped(row, width, indent=LABEL + WORDS)
        if reason is not None:
            lines += [
                Content.assemble(" " * (LABEL + WORDS), part)
                for part in wrapped(line(("not now: ", WARN), (reason, DIM)), max(width - LABEL - WORDS, 16), indent=2)
            ]
    return lines
