"""The log of a Job: every line once and in order, however it comes; and what is known to be missing."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from mlconsole.services.kubernetes.job_log import JobLog, copied, read_mark
from mlconsole.services.kubernetes.logs import GAP, Stamp


def stamp(number: int) -> Stamp:
    return (1_700_000_000.0 + number, "0" * 9)


def mark(**what: Any) -> str:
    return f"::mlconsole:: {json.dumps(what)}"


class Seen:
    def __init__(self) -> None:
        self.lines: list[str] = []
        self.marks: list[dict[str, Any]] = []

    def open(self, path: Path, job: str = "j", *, together: bool = False) -> JobLog:
        self.lines, self.marks = [], []
        return JobLog(path, job, self.lines.append, lambda uid, found: self.marks.append(found), together=together)


def test_marks_are_taken_out_and_say_what_is_missing(tmp_path: Path) -> None:
    seen = Seen()
    log = seen.open(tmp_path / "train.log")
    log.begin("u", "pod")
    told = ["a", mark(use={}, lines=1), GAP, mark(use={}, lines=4), "e", mark(end={"lines": 5})]
    for number, text in enumerate(told):
        log.take("u", stamp(number), text)
    assert seen.lines == ["a", "e"]
    assert len(seen.marks) == 3
    assert (log.lines, log.missing, log.pods["u"].gaps) == (2, 3, [(1, 4)])
    log.replace("u", ["a", "b", "c", "d", "e"])
    log.close()
    assert (log.lines, log.missing) == (5, 0)
    assert (tmp_path / "train.log").read_text() == "a\nb\nc\nd\ne\n"


def test_what_looks_like_a_mark_but_is_none_is_a_line() -> None:
    assert read_mark("::mlconsole:: no json") is None
    assert read_mark("::mlconsole:: [1]") is None
    assert read_mark(mark(use=1)) == {"use": 1}


@settings(max_examples=60)
@given(
    st.lists(st.lists(st.text("ab\u00e9 ", max_size=5), max_size=8), max_size=4),
    st.lists(st.integers(0, 40), max_size=3),
    st.lists(st.integers(0, 200), max_size=3),
)
def test_another_process_goes_on_wherever_one_was_killed(
    tmp_path_factory: Any, attempts: list[list[str]], deaths: list[int], unsaved: list[int]
) -> None:
    """Killed: what was written after the last save may be in the file, in part, or not."""
    path = tmp_path_factory.mktemp("log") / "train.log"
    path.write_text("of an earlier attempt\n")
    expected = [
        (f"u{pod}", (pod, number), text) for pod, lines in enumerate(attempts) for number, text in enumerate(lines)
    ]
    seen, saved = Seen(), 0
    for end in [*sorted(min(death, len(expected)) for death in deaths), len(expected)]:
        log = seen.open(path)
        assert seen.lines == [text for _, _, text in expected[:saved]]
        for uid, (pod, number), text in expected[saved:end]:
            log.begin(uid, f"pod-{uid}")
            log.take(uid, stamp(pod * 100 + number), text)
        log.save()
        saved = end
        if unsaved:
            for uid, _, text in expected[end : end + 1]:
                log.begin(uid, f"pod-{uid}")
                log._write(text)
        log._file.close()
        log._marks.close()
        if unsaved and path.stat().st_size:
            with path.open("ab") as file:
                file.write(b"x" * (unsaved[0] % 7))
    log = seen.open(path)
    log.close()
    assert seen.lines == [text for _, _, text in expected]
    written = path.read_text().splitlines() if not any("\u2028" in text for _, _, text in expected) else []
    assert written[0] == "of an earlier attempt"
    assert [line for line in written[1:] if not line.startswith("── attempt ")] == [text for _, _, text in expected]


def test_another_process_is_told_the_marks_again(tmp_path: Path) -> None:
    seen, path = Seen(), tmp_path / "train.log"
    log = seen.open(path)
    log.begin("u", "pod")
    told = [{"start": {"python": "3.12"}}, {"use": {}, "lines": 0}, {"report": "r1"}]
    for place, what in enumerate(told):
        log.take("u", stamp(place), mark(**what))
    log.save()
    log.take("u", stamp(3), mark(report="r2"))
    log._marks.close()
    log._file.close()
    log = seen.open(path)
    assert seen.marks == [told[0], told[2]]
    log.take("u", stamp(3), mark(report="r2"))
    log.close()
    seen.open(path).close()
    assert [found.get("report") for found in seen.marks] == [None, "r1", "r2"]


def test_another_job_begins_behind_what_is_there(tmp_path: Path) -> None:
    seen, path = Seen(), tmp_path / "train.log"
    for job in ("first", "second"):
        log = seen.open(path, job)
        log.begin("u", "pod")
        log.take("u", stamp(0), job)
        log.close()
        assert seen.lines == [job]
    assert path.read_text() == "first\nsecond\n"


def test_lines_of_pods_that_run_together_begin_with_their_pod_and_the_first_one_is_read(tmp_path: Path) -> None:
    seen, path = Seen(), tmp_path / "train.log"
    log = seen.open(path, together=True)
    for place, (uid, text) in enumerate((("a", "one"), ("b", "two"), ("a", "three"))):
        log.begin(uid, f"pod-{uid}")
        log.take(uid, stamp(place), text)
    log.close()
    assert path.read_text() == "pod-a | one\npod-b | two\npod-a | three\n"
    assert seen.lines == ["one", "three"]
    seen.open(path, together=True).close()
    assert seen.lines == ["one", "three"]


def test_a_copy_is_read_with_the_reports_in_it() -> None:
    data = gzip.compress(f"a\n{mark(report='r1')}\nb\x1b[2J\n".encode())
    assert copied(data) == (["a", "b"], ["r1"])
