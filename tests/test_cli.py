"""What is typed is understood, and nothing heavy is imported before it is needed."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from mlconsole import __version__
from mlconsole.cli import commands
from mlconsole.errors import Exit

HEAVY = (
    "textual",
    "pandas",
    "numpy",
    "pyarrow",
    "sklearn",
    "kubernetes",
    "aiohttp",
    "git",
    "rich",
    "psutil",
)


def modules_after(*arguments: str, cwd: Path | None = None) -> set[str]:
    """The modules that are loaded once `mlconsole ARGUMENTS` has ended."""
    program = (
        "import sys; sys.argv = ['mlconsole', *sys.argv[1:]]\n"
        "from mlconsole.cli import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "print('modules:', *sorted(sys.modules))"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program, *arguments], capture_output=True, text=True, timeout=60, cwd=cwd
    )
    return set(ended.stdout.rpartition("modules:")[2].split())


def test_help_imports_nothing_heavy() -> None:
    loaded = modules_after("--help")
    assert "mlconsole.cli" in loaded
    assert loaded.isdisjoint(HEAVY)


def test_a_wrong_setting_is_told_without_anything_heavy(tmp_path: Path) -> None:
    (tmp_path / "mlconsole.toml").write_text("nmae = 'x'\n")
    assert modules_after("history", cwd=tmp_path).isdisjoint(HEAVY)


def test_version_is_the_packages() -> None:
    assert __version__ in CliRunner().invoke(commands, ["--version"]).output


@pytest.mark.parametrize(
    "arguments", [[], ["."], ["--readonly", "."], ["--readonly"], ["./somewhere"], ["--theme", "light", "."]]
)
def test_a_folder_or_nothing_opens_the_console(arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    monkeypatch.setattr(commands.commands["open"], "callback", lambda place, **look: opened.append(place))
    result = CliRunner().invoke(commands, arguments)
    assert result.exit_code == 0, result.output
    assert opened == [arguments[-1] if arguments and not arguments[-1].startswith("-") else "."]


def test_a_word_that_is_neither_command_nor_folder_is_refused() -> None:
    result = CliRunner().invoke(commands, ["hitsory"])
    assert result.exit_code == 2
    assert "Did you mean history?" in result.output


def test_every_command_has_a_help_of_its_own() -> None:
    for name, command in commands.commands.items():
        assert command.help, name
        assert CliRunner().invoke(commands, [name, "--help"]).exit_code == 0


def paths_of(command: click.Command, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    if isinstance(command, click.Group):
        for name, inner in command.commands.items():
            yield (*path, name)
            yield from paths_of(inner, (*path, name))


def test_the_readme_names_every_command() -> None:
    readme = Path(__file__).parents[1] / "README.md"
    told = readme.read_text(encoding="utf-8").partition("\n## Commands\n")[2].partition("\n## ")[0]
    lines = told.replace("\n        ", " ").splitlines()
    # `mlconsole DIR` is `open`
    missing = [
        path for path in paths_of(commands) if path != ("open",) and not any(_names(path, line) for line in lines)
    ]
    assert missing == []


def _names(path: tuple[str, ...], line: str) -> bool:
    words = re.findall(r"[a-z-]+", line)
    return words[:1] == ["mlconsole"] and set(path) <= set(words)


def test_a_folder_that_is_gone_is_told_in_a_sentence(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    script = f'rmdir "$PWD" && exec {sys.executable} -m mlconsole status'
    done = subprocess.run(["sh", "-c", script], cwd=gone, capture_output=True, text=True, timeout=60)
    assert done.returncode == Exit.WRONG_USE
    assert "The folder that you are in is not there any more." in done.stderr


def typed(*arguments: str, cwd: Path, **options: Any) -> subprocess.CompletedProcess[str]:
    """What `mlconsole ARGUMENTS` does in a folder, as a process of its own."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "stdin": subprocess.DEVNULL}
    return subprocess.run(
        [sys.executable, "-m", "mlconsole", *arguments], cwd=cwd, text=True, timeout=100, **{**pipes, **options}
    )


