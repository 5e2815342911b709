"""Curves in braille keep to their width and height whatever the values are."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mlconsole.console.widgets.chart import curve


@given(st.lists(st.floats(), max_size=300), st.integers(0, 60), st.integers(0, 6))
def test_a_curve_fits_and_never_fails(values: list[float], width: int, height: int) -> None:
    lines = curve(values, width, height)
    assert len(lines) == height
    assert all(len(text) <= width for text in lines)
    assert all("\u2800" <= letter <= "\u28ff" for text in lines for letter in text)


def test_a_rising_line_rises() -> None:
    assert curve([0, 1, 2, 3], 2) == ["⡠⠊"]


def test_few_points_are_joined_over_the_whole_width() -> None:
    assert len(curve([5, 1], 20)[0]) == 20


def test_a_steady_value_is_a_line_at_the_bottom() -> None:
    assert curve([3.0] * 8, 4) == ["⣀⣀⣀⣀"]


def test_without_values_there_is_nothing() -> None:
    assert curve([], 10, 2) == ["", ""]
    assert curve([float("nan")], 10) == [""]
