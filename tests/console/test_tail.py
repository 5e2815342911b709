"""A growing log is read once, cleaned, in whole lines, and noticed when it is another file."""

from __future__ import annotations

from pathlib import Path

from mlconsole.console.tail import FIRST_BYTES, FileTail, Growth


def test_only_what_is_new_is_read(tmp_path: Path) -> None:
    path = tmp_path / "train.log"
    tail = FileTail(path)
    assert tail.read() == Growth()
    path.write_text("one\ntw", encoding="utf-8")
    assert tail.read() == Growth(("one",), "tw", fresh=True)
    with path.open("a", encoding="utf-8") as file:
        file.write("o\nthree\n")
    assert tail.read() == Growth(("two", "three"))
    assert tail.read() == Growth()


def test_a_progress_bar_is_its_last_state(tmp_path: Path) -> None:
    path = tmp_path / "train.log"
    path.write_bytes(b" 10%\r 20%\r 30%")
    assert FileTail(path).read().partial.strip() == "30%"


def test_escapes_and_broken_characters_do_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "train.log"
    path.write_bytes(b"\x1b]52;c;aGk=\x07\x1b[31mred\x1b[0m \xff\xfe\n")
    assert FileTail(path).read().lines == ("red \ufffd\ufffd",)


def test_a_shorter_file_is_read_anew(tmp_path: Path) -> None:
    path = tmp_path / "train.log"
    path.write_text("a long first line\n", encoding="utf-8")
    tail = FileTail(path)
    tail.read()
    path.write_text("new\n", encoding="utf-8")
    assert tail.read() == Growth(("new",), fresh=True)


def test_a_file_that_went_away_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "train.log"
    path.write_text("one\n", encoding="utf-8")
    tail = FileTail(path)
    tail.read()
    path.unlink()
    assert tail.read() == Growth(fresh=True)


def test_of_a_huge_log_the_end_is_read_first(tmp_path: Path) -> None:
    path = tmp_path / "train.log"
    path.write_bytes(b"x" * 99 + b"\n" + (b"y" * 99 + b"\n") * (2 * FIRST_BYTES // 100) + b"the end\n")
    lines = FileTail(path).read().lines
    assert lines[-1] == "the end"
    assert len(lines) * 100 <= FIRST_BYTES + 100
    assert set(lines[:-1]) == {"y" * 99}, "the first line is a whole one"
