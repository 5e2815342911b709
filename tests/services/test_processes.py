"""Children under the guard: what they print, how they end, and that nothing of them stays."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from mlconsole.errors import OutsideFailed
from mlconsole.services import processes
from mlconsole.services.processes import (
    ChildResult,
    CommandMissing,
    LineSplitter,
    capture,
    child_environment,
    run_child,
)
from tests.living import runs
from tests.waiting import until

STUBBORN_FAMILY = """
    import os, signal, sys, time
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    folder = sys.argv[1]

    def live():
        open(os.path.join(folder, str(os.getpid())), "w").close()
        while True:
            time.sleep(60)

    for number in range(10):
        if os.fork() == 0:
            if number % 2:  # a daemon: a session of its own, its parent gone
                os.setsid()
                if os.fork():
                    os._exit(0)
            live()
    while len(os.listdir(folder)) < 10:
        time.sleep(0.01)
    print("all there", flush=True)
"""


def python(source: str, *arguments: str) -> list[str]:
    return [sys.executable, "-c", textwrap.dedent(source), *arguments]


def alive(folder: Path) -> list[int]:
    """The processes that wrote their id as a file name and still run."""
    ids = [int(entry.name) for entry in folder.iterdir()]
    return [pid for pid in ids if runs(pid)]


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., ChildResult]:
    def run(command: list[str], **options: object) -> ChildResult:
        options.setdefault("cancelled", threading.Event())
        return run_child(command, cwd=tmp_path, log_path=tmp_path / "logs" / "child.log", **options)  # type: ignore[arg-type]

    return run


def test_lines_arrive_in_order_and_the_log_has_them_as_they_were(
    run: Callable[..., ChildResult], tmp_path: Path
) -> None:
    seen: list[str] = []
    source = """
        import os
        for number in range(500):
            os.write(1 + number % 2, b"\\x1b[31mline %d\\x1b[0m\\n" % number)
    """
    result = run(python(source), on_line=seen.append)
    assert seen == [f"line {number}" for number in range(500)]
    assert result.lines == 500
    assert result.tail == tuple(seen[-20:])
    assert (tmp_path / "logs" / "child.log").read_bytes().startswith(b"\x1b[31mline 0\x1b[0m\n\x1b[31mline 1")


def test_the_log_is_appended_to(run: Callable[..., ChildResult], tmp_path: Path) -> None:
    run(["echo", "one"])
    run(["echo", "two"])
    assert (tmp_path / "logs" / "child.log").read_text() == "one\ntwo\n"


def test_standard_input_is_empty_so_that_no_child_waits_for_a_person(run: Callable[..., ChildResult]) -> None:
    assert run(["cat"]).exit_code == 0


@pytest.mark.parametrize("code", [0, 1, 3, 255])
def test_the_exit_code_is_told(run: Callable[..., ChildResult], code: int) -> None:
    result = run(["sh", "-c", f"exit {code}"])
    assert (result.exit_code, result.how, result.ended) == (code, f"exit code {code}", "by itself")


def test_a_signal_is_told_as_a_negative_number(run: Callable[..., ChildResult]) -> None:
    result = run(["sh", "-c", "kill -KILL $$"])
    assert (result.exit_code, result.how) == (-signal.SIGKILL, "signal 9")


def test_what_a_child_used_is_measured(run: Callable[..., ChildResult]) -> None:
    source = (
        "x = bytearray(80_000_000); import time; t = time.process_time()\nwhile time.process_time() - t < 0.1: pass"
    )
    use = run(python(source)).use
    assert use.peak_memory > 80_000_000
    assert 0.1 <= use.cpu_seconds < 10
    assert use.seconds >= 0.1


def test_a_command_that_does_not_exist_is_a_sentence(run: Callable[..., ChildResult]) -> None:
    with pytest.raises(CommandMissing, match=r"Can't run `no-such-tool --now`: No such file"):
        run(["no-such-tool", "--now"])


def test_a_folder_that_does_not_exist_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(OutsideFailed, match="Can't start a process in"):
        run_child(["true"], cwd=tmp_path / "gone", log_path=tmp_path / "log", cancelled=threading.Event())


def test_a_timeout_ends_a_child(run: Callable[..., ChildResult]) -> None:
    result = run(["sleep", "60"], timeout=0.2)
    assert result.ended == "timed out"
    assert result.exit_code == -signal.SIGTERM
    assert result.use.seconds < 30


def test_a_cancel_lets_a_child_clean_up_and_say_so(
    run: Callable[..., ChildResult], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "GRACE_SECONDS", 60)
    cancelled = threading.Event()
    source = """
        import signal, sys, time
        signal.signal(signal.SIGTERM, lambda *_: (print("cleaned up", flush=True), sys.exit(7)))
        print("ready", flush=True)
        time.sleep(60)
    """
    result = run(python(source), cancelled=cancelled, on_line=lambda line: cancelled.set())
    assert (result.ended, result.exit_code) == ("cancelled", 7)
    assert result.tail == ("ready", "cleaned up")


def test_a_cancel_reaches_ten_forked_children_that_ignore_it_and_their_daemons(
    run: Callable[..., ChildResult], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "GRACE_SECONDS", 0.2)
    folder = tmp_path / "family"
    folder.mkdir()
    cancelled = threading.Event()
    result = run(
        python(STUBBORN_FAMILY + "    time.sleep(60)", str(folder)),
        cancelled=cancelled,
        on_line=lambda line: cancelled.set(),
        timeout=60,
    )
    assert (result.ended, result.exit_code) == ("cancelled", -signal.SIGKILL)
    assert len(list(folder.iterdir())) == 10
    assert alive(folder) == []


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux hands orphans to the guard")
def test_a_cancel_reaches_what_a_process_started_whose_first_thread_has_ended(
    run: Callable[..., ChildResult], tmp_path: Path
) -> None:
    # such a process is shown as a zombie, as those with many threads are while they end
    script = """
        import ctypes, os, subprocess, sys, threading, time
        if len(sys.argv) == 2:
            subprocess.run([sys.executable, *sys.orig_argv[1:], "again"], start_new_session=True)
        own = "import os, sys, time; open(sys.argv[1] + '/' + str(os.getpid()), 'w').close(); time.sleep(60)"
        subprocess.Popen([sys.executable, "-c", own, sys.argv[1]], start_new_session=True)
        threading.Thread(target=time.sleep, args=(60,)).start()
        ctypes.CDLL(None).pthread_exit(None)
    """
    folder = tmp_path / "ids"
    folder.mkdir()
    cancelled = threading.Event()
    run(python(script, str(folder)), cancelled=cancelled, on_look=lambda: cancelled.set() if alive(folder) else None)
    assert cancelled.is_set()
    assert alive(folder) == []


def test_daemons_do_not_outlive_a_child_that_ended_well(
    run: Callable[..., ChildResult], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "GRACE_SECONDS", 0.2)
    folder = tmp_path / "family"
    folder.mkdir()
    result = run(python(STUBBORN_FAMILY + "    os._exit(0)\n", str(folder)), timeout=60)
    assert (result.ended, result.exit_code) == ("by itself", 0)
    assert len(list(folder.iterdir())) == 10
    assert alive(folder) == []


def test_nothing_is_left_when_the_parent_is_killed_outright(tmp_path: Path) -> None:
    folder = tmp_path / "family"
    folder.mkdir()
    parent = subprocess.Popen(
        python(
            """
            import sys, threading
            from pathlib import Path
            from mlconsole.services import processes
            processes.GRACE_SECONDS = 0.2
            family, folder = sys.argv[1:]
            command = [sys.executable, "-c", family, folder]
            processes.run_child(
                command, cwd=Path(folder).parent, log_path=Path(folder).parent / "log", cancelled=threading.Event()
            )
            """,
            textwrap.dedent(STUBBORN_FAMILY + "    time.sleep(60)"),
            str(folder),
        )
    )
    try:
        until(lambda: len(list(folder.iterdir())) == 10)
        assert len(alive(folder)) == 10
    finally:
        parent.send_signal(signal.SIGKILL)
        parent.wait()
    until(lambda: not alive(folder))


def test_an_exception_in_the_callback_ends_the_child(
    run: Callable[..., ChildResult], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "GRACE_SECONDS", 0.2)
    ids: list[int] = []

    def refuse(line: str) -> None:
        ids.append(int(line))
        raise LookupError(line)

    with pytest.raises(LookupError):
        run(["sh", "-c", "echo $$; sleep 60"], on_line=refuse)
    assert not runs(ids[0])


def test_a_progress_bar_comes_as_the_lines_that_it_redraws(run: Callable[..., ChildResult]) -> None:
    seen: list[str] = []
    run(["printf", r"\r10%%|#   |\r50%%|##  |\rdone\n"], on_line=seen.append)
    assert [line for line in seen if line] == ["10%|#   |", "50%|##  |", "done"]


def test_a_line_without_end_comes_in_pieces(run: Callable[..., ChildResult]) -> None:
    longest = 0

    def measure(line: str) -> None:
        nonlocal longest
        longest = max(longest, len(line))

    result = run(python("import os\nfor _ in range(64): os.write(1, b'x' * 16384)"), on_line=measure)
    assert result.lines >= 2
    assert longest <= processes.LONGEST_LINE + (1 << 16)


def test_a_line_end_of_two_letters_that_comes_in_two_halves_ends_one_line() -> None:
    splitter = LineSplitter()
    assert splitter.feed(b"one\r") == ["one"]
    assert splitter.feed(b"\ntwo\r\n\nthree\r") == ["two", "", "three"]
    assert splitter.feed(b"four\n") == ["four"]


def test_no_line_of_many_is_lost_or_changes_its_place(run: Callable[..., ChildResult], tmp_path: Path) -> None:
    seen: list[str] = []
    source = """
        import subprocess, sys
        for number in range(100_000):
            print("line", number)
        sys.stdout.flush()
        subprocess.run(["sh", "-c", "echo from the shell; echo to its errors >&2"])
        print("last", flush=True)
    """
    result = run(python(source), on_line=seen.append)
    assert seen == [*(f"line {number}" for number in range(100_000)), "from the shell", "to its errors", "last"]
    assert result.lines == 100_003
    assert (tmp_path / "logs" / "child.log").read_text().splitlines() == seen


def test_who_reads_slowly_does_not_hold_the_child_back(run: Callable[..., ChildResult], tmp_path: Path) -> None:
    ended = tmp_path / "ended"
    seen: list[bool] = []

    def wait_for_its_end(line: str) -> None:
        until(ended.exists)
        seen.append(True)

    run(python("for n in range(3000): print('x' * 99)\nopen('ended', 'w')"), on_line=wait_for_its_end)
    assert len(seen) == 3000


def test_a_child_that_opens_its_output_anew_cuts_nothing_off(run: Callable[..., ChildResult]) -> None:
    seen: list[str] = []
    run(["sh", "-c", "echo one; echo two | tee /dev/stderr >/dev/null; echo three >/dev/stdout"], on_line=seen.append)
    assert seen == ["one", "two", "three"]


GREEDY = """
    import os, sys, time
    if sys.argv[1:] == ["family"]:
        for _ in range(4):  # none of them alone comes to the limit first
            if os.fork() == 0:
                os.setsid()
                break
    held = []
    while True:
        held.append(bytearray(os.urandom(1) * 2_000_000))
        time.sleep(0.001)
