"""Which Python a project runs in, and what is installed there."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from mlconsole.services.training.environment import PythonMissing, find_python


@pytest.fixture(autouse=True)
def no_active_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VIRTUAL_ENV", raising=False)
    monkeypatch.delenv("CONDA_PREFIX", raising=False)


def make_environment(folder: Path, *installed: str, version: str = "3.12.4", settings: str = "") -> Path:
    site = folder / "lib" / "python3.12" / "site-packages"
    site.mkdir(parents=True)
    for name in installed:
        (site / name).mkdir()
    (folder / "bin").mkdir()
    python = folder / "bin" / "python"
    python.write_text("#!/bin/sh\nexit 9\n")
    python.chmod(0o755)
    (folder / "pyvenv.cfg").write_text(f"home = /usr/bin\nversion = {version}\n{settings}")
    return python


def test_a_project_without_an_environment_runs_in_ours(tmp_path: Path) -> None:
    found = find_python(tmp_path)
    assert (found.executable, found.found) == (sys.executable, "our own")
    assert found.version == ".".join(map(str, sys.version_info[:3]))
    assert {"numpy", "msgspec"} <= {package.name for package in found.packages}


@pytest.mark.parametrize("folder", [".venv", "venv"])
def test_the_projects_own_environment_comes_first(tmp_path: Path, folder: str) -> None:
    python = make_environment(
        tmp_path / folder, "numpy-2.1.0.dist-info", "Scikit_Learn-1.5.2.dist-info", "old-0.1-py3.12.egg-info", "numpy"
    )
    found = find_python(tmp_path)
    assert (found.executable, found.found, found.version) == (str(python), ".venv", "3.12.4")
    assert [(package.name, package.version) for package in found.packages] == [
        ("numpy", "2.1.0"),
        ("old", "0.1"),
        ("scikit-learn", "1.5.2"),
    ]


def test_the_digest_follows_versions_and_packages(tmp_path: Path) -> None:
    make_environment(tmp_path / "a" / ".venv", "numpy-2.1.0.dist-info")
    make_environment(tmp_path / "b" / ".venv", "numpy-2.1.0.dist-info")
    make_environment(tmp_path / "c" / ".venv", "numpy-2.1.1.dist-info")
    make_environment(tmp_path / "d" / ".venv", "numpy-2.1.0.dist-info", version="3.12.5")
    digests = [find_python(tmp_path / name).digest for name in "abcd"]
    assert digests[0] == digests[1]
    assert len(set(digests)) == 3
    assert digests[0].startswith("sha256:")


def test_a_version_info_line_is_read_too(tmp_path: Path) -> None:
    python = make_environment(tmp_path / ".venv")
    (tmp_path / ".venv" / "pyvenv.cfg").write_text("version_info = 3.12.7.final.0\n")
    assert find_python(tmp_path).version == "3.12.7"
    assert python.exists()


def test_the_setting_may_be_an_interpreter_a_folder_or_a_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    python = make_environment(tmp_path / "envs" / "ml")
    make_environment(tmp_path / ".venv")
    for setting in ("envs/ml/bin/python", "envs/ml", str(python)):
        found = find_python(tmp_path, setting)
        assert (found.executable, found.found) == (str(python), "settings")
    python.rename(python.with_name("python3-of-ml"))
    monkeypatch.setenv("PATH", str(python.parent))
    assert find_python(tmp_path, "python3-of-ml").executable == str(python.with_name("python3-of-ml"))


def test_an_active_environment_is_used_where_the_project_has_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    python = make_environment(tmp_path / "active")
    monkeypatch.setenv("VIRTUAL_ENV", str(tmp_path / "active"))
    found = find_python(tmp_path)
    assert (found.executable, found.found) == (str(python), "active environment")


def test_our_own_active_environment_is_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIRTUAL_ENV", sys.prefix)
    assert find_python(tmp_path).found == "our own"


def test_conda_tells_its_version_in_its_records(tmp_path: Path) -> None:
    make_environment(tmp_path / ".venv")
    (tmp_path / ".venv" / "pyvenv.cfg").unlink()
    records = tmp_path / ".venv" / "conda-meta"
    records.mkdir()
    (records / "python-3.12.1-h99910a6_0_cpython.json").write_text("{}")
    assert find_python(tmp_path).version == "3.12.1"


def test_packages_of_the_base_count_where_the_environment_takes_them(tmp_path: Path) -> None:
    base = tmp_path / "base" / "lib" / "python3.12" / "site-packages"
    (base / "pandas-2.2.0.dist-info").mkdir(parents=True)
    make_environment(tmp_path / ".venv", "numpy-2.1.0.dist-info")
    configuration = f"home = {tmp_path}/base/bin\ninclude-system-site-packages = %s\nversion = 3.12.4\n"
    (tmp_path / ".venv" / "pyvenv.cfg").write_text(configuration % "true")
    assert [package.name for package in find_python(tmp_path).packages] == ["numpy", "pandas"]
    (tmp_path / ".venv" / "pyvenv.cfg").write_text(configuration % "false")
    assert [package.name for package in find_python(tmp_path).packages] == ["numpy"]


def test_a_setting_that_names_nothing_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(PythonMissing, match=r"The settings name envs/gone as the project's Python"):
        find_python(tmp_path, "envs/gone")


def test_an_environment_whose_interpreter_went_away_is_a_sentence(tmp_path: Path) -> None:
    python = make_environment(tmp_path / ".venv")
    python.unlink()
    python.symlink_to("/usr/bin/python2.1")
    with pytest.raises(PythonMissing, match=r"python points to /usr/bin/python2\.1, which is not there") as caught:
        find_python(tmp_path)
    assert "--clear .venv" in caught.value.next_step


def test_an_empty_environment_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / ".venv").mkdir()
    with pytest.raises(PythonMissing, match="holds no Python that works"):
        find_python(tmp_path)


def test_a_shim_is_asked_where_its_packages_are(tmp_path: Path) -> None:
    shims = tmp_path / "shims"
    shims.mkdir()
    shim = shims / "python"
    shim.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    shim.chmod(0o755)
    found = find_python(tmp_path, str(shim))
    assert found.version == ".".join(map(str, sys.version_info[:3]))
    assert "numpy" in {package.name for package in found.packages}


def test_a_program_that_is_no_python_is_a_sentence(tmp_path: Path) -> None:
    program = tmp_path / "bin" / "tool"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\nexit 1\n")
    program.chmod(0o755)
    with pytest.raises(PythonMissing, match="is not a Python that works"):
        find_python(tmp_path, str(program))
