"""The likely cause is told from a command's last lines, where they say it plainly."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlconsole.present.causes import likely_cause


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("ModuleNotFoundError: No module named 'xgboost'", "lacks the package xgboost"),
        ("ImportError: cannot import name 'foo' from 'bar.baz' (/x)", "The installed bar.baz has no foo"),
        ("OSError: [Errno 28] No space left on device", "The disk is full."),
        ("numpy._core._exceptions.MemoryError: Unable to allocate 8 GiB", "not enough memory"),
        ("FileNotFoundError: [Errno 2] No such file or directory: 'data/a.csv'", "The file data/a.csv is not where"),
        ("python: can't open file '/p/train.py': [Errno 2] No such file or directory", "The file /p/train.py"),
        ("ValueError: could not convert string to float: 'n/a'", "has the text 'n/a' in it"),
        ("ValueError: Input X contains NaN.", "missing values"),
        ("KeyError: 'bikers'", "no column bikers"),
        ("train.py: error: unrecognized arguments: --dta x", "does not know the arguments --dta x"),
        ("requests.exceptions.ConnectionError: [Errno 111] Connection refused", "A server was not reached."),
    ],
)
def test_a_line_that_says_it_plainly(line: str, words: str) -> None:
    assert words in likely_cause(("Traceback (most recent call last):", line, "  at exit"))


def test_the_last_line_counts_first() -> None:
    assert "xgboost" in likely_cause(("KeyError: 'a'", "No module named 'xgboost'"))


def test_what_is_not_plain_is_not_guessed() -> None:
    assert likely_cause(("AssertionError", "something odd")) == ""
    assert likely_cause(()) == ""


@given(st.lists(st.text(max_size=200), max_size=20))
def test_no_text_is_too_odd(lines: list[str]) -> None:
    assert isinstance(likely_cause(lines), str)