"""


@pytest.mark.parametrize("who", ["alone", "family"])
def test_what_takes_more_memory_than_it_may_is_ended(run: Callable[..., ChildResult], who: str) -> None:
    began = psutil.virtual_memory().available
    result = run(python(GREEDY, who), memory=200_000_000, timeout=60)
    assert (result.ended, result.exit_code) == ("out of memory", -signal.SIGKILL)
    assert 200_000_000 < result.memory < 200_000_000 + began // 4
    assert result.use.peak_memory >= result.memory


def test_memory_that_children_share_counts_once(run: Callable[..., ChildResult]) -> None:
    source = """
        import os, time
        held = bytearray(os.urandom(1) * 120_000_000)
        for _ in range(4):
            if os.fork() == 0:
                time.sleep(1)
                os._exit(0)
        while True:
            try:
                os.wait()
            except ChildProcessError:
                break
    """
    result = run(python(source), memory=300_000_000, timeout=60)
    assert (result.ended, result.exit_code) == ("by itself", 0)


def test_what_stays_below_its_limit_is_left_alone(run: Callable[..., ChildResult]) -> None:
    assert run(python("print('small')"), memory=2_000_000_000).ended == "by itself"


def test_a_splitter_keeps_a_letter_that_comes_in_two_halves() -> None:
    splitter = LineSplitter()
    word = "é\n".encode()
    assert splitter.feed(word[:1]) == []
    assert splitter.feed(word[1:]) == ["é"]
    assert splitter.feed(b"rest") == []
    assert splitter.end() == ["rest"]
    assert splitter.end() == []


def test_a_childs_environment_puts_the_projects_python_first(tmp_path: Path) -> None:
    environment = child_environment(tmp_path / "bin" / "python", EXTRA="1")
    assert environment["PATH"].split(os.pathsep)[0] == str(tmp_path / "bin")
    assert environment["EXTRA"] == "1"
    assert environment["PYTHONUNBUFFERED"] == "1"
    assert "VIRTUAL_ENV" not in environment


def test_capture_returns_what_was_printed(tmp_path: Path) -> None:
    assert capture(["cat"], cwd=tmp_path, input_text="through") == "through"


def test_capture_tells_a_failure_with_the_last_lines(tmp_path: Path) -> None:
    with pytest.raises(OutsideFailed) as caught:
        capture(["sh", "-c", "echo why >&2; exit 2"], cwd=tmp_path)
    assert caught.value.tail == ("why",)
    assert "exit code 2" in str(caught.value)


def test_capture_does_not_wait_for_ever(tmp_path: Path) -> None:
    with pytest.raises(OutsideFailed, match="did not end within"):
        capture(["sleep", "60"], cwd=tmp_path, timeout=0.1)


def test_capture_tells_a_missing_command(tmp_path: Path) -> None:
    with pytest.raises(CommandMissing, match="no-such-tool"):
        capture(["no-such-tool"], cwd=tmp_path)
