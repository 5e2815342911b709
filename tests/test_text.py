"""Foreign text is made safe, and numbers are made readable."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlconsole.text import clean, clean_line, count, duration, listed, number, short_digest, shorten, size


@pytest.mark.parametrize(
    ("foreign", "shown"),
    [
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b]52;c;ZXZpbA==\x07after", "after"),
        ("\x1b]0;title\x1b\\after", "after"),
        ("\x9b2Jcleared", "cleared"),
        ("\x1bPdevice\x1b\\control", "control"),
        ("bell\x07 and \x00nul", "bell and nul"),
        ("safe\u202eexe.txt", "safeexe.txt"),
        ("[red]a [/oops] b", "[red]a [/oops] b"),
        ("tab\tand\nline", "tab\tand\nline"),
    ],
)
def test_escapes_and_controls_are_removed_and_markup_stays_text(foreign: str, shown: str) -> None:
    assert clean(foreign) == shown


@given(st.text())
def test_whatever_comes_in_nothing_that_drives_a_terminal_comes_out(foreign: str) -> None:
    shown = clean(foreign)
    assert not any(unicodedata.category(char) == "Cc" and char not in "\t\n" for char in shown)
    assert clean(shown) == shown


def test_a_carriage_return_replaces_what_stood_before_it() -> None:
    assert clean_line(" 10%|#\r 50%|#####\n") == " 50%|#####"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        *((0.26, "0.3 s"), (12.4, "12 s"), (185, "3 min 05 s"), (7800, "2 h 10 min"), (273600, "3 d 4 h")),
        *((65_750_400, "2 y 31 d"), (-1, "0.0 s")),
    ],
)
def test_durations_read_as_people_say_them(seconds: float, words: str) -> None:
    assert duration(seconds) == words


def test_amounts_are_told_with_their_noun() -> None:
    assert count(1, "row") == "1 row"
    assert count(8645, "row") == "8,645 rows"
    assert count(2, "match", "matches") == "2 matches"


def test_long_lists_are_cut_and_the_rest_counted() -> None:
    assert listed(["a"]) == "a"
    assert listed(["a", "b", "c"]) == "a, b and c"
    assert listed(["a", "b", "c", "d", "e"]) == "a, b, c and 2 more"


def test_numbers_keep_four_digits() -> None:
    assert number(24.123456) == "24.12"
    assert number(3) == "3"
    assert number(12345.678) == "12,345.7"
    assert number(0.00012347) == "0.0001235"
    assert number(float("nan")) == "nan"
    assert number(float("inf")) == "inf"


def test_sizes_digests_and_cuts() -> None:
    assert size(512) == "512 B"
    assert size(3482) == "3.4 KiB"
    assert size(360_000_000) == "343 MiB"
    assert short_digest("sha256:0123456789abcdef") == "0123456789ab"
    assert shorten("abcdef", 4) == "abc…"
