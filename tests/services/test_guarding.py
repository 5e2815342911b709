"""Guards: each has one order, the next waits for its own, and none outlives who started it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mlconsole.services import guarding
from mlconsole.services.guarding import Guard, Order, Report
from tests.living import runs


def until(condition: Callable[[], bool], seconds: float = 40) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come about in time"
        time.sleep(0.005)


@pytest.fixture
def ordered(tmp_path: Path) -> Callable[..., Report]:
    """Have a command run to its end."""

    def run(*command: str, **more: Any) -> Report:
        guard = guarding.start(an_order(tmp_path, *command, **more))
        try:
            return guard.report()
        finally:
            guard.close()

    return run


def an_order(folder: Path, *command: str, **more: Any) -> Order:
    given = {"cwd": folder, "environment": None, "log_path": folder / "log", "grace": 0.2, "memory": 0, **more}
    return Order(command=command, **given)


@pytest.fixture(autouse=True)
def none_waits() -> Iterator[None]:
    guarding.dismiss()
    yield
    guarding.dismiss()


def test_a_command_s_end_is_told(ordered: Callable[..., Report], tmp_path: Path) -> None:
    report = ordered("sh", "-c", "echo said; exit 4")
    assert (report.exit_code, report.error, report.nowhere, report.lost) == (4, "", "", "")
    assert report.cpu_seconds > 0 and report.peak_memory > 0
    assert (tmp_path / "log").read_text() == "said\n"


def test_the_next_command_has_the_guard_that_waits(ordered: Callable[..., Report], tmp_path: Path) -> None:
    ordered("true")
    (waiting,) = guarding._waiting
    guard = guarding.start(an_order(tmp_path, "true"))
    assert guard is waiting and guarding._waiting != [waiting]
    assert guard.report().exit_code == 0
    guard.close()


def test_a_guard_that_waited_runs_in_the_folder_and_environment_of_its_order(
    ordered: Callable[..., Report], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ordered("true")
    monkeypatch.setenv("SET_LATER", "since then")
    (tmp_path / "there").mkdir()
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "own").write_text('#!/bin/sh\necho "$SET_LATER $PWD"\n')
    (tmp_path / "bin" / "own").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=os.pathsep)
    assert ordered("own", cwd=tmp_path / "there").exit_code == 0
    assert ordered("own", cwd=tmp_path / "there", environment={"PATH": str(tmp_path / "bin")}).exit_code == 0
    there = tmp_path / "there"
    assert (tmp_path / "log").read_text() == f"since then {there}\n {there}\n"


def test_names_and_words_need_not_be_utf8(ordered: Callable[..., Report], tmp_path: Path) -> None:
    word = os.fsdecode(b"\xff\xfe")
    folder = tmp_path / word
    folder.mkdir()
    report = ordered("sh", "-c", 'echo "$0 $ODD"', word, cwd=folder, environment={"ODD": word, "PATH": os.defpath})
    assert report.exit_code == 0
    assert (tmp_path / "log").read_bytes() == b"\xff\xfe \xff\xfe\n"


def test_what_can_not_be_started_is_told(ordered: Callable[..., Report], tmp_path: Path) -> None:
    assert ordered("no-such-command").error == "No such file or directory"
    assert ordered("true", cwd=tmp_path / "nowhere").nowhere == "No such file or directory"


def test_a_guard_that_was_killed_while_it_waited_is_no_loss(ordered: Callable[..., Report]) -> None:
    ordered("true")
    (waiting,) = guarding._waiting
    waiting.kill()
    until(lambda: not runs(waiting.pid))
    assert ordered("sh", "-c", "exit 3").exit_code == 3


def test_a_guard_without_an_order_ends_with_who_started_it(tmp_path: Path) -> None:
    script = (
        "import os, sys, pathlib\n"
        "from mlconsole.services import guarding\n"
        "from tests.services.test_guarding import an_order\n"
        "guard = guarding.start(an_order(pathlib.Path(sys.argv[1]), 'true'))\n"
        "guard.report()\n"
        "print(guarding._waiting[0].pid, flush=True)\n"
        "{end}"
    )
    for end in ("os.kill(os.getpid(), 9)", "os._exit(0)", "sys.exit(0)"):
        done = subprocess.run(
            [sys.executable, "-c", script.format(end=end), str(tmp_path)], stdout=subprocess.PIPE, text=True
        )
        assert done.returncode == (-signal.SIGKILL if "kill" in end else 0)
        pid = int(done.stdout)
        until(lambda pid=pid: not runs(pid))  # type: ignore[misc]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a file that is always full")
def test_a_log_that_can_not_be_written_ends_the_child_and_is_told(ordered: Callable[..., Report]) -> None:
    report = ordered("sh", "-c", "echo lost; sleep 60", log_path=Path("/dev/full"))
    assert report.lost == "No space left on device"
    assert report.exit_code == -signal.SIGTERM


def test_letting_go_of_a_guard_ends_what_it_runs(tmp_path: Path) -> None:
    guard = Guard()
    assert guard.give(an_order(tmp_path, "sh", "-c", "echo $$; exec sleep 60"))
    until(lambda: (tmp_path / "log").exists() and (tmp_path / "log").read_text().endswith("\n"))
    guard.close()
    assert not runs(int((tmp_path / "log").read_text()))
