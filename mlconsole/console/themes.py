"""Colours: dark, light and high-contrast themes, and the shades that every theme has besides.

Nothing is told by colour alone, so a terminal of 16 colours gets its own palette, and one without colours none.
"""

from __future__ import annotations

from collections.abc import Sequence

from textual.color import Color
from textual.theme import Theme

from mlconsole.project.settings import SettingsInvalid

NAMES: dict[str, str] = {
    "dark": "textual-dark",
    "light": "textual-light",
    "high-contrast": "high-contrast",
    "high-contrast-light": "high-contrast-light",
    "terminal": "ansi-dark",
    "terminal-light": "ansi-light",
}
"""The names that people give in their preferences, beside those of Textual's own themes."""

OURS: tuple[Theme, ...] = (
    Theme(
        name="high-contrast",
        primary="#7cc4ff",
        secondary="#7cc4ff",
        accent="#ffd84d",
        warning="#ffd84d",
        error="#ff8080",
        success="#5cff9d",
        foreground="#ffffff",
        background="#000000",
        surface="#000000",
        panel="#1c1c1c",
        text_alpha=1.0,
        variables={"block-cursor-background": "#ffffff", "block-cursor-foreground": "#000000"},
    ),
    Theme(
        name="high-contrast-light",
        primary="#003a8c",
        secondary="#003a8c",
        accent="#6b2fa0",
        warning="#7a4100",
        error="#a30000",
        success="#005c1f",
        foreground="#000000",
        background="#ffffff",
        surface="#ffffff",
        panel="#e4e4e4",
        dark=False,
        text_alpha=1.0,
        variables={"block-cursor-background": "#000000", "block-cursor-foreground": "#ffffff"},
    ),
)

_SHADES = {"dim": 0.40, "faint": 0.62}
_CONTRAST_SHADES = {"dim": 0.18, "faint": 0.36}
_BEHIND, _VALUE = 0.16, 0.5


def shades(variables: dict[str, str], theme: Theme) -> dict[str, str]:
    """The variables of a theme that Textual's have not: `dim` and `faint`, text that matters less, and text that does
    not apply; `value`, what stands behind a name; `added` and `removed`, the ground of a diff's lines."""
    if theme.ansi:
        plain = dict.fromkeys(("dim", "value", "added", "removed"), "ansi_default")
        return {**plain, "faint": "ansi_bright_black"}
    back = Color.parse(variables["background"])
    front = Color.parse(variables["foreground"])
    parts = _CONTRAST_SHADES if theme.name.startswith("high-contrast") else _SHADES
    texts = {name: front.blend(back, part).hex for name, part in parts.items()}
    texts["value"] = front.blend(Color.parse(variables["accent"]), _VALUE).hex
    behind = {"added": Color.parse(variables["success"]), "removed": Color.parse(variables["error"])}
    return {**texts, **{name: back.blend(colour, _BEHIND).hex for name, colour in behind.items()}}


def chosen(preferred: str, color_system: str | None, there: Sequence[str]) -> str:
    """The theme to begin with: the preferred one, else one that fits what the terminal can show.

    Args:
        preferred: of `NAMES`, or one of Textual's; empty: none.
        color_system: what the terminal can show, as rich calls it: `truecolor`, `256`, `standard` or None.
        there: the names of all themes.

    Raises:
        SettingsInvalid: there is no such theme.
    """
    if preferred:
        name = NAMES.get(preferred, preferred)
        if name not in there:
            names = ", ".join(dict.fromkeys([*NAMES, *there]))
            raise SettingsInvalid(f"There is no theme {preferred}.", f"There are: {names}.")
        return name
    return "textual-dark" if color_system in ("truecolor", "256") else "ansi-dark"
