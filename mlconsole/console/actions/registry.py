"""The one list of actions from which bindings, footer, help, palette, key map and README are made."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from mlconsole.console.actions.action import Action
from mlconsole.evidence.base import STAGES

COMMANDS_SCOPE = "commands"
"""The scope of the main screen while the keys go to the command log."""
MAIN_SCOPES: tuple[str, ...] = (*STAGES, COMMANDS_SCOPE)
"""The scopes of the main screen: the selected stage's name, or the command log."""


class Registry:
    """Actions in the order of help and palette."""

    def __init__(self, actions: Iterable[Action]) -> None:
        self.actions = tuple(actions)
        self._by_id = {action.id: action for action in self.actions}

    def __getitem__(self, id: str) -> Action:
        """An action by its id."""
        return self._by_id[id]

    def __contains__(self, id: str) -> bool:
        """Whether there is an action of this id."""
        return id in self._by_id

    def of(self, scope: str) -> tuple[Action, ...]:
        """What belongs to a stage of the main screen, or to a screen over it."""
        return tuple(action for action in self.actions if applies_in(action, scope))

    def remapped(self, keys: Mapping[str, str]) -> Registry:
        """The same actions; those that are named get other keys."""
        return Registry(action.with_keys(keys[action.id]) if action.id in keys else action for action in self.actions)

    def clashes(self) -> list[tuple[str, Action, Action]]:
        """Keys that two actions want in one place."""
        return [
            (key, first, second)
            for place, first in enumerate(self.actions)
            for second in self.actions[place + 1 :]
            if set(first.scope or MAIN_SCOPES) & set(second.scope or MAIN_SCOPES)
            for key in first.each_key
            if key in second.each_key
        ]


def applies_in(action: Action, scope: str) -> bool:
    """Whether an action belongs to a scope."""
    return scope in (action.scope or MAIN_SCOPES)
