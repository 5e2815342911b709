"""YAML with colours: keys, values, comments and signs told apart by the lexer of Pygments.

A diff shows pieces of YAML that no parser takes as a whole, so there each line is coloured for itself, but for the text
of a block that begins in the same piece, or of one in the manifests. Pygments is imported with what keys will need,
beside the screen.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import cache, lru_cache
from itertools import takewhile
from typing import TYPE_CHECKING

from textual.content import Content

from mlconsole.console.paint import BAD, DIM, FAINT, GOOD, one_line

if TYPE_CHECKING:
    from pygments.lexer import Lexer

KEY_STYLE, VALUE_STYLE = "$text-primary", "$value"
SIGNS = {"+": (GOOD, "$added"), "-": (BAD, "$removed")}
"""Of what a diff adds and removes: the style of the sign, and what is behind the line."""
LONGEST = 1_000
"""Of a longer line in a diff, the rest has no colours."""
_LITERAL = re.compile(r"-?\d+(?:\.\d+)?|true|false|null|~")
_BLOCK = re.compile(r"(?P<lead> *(?:- +)*)(?P<key>[^\s#].*?: +)?(?:[!&]\S* +)*[|>][-+0-9]{0,2} *(?: #.*)?")
"""The line that begins a block: `key: |`, `- >-`, `- key: !!str |2 # why`."""

Parts = tuple[tuple[str, str], ...]


def yaml_lines(lines: Iterable[str]) -> list[Content]:
    """The lines of a whole document: what stands in a block is told from what only looks like a key."""
    found: list[list[tuple[str, str]]] = [[]]
    for kind, text in _lexer().get_tokens("\n".join(one_line(text) for text in lines)):
        first, *rest = text.split("\n")
        style = _style(str(kind), text)
        found[-1].append((first, style))
        found += ([(part, style)] for part in rest)
    return [Content.assemble(*parts) for parts in found]


def yaml_diff_lines(lines: Iterable[str], width: int = 0, manifests: str = "") -> list[Content]:
    """The lines of a unified diff of YAML; text in a block has no colours of YAML.

    Args:
        lines: of the diff.
        width: in cells.
        manifests: what the new side comes from, as YAML: of a piece that begins within a block it tells that it does.
    """
    shown = list(lines)
    found = []
    old, new = _Block(), _Block()
    for number, text in enumerate(shown):
        sign, rest = text[:1], text[1:]
        if sign == "@":
            depth = _depth_in(manifests, shown[number + 1 :])
            old, new = _Block(depth), _Block(depth)
        # both are asked: each goes along with the lines of its side
        within = [block.holds(rest) for block, without in ((old, "+"), (new, "-")) if sign not in ("@", without)]
        found.append(yaml_diff_line(text, width, plain=any(within)))
    return found


def _depth_in(manifests: str, piece: Sequence[str]) -> int | None:
    """How deep the key is of the block in which a piece of a diff begins; None: in none, or the manifests don't tell.

    What is the same on both sides at the beginning of the piece is looked for in the manifests: as many of its lines as
    are needed until all places where they stand say the same.
    """
    same = [text[1:] for text in takewhile(lambda text: text[:1] == " ", piece)]
    lines, depths, places = _blocks_of(manifests)
    where = places.get(same[0], []) if same else []
    for further in range(1, len(same) + 1):
        told = {depths[place] for place in where}
        if len(told) < 2:
            return told.pop() if told else None
        where = [place for place in where if lines[place : place + further + 1] == same[: further + 1]]
    return None


@lru_cache(4)
def _blocks_of(manifests: str) -> tuple[list[str], list[int | None], dict[str, list[int]]]:
    """Manifests' lines; of each how deep the key is whose block it is in, None: in none; where each text stands."""
    lines = manifests.splitlines()
    block = _Block()
    depths = [block.deeper_than if block.holds(text) else None for text in lines]
    places: dict[str, list[int]] = {}
    for place, text in enumerate(lines):
        places.setdefault(text, []).append(place)
    return lines, depths, places


class _Block:
    """Whether lines, one after another, are the text of a block (`key: |`); the first may be in one already."""

    def __init__(self, deeper_than: int | None = None) -> None:
        self.deeper_than = deeper_than

    def holds(self, text: str) -> bool:
        """Whether the next line is such text: it is deeper than what the block belongs to, or empty."""
        if not text.strip():
            return self.deeper_than is not None
        depth = len(text) - len(text.lstrip(" "))
        if self.deeper_than is not None and depth > self.deeper_than:
            return True
        begins = _BLOCK.fullmatch(text) if len(text) <= LONGEST else None
        self.deeper_than = None
        if begins:
            # the text of an item without a key is deeper than its dash
            self.deeper_than = len(begins["lead"]) if begins["key"] else begins["lead"].rfind("-")
        return False


def yaml_diff_line(text: str, width: int = 0, *, plain: bool = False) -> Content:
    """One line of a unified diff of YAML: its sign says what colour repeats, behind all of `width` cells.

    Args:
        text: the line.
        width: in cells.
        plain: whether it is text in a block.
    """
    text = one_line(text)
    if text.startswith("@@"):
        return Content.assemble((text, FAINT))
    if text.startswith(("+++", "---")):
        return Content.assemble((text, f"bold {DIM}"))
    sign, rest = text[:1], text[1:]
    parts = ((rest, ""),) if plain else _parts(rest)
    if sign not in SIGNS:
        return Content.assemble(sign, *parts)
    style, behind = SIGNS[sign]
    content = Content.assemble((sign, f"bold {style}"), *parts)
    return content.pad_right(max(width - content.cell_length, 0)).stylize_before(f"on {behind}")


@lru_cache(4096)
def _parts(text: str) -> Parts:
    """A line's tokens, each with its style."""
    tokens = _lexer().get_tokens(text[:LONGEST])
    parts = [(part, _style(str(kind), part)) for kind, part in tokens]
    return (*parts, (text[LONGEST:], "")) if len(text) > LONGEST else tuple(parts)


@cache
def _lexer() -> Lexer:
    from pygments.lexers.data import YamlLexer

    return YamlLexer(stripnl=False, ensurenl=False)


def _style(kind: str, text: str) -> str:
    """The style of a token, by the name of its kind in Pygments."""
    if kind.startswith(("Token.Name.Tag", "Token.Name.Namespace")):
        return KEY_STYLE
    if kind.startswith(("Token.Comment", "Token.Punctuation")):
        return DIM
    if text.strip("'\"") == "***":
        return DIM
    is_value = kind.startswith("Token.Literal.String") or _LITERAL.fullmatch(text.strip())
    return VALUE_STYLE if is_value else ""
