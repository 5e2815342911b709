"""Filters and searches logs beside the screen, however long they are."""

from __future__ import annotations

import threading
from array import array
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from mlconsole.console.log_lines import CHUNK, GAP, LogLines, picked, read_all
from mlconsole.console.patterns import GivenUp, Matcher, Pattern


@dataclass(frozen=True)
class Wanted:
    """Which lines: those that match (or, `inverse`, do not), with `context` lines around each."""

    pattern: Pattern
    inverse: bool = False
    context: int = 0

    @classmethod
    def of(cls, text: str, context: int = 0) -> Wanted | None:
        """Read what a person typed: a regular expression, `!` before it for the inverse; None where it is empty.

        Capitals count only where there are any.

        Raises:
            NotAPattern: it is no regular expression.
        """
        pattern = text.removeprefix("!")
        if not pattern:
            return None
        return cls(Pattern(pattern), text.startswith("!"), context)

    def matcher(self, *seconds: float) -> Matcher:
        """Tells whether a line itself is wanted; `seconds` as for the pattern's own."""
        matches = self.pattern.matcher(*seconds)
        return (lambda text: not matches(text)) if self.inverse else matches

    def with_context(self, context: int) -> Wanted:
        """The same with more or fewer lines around."""
        return replace(self, context=max(context, 0))


class Sieve(threading.Thread):
    """Goes through a log's lines in a thread, those that come later too.

    A last line that may still go on is looked at again until it is wanted or whole.

    Args:
        lines: the log.
        wanted: which lines.
        told: called in the thread when more was found, or the end was reached.
    """

    def __init__(self, lines: LogLines, wanted: Wanted, told: Callable[[], None]) -> None:
        super().__init__(name="console-sieve", daemon=True)
        self.wanted = wanted
        self.shown: array[int] = array("Q")
        """Numbers of the lines to show, in order, with GAPs; it only grows."""
        self.matches = 0
        self.upto = lines.first
        """The number of the line to look at next."""
        self.given_up = False
        """Whether that line takes too long: there it ended."""
        self._lines, self._told = lines, told
        self._last = -1
        self._after = 0
        self._wake = threading.Event()
        self._stopped = threading.Event()

    def run(self) -> None:
        """Go through all lines, then wait for more."""
        while not self._stopped.is_set():
            self._wake.clear()
            try:
                while not self._stopped.is_set() and self.upto < self._lines.end and self._chunk():
                    self._told()
                    # the screen's thread gets its turn between two chunks
                    self._stopped.wait(0.0005)
            except GivenUp:
                self.given_up = True
                self._stopped.set()
            self._told()
            if not self.given_up:
                self._wake.wait()

    def wake(self) -> None:
        """There are more lines."""
        self._wake.set()

    def stop(self) -> None:
        """End; does not wait."""
        self._stopped.set()
        self._wake.set()

    def _chunk(self) -> bool:
        """Look at some lines; whether there may be more to look at now."""
        start = max(self.upto, self._lines.first)
        end, is_open = self._lines.end, self._lines.is_open
        found = self._lines.read(start, min(start + CHUNK, end))
        matches, context = self.wanted.matcher(), self.wanted.context
        for number, text in enumerate((entry.text for entry in found), start):
            self.upto = number
            wanted = matches(text)
            if is_open and number == end - 1 and (self.wanted.inverse or not wanted):
                return False
            if wanted:
                self.matches += 1
                self._show(max(number - context, self._last + 1, self._lines.first), number)
                self._after = context
            elif self._after:
                self._after -= 1
                self._show(number, number)
        self.upto = start + max(len(found), 1)
        return True

    def _show(self, first: int, last: int) -> None:
        if self.wanted.context and self._last >= 0 and first > self._last + 1:
            self.shown.append(GAP)
        self.shown.extend(range(first, last + 1))
        self._last = last


def find(
    lines: LogLines,
    numbers: Sequence[int],
    pattern: Pattern,
    start: int,
    step: int,
    stopped: threading.Event,
) -> int | None:
    """Find the next place whose line matches, from `start` on in the direction of `step`, and round the end; or None.

    Args:
        lines: the log.
        numbers: the numbers of the lines at each place; a range or an array.
        pattern: what is looked for.
        start: the first place to look at.
        step: 1 or -1.
        stopped: ends it.

    Raises:
        GivenUp: a line takes too long.
    """
    total = len(numbers)
    before, after = range(start), range(start, total)
    stretches = (after, before) if step > 0 else (range(start + 1), range(start + 1, total))
    for stretch in stretches:
        for chunk in _chunks(stretch, step):
            if stopped.is_set():
                return None
            matches = pattern.matcher()
            hits = (place for place, text in _texts(lines, numbers, chunk) if matches(text))
            hit = next(hits, None) if step > 0 else max(hits, default=None)
            if hit is not None:
                return hit
    return None


def _chunks(stretch: range, step: int) -> list[range]:
    found = [stretch[place : place + CHUNK] for place in range(0, len(stretch), CHUNK)]
    return found if step > 0 else found[::-1]


def _texts(lines: LogLines, numbers: Sequence[int], places: range) -> Iterator[tuple[int, str]]:
    wanted = numbers[places.start : places.stop]
    if isinstance(wanted, range):
        start = max(wanted.start, lines.first)
        found = read_all(lines, start, wanted.stop)
        return ((place, entry.text) for place, entry in enumerate(found, places.start + start - wanted.start))
    return ((places.start + place, entry.text) for place, entry in picked(lines, wanted))
