"""What is typed is understood, and nothing heavy is imported before it is needed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

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


def test_a_folder_that_is_gone_is_told_in_a_sentence(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    script = f'rmdir "$PWD" && exec {sys.executable} -m mlconsole status'
    done = subprocess.run(["sh", "-c", script], cwd=gone, capture_output=True, text=True, timeout=60)
    assert done.returncode == Exit.WRONG_USE
    assert "The folder that you are in is not there any more." in done.stderr
