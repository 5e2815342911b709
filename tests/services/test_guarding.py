"""Guards: each has one order, the next waits for its own, and none outlives who started it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import pytest

from mlconsole.errors import OutsideFailed
from mlconsole.services import guarding
from mlconsole.services.guarding import Guard, Order, Report
from mlconsole.services.processes import run_child
from tests.living import runs
from tests.waiting import until

told_by_linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells that nothing was read")


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


def test_what_ran_on_when_the_command_had_ended_is_counted(ordered: Callable[..., Report]) -> None:
    assert ordered("sh", "-c", "sleep 60 & sleep 60 & exit 0").left == 2
    assert ordered("sh", "-c", "sleep 0.01 & wait").left == 0


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


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_to_a_guard_that_waits_harms_no_command(ordered: Callable[..., Report], number: int) -> None:
    # a guard ignores what its parent ignores: a shell's background job ignores SIGINT, what nohup starts SIGHUP
    before = signal.signal(number, signal.SIG_DFL)
    try:
        ordered("true")
        (waiting,) = guarding._waiting
    finally:
        signal.signal(number, before)
    os.kill(waiting.pid, number)
    until(lambda: not runs(waiting.pid))
    assert ordered("sh", "-c", "exit 3").exit_code == 3


@told_by_linux
def test_a_guard_that_was_killed_before_it_read_its_order_has_run_nothing(tmp_path: Path) -> None:
    guard = Guard()
    os.kill(guard.pid, signal.SIGSTOP)
    assert guard.give(an_order(tmp_path, "touch", str(tmp_path / "ran")).packed())
    guard.kill()
    with pytest.raises(ConnectionError):
        guard.report()
    guard.close()
    assert not (tmp_path / "ran").exists()


@told_by_linux
def test_a_guard_that_can_not_be_started_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guarding, "_COMMAND", ("false",))
    with pytest.raises(OutsideFailed, match=r"killed before it began|ended at once"):
        run_child(["true"], cwd=tmp_path, log_path=tmp_path / "log", cancelled=threading.Event())


def test_no_room_for_the_next_guard_is_no_harm_to_this_command(
    ordered: Callable[..., Report], monkeypatch: pytest.MonkeyPatch
) -> None:
    guards = iter([Guard()])

    def make() -> Guard:
        for guard in guards:
            return guard
        raise BlockingIOError("no process more")

    monkeypatch.setattr(guarding, "Guard", make)
    assert ordered("sh", "-c", "exit 3").exit_code == 3
    assert not guarding._waiting


def test_what_a_guard_leaves_that_was_killed_is_killed(tmp_path: Path) -> None:
    script = (
        "import os, signal, subprocess, time; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "subprocess.Popen(['sleep', '60']); own = subprocess.Popen(['sleep', '60'], process_group=0)\n"
        "print(own.pid, os.getpid(), flush=True); time.sleep(60)\n"
    )
    guard = guarding.start(an_order(tmp_path, sys.executable, "-c", script))
    until(lambda: (tmp_path / "log").exists() and (tmp_path / "log").read_text().endswith("\n"))
    of_it = [child.pid for child in psutil.Process(guard.pid).children(recursive=True)]
    assert {int(word) for word in (tmp_path / "log").read_text().split()} <= set(of_it)
    guard.kill()
    assert guard.report() == Report()
    guard.close()
    until(lambda: not any(map(runs, of_it)))


def test_commands_of_many_threads_get_their_own_guards(tmp_path: Path) -> None:
    def one(number: int) -> tuple[int, str]:
        log = tmp_path / f"log-{number}"
        environment = {"N": str(number), "PATH": os.defpath}
        order = an_order(tmp_path, "sh", "-c", "echo $N; exit $N", log_path=log, environment=environment)
        guard = guarding.start(order)
        try:
            return guard.report().exit_code, log.read_text()
        finally:
            guard.close()

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(one, range(40))) == [(number, f"{number}\n") for number in range(40)]
    assert len(guarding._waiting) <= 1


def test_an_environment_of_a_megabyte_arrives(ordered: Callable[..., Report], tmp_path: Path) -> None:
    large = {f"N{number}": chr(97 + number) * 100_000 for number in range(10)}
    ordered("true")
    assert ordered("sh", "-c", "env | sort", environment={**large, "PATH": os.defpath}).exit_code == 0
    lines = (tmp_path / "log").read_text().splitlines()
    assert [line for line in lines if line.startswith("N")] == [f"{name}={value}" for name, value in large.items()]


def test_what_no_process_can_be_given_is_told(ordered: Callable[..., Report]) -> None:
    assert "embedded null" in ordered("echo", "a\0b").error
    assert ordered("env", environment={"PATH": os.defpath, "A=B": "c"}).error == "illegal environment variable name"
    assert "embedded null" in ordered("true", cwd=Path("a\0b")).nowhere


def test_a_command_has_no_descriptors_of_ours(ordered: Callable[..., Report], tmp_path: Path) -> None:
    with (tmp_path / "ours").open("w") as file:
        os.set_inheritable(file.fileno(), True)
        for _ in range(2):
            ordered(sys.executable, "-c", "import os; print(sorted(map(int, os.listdir('/dev/fd')))[:-1])")
    # the last one lists the folder
    assert (tmp_path / "log").read_text() == "[0, 1, 2]\n" * 2


def test_a_relative_path_in_a_folder_that_is_gone_is_a_sentence(tmp_path: Path) -> None:
    script = (
        "import os, sys, threading, pathlib\n"
        "from mlconsole.services.processes import run_child\n"
        "from mlconsole.errors import OutsideFailed\n"
        "gone, log = map(pathlib.Path, sys.argv[1:])\n"
        "gone.mkdir(); os.chdir(gone); gone.rmdir()\n"
        "try:\n"
        "    run_child(['true'], cwd=pathlib.Path('.'), log_path=log, cancelled=threading.Event())\n"
        "except OutsideFailed as error:\n"
        "    print(error.sentence)\n"
    )
    arguments = [sys.executable, "-P", "-c", script, str(tmp_path / "gone"), str(tmp_path / "log")]
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=100)
    assert (done.stdout, done.stderr) == ("Can't start a process: No such file or directory.\n", "")


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
    assert guard.give(an_order(tmp_path, "sh", "-c", "echo $$; exec sleep 60").packed())
    until(lambda: (tmp_path / "log").exists() and (tmp_path / "log").read_text().endswith("\n"))
    guard.close()
    assert not runs(int((tmp_path / "log").read_text()))


STARTS = """
import os, sys, threading
from pathlib import Path
from mlconsole.services.processes import run_child

