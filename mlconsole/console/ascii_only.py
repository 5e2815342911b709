"""Draws with ASCII characters only: whatever a widget draws is put into signs of the same width at the very end."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from functools import lru_cache

from rich.cells import cell_len
from rich.segment import Segment
from textual.color import Color
from textual.filter import LineFilter

_SIGNS = {
    "✓": "+", "✗": "x", "●": "*", "◐": "%", "◌": "~", "○": "o", "·": ".", "↺": "=", "‖": ":", "⊘": "-", "★": "*",
    "⎈": "@", "…": "~", "≠": "!", "▪": "*", "◆": "#", "◉": "0", "┆": "|", "┊": "|",
    "→": ">", "←": "<", "↑": "^", "↓": "v", "▲": "^", "▼": "v", "▶": ">", "◀": "<", "▸": ">",
    "▾": "v", "±": "~", "×": "x", "–": "-", "—": "-", "−": "-", "≤": "<", "≥": ">", "≈": "~", "“": '"', "”": '"',
    "‘": "'", "’": "'", "„": '"', "«": '"', "»": '"', "•": "*", "│": "|", "┃": "|", "║": "|", "▌": "|", "▐": "|",
    "▎": "|", "▏": "|", "▍": "|", "▋": "#", "▊": "#", "▉": "#", "█": "#", "▇": "#", "▆": "#", "▅": "=", "▄": "=",
    "▃": "-", "▂": "_", "▁": "_", "▔": "-", "▀": "=", "░": ".", "▒": ":", "▓": "#", "─": "-", "━": "-", "═": "=",
    "\u00a0": " ",
}  # fmt: skip


def environment_is_ascii(environment: Mapping[str, str]) -> bool:
    """Whether the locale that the environment names is not a UTF-8 one; where it names none, it is taken for one."""
    named = next((environment[name] for name in ("LC_ALL", "LC_CTYPE", "LANG") if environment.get(name)), "")
    return bool(named) and "utf" not in named.lower()


@lru_cache(4096)
def as_ascii(text: str) -> str:
    """A text in as many cells, of ASCII characters only."""
    return "".join(letter if letter.isascii() else _sign(letter) for letter in text)


def _sign(letter: str) -> str:
    if letter in _SIGNS:
        return _SIGNS[letter]
    if "─" <= letter <= "╿":
        return "+"
    if "⠀" <= letter <= "⣿":
        dots = (ord(letter) - 0x2800).bit_count()
        return " .:*#"[min((dots + 1) // 2, 4)]
    plain = unicodedata.normalize("NFKD", letter).encode("ascii", "ignore").decode()
    width = cell_len(letter)
    return (plain or "?" * width)[:width].ljust(width)


class AsciiFilter(LineFilter):
    """The last thing that sees a line before it goes to the terminal."""

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        """Put the text of each segment into ASCII."""
        return [
            segment if segment.text.isascii() or segment.control else Segment(as_ascii(segment.text), segment.style)
            for segment in segments
        ]


def sign_filters(ascii_only: bool | None, environment: Mapping[str, str]) -> tuple[LineFilter, ...]:
    """What changes the signs on the screen: nothing, or all of them into ASCII; None: as the locale has it."""
    wanted = ascii_only or (ascii_only is None and environment_is_ascii(environment))
    return (AsciiFilter(),) if wanted else ()
