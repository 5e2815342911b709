"""`mlconsole init`: on a terminal it asks, each thing once; what is said may tell more."""

from __future__ import annotations

import os
import pty
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from mlconsole.errors import WrongUse
from mlconsole.headless.initialise import LeftOpen, ask, initialise_settings
from mlconsole.project import open_project
from mlconsole.project.discovery import Question
from mlconsole.project.settings import SettingsInvalid

PROJECTS = Path(__file__).parent.parent / "projects"


@pytest.fixture
def several(tmp_path: Path) -> Path:
    """A project with two scripts that could train, and nothing else."""
    for name in ("train_a.py", "train_b.py"):
        (tmp_path / name).write_text('open("data/rides.csv")\nmodel.fit()\ny = df["rides"]\n')
    (tmp_path / "data").mkdir()
    for name in ("rides.csv", "stations.csv"):
        (tmp_path / "data" / name).write_text("x,rides\n1,2\n")
    return tmp_path


def test_each_open_setting_is_asked_for_once_and_answers_tell_more(several: Path) -> None:
    asked: list[str] = []

    def answer(question: Question) -> str:
        asked.append(question.key)
        return {"train.command": "python train_b.py"}.get(question.key, "")

    project = ask(open_project(several), {}, answer)
    assert asked == ["data.path", "train.command", "test.paths", "deploy.manifests"]
    assert project.settings.train.command == "python train_b.py"
    assert project.settings.data.path == "data/rides.csv"
    assert project.settings.data.target == "rides"
    assert [question.key for question in project.questions] == ["test.paths", "deploy.manifests"]


def test_without_a_terminal_all_that_is_open_is_said_in_one_sentence(several: Path) -> None:
    with pytest.raises(LeftOpen) as caught:
        initialise_settings(several, ["data.path=data/rides.csv"])
    assert caught.value.exit_code == 2
    assert caught.value.sentence.startswith(
        "3 settings are open: train.command (2 scripts could train, train_a.py and train_b.py: which one makes the"
        " model); test.paths (No tests were found"
    )
    assert tomllib.loads((several / "mlconsole.toml").read_text())["data"]["path"] == "data/rides.csv"


@pytest.mark.parametrize(
    ("given", "kind", "sentence"),
    [
        ("deploy.manifest=k8s", SettingsInvalid, r"no setting deploy\.manifest"),
        ("data=x", SettingsInvalid, "no setting data"),
        ("test.workers=many", SettingsInvalid, "'many' is no value"),
        ("deploy.rollback=perhaps", SettingsInvalid, "rollback"),
        ("k8s", WrongUse, "no KEY=VALUE"),
    ],
)
def test_what_is_no_setting_is_refused_and_nothing_written(
    several: Path, given: str, kind: type[WrongUse], sentence: str
) -> None:
    with pytest.raises(kind, match=sentence):
        initialise_settings(several, [given])
    assert not (several / "mlconsole.toml").exists()


def test_on_a_terminal_it_asks(tmp_path: Path) -> None:
    root = tmp_path / "project"
    shutil.copytree(PROJECTS / "no_manifest", root)
    (root / "ops.yaml").write_text("kind: not an object\n")
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "mlconsole", "init"], cwd=root, stdin=theirs, stderr=theirs, stdout=subprocess.PIPE
    )
    os.close(theirs)
    seen = b""
    while b"deploy.manifests:" not in seen:
        seen += os.read(ours, 4096)
    os.write(ours, b"ops.yaml\n")
    while b"deploy.selector:" not in seen:
        seen += os.read(ours, 4096)
    os.write(ours, b"app=model\n")
    output, _ = process.communicate(timeout=60)
    os.close(ours)
    assert process.returncode == 0
    assert b"No manifests were found: nothing says what to deploy." in seen
    deploy = tomllib.loads((root / "mlconsole.toml").read_text())["deploy"]
    assert (deploy["manifests"], deploy["selector"]) == (["ops.yaml"], "app=model")
    assert output.decode() == f"{root / 'mlconsole.toml'}\n"
