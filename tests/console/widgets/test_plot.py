"""The chart's scale, names, cursor and legend can be read, at any width and with any values."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from mlconsole.console.widgets.plot import Series, legend, plot, thinned, value_at

FALLING = Series("valid_mae", tuple((float(step), 50.0 / step) for step in range(1, 21)))
EARLIER = Series("v1 valid_mae", tuple((float(step), 60.0 / step) for step in range(1, 21)), past=True)


def drawn(*series: Series, width: int = 80, height: int = 12, cursor: float | None = None) -> list[str]:
    return [content.plain for content in plot(series, width, height, cursor=cursor)]


def test_values_stand_to_the_left_and_steps_below() -> None:
    lines = drawn(FALLING)
    assert len(lines) == 12
    assert [text for text in ("40 ┤", "20 ┤") if any(line.startswith(text) for line in lines)] == ["40 ┤", "20 ┤"]
    assert lines[-1].split()[0] == "1"
    assert lines[-1].split()[-1] == "20"


def test_a_falling_curve_starts_at_the_top_and_is_named_where_it_ends() -> None:
    lines = drawn(FALLING)
    first = next(place for place, text in enumerate(lines) if any("⠀" < letter <= "⣿" for letter in text[:8]))
    named = next(place for place, text in enumerate(lines) if "valid_mae" in text)
    assert first <= 1
    assert named >= 8


def test_two_curves_that_end_together_have_names_on_lines_of_their_own() -> None:
    lines = drawn(FALLING, Series("same", FALLING.points), EARLIER)
    assert sum("valid_mae" in text or "same" in text for text in lines) == 3


def test_the_cursor_reads_the_values_of_its_step() -> None:
    assert value_at(FALLING, 10) == 5.0
    assert value_at(FALLING, 0.5) is None
    assert value_at(FALLING, None) == 2.5
    assert legend((FALLING, EARLIER), 10).plain == "─── valid_mae 5   ··· v1 valid_mae 6"
    assert any("│" in text[4:] for text in drawn(FALLING, cursor=10))


def test_a_value_that_never_changes_is_a_level_line() -> None:
    lines = drawn(Series("loss", ((1.0, 3.0), (2.0, 3.0))))
    assert sum(any("⠀" < letter <= "⣿" for letter in text) for text in lines) == 1


def test_of_many_points_no_peak_is_lost() -> None:
    points = [(float(place), 0.0) for place in range(10_000)]
    points[4_321] = (4_321.0, 9.0)
    kept = thinned(points, 50)
    assert len(kept) <= 100
    assert (4_321.0, 9.0) in kept
    assert kept == sorted(kept)
    assert thinned(points[:50], 50) == points[:50]


@given(
    values=st.lists(st.floats(width=32), max_size=50),
    width=st.integers(min_value=0, max_value=200),
    height=st.integers(min_value=0, max_value=40),
)
def test_any_values_fit_into_any_room(values: list[float], width: int, height: int) -> None:
    series = Series("wild", tuple((float(place), value) for place, value in enumerate(values)))
    lines = plot((series,), width, height, cursor=3)
    assert all(content.cell_length <= max(width, 24) for content in lines)
    if not any(math.isfinite(value) for value in values):
        assert lines == []
