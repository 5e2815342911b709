"""Lines that come from pods are kept in files without a name: each is found by its number, and none is lost."""

from __future__ import annotations

import threading

from hypothesis import given
from hypothesis import strategies as st

from mlconsole.console.log_lines import GAP, Line, picked, read_all
from mlconsole.console.log_spool import STRIDE, Spool

LINES = st.lists(
    st.builds(Line, st.text(alphabet="ab é漢", max_size=12), st.sampled_from(["", "a", "b-1"]), st.floats(0, 2e9)),
    max_size=300,
)


@given(LINES, st.integers(1, 50))
def test_every_line_comes_back_by_its_number(lines: list[Line], batch: int) -> None:
    spool = Spool()
    for place in range(0, len(lines), batch):
        spool.add(lines[place : place + batch])
    wanted = [Line(text, pod, round(at, 6)) for text, pod, at in lines]
    assert spool.end == len(lines)
    assert spool.read(0, spool.end) == wanted
    for start in range(0, len(lines), 7):
        assert spool.read(start, start + 5) == wanted[start : start + 5]


def test_the_oldest_lines_go_where_there_are_too_many_and_the_rest_keep_their_numbers() -> None:
    spool = Spool(most=40_000)
    spool.add(Line(f"line {number}") for number in range(10_000))
    assert 0 < spool.first < spool.end == 10_000
    assert spool.read(0, spool.first) == []
    found = spool.read(spool.first, spool.end)
    assert [entry.text for entry in found] == [f"line {number}" for number in range(spool.first, 10_000)]


def test_lines_are_picked_by_any_rising_numbers() -> None:
    spool = Spool()
    spool.add(Line(f"line {number}") for number in range(5_000))
    numbers = [*range(100, 200, 3), GAP, 700, 701, GAP, *range(1_000, 4_000, 500), 4_999]
    found = list(picked(spool, numbers))
    assert [(numbers[place], entry.text) for place, entry in found] == [
        (number, f"line {number}") for number in numbers if number != GAP
    ]


def test_it_is_read_while_it_grows() -> None:
    spool, wrong = Spool(most=1_000_000), []

    def look() -> None:
        while spool.end < 50_000:
            end = spool.end
            start = max(end - 3 * STRIDE, spool.first)
            for number, entry in enumerate(read_all(spool, start, end), start):
                if entry.text != f"line {number}":
                    wrong.append((number, entry))

    reader = threading.Thread(target=look)
    reader.start()
    for number in range(0, 50_000, 25):
        spool.add(Line(f"line {each}") for each in range(number, number + 25))
    reader.join(30)
    assert wrong == []
