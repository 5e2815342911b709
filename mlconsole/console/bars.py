"""Small histograms: values as a word of block characters, or as lines of bars side by side with another's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

from mlconsole.evidence.data import ColumnProfile, Histogram

BLOCKS = "▁▂▃▄▅▆▇"
"""Not the full block: those of two lines would run into each other."""
OTHER = "(other)"


def word(parts: Sequence[float]) -> str:
    """Draw parts as one letter each, the largest in full height; a part of nothing is a space."""
    most = max(parts, default=0)
    if most <= 0:
        return ""
    return "".join(BLOCKS[min(int(part / most * 7), 6)] if part > 0 else " " for part in parts)


def bar_of(part: float, most: float, width: int) -> str:
    """Draw a part as a bar of at most `width` cells, of which `most` fills all."""
    halves = round(min(max(part / most, 0.0), 1.0) * width * 2) if most > 0 else 0
    full, rest = divmod(max(halves, 1 if part > 0 else 0), 2)
    # lines, not blocks: those would run into the bars above and below
    return "━" * full + "╸" * rest


def spread(histogram: Histogram, edges: Sequence[float]) -> tuple[float, ...]:
    """The part of the rows between each two of `edges`, as if rows were spread evenly within the histogram's bins."""
    total = sum(histogram.counts)
    parts = []
    for low, high in pairwise(edges):
        rows = 0.0
        for (left, right), count in zip(pairwise(histogram.edges), histogram.counts, strict=True):
            if right > left:
                rows += count * max(min(high, right) - max(low, left), 0.0) / (right - left)
            elif low <= left < high:
                rows += count
        parts.append(rows / total if total else 0.0)
    return tuple(parts)


def shared_edges(histograms: Sequence[Histogram], bins: int) -> tuple[float, ...]:
    """Edges of `bins` equal steps that hold all histograms; of a single one its own, where those are few enough."""
    if len(histograms) == 1 and len(histograms[0].counts) <= bins:
        return histograms[0].edges
    low = min(histogram.edges[0] for histogram in histograms)
    high = max(histogram.edges[-1] for histogram in histograms)
    return tuple(low + (high - low) * place / bins for place in range(bins + 1))


def side_by_side(columns: Sequence[ColumnProfile | None], bins: int) -> tuple[list[str], list[tuple[float, ...]]]:
    """The same bins or values of one column in several data sets, each as parts of its rows.

    Returns:
        What each place stands for (`0 – 31`, `May`), and one list of parts for each data set; empty where there is
        nothing to draw.
    """
    from mlconsole.text import number

    found = [column for column in columns if column is not None]
    histograms = [column.histogram for column in found if column.histogram is not None]
    if histograms:
        edges = shared_edges(histograms, bins)
        labels = [f"{number(low)} – {number(high)}" for low, high in pairwise(edges)]
        nothing = (0.0,) * len(labels)
        return labels, [spread(c.histogram, edges) if c and c.histogram else nothing for c in columns]
    shares = [_shares(column) if column is not None else {} for column in columns]
    values = list(dict.fromkeys(value for share in shares for value in share if value != OTHER))
    values.sort(key=lambda value: -max(share.get(value, 0.0) for share in shares))
    if not values:
        return [], [() for _ in columns]
    labels = values[: bins - 1] if len(values) > bins else values
    rest = [max(1.0 - sum(share.get(value, 0.0) for value in labels), 0.0) if share else 0.0 for share in shares]
    if any(part > 0.001 for part in rest):
        parts = [
            (*(share.get(value, 0.0) for value in labels), other) for share, other in zip(shares, rest, strict=True)
        ]
        return [*labels, OTHER], parts
    return labels, [tuple(share.get(value, 0.0) for value in labels) for share in shares]


def _shares(column: ColumnProfile) -> Mapping[str, float]:
    present = column.rows - column.missing
    return {found.value: found.count / present for found in column.top} if present else {}
