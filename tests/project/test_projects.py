"""Twelve projects of other layouts: what is found in each, and what is asked for in a sentence."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mlconsole.project.discovery import complete
from mlconsole.project.settings import Settings, TrainSettings
from mlconsole.project.writing import with_value

PROJECTS = Path(__file__).parent.parent / "projects"
UMLAUTS = "Vorhersage der Fahrräder"
COMMANDS = {
    "no_arguments": "python train.py",
    "source_folder": "python -m src.train --data-path {data} --model-out {model}",
    "metrics_in_log": "python train_model.py {data} {model}",
    "manifest_folder": "make train",
    "templated_image": 'python -c "from pipeline.fit import main; main()"',
    "lost_manifest": "python learn.py --in data/prepared.csv --out model.pkl",
    "argo_rollout": "python train.py --data {data} --output {model}",
    "tests_first": "python train_model.py {data} {model}",
    "no_tests": "python train.py --data {data} --output {model}",
    "no_manifest": "train.ipynb",
    "model_folder": "python train.py --data {data} --output {model}",
    UMLAUTS: 'python "modell trainieren.py" --daten {data} --ausgabe {model}',
}
DATA = {
    "no_arguments": "data/training.csv",
    "source_folder": "data/train.csv",
    "metrics_in_log": "data/sales.csv",
    "manifest_folder": "data/rides.csv",
    "templated_image": "data/train.csv",
    "lost_manifest": "data/prepared.csv",
    "argo_rollout": "data/churn.csv",
    "tests_first": "data/training.csv",
    "no_tests": "data/y.csv",
    "no_manifest": "data/training.csv",
    "model_folder": "data/training.csv",
    UMLAUTS: "daten/fahrräder 2024.csv",
}
TESTS_AND_MANIFESTS = {
    "no_arguments": ("tests/test_model.py", "deployment.yaml", "app=no-arguments"),
    "source_folder": ("tests/test_model_quality.py", "k8s", "app=source-folder"),
    "metrics_in_log": ("test_model.py", "deployment.yml", "app=metrics-in-log"),
    "manifest_folder": ("tests", "manifests", "app.kubernetes.io/name=manifest-folder"),
    "templated_image": ("checks", "deploy", "app=templated-image"),
    "lost_manifest": ("tests/test_model.py", "k8s", "app=lost-manifest"),
    "argo_rollout": ("tests/test_model_quality.py", "rollout.yaml", "app=argo-rollout"),
    "tests_first": ("tests/test_model.py", "deployment.yaml", "app=tests-first"),
    "no_tests": ("", "deployment.yaml", "app=no-tests"),
    "no_manifest": ("tests/test_model.py", "", ""),
    "model_folder": ("tests/test_model.py", "deployment.yaml", "app=model-folder"),
    UMLAUTS: ("prüfungen", "bereitstellung", "anwendung=fahrraeder"),
}
QUESTIONS = {
    "templated_image": (
        "deploy.image is open: The image in deploy/app.yaml is a template, ${IMAGE}: nothing says what stands in its"
        " place."
    ),
    "lost_manifest": "deploy.manifests is open: k8s/kustomization.yaml names k8s/service.yaml, which is not there.",
    "no_tests": "test.paths is open: No tests were found: nothing would say whether the model may be released.",
    "no_manifest": "deploy.manifests is open: No manifests were found: nothing says what to deploy.",
}


def test_every_project_is_told_of_here() -> None:
    folders = {path.name for path in PROJECTS.iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert folders == set(COMMANDS) == set(DATA) == set(TESTS_AND_MANIFESTS)


@pytest.mark.parametrize("name", COMMANDS)
def test_command_data_tests_and_manifests_are_found(name: str) -> None:
    settings, found, questions = complete(PROJECTS / name, Settings())
    assert settings.train.command == COMMANDS[name]
    assert settings.data.path == DATA[name]
    shown = ("".join(settings.test.paths), "".join(settings.deploy.manifests), settings.deploy.selector)
    assert shown == TESTS_AND_MANIFESTS[name]
    assert all(entry.where for entry in found)
    assert len(questions) == (name in QUESTIONS)


@pytest.mark.parametrize("name", COMMANDS)
def test_init_says_what_it_found_and_asks_for_the_rest_in_a_sentence(name: str, tmp_path: Path) -> None:
    root = tmp_path / name
    shutil.copytree(PROJECTS / name, root)
    done = subprocess.run(
        [sys.executable, "-m", "mlconsole", "init"],
        cwd=root,
        capture_output=True,
        text=True,
        timeout=60,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == (2 if name in QUESTIONS else 0)
    assert f"train.command = {COMMANDS[name]}  (found: " in done.stderr
    assert f"data.path = {DATA[name]}  (found: " in done.stderr
    assert done.stdout == f"{root / 'mlconsole.toml'}\n"
    asked = [line for line in done.stderr.splitlines() if line.startswith("mlconsole:")]
    assert asked == ([f"mlconsole: {QUESTIONS[name]}"] if name in QUESTIONS else [])


def test_what_is_found_is_never_run(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text("open('ran', 'w')\nraise SystemExit(1)\n")
    complete(tmp_path, Settings())
    assert [path.name for path in tmp_path.iterdir()] == ["train.py"]


@pytest.mark.parametrize(
    ("script", "command"),
    [
        (
            "import click\n@click.option('--data')\n@click.option('-m', '--model-path')\ndef main(): 0\nmain()",
            "--data {data} --model-path {model}",
        ),
        ("import click\n@click.argument('data')\n@click.argument('out')\ndef main(): 0\nmain()", "{data} {model}"),
        (
            "from absl import flags\nflags.DEFINE_string('data', None, '')\nflags.DEFINE_string('output', '', '')",
            "--data {data} --output {model}",
        ),
        (
            "import typer\napp = typer.Typer()\n@app.command()\ndef main(data: str, output: str = 'm.pkl'): 0\napp()",
            "--output {model} {data}",
        ),
        ("p.add_argument('--model', choices=['a', 'b'])\np.add_argument('--verbose', action='store_true')", ""),
        ("p.add_argument('--model', default='forest')\np.add_argument('--save-path')", "--save-path {model}"),
        ("p.add_argument('--input', type=Path)\np.add_argument('--out-dir', default='models')", "--input {data}"),
        ("def broken(:", ""),
        ("\ufeffp.add_argument('--data')\r\np.add_argument('--output')\r\n", "--data {data} --output {model}"),
    ],
)
def test_options_of_a_script_are_read_from_its_syntax(tmp_path: Path, script: str, command: str) -> None:
    (tmp_path / "train.py").write_text(script)
    settings = complete(tmp_path, Settings()).settings
    assert settings.train.command == f"python train.py {command}".rstrip()


def question(root: Path, key: str) -> str:
    return next(entry.sentence for entry in complete(root, Settings()).questions if entry.key == key)


def write(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def test_what_could_be_several_things_is_asked_about(tmp_path: Path) -> None:
    for name in ("train_forest.py", "train_boosted.py"):
        (tmp_path / name).write_text("model.fit(x, y)\n")
    for name in ("a.csv", "b.csv", "test.csv"):
        (tmp_path / name).write_text("x,y\n1,2\n")
    _, found, questions = complete(tmp_path, Settings())
    assert {entry.key for entry in found} == {"name"}
    asked = {entry.key: entry for entry in questions}
    assert asked["train.command"].sentence == (
        "2 scripts could train, train_boosted.py and train_forest.py: which one makes the model?"
    )
    assert asked["train.command"].choices == ("python train_boosted.py", "python train_forest.py")
    assert asked["data.path"].sentence == "There are 2 data files, a.csv and b.csv: which one is trained on?"


MAKE = "train-test-split:\n\tpython split.py\ntrain_data: x\n\techo\n{}:\n\tpython fit.py\n"
DVC = "stages:\n  split_train_test:\n    cmd: python split.py\n  {}:\n    cmd: python fit.py\n"


@pytest.mark.parametrize(
    ("files", "command"),
    [
        ({"Makefile": MAKE.format("train")}, "make train"),
        ({"Makefile": MAKE.format("train-forest")}, "make train-forest"),
        ({"dvc.yaml": DVC.format("train")}, "python fit.py"),
        ({"dvc.yaml": DVC.format("fit_it")}, ""),
        ({"pyproject.toml": '[tool.poe.tasks]\ntrain-eval = "a"\ntrain-all = "b"\ntrain = "c"\n'}, "c"),
    ],
)
def test_what_is_named_for_what_stands_beside_training_does_not_train(
    files: dict[str, str], command: str, tmp_path: Path
) -> None:
    write(tmp_path, files)
    assert complete(tmp_path, Settings()).settings.train.command == command


def test_the_data_is_what_the_stage_reads_that_trains_and_not_what_it_is_prepared_from(tmp_path: Path) -> None:
    stages = {
        "prepare": {"cmd": "python prepare.py", "deps": ["data/raw.csv"], "outs": ["data/prepared/all.csv"]},
        "train": {"cmd": "python fit.py", "deps": ["fit.py", "data/prepared/all.csv", "data/prepared/test.csv"]},
    }
    files = {"dvc.yaml": json.dumps({"stages": stages}), "fit.py": "model.fit(x)\nmodel.save()\n"}
    for name in ("data/raw.csv", "data/prepared/all.csv", "data/prepared/test.csv"):
        files[name] = "a,b\n1,2\n"
    write(tmp_path, files)
    settings, found, _ = complete(tmp_path, Settings())
    assert settings.data.path == "data/prepared/all.csv"
    assert "dvc.yaml: read by stage train" in {entry.where for entry in found}
    given = Settings(train=TrainSettings(command="make all"))
    assert not complete(tmp_path, given).settings.data.path, "another command may read other data"


def test_which_of_several_recipes_trains_is_asked(tmp_path: Path) -> None:
    write(tmp_path, {"Makefile": "train-forest: x\n\techo\ntrain-linear:\n\techo\n"})
    (asked,) = [entry for entry in complete(tmp_path, Settings()).questions if entry.key == "train.command"]
    assert (
        asked.sentence == "2 recipes of Makefile could train, train-forest and train-linear: which one makes the model?"
    )
    assert asked.choices == ("make train-forest", "make train-linear")


def test_an_argument_that_nobody_knows_is_asked_for(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text("p.add_argument('--data')\np.add_argument('--region', required=True)\n")
    assert question(tmp_path, "train.command") == "train.py needs --region, and nothing says what to give it."


@pytest.mark.parametrize(
    "script",
    [
        "s = p.add_subparsers()\nt = s.add_parser('train')\nt.add_argument('--data')\ns.add_parser('evaluate')\n",
        "@app.command()\ndef evaluate(model: str): 0\n@app.command()\ndef train(data: str): 0\napp()\n",
    ],
)
def test_of_subcommands_a_person_says_which_one_trains(tmp_path: Path, script: str) -> None:
    (tmp_path / "train.py").write_text(script)
    (asked,) = [entry for entry in complete(tmp_path, Settings()).questions if entry.key == "train.command"]
    assert re.fullmatch(r"train.py has subcommands, (\w+) and (\w+): nothing says how it is called\.", asked.sentence)
    assert asked.next_step == 'Say it: [train] command = "python train.py train …"'


DEFINES = """
import logging, pathlib
logger = logging.getLogger(__name__)
ROOT = pathlib.Path(__file__).resolve().parent
def main():
    p.add_argument("--data")
    p.add_argument("--output")
