"""Actions in the Train panel."""

from __future__ import annotations

from mlconsole.console.actions.action import Action

ACTIONS: tuple[Action, ...] = ()
