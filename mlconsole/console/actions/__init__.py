"""Everything that a key can do: the one registry from which footer, help, palette, key map and README are made.

Each file here lists the actions of one thing as `ACTIONS`. An action says by itself why it does not apply, and is
dimmed with that reason. `operations` carries them out: the action `describe` with `operations="pods"` is the coroutine
`describe(app)` of `mlconsole.console.operations.pods`, which is imported when its key is pressed for the first time.
"""

from __future__ import annotations

from mlconsole.console.actions import (
    cluster,
    commands,
    console,
    data,
    deploy,
    document,
    history,
    log,
    look,
    pods,
    release,
    repo,
    test,
    train,
    watching,
)
from mlconsole.console.actions.action import Action
from mlconsole.console.actions.registry import Registry
from mlconsole.evidence.base import STAGES

REGISTRY = Registry(
    action
    for part in (
        release,
        watching,
        cluster,
        look,
        repo,
        data,
        train,
        test,
        deploy,
        pods,
        log,
        document,
        history,
        commands,
        console,
    )
    for action in part.ACTIONS
)
"""All actions with their own keys."""

MOVES: tuple[tuple[str, str], ...] = (
    (f"1–{len(STAGES)}", "select a stage"),
    ("j k ↓ ↑", "the next and the previous stage or line"),
    ("Enter", "go into the panel; there: open the selected line"),
    ("Esc", "come back: from the panel to the stages, from a past release to the latest"),
    ("Tab", "the next part of the panel"),
    ("PgDn PgUp", "a screen down and up; ctrl+d and ctrl+u half of one, Home and End or G to the ends"),
)
"""Keys that move: they have no reason not to apply."""

READING: tuple[tuple[str, str], ...] = (
    ("j k ↓ ↑", "the next and the previous line"),
    ("PgDn PgUp", "a screen down and up; ctrl+d and ctrl+u half of one"),
    ("g G", "the first and the last line; so do Home and End"),
    ("← →", "the rest of what is wider than the screen"),
    ("Esc q", "come back"),
)
"""The same on what lies over the main screen."""

__all__ = ["MOVES", "READING", "REGISTRY", "Action", "Registry"]
