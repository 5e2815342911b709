"""The keys that a person prefers: their preferences laid over the registry of actions."""

from __future__ import annotations

import difflib
from collections.abc import Mapping

from mlconsole.console.actions import REGISTRY, Registry
from mlconsole.console.actions.action import NAMES as _NAMES
from mlconsole.console.actions.action import named, written
from mlconsole.console.actions.registry import MAIN_SCOPES
from mlconsole.errors import WrongUse
from mlconsole.evidence.base import STAGES
from mlconsole.project.settings import SettingsInvalid

_ARROWS = ("up", "down", "left", "right")
MOVING: frozenset[str] = frozenset(
    [*map(str, range(1, len(STAGES) + 1)), "j", "k", "enter", "escape", "tab", "shift+tab", *_ARROWS]
)
"""Keys that move on the main screen: no action can have them."""

MODIFIERS = ("ctrl", "shift", "alt", "super", "hyper", "meta")


def with_preferred(keys: Mapping[str, str | tuple[str, ...]], source: str) -> Registry:
    """The registry with other keys.

    Args:
        keys: one key or several for an action's id, as people write them: `?`, `ctrl+r`, `f5`; empty: no key.
        source: the file that they are from, for sentences.

    Raises:
        SettingsInvalid: there is no such action, a key moves, or two actions of one place want the same key.
    """
    remapped = {}
    for id, wanted in keys.items():
        if id not in REGISTRY:
            near = difflib.get_close_matches(id, [action.id for action in REGISTRY.actions], n=1, cutoff=0.5)
            hint = f"Did you mean {near[0]}?" if near else "See them all: mlconsole keys"
            raise SettingsInvalid(f"{source}: keys: there is no action {id}.", hint)
        names = [named(key) for key in ((wanted,) if isinstance(wanted, str) else wanted) if key]
        for name in names:
            if doubt := _doubt(name):
                raise SettingsInvalid(
                    f"{source}: keys: {id} can't have {written(name)}: no terminal sends that.", doubt
                )
        on_main = not REGISTRY[id].scope or set(REGISTRY[id].scope) & set(MAIN_SCOPES)
        for name in names:
            if on_main and name in MOVING:
                raise SettingsInvalid(
                    f"{source}: keys: {id} can't have {written(name)}: that key moves.", "Choose another key."
                )
        remapped[id] = ",".join(names)
    registry = REGISTRY.remapped(remapped)
    if clashes := registry.clashes():
        key, first, second = clashes[0]
        raise SettingsInvalid(
            f"{source}: keys: {first.id} and {second.id} both want {written(key)}.",
            f"Give one of them another key: [keys] {second.id} = …",
        )
    return registry


def _doubt(key: str) -> str:
    """What is wrong with the name of a key, as the next step; empty where it is one."""
    from textual.keys import Keys

    names = {last for each in Keys for last in [each.value.rpartition("+")[2]] if len(last) > 1 and last[0] != "<"}
    *modifiers, last = key.split("+")
    if unknown := [word for word in modifiers if word not in MODIFIERS]:
        near = difflib.get_close_matches(unknown[0], MODIFIERS, n=1, cutoff=0.4)
        return f"Did you mean {near[0]}+{last}?" if near else f"There are: {', '.join(MODIFIERS)}."
    if len(last) == 1 and modifiers == ["shift"]:
        return f"Write it as {last.upper()}."
    if len(last) == 1 and modifiers and last.isupper():
        return f"Write it as {'+'.join([*modifiers, 'shift', last.lower()])}."
    if len(last) == 1 or last in names | set(_NAMES):
        return ""
    near = difflib.get_close_matches(last, sorted(names), n=1, cutoff=0.5)
    return f"Did you mean {near[0]}?" if near else "Keys are written like x, ?, f6, ctrl+r or pageup."


def table(registry: Registry) -> str:
    """All actions as a Markdown table: what the README shows, and `mlconsole keys` prints."""
    rows = ["| key | in | does | id |", "|---|---|---|---|"]
    for action in registry.actions:
        where = ", ".join(action.scope) if action.scope else "everywhere"
        keys = " ".join(f"`{key}`" for key in action.label.split()) or "–"
        rows.append(f"| {keys.replace('|', '&#124;')} | {where} | {action.help} | `{action.id}` |")
    return "\n".join(rows)


BEGIN, END = "<!-- keys: made by `mlconsole keys --into` -->", "<!-- end of keys -->"


def with_table(text: str, registry: Registry) -> str:
    """A document with the table of actions between its two marks.

    Raises:
        WrongUse: it has no such marks.
    """
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise WrongUse("There is no place for the keys.", f"Mark it by two lines: {BEGIN} and {END}")
    return f"{before}{BEGIN}\n\n{table(registry)}\n\n{END}{after}"
