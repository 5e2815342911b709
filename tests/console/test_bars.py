"""Small histograms tell the shape of a column, and two of one column stand on the same bins."""

from __future__ import annotations

import pytest

from mlconsole.console.bars import bar_of, shared_edges, side_by_side, spread, word
from mlconsole.evidence.data import ColumnProfile, Histogram, ValueCount


def number_column(edges: tuple[float, ...], counts: tuple[int, ...]) -> ColumnProfile:
    rows = sum(counts)
    return ColumnProfile(
        name="temp", kind="number", type="double", rows=rows, missing=0, distinct=rows,
        histogram=Histogram(edges=edges, counts=counts),
    )  # fmt: skip


def text_column(**counts: int) -> ColumnProfile:
    top = tuple(ValueCount(value=value, count=count) for value, count in counts.items())
    return ColumnProfile(
        name="mnth", kind="category", type="string", rows=sum(counts.values()), missing=0, distinct=len(counts), top=top
    )


def test_a_word_has_a_letter_for_each_part() -> None:
    assert word((0.0, 0.01, 0.5, 1.0)) == " ▁▄▇"
    assert word(()) == word((0.0, 0.0)) == ""


def test_the_largest_part_fills_its_bar_and_the_smallest_is_still_seen() -> None:
    assert bar_of(0.5, 0.5, 6) == "━━━━━━"
    assert bar_of(0.0001, 0.5, 6) == "╸"
    assert bar_of(0.0, 0.5, 6) == ""


def test_rows_are_spread_over_other_bins_without_losing_any() -> None:
    histogram = Histogram(edges=(0.0, 10.0, 20.0), counts=(30, 10))
    assert spread(histogram, (0.0, 5.0, 10.0, 15.0, 20.0)) == pytest.approx((0.375, 0.375, 0.125, 0.125))
    assert sum(spread(histogram, shared_edges([histogram], 7))) == pytest.approx(1.0)


def test_two_ranges_share_their_bins() -> None:
    now, before = number_column((0.0, 5.0, 10.0), (10, 10)), number_column((10.0, 15.0, 20.0), (1, 1))
    labels, (new, old) = side_by_side([now, before], 4)
    assert labels == ["0 – 5", "5 – 10", "10 – 15", "15 – 20"]
    assert new == pytest.approx((0.5, 0.5, 0.0, 0.0))
    assert old == pytest.approx((0.0, 0.0, 0.5, 0.5))


def test_a_value_that_was_not_there_before_has_its_place() -> None:
    labels, (new, old) = side_by_side([text_column(April=3, May=1), text_column(April=2)], 8)
    assert labels == ["April", "May"]
    assert new == (0.75, 0.25)
    assert old == (1.0, 0.0)


def test_many_values_end_in_the_rest() -> None:
    labels, (new,) = side_by_side([text_column(**{f"v{place}": 10 for place in range(20)})], 5)
    assert labels == ["v0", "v1", "v2", "v3", "(other)"]
    assert new == pytest.approx((0.05, 0.05, 0.05, 0.05, 0.8))
