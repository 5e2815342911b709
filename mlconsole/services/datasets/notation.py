"""Texts that are numbers to people and to no reader, and texts that keep a column of numbers from being one."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable

from mlconsole.text import clean_line

LOOKED_AT = 1000
FEW_OTHERS = 0.05
"""The part of the texts that may be no numbers, in a column that was meant to be of numbers."""
FEWEST = 20
"""So many different numbers are no codes, of which a few happen to be digits."""
EXAMPLES = 3

_PLAIN = re.compile(r"\s*[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?\s*")
_NUMBER = (
    r"[-+−]?(?:\d{1,3}(?:,\d{3})+(?:\.\d+)?"  # 1,234.5
    r"|\d{1,3}(?:\.\d{3})+(?:,\d+)?"  # 1.234,5
    r"|\d{1,3}(?:[ \u00a0\u202f'’_]\d{3})+(?:[.,]\d+)?"  # 1 234,5
    r"|\d+(?:[.,]\d+)?)"
)
_WRITTEN = re.compile(rf"\s*(?:[$€£¥]\s?{_NUMBER}|{_NUMBER}\s?[%‰$€£¥]?)\s*")


def number_formats(texts: Iterable[str]) -> tuple[str, ...]:
    """Examples of texts that are numbers as people write them, where all are: `1.234,5`, `$12` or `7 %`."""
    looked_at = [text for text in itertools.islice(texts, LOOKED_AT) if text.strip()]
    written = [text for text in looked_at if not _PLAIN.fullmatch(text) and _WRITTEN.fullmatch(text)]
    plain = sum(1 for text in looked_at if _PLAIN.fullmatch(text))
    if not written or len(written) + plain < (1 - FEW_OTHERS) * len(looked_at):
        return ()
    return tuple(clean_line(text).strip() for text in written[:EXAMPLES])


def are_mostly_numbers(texts: Iterable[str]) -> bool:
    """Whether almost all texts of a column are plain numbers: then the others are faults, rather than codes."""
    looked_at = list(itertools.islice(texts, LOOKED_AT))
    plain = sum(1 for text in looked_at if _PLAIN.fullmatch(text))
    return plain >= FEWEST and plain >= (1 - FEW_OTHERS) * len(looked_at)