folder = Path(sys.argv[1])
def run(name):
    script = "trap '' TERM; (sleep 60) & touch $0; wait"
    run_child(["sh", "-c", script, folder / name], cwd=folder, log_path=folder / "log", cancelled=threading.Event())
threading.Thread(target=run, args=["first"], daemon=True).start()
if len(sys.argv) > 2:
    while not (folder / "first").exists():
        pass
    if os.fork() == 0:
        import time
        print(os.getpid(), flush=True)
        time.sleep(60)
run("second")
"""


def marked(mark: str) -> list[int]:
    """The processes with a mark in their environment that still run."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("MARK") == mark and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process.pid)
        except psutil.Error:
            continue
    return found


@pytest.mark.parametrize("seconds", [0.1, 0.15, 0.2, 0.25, 0.3, None])
def test_nothing_is_left_of_a_parent_that_is_killed_at_any_moment(tmp_path: Path, seconds: float | None) -> None:
    mark = uuid.uuid4().hex
    parent = subprocess.Popen([sys.executable, "-c", STARTS, str(tmp_path)], env={**os.environ, "MARK": mark})
    if seconds is None:
        until(lambda: (tmp_path / "first").exists() and (tmp_path / "second").exists())
        assert len(marked(mark)) >= 5
    else:
        time.sleep(seconds)
    parent.kill()
    parent.wait()
    until(lambda: not marked(mark), 60)


def test_nothing_is_left_where_a_process_that_the_parent_forked_lives_on(tmp_path: Path) -> None:
    mark = uuid.uuid4().hex
    command = [sys.executable, "-W", "ignore", "-c", STARTS, str(tmp_path), "fork"]
    parent = subprocess.Popen(command, env={**os.environ, "MARK": mark}, stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    forked = int(parent.stdout.readline())
    try:
        parent.kill()
        parent.wait()
        until(lambda: marked(mark) == [forked], 60)
    finally:
        os.kill(forked, signal.SIGKILL)
        parent.stdout.close()


def test_no_process_is_forked_while_a_guard_comes_to_be(tmp_path: Path) -> None:
    script = (
        "import os, subprocess, sys, threading\n"
        "from mlconsole.services import guarding\n"
        "being_made = threading.Event()\n"
        "def slow(*given, **more):\n"
        "    being_made.set()\n"
        "    forked.wait(0.3)\n"
        "    return start(*given, **more)\n"
        "forked, start, subprocess.Popen = threading.Event(), subprocess.Popen, slow\n"
        "guards = []\n"
        "making = threading.Thread(target=lambda: guards.append(guarding.Guard()))\n"
        "making.start()\n"
        "being_made.wait()\n"
        "if os.fork() == 0:\n"
        "    sys.stdin.read()\n"
        "    os._exit(0)\n"
        "forked.set()\n"
        "making.join()\n"
        "print(guards[0].pid, flush=True)\n"
        "os._exit(0)\n"
    )
    command = [sys.executable, "-W", "ignore", "-c", script]
    parent = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert parent.stdin is not None and parent.stdout is not None
    with parent.stdin, parent.stdout:
        guard = int(parent.stdout.readline())
        until(lambda: not runs(guard))
    assert parent.wait() == 0
