"""The training command: placeholders, the shell, and the files that it depends on."""

from __future__ import annotations

import json
import shlex
import subprocess
import textwrap
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mlconsole.services.training.command import CommandUnusable, fill, sources

PYTHON = Path("/project/.venv/bin/python")


def filled(template: str, *, data: str = "data/training.csv", params: str = "") -> tuple[str, ...]:
    values = {"data": data, "model": "models/m.pkl", "version": "v3", "commit": "abc", "params": params}
    return fill(template, values, PYTHON)


def test_placeholders_are_filled_and_python_is_the_projects() -> None:
    assert filled("python train_model.py --data {data} --output={model} --tag {version}-{commit}") == (
        str(PYTHON),
        "train_model.py",
        "--data",
        "data/training.csv",
        "--output=models/m.pkl",
        "--tag",
        "v3-abc",
    )


def test_a_path_with_blanks_stays_one_argument() -> None:
    assert filled("python3 train.py {data}", data="my data/it's.csv") == (str(PYTHON), "train.py", "my data/it's.csv")


def test_only_a_leading_python_is_replaced() -> None:
    assert filled("make train PYTHON=python")[0] == "make"
    assert filled("echo python") == ("echo", "python")


def test_a_tool_of_the_projects_environment_is_taken_from_there(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "pyvenv.cfg").write_text("")
    tool = tmp_path / "bin" / "torchrun"
    tool.write_text("#!/bin/sh\n")
    tool.chmod(0o755)
    command = fill("torchrun train.py", {}, tmp_path / "bin" / "python")
    assert command == (str(tool), "train.py")


@pytest.mark.parametrize(
    "line",
    [
        "python a.py && python b.py",
        "python a.py | tee log",
        "python a.py > log",
        "SEED=1 python a.py",
        "python a.py $HOME",
        'python a.py "$(date)"',
        "python a.py data/*.csv",
        "python a.py; true",
        "python a.py \\\n  --data x",
    ],
)
def test_a_line_that_needs_the_shell_gets_one(line: str) -> None:
    assert filled(line)[:2] == ("sh", "-c")
    assert str(PYTHON) in filled(line)[2]


@pytest.mark.parametrize("line", ["python a.py '$HOME'", "python a.py 'a|b' \"c;d\"", "python a.py a\\|b --x=[1]"])
def test_quoted_operators_need_none(line: str) -> None:
    assert filled(line) == (str(PYTHON), *shlex.split(line)[1:])


def test_every_leading_python_of_a_shell_line_is_the_projects() -> None:
    line = filled("A=1 python a.py && (python3 b.py) | grep python > python; B=2 C=3 python c.py")[2]
    assert line == f"A=1 {PYTHON} a.py && ({PYTHON} b.py) | grep python > python; B=2 C=3 {PYTHON} c.py"


@settings(max_examples=40)
@given(
    st.text(st.one_of(st.sampled_from("'\"\\$`! *~#;\n"), st.characters(codec="utf-8", exclude_characters="\0"))),
    st.sampled_from(["{data}", "'{data}'", '"{data}"', "a='{data}'"]),
)
@example("a b'c\"d$HOME`id`\\ü", '"{data}"')
def test_the_shell_takes_a_value_as_it_is(data: str, place: str) -> None:
    command = filled(f"true && printf %s {place}", data=data)
    assert command[:2] == ("sh", "-c")
    printed = subprocess.run(command, capture_output=True, timeout=100, check=True).stdout.decode()
    assert printed == ("a=" if place.startswith("a=") else "") + data


def test_an_unknown_placeholder_names_the_nearest() -> None:
    with pytest.raises(CommandUnusable, match=r"uses \{modle\}, which is not known\. Did you mean \{model\}\?"):
        filled("python train.py {modle}")


def test_braces_of_other_kinds_are_left_alone() -> None:
    assert filled("""python a.py '{"lr": 0.1}' {} ${HOME}""")[2].endswith("""a.py '{"lr": 0.1}' {} ${HOME}""")


def test_params_have_to_be_there_to_be_used() -> None:
    assert filled("python a.py {params}", params="params.yaml")[-1] == "params.yaml"
    with pytest.raises(CommandUnusable, match="no parameter file"):
        filled("python a.py {params}")


@pytest.mark.parametrize("line", ["", "  ", 'python "a.py'])
def test_a_line_that_is_none_is_a_sentence(line: str) -> None:
    with pytest.raises(CommandUnusable):
        filled(line)


