"""A log file of any length: every line is found by its number, also while it grows; filter and search miss none."""

from __future__ import annotations

import threading
import time
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from mlconsole.console import log_file
from mlconsole.console.log_file import FileLines
from mlconsole.console.log_lines import Buffer, Line, picked, read_all
from mlconsole.console.log_save import save
from mlconsole.console.patterns import Pattern
from mlconsole.console.sieve import GAP, Sieve, Wanted, find


def indexed(path: Path) -> FileLines:
    lines = FileLines(path)
    lines.index(lambda: None, threading.Event())
    return lines


def sieved(buffer: Buffer | FileLines, wanted: str, context: int = 0) -> Sieve:
    found = Wanted.of(wanted, context)
    assert found is not None
    ended = threading.Event()
    sieve = Sieve(buffer, found, lambda: ended.set() if sieve.upto >= buffer.end else None)
    sieve.start()
    assert ended.wait(10)
    sieve.stop()
    return sieve


@given(st.lists(st.text(alphabet="ab é", max_size=12), max_size=60), st.booleans(), st.integers(8, 64))
def test_every_line_is_found_by_its_number(texts: list[str], ended: bool, block: int) -> None:
    import tempfile

    before, log_file.BLOCK = log_file.BLOCK, block
    try:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "x.log"
            data = "\n".join(texts) + ("\n" if ended and texts else "")
            path.write_text(data, encoding="utf-8", newline="")
            lines = indexed(path)
            wanted = data.split("\n")[: -1 if data.endswith("\n") or not data else None]
            assert lines.end == len(wanted)
            assert [found.text for found in lines.read(0, lines.end)] == wanted
            for number, text in enumerate(wanted):
                assert lines.read(number, number + 1) == [Line(text)]
    finally:
        log_file.BLOCK = before


def test_a_file_that_grows_keeps_its_numbers(tmp_path: Path) -> None:
    path = tmp_path / "train.log"
    path.write_text("one\ntw", encoding="utf-8")
    lines = indexed(path)
    assert [found.text for found in lines.read(0, lines.end)] == ["one", "tw"]
    with path.open("a", encoding="utf-8") as file:
        file.write("o\n" + "x\n" * 100_000)
    lines.index(lambda: None, threading.Event())
    assert lines.end == 100_002
    assert [found.text for found in lines.read(0, 3)] == ["one", "two", "x"]


def test_another_file_begins_anew(tmp_path: Path) -> None:
    path = tmp_path / "train.log"
    path.write_text("a long first line\n", encoding="utf-8")
    lines = indexed(path)
    path.write_text("new\n", encoding="utf-8")
    lines.index(lambda: None, threading.Event())
    assert (lines.fresh, lines.end, lines.read(0, 1)) == (1, 1, [Line("new")])


def test_escapes_and_endless_lines_do_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "train.log"
    path.write_bytes(b"\x1b]52;c;aGk=\x07\x1b[31mred\x1b[0m \xff\n" + b"y" * 6_000_000 + b"\nlast\n")
    lines = indexed(path)
    found = [entry.text for entry in read_all(lines, 0, lines.end)]
    assert found[0] == "red \ufffd"
    assert found[1] == "y" * log_file.LONGEST_LINE + " … and more"
    assert found[2] == "last"


def test_long_lines_are_read_a_few_at_a_time_and_whole(tmp_path: Path) -> None:
    path = tmp_path / "train.log"
    path.write_text("".join(f"{number:02d}{'x' * 200_000}end\n" for number in range(60)), encoding="utf-8")
    lines = indexed(path)
    assert len(lines.read(0, 60)) < 60
    found = list(read_all(lines, 0, 60))
    assert [(entry.text[:2], entry.text[-3:]) for entry in found] == [(f"{number:02d}", "end") for number in range(60)]
    assert [place for place, _ in picked(lines, [3, 4, 50])] == [0, 1, 2]
    assert list(sieved(lines, "^(07|59)x+end$").shown) == [7, 59]
    assert find(lines, range(60), Pattern("^59"), 0, 1, threading.Event()) == 59


def test_a_last_line_that_goes_on_is_looked_at_again(tmp_path: Path) -> None:
    path = tmp_path / "train.log"
    path.write_text("epoch 1\nepo", encoding="utf-8")
    lines = indexed(path)
    wanted = Wanted.of("epoch")
    assert wanted is not None
    told = threading.Event()
    sieve = Sieve(lines, wanted, told.set)
    sieve.start()
    while not sieve.upto:
        assert told.wait(10)
        told.clear()
    assert list(sieve.shown) == [0]
    with path.open("a", encoding="utf-8") as file:
        file.write("ch 2")
    lines.index(lambda: None, threading.Event())
    sieve.wake()
    deadline = time.monotonic() + 40
    while list(sieve.shown) != [0, 1] and time.monotonic() < deadline:
        time.sleep(0.01)
    sieve.stop()
    assert (list(sieve.shown), sieve.matches) == ([0, 1], 2)


def test_of_two_logs_that_are_saved_in_one_second_none_replaces_the_other(tmp_path: Path) -> None:
    buffer = Buffer()
    buffer.add(Line(f"line {number}") for number in range(3))
    saved = [save(tmp_path, "pods", buffer, range(number, number + 1)) for number in range(3)]
    assert [path.read_text() for path in saved] == ["line 0\n", "line 1\n", "line 2\n"]


def test_a_filter_shows_the_lines_around_a_match() -> None:
    buffer = Buffer()
    buffer.add(Line(f"line {number}") for number in range(10_000))
    sieve = sieved(buffer, "line (50|53|9000)$", 1)
    assert list(sieve.shown) == [49, 50, 51, 52, 53, 54, GAP, 8999, 9000, 9001]
    assert sieve.matches == 3
    assert list(sieved(buffer, "!line [0-9]+[0-8]$").shown)[:3] == [0, 1, 2]


def test_a_search_goes_round_the_end_in_both_directions(tmp_path: Path) -> None:
    path = tmp_path / "train.log"
    path.write_text("".join(f"line {number}\n" for number in range(9_000)), encoding="utf-8")
    lines, stop = indexed(path), threading.Event()
    numbers = range(lines.end)
    assert find(lines, numbers, Pattern("LINE"), 5, 1, stop) is None, "capitals count where there are any"
    assert find(lines, numbers, Pattern("line 8500$"), 0, 1, stop) == 8500
    assert find(lines, numbers, Pattern("line 1$"), 5, 1, stop) == 1
    assert find(lines, numbers, Pattern("line 8500$"), 5, -1, stop) == 8500
    assert find(lines, numbers, Pattern("nothing"), 5, -1, stop) is None


def test_a_buffer_tells_what_it_dropped() -> None:
    buffer = Buffer(most=100)
    for number in range(1_000):
        buffer.add([Line(str(number))])
    assert buffer.end == 1_000
    assert 100 <= buffer.end - buffer.first <= 110
    assert buffer.read(buffer.first, buffer.first + 1) == [Line(str(buffer.first))]


def test_what_is_shown_is_saved_whole(tmp_path: Path) -> None:
    buffer = Buffer()
    buffer.add([Line("one", "pod-a"), Line("two"), Line("three")])
    path = save(tmp_path / "logs", "Log of a/b", buffer, range(3))
    assert path.read_text(encoding="utf-8") == "pod-a  one\ntwo\nthree\n"
    assert [found.name for found in (tmp_path / "logs").iterdir()] == [path.name]
    assert path.name.startswith("Log-of-a-b-")