"""


def test_a_script_that_only_defines_functions_is_run_as_the_project_says_or_asked_about(tmp_path: Path) -> None:
    write(tmp_path, {"src/bikes/train.py": DEFINES})
    words = "src/bikes/train.py only defines functions, and nothing says which of them trains."
    assert question(tmp_path, "train.command") == words
    write(tmp_path, {"pyproject.toml": '[project.scripts]\ntrain = "bikes.train:main"\n'})
    settings = complete(tmp_path, Settings()).settings
    assert settings.train.command == 'PYTHONPATH=src python -c "from bikes.train import main; main()"'
    write(tmp_path, {"src/bikes/train.py": f"{DEFINES}model = main()\n"})
    settings = complete(tmp_path, Settings()).settings
    assert settings.train.command == "python src/bikes/train.py --data {data} --output {model}"


def test_of_several_scripts_those_that_only_define_functions_do_not_train(tmp_path: Path) -> None:
    write(tmp_path, {"lib/train_tools.py": DEFINES, "jobs/train_all.py": f"{DEFINES}main()\n"})
    settings = complete(tmp_path, Settings()).settings
    assert settings.train.command == "python jobs/train_all.py --data {data} --output {model}"


def test_of_a_repository_of_several_parts_the_tests_beside_the_model_are_run(tmp_path: Path) -> None:
    write(tmp_path, {"ml/bikes/train.py": f"{DEFINES}main()\n", "ml/bikes/data/rides.csv": "x,y\n1,2\n"})
    write(tmp_path, {"ml/bikes/tests/test_it.py": "", "web/tests/test_page.py": ""})
    _, found, _ = complete(tmp_path, Settings())
    (tests,) = [entry for entry in found if entry.key == "test.paths"]
    assert tests.value == ("ml/bikes/tests",)
    assert tests.where == "the tests of ml/bikes; 1 elsewhere are left out"


def test_data_on_a_remote_is_said_to_be_there(tmp_path: Path) -> None:
    write(tmp_path, {"data/training.csv.dvc": "outs:\n- path: training.csv\n"})
    asked = next(entry for entry in complete(tmp_path, Settings()).questions if entry.key == "data.path")
    assert asked.sentence == "The data is not here: data/training.csv.dvc names it, and DVC has it elsewhere."
    assert asked.next_step == "Fetch it: dvc pull"


def test_a_chart_has_to_be_rendered_first(tmp_path: Path) -> None:
    workload = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: {{ .Release.Name }}}\n"
    write(tmp_path, {"chart/Chart.yaml": "name: model\n", "chart/templates/deployment.yaml": workload})
    assert (
        question(tmp_path, "deploy.manifests") == "chart is a Helm chart, which has to be rendered to manifests first."
    )


def test_of_several_overlays_one_is_chosen_by_a_person(tmp_path: Path) -> None:
    for name in ("prod", "staging"):
        write(tmp_path, {f"ops/overlays/{name}/kustomization.yaml": "resources: []\n"})
    asked = next(entry for entry in complete(tmp_path, Settings()).questions if entry.key == "deploy.manifests")
    assert asked.choices == ("ops/overlays/prod", "ops/overlays/staging")


def test_paths_that_are_meant_from_the_scripts_folder_set_the_working_folder(tmp_path: Path) -> None:
    script = "rows = open('../data/rides.csv')\nmodel.fit(rows)\n"
    write(tmp_path, {"scripts/train.py": script, "data/rides.csv": "x,y\n1,2\n"})
    settings = complete(tmp_path, Settings()).settings
    assert (settings.train.command, settings.train.cwd) == ("python train.py", "scripts")
    assert settings.data.path == "data/rides.csv"


def test_nothing_is_asked_about_that_is_set(tmp_path: Path) -> None:
    settings = with_value(Settings(), "deploy.manifests", "a.yaml, b.yaml")
    assert settings.deploy.manifests == ("a.yaml", "b.yaml")
    completed = complete(tmp_path, settings)
    assert "deploy.manifests" not in {entry.key for entry in completed.found}
    assert [entry.key for entry in completed.questions] == [
        "data.path",
        "train.command",
        "test.paths",
        "deploy.selector",
    ]
