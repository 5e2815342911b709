"""A notebook as a training command: its parameters are read, its outputs are not its code."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mlconsole.services.training.command import fill
from mlconsole.services.training.notebook import NotebookUnusable, code, is_notebook, parameter_names

PYTHON = Path("/project/.venv/bin/python")
VALUES = {"data": "data/t.csv", "model": "/r/model.pkl", "version": "v1", "commit": "abc", "params": ""}


def write(path: Path, parameters: str, **metadata: Any) -> Path:
    tagged = {"tags": ["parameters"]}
    cells = [
        {"cell_type": "markdown", "metadata": {}, "source": "# x = 1"},
        {"cell_type": "code", "metadata": tagged, "source": parameters.splitlines(True), "outputs": []},
        {"cell_type": "code", "metadata": {}, "source": "print(1)", "outputs": [{"text": "1"}]},
    ]
    path.write_text(json.dumps({"cells": cells, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}))
    return path


def filled(template: str, folder: Path) -> tuple[str, ...]:
    return fill(template, VALUES, PYTHON, cwd=folder, executed=Path("/r/train.ipynb"))


def test_parameters_are_passed_under_the_names_that_the_notebook_gives_them(tmp_path: Path) -> None:
    write(tmp_path / "train.ipynb", "train_path = 'x'\nModel_Path: str = 'y'\nalpha = 0.5\nif alpha == 1: pass\n")
    assert parameter_names(tmp_path / "train.ipynb") == ("train_path", "Model_Path", "alpha")
    command = filled("train.ipynb", tmp_path)
    assert command[:5] == (str(PYTHON), "-m", "papermill", "train.ipynb", "/r/train.ipynb")
    assert command[-9:] == (
        "-r", "train_path", "data/t.csv", "-r", "Model_Path", "/r/model.pkl", "-k", "python3", "-l", "python",
    )[-9:]  # fmt: skip


def test_what_the_command_passes_itself_is_not_added_to(tmp_path: Path) -> None:
    write(tmp_path / "train.ipynb", "data = 1", kernelspec={"name": "py", "language": "python"})
    command = filled("train.ipynb -p where {data} -k own", tmp_path)
    assert command[command.index("-p") :] == ("-p", "where", "data/t.csv", "-k", "own")


def test_a_notebook_in_another_language_keeps_its_kernel(tmp_path: Path) -> None:
    write(tmp_path / "train.ipynb", "x <- 1", kernelspec={"name": "ir", "language": "R"})
    assert "-k" not in filled("train.ipynb", tmp_path)


def test_its_code_is_the_same_whatever_its_cells_put_out(tmp_path: Path) -> None:
    path = write(tmp_path / "a.ipynb", "x = 1")
    assert code(path) == "x = 1\n\nprint(1)"


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"cells": 3}', "not json"])
def test_what_is_no_notebook_is_a_sentence(tmp_path: Path, text: str) -> None:
    (tmp_path / "train.ipynb").write_text(text)
    with pytest.raises(NotebookUnusable, match="is no notebook"):
        filled("train.ipynb", tmp_path)


def test_a_notebook_that_is_not_there_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(NotebookUnusable, match="can't be read: No such file"):
        filled("train.ipynb", tmp_path)


@pytest.mark.parametrize(
    ("template", "is_one"),
    [("a.ipynb", True), ("'my dir/a.ipynb' -p x 1", True), ("python a.ipynb", False), ("", False), ("'", False)],
)
def test_a_command_that_begins_with_a_notebook_is_one(template: str, is_one: bool) -> None:
    assert is_notebook(template) is is_one