@pytest.mark.parametrize("arguments", [["--help"], ["keys"], ["history"], ["schema"]])
def test_a_reader_that_left_ends_what_is_printed_and_is_no_fault(arguments: list[str], tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = typed(*arguments, cwd=tmp_path, stdout=writing)
    os.close(writing)
    assert (done.returncode, done.stderr) == (Exit.DONE, "")


def test_a_release_whose_lines_nobody_reads_any_more_is_cancelled(tmp_path: Path) -> None:
    (tmp_path / "mlconsole.toml").write_text('name = "m"\n[data]\npath = "rows.csv"\n')
    (tmp_path / "rows.csv").write_text("x,y\n" + "1,2\n" * 300)
    identity = ("-c", "user.name=Ada", "-c", "user.email=ada@example.com")
    for command in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "First"]):
        subprocess.run(["git", *identity, *command], cwd=tmp_path, check=True, timeout=60)
    reading, writing = os.pipe()
    os.close(reading)
    done = typed("run", "--until", "data", cwd=tmp_path, stdout=writing)
    os.close(writing)
    assert (done.returncode, done.stderr) == (Exit.CANCELLED, "")
    assert "cancelled" in typed("history", cwd=tmp_path).stdout


def test_ctrl_c_while_the_command_is_still_imported_ends_it_without_a_traceback() -> None:
    program = (
        "import os, signal, sys\n"
        "class Interrupting:\n"
        "    def find_spec(self, name, *rest):\n"
        "        name == 'click' and os.kill(os.getpid(), signal.SIGINT)\n"
        "sys.meta_path.insert(0, Interrupting())\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from mlconsole.__main__ import main\n"
        "main()\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=100)
    assert (done.returncode, done.stderr) == (-signal.SIGINT, "")


def test_output_that_is_closed_keeps_no_command_from_its_work(tmp_path: Path) -> None:
    done = subprocess.run(
        ["sh", "-c", f"exec {sys.executable} -m mlconsole status >&-"],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
        timeout=100,
    )
    assert (done.returncode, done.stderr) == (Exit.DONE, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full, which is always full")
@pytest.mark.parametrize("arguments", [["--help"], ["schema"]])
def test_a_full_disk_is_told_once(arguments: list[str], tmp_path: Path) -> None:
    with Path("/dev/full").open("w") as full:
        done = typed(*arguments, cwd=tmp_path, stdout=full)
    assert done.returncode == Exit.OUTSIDE_FAILED
    assert done.stderr == "mlconsole: No space left on device.\n  Make room on the disk.\n"


def test_what_an_encoding_lacks_is_printed_as_an_escape(tmp_path: Path) -> None:
    done = typed("schema", cwd=tmp_path, env={**os.environ, "PYTHONIOENCODING": "latin-1"})
    assert (done.returncode, done.stderr) == (Exit.DONE, "")
    assert "\\u2026" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["serve", "--port", "99999"], "is not in the range"),
        (["history", "-n", "0"], "is not in the range"),
        (["triggers", "-n", "-1"], "is not in the range"),
        (["logs", "-n", "-1"], "is not in the range"),
        (["models", "gc", "--keep", "-1"], "is not in the range"),
        (["keys", "--into", "not-there.md"], "does not exist"),
        (["demo", "mlconsole.toml", "--headless"], "is a file"),
        (["demo", "new", "--year"], "--year goes with --headless."),
        (["demo", "new", "--headless", "--months", "2011-05"], "--months goes with --year."),
        (["demo", "new", "--headless", "--year", "--months", "May"], "The data has no month May."),
        (["demo", "new"], "The console needs a terminal."),
        (["watch", "--image", "m:1"], "--image goes with --manifest."),
        (["nowhere"], "There is no command or folder 'nowhere'."),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_can_not_be_meant_is_refused_before_anything_is_done(
    arguments: list[str], said: str, tmp_path: Path
) -> None:
    (tmp_path / "mlconsole.toml").write_text("")
    done = typed(*arguments, cwd=tmp_path)
    assert done.returncode == Exit.WRONG_USE
    assert said in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["mlconsole.toml"]


def test_settings_that_are_a_folder_are_told(tmp_path: Path) -> None:
    (tmp_path / "mlconsole.toml").mkdir()
    done = typed("init", cwd=tmp_path)
    assert done.returncode == Exit.WRONG_USE
    assert "mlconsole.toml can't be read: Is a directory." in done.stderr


def test_what_the_machine_refuses_is_no_defect_of_ours(tmp_path: Path) -> None:
    (tmp_path / "mlconsole.toml").write_text("")
    (tmp_path / ".mlconsole").touch()
    done = typed("cluster", "start", cwd=tmp_path)
    assert done.returncode == Exit.OUTSIDE_FAILED
    assert "Not a directory.\n  A file is where a folder has to be." in done.stderr
