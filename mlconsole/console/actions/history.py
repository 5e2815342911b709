"""Actions in history, record, comparison and replay."""

from __future__ import annotations

from mlconsole.console.actions.action import Action

ACTIONS: tuple[Action, ...] = ()
