"""YAML with colours: keys, values, comments and signs told apart, line by line and without knowing what is around.

A diff shows pieces of YAML that no parser takes as a whole, so each line is coloured for itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from textual.content import Content

from mlconsole.console.paint import BAD, DIM, FAINT, GOOD, WARN, one_line

KEY_STYLE, TEXT_STYLE = "$text-accent", ""
_LINE = re.compile(r"^(?P<lead>\s*(?:- )*)(?P<key>[^\s:#'\"][^:#]*:|'[^']*':|\"[^\"]*\":)?(?P<rest>.*)$")
_LITERAL = re.compile(r"^\s*(?:-?\d+(?:\.\d+)?|true|false|null|~)\s*$")


def yaml_lines(lines: Iterable[str]) -> list[Content]:
    """Lines of YAML as they are drawn."""
    return [yaml_line(text) for text in lines]


def yaml_line(text: str) -> Content:
    """One line of YAML."""
    return Content.assemble(*_parts(one_line(text)))


def yaml_diff_line(text: str) -> Content:
    """One line of a unified diff of YAML: its sign says what colour repeats."""
    text = one_line(text)
    if text.startswith("@@"):
        return Content.assemble((text, FAINT))
    if text.startswith(("+++", "---")):
        return Content.assemble((text, f"bold {DIM}"))
    sign, rest = text[:1], text[1:]
    if sign == "+":
        return Content.assemble(("+", f"bold {GOOD}"), (rest, GOOD))
    if sign == "-":
        return Content.assemble(("-", f"bold {BAD}"), (rest, BAD))
    return Content.assemble(sign, *_parts(rest))


def _parts(text: str) -> list[tuple[str, str] | str]:
    if text.lstrip().startswith("#"):
        return [(text, FAINT)]
    found = _LINE.match(text)
    if found is None:
        return [text]
    key, rest = found["key"] or "", found["rest"]
    style = WARN if _LITERAL.match(rest) else DIM if rest.strip() in ("|", ">", "'***'", "***") else TEXT_STYLE
    return [(found["lead"], FAINT), (key, KEY_STYLE), (rest, style) if style else rest]
