"""Candidate against champion, drawn: how much worse, and between which bounds, on one scale for all comparisons."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from textual.content import Content

from mlconsole.console.paint import BAD, DIM, FAINT, GOOD, STRONG, WARN, fit, heading, line, wrapped
from mlconsole.evidence.testing import Comparison
from mlconsole.text import count, number

VERDICTS = {
    "better": ("✓ better", GOOD),
    "equal": ("✓ as good", GOOD),
    "worse": ("✗ worse", BAD),
    "undecided": ("! undecided", WARN),
}
LEAST_PLOT = 12
MOST_PLOT = 70


class Interval(NamedTuple):
    """How much worse the candidate is, as a part of the champion's value: the bounds and the middle."""

    low: float
    middle: float
    high: float


def interval_of(found: Comparison) -> Interval:
    """A comparison's interval; below zero is better, whichever direction the metric has."""
    unit = abs(found.champion_value) or 1.0
    sign = 1 if found.lower_is_better else -1
    low, high = sorted((sign * found.low / unit, sign * found.high / unit))
    return Interval(low, sign * found.difference / unit, high)


def comparison_drawn(
    found: Comparison, further: Sequence[Comparison], width: int, *, low: bool = False
) -> list[Content]:
    """The comparison in numbers and as an interval, with those of segments and other metrics below."""
    mark, style = VERDICTS[found.verdict]
    direction = "less" if found.lower_is_better else "more"
    note = f"{found.metric}, {direction} is better, {count(found.rows, 'row')} that neither has seen"
    values = line(
        (found.candidate, STRONG), f" {number(found.candidate_value)}", ("   against   ", DIM),
        (found.champion, STRONG), f" {number(found.champion_value)}",
    )  # fmt: skip
    verdict = wrapped(line((mark, f"bold {style}"), "  ", difference_words(found)), width, indent=2)
    drawn = forest([found] if low else [found, *further], width)
    if low:
        words = f"{found.difference:+.4g}, {abs(found.relative):.1%} {'worse' if found.relative > 0 else 'better'}"
        said = line((mark, f"bold {style}"), f"  {found.metric} {words} than {found.champion}")
        return [*wrapped(said, width, indent=2), *drawn]
    return [heading("Candidate against champion", note), values, *verdict, *drawn]


def difference_words(found: Comparison) -> str:
    """The difference with its bounds in a sentence."""
    words = "worse" if found.relative > 0 else "better"
    return (
        f"{found.difference:+.4g} ({found.confidence:.0%} between {found.low:+.4g} and {found.high:+.4g}), "
        f"{abs(found.relative):.1%} {words}; up to {found.tolerance:.1%} worse is tolerated"
    )


def forest(comparisons: Sequence[Comparison], width: int) -> list[Content]:
    """One line for each comparison, its interval on a scale from better to worse that all share."""
    names = [_name(found, comparisons[0]) for found in comparisons]
    wide = min(max(len(name) for name in names), max(width // 3, 8))
    room = min(width - wide - 4, MOST_PLOT)
    if room < LEAST_PLOT:
        return []
    intervals = [interval_of(found) for found in comparisons]
    tolerance = comparisons[0].tolerance
    left = min(0.0, *(each.low for each in intervals))
    right = max(tolerance, 0.0, *(each.high for each in intervals))
    span = right - left or 1.0
    # to the right there is room for what is tolerated, in words
    left, right = left - span * 0.06, right + span * 0.14

    def place(value: float) -> int:
        return min(max(round((value - left) / (right - left) * (room - 1)), 0), room - 1)

    lines = []
    for found, name, each in zip(comparisons, names, intervals, strict=True):
        mark, style = VERDICTS[found.verdict]
        parts: list[tuple[str, str]] = [(" ", "")] * room
        parts[place(tolerance)] = ("┆", DIM)
        parts[place(0.0)] = ("│", DIM)
        for at in range(place(each.low), place(each.high) + 1):
            parts[at] = ("─", style)
        parts[place(each.low)], parts[place(each.high)] = ("├", style), ("┤", style)
        if place(each.low) < place(0.0) < place(each.high):
            parts[place(0.0)] = ("┼", style)
        parts[place(each.middle)] = ("●", f"bold {style}")
        lines.append(line((f"{mark[0]} ", style), f"{fit(name, wide)}  ", *parts))
    return [*lines, _scale(place, wide + 4, room, tolerance, left, right)]


def _scale(
    place: Callable[[float], int], indent: int, room: int, tolerance: float, left: float, right: float
) -> Content:
    """What is where on the line: better, zero, how much is tolerated, worse."""
    text = [" "] * room
    worse = f"{right:+.0%} worse"
    for at, *ways in (
        (place(0.0), "0"),
        (place(tolerance), f"+{tolerance:.1%} tolerated", f"+{tolerance:.1%}"),
        (0, f"{left:+.0%} better"),
        (room - len(worse), worse),
    ):
        words = next((words for words in ways if _is_free(text, at, words)), "")
        text[at : at + len(words)] = words
    return line((" " * indent + "".join(text).rstrip(), FAINT))


def _is_free(text: Sequence[str], at: int, words: str) -> bool:
    """Whether there is room for words, with a gap on both sides."""
    around = text[max(at - 1, 0) : at + len(words) + 1]
    return 0 <= at <= len(text) - len(words) and all(letter == " " for letter in around)


def _name(found: Comparison, first: Comparison) -> str:
    if found is first:
        return "all rows"
    if found.segment:
        return found.segment if found.metric == first.metric else f"{found.segment}, {found.metric}"
    return found.metric