def write(root: Path, files: Mapping[str, str]) -> None:
    """Write the files of a project; their texts may be indented as the test is."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))


@pytest.fixture
def project(tmp_path: Path) -> Path:
    files = {
        "train.py": "import os, helpers\nfrom package.models import build\nimport numpy\n",
        "helpers.py": "def f():\n    from . import x\n    import lazy\n",
        "lazy.py": "raise SystemExit('never run')",
        "unused.py": "",
        "package/__init__.py": "",
        "package/models.py": "from .layers import dense\nfrom . import shapes\nfrom .. import out_of_reach",
        "package/layers.py": "import package.sub.deep as deep\n",
        "package/shapes.py": "import importlib\nimportlib.import_module('plugin')",
        "package/sub/deep.py": "def broken(:\n",
        "package/__main__.py": "from package import models",
        "plugin.py": "import train",
        "src/other/__init__.py": "",
        "src/other/cli.py": "import other.io",
        "src/other/io.py": "",
        "tests/test_it.py": "",
        ".hidden/x.py": "",
        "env/pyvenv.cfg": "",
        "env/lib/y.py": "",
    }
    write(tmp_path, files)
    return tmp_path


def names(root: Path, *command: str) -> list[str]:
    return [path.relative_to(root).as_posix() for path in sources(root, command)]


def test_sources_are_what_the_script_imports_from_the_project(project: Path) -> None:
    expected = [
        "helpers.py",
        "lazy.py",
        "package/__init__.py",
        "package/layers.py",
        "package/models.py",
        "package/shapes.py",
        "package/sub/deep.py",
        "plugin.py",
        "train.py",
    ]
    assert names(project, "python", "-u", "train.py", "--data", "x") == expected
    assert names(project, "sh", "-c", "python train.py; true") == expected
    assert names(project, "uv", "run", "./train.py") == expected
    assert names(project, "cd", ".;", "(python", "train.py);", "true") == expected


def test_sources_of_a_module(project: Path) -> None:
    assert names(project, "python", "-m", "other.cli") == [
        "src/other/__init__.py",
        "src/other/cli.py",
        "src/other/io.py",
    ]
    assert "package/__main__.py" in names(project, "python", "-m", "package")
    assert "package/models.py" in names(project, "python", "-m", "package")


def test_sources_of_another_command_are_all_files_that_may_matter(project: Path) -> None:
    assert names(project, "make", "train") == [
        "helpers.py",
        "lazy.py",
        "package/__init__.py",
        "package/__main__.py",
        "package/layers.py",
        "package/models.py",
        "package/shapes.py",
        "package/sub/deep.py",
        "plugin.py",
        "src/other/__init__.py",
        "src/other/cli.py",
        "src/other/io.py",
        "train.py",
        "unused.py",
    ]


def test_a_script_outside_the_project_is_not_followed(project: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    outside = tmp_path_factory.mktemp("outside") / "train.py"
    outside.write_text("import helpers")
    assert outside not in sources(project, ("python", str(outside)))


def test_scripts_and_configuration_that_are_named_are_sources(tmp_path: Path) -> None:
    files = {
        "train.py": """
            import hydra, json, yaml
            base = yaml.safe_load(open("conf/base.yaml"))
            more = json.load(open('model_config.json'))
            open("used.yaml", "w").write(str(base))
            Path("written.toml").write_text("x")
            yaml.dump(base, open("metrics.yaml", MODE))
            json.dump({}, open("about.json", MODE))
            outside = open("../outside.yaml"), open(".mlconsole/own.yaml"), open("gone.yaml")
            @hydra.main(config_path="hydra", config_name="config")
            def main(cfg): ...
        """,
        "fit.sh": "python train.py",
        "run.sh": "",
        "one.ini": "",
        "two.toml": "",
        "data.csv": "",
        "conf/base.yaml": "",
        "conf/unnamed.yaml": "",
        "model_config.json": "",
        "hydra/config.yaml": "",
        "hydra/model/tree.yaml": "",
        "hydra/notes.txt": "",
        "used.yaml": "",
        "written.toml": "",
        "metrics.yaml": "",
        "about.json": "",
        ".mlconsole/own.yaml": "",
    }
    write(tmp_path, files)
    (tmp_path.parent / "outside.yaml").write_text("")
    read = ["conf/base.yaml", "hydra/config.yaml", "hydra/model/tree.yaml", "model_config.json", "train.py"]
    assert names(tmp_path, "python", "train.py", "data.csv", "metrics.yaml") == read
    given = names(tmp_path, "python", "train.py", "--settings", "one.ini", "--more=two.toml")
    assert given == sorted([*read, "one.ini", "two.toml"])
    assert names(tmp_path, "bash", "fit.sh") == sorted([*read, "fit.sh"])
    assert names(tmp_path, "sh", "-c", "cd . && ./run.sh; true") == sorted([*read, "run.sh"])


def test_the_configuration_that_a_notebook_names_is_a_source(tmp_path: Path) -> None:
    cells = [{"cell_type": "code", "source": ['settings = open("conf/base.yaml")\n'], "metadata": {}, "outputs": []}]
    (tmp_path / "train.ipynb").write_text(json.dumps({"cells": cells, "metadata": {}, "nbformat": 4}))
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf/base.yaml").write_text("depth: 1\n")
    assert names(tmp_path, "train.ipynb") == ["conf/base.yaml", "train.ipynb"]
