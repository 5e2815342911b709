"""Regular expressions that a person types. Whatever they are, looking for one never holds the console.

Python's `re` goes through all ways in which an expression may match, which may be more than there is time for, holds
every other thread meanwhile, and can't be interrupted. `regex` takes the same expressions, lets other threads work and
gives up after a time that it is told. It is slower, so that what can't take long is still left to `re`.
"""

from __future__ import annotations

import re
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from typing import Protocol

LINE_SECONDS, ALL_SECONDS = 1.0, 10.0
"""Beside the screen, a line may take so long, and the lines that are looked at in one go."""
DRAWN_SECONDS = 0.002
"""While a line is drawn, it may take so long."""
GIVEN_UP = "given up, it takes too long: try it without a repeat inside a repeat"
SHORT = 1_000
"""A line of so many signs is looked at by `re` in some milliseconds where only one thing repeats."""
LONGEST, MOST_SIZE, MOST_SAID = 1_000, 5_000, 40
"""An expression may be so long; with its repeats written out, as `regex` does before it looks for it; and is said up to
there."""
_REPEATS = "*+?{"
_TOKEN = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|\{(\d*)(?:,(\d*))?\}|.", re.DOTALL)

Matcher = Callable[[str], bool]


class NotAPattern(Exception):
    """What was typed is no regular expression; says why."""


class GivenUp(Exception):
    """The search took too long."""


class _Match(Protocol):
    def span(self) -> tuple[int, int]: ...


class Pattern:
    """A regular expression.

    Args:
        text: as it was typed.
        ignore_case: whether capitals count for nothing; None: they do where there are any.

    Raises:
        NotAPattern: it is none.
    """

    def __init__(self, text: str, *, ignore_case: bool | None = None) -> None:
        import regex

        self.text = text
        said = repr(text if len(text) <= MOST_SAID else f"{text[:MOST_SAID]}…")
        if len(text) > LONGEST or _size(text) > MOST_SIZE:
            raise NotAPattern(f"{said} is longer than what is looked for: {MOST_SIZE:,} signs, repeats written out.")
        ignored = ignore_case if ignore_case is not None else not any(letter.isupper() for letter in text)
        self._short = _longest_for_re(text)
        try:
            with warnings.catch_warnings():
                # of signs that may mean something else one day
                warnings.simplefilter("ignore", FutureWarning)
                self._quick = re.compile(text, re.IGNORECASE if ignored else 0) if self._short else None
                self._careful = regex.compile(text, regex.IGNORECASE if ignored else 0)
        except (re.error, regex.error, OverflowError, RecursionError) as error:
            raise NotAPattern(f"{said} is no regular expression: {error}.") from error

    def matcher(self, line_seconds: float | None = None, all_seconds: float = ALL_SECONDS) -> Matcher:
        """Tells of each text whether it matches, and raises GivenUp once one or all of them have taken too long."""
        quick, short = self._quick.search if self._quick else None, self._short
        if quick is not None and short == sys.maxsize:
            return lambda text: quick(text) is not None
        search, clock = self._careful.search, time.monotonic
        end, most = clock() + all_seconds, LINE_SECONDS if line_seconds is None else line_seconds

        def matches(text: str) -> bool:
            if quick is not None and len(text) <= short:
                return quick(text) is not None
            try:
                found = search(text, timeout=most) is not None
            except TimeoutError:
                raise GivenUp from None
            if clock() > end:
                raise GivenUp
            return found

        return matches

    def spans(self, text: str, seconds: float = DRAWN_SECONDS) -> Iterator[tuple[int, int]]:
        """Where it matches: from, and to before.

        Raises:
            GivenUp: it takes longer than that.
        """
        found: Iterator[_Match]
        try:
            if self._quick is not None and len(text) <= self._short:
                found = self._quick.finditer(text)
            else:
                found = self._careful.finditer(text, timeout=seconds)
            yield from (match.span() for match in found)
        except TimeoutError:
            raise GivenUp from None


def _longest_for_re(text: str) -> int:
    """Up to which length of a line `re` can't take long for an expression; 0 where it may for any."""
    repeats = sum(text.count(sign) for sign in _REPEATS)
    groups = text.count("(")
    if not repeats and groups <= 2:
        return sys.maxsize
    return SHORT if repeats == 1 and not groups else 0


def _size(text: str) -> int:
    """About how many signs an expression has with its repeats written out."""
    sizes, last = [0], 0
    for token in _TOKEN.finditer(text):
        times = [int(number) for number in token.groups() if number]
        if times:
            sizes[-1] += last * (max(times) - 1)
            last *= max(times)
        elif token[0] == "(":
            sizes.append(0)
        elif token[0] == ")" and len(sizes) > 1:
            last = sizes.pop()
            sizes[-1] += last
        else:
            last = 1
            sizes[-1] += last
    return sum(sizes)
