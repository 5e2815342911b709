"""One thing that a key does: what it is called, where it applies, and why it does not apply now."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlconsole.console.view import View

Availability = Callable[["View"], str | None]
"""Gives None where an action applies, or the reason why not as a sentence."""

RELEASE, LOOK, POD, COMMANDS, CONSOLE = "Release", "Look", "Pod", "Command log", "Console"
"""Headings under which help and README list actions. Of the actions of `RELEASE`, one at a time is carried out."""

READONLY = "The console was started with --readonly: it changes nothing."

_WRITTEN = {
    "question_mark": "?",
    "colon": ":",
    "slash": "/",
    "at": "@",
    "plus": "+",
    "minus": "-",
    "underscore": "_",
    "equals_sign": "=",
    "comma": ",",
    "full_stop": ".",
    "exclamation_mark": "!",
    "left_square_bracket": "[",
    "right_square_bracket": "]",
    "less_than_sign": "<",
    "greater_than_sign": ">",
    "vertical_line": "|",
    "space": "Space",
    "enter": "Enter",
    "escape": "Esc",
    "tab": "Tab",
    "delete": "Del",
    "up": "↑",
    "down": "↓",
    "left": "←",
    "right": "→",
}
NAMES = frozenset(_WRITTEN)
"""Textual's names of the keys that are written otherwise."""


def always(view: View) -> str | None:
    """The action always applies."""
    return None


@dataclass(frozen=True)
class Action:
    """One thing to do.

    Args:
        id: its name in the key map file; also the coroutine in `operations` that carries it out, which gets the app.
        keys: Textual's names of its keys, with commas between them.
        words: what footer and palette call it.
        help: a sentence for the help.
        group: the heading that it is listed under.
        operations: the module of `mlconsole.console.operations` that has the coroutine.
        available: why it does not apply.
        footer: its place in the footer, the lowest first; 0: not there.
        scope: the stages and screens (by their `scope`) that it belongs to; empty: the main screen with every stage.
        changes: whether it changes anything outside; such an action is off in a read-only console.
        opens_line: whether the keys that follow go into a line that it opens.
        of_panel: whether it is about what the panel shows, whichever that is.
    """

    id: str
    keys: str
    words: str
    help: str
    group: str
    operations: str
    available: Availability = always
    footer: int = 0
    scope: tuple[str, ...] = ()
    changes: bool = False
    opens_line: bool = False
    of_panel: bool = False

    @property
    def each_key(self) -> tuple[str, ...]:
        """Textual's names of its keys."""
        return tuple(self.keys.split(",")) if self.keys else ()

    @property
    def label(self) -> str:
        """Its keys as they are written, with spaces between them."""
        return " ".join(map(written, self.each_key))

    @property
    def key(self) -> str:
        """Its first key as it is written."""
        return written(self.each_key[0]) if self.keys else ""

    @property
    def way(self) -> str:
        """What a person types for it: its first key, or where it has none its name in the palette."""
        return self.key or f":{self.words}"

    @property
    def turn(self) -> str:
        """What it takes turns with: nothing of the same turn is carried out while it is."""
        return RELEASE if self.group == RELEASE else self.id

    def why_not(self, view: View) -> str | None:
        """None where it applies, or the reason why not."""
        return READONLY if self.changes and view.readonly else self.available(view)

    def with_keys(self, keys: str) -> Action:
        """The same action on other keys."""
        return replace(self, keys=keys)


def written(key: str) -> str:
    """Textual's name of a key as people write it: `?` for `question_mark`."""
    *modifiers, last = key.split("+")
    return "+".join([*modifiers, _WRITTEN.get(last, last)])


def named(key: str) -> str:
    """The other way round: Textual's name of a key as people write it."""
    if key in ("+", ""):
        return "plus" if key else ""
    *modifiers, last = key.split("+") if not key.endswith("++") else [*key[:-2].split("+"), "+"]
    back = {shown.lower(): name for name, shown in _WRITTEN.items()}
    return "+".join([*modifiers, back.get(last if len(last) == 1 else last.lower(), last)])
