"""The log that the shim keeps, and the records that it leaves."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import tempfile
from pathlib import Path

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlconsole.localcluster.node import runtime, shim
from tests.living import runs


def lines_of(path: Path) -> list[bytes]:
    return [line.partition(b" ")[2] for line in path.read_bytes().splitlines(keepends=False)] if path.exists() else []


@given(st.lists(st.binary(max_size=40)))
def test_a_log_holds_what_was_fed_however_it_was_cut(chunks: list[bytes]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "log")
        log = shim.Log(str(path))
        for chunk in chunks:
            log.feed(chunk)
        log.close()
        written = [line.partition(b" ")[2] for line in path.read_bytes().split(b"\n")][:-1]
        whole = b"".join(chunks)
        expected = whole.split(b"\n")
        assert written == (expected[:-1] if expected[-1] == b"" else expected)


def test_a_full_log_makes_room_and_keeps_one_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shim, "LOG_LIMIT", 200)
    path = tmp_path / "log"
    log = shim.Log(str(path))
    for number in range(50):
        log.feed(b"line %d\n" % number)
    log.close()
    assert sorted(file.name for file in tmp_path.iterdir()) == ["log", "log.1"]
    kept = lines_of(tmp_path / "log.1") + lines_of(path)
    assert kept == [b"line %d" % number for number in range(50 - len(kept), 50)]
    assert path.stat().st_size <= 200


def test_moments_are_written_with_nanoseconds() -> None:
    assert shim.stamp(1_767_323_045_123_456_789) == "2026-01-02T03:04:05.123456789Z"


@given(st.text(max_size=30).filter(lambda text: text.isprintable() or "\n" in text))
def test_quoted_text_is_json(text: str) -> None:
    assert json.loads(shim.quote(text)) == text


def test_the_create_time_is_the_one_that_others_see() -> None:
    assert abs(shim.own_create_time() - psutil.Process().create_time()) < 0.1


def command(*words: str, cwd: Path, grace: float = 5.0) -> runtime.Command:
    return runtime.Command(words, {"PATH": os.environ["PATH"]}, cwd, grace)


async def test_records_tell_who_ran_and_how_it_ended(tmp_path: Path) -> None:
    process = await runtime.start(tmp_path / "a", command("sh", "-c", "echo hello; exit 7", cwd=tmp_path))
    record = json.loads((tmp_path / "a" / "shim.json").read_text())
    assert record["pid"] == process.pid and record["container_pid"] > 0
    ended = await process.wait()
    assert (ended.code, ended.signal) == (7, 0)
    assert runtime.adopt(tmp_path / "a") == ended
    assert lines_of(tmp_path / "a" / "log") == [b"hello"]


async def test_what_lost_its_parent_at_once_ends_with_the_container_too(tmp_path: Path) -> None:
    # with a session of its own and no parent, all that still leads to it is that the shim takes it over
    code = "setsid sleep 60 & echo $!"
    started = [await runtime.start(tmp_path / name, command("sh", "-c", code, cwd=tmp_path)) for name in "abcd"]
    for process in started:
        await process.wait()
    assert not [pid for name in "abcd" for pid in lines_of(tmp_path / name / "log") if runs(int(pid))]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("no-such-command",), 'exec: "no-such-command": executable file not found in $PATH'),
        (("/no/such/file",), 'exec: "/no/such/file": no such file or directory'),
        (("/",), 'exec: "/": permission denied'),
    ],
)
async def test_a_command_that_can_not_start_says_why(tmp_path: Path, words: tuple[str, ...], said: str) -> None:
    with pytest.raises(runtime.StartFailed) as caught:
        await runtime.start(tmp_path / "a", command(*words, cwd=tmp_path))
    assert str(caught.value) == said


async def test_a_stop_gives_the_grace_and_no_more(tmp_path: Path) -> None:
    code = "import signal, time; signal.signal(15, 1); print('up', flush=True); time.sleep(60)"
    process = await runtime.start(tmp_path / "a", command(sys.executable, "-c", code, cwd=tmp_path, grace=60))
    while not lines_of(tmp_path / "a" / "log"):
        await asyncio.sleep(0.01)
    process.stop(60)
    process.stop(0.2)
    ended = await asyncio.wait_for(process.wait(), 40)
    assert (ended.code, ended.signal) == (137, 9)
