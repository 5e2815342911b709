"""What else trains on the cluster as it does here: a sweep as several Jobs, a notebook, a model that is a folder."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
from typing import Any

import pytest

from tests.end_to_end.conftest import Workbench
from tests.end_to_end.test_train_on_cluster import jobs
from tests.stages.test_train import NOTEBOOK, PAPERMILL
from tests.waiting import until

pytestmark = [pytest.mark.end_to_end, pytest.mark.timeout(300)]
DEPLOY = '[deploy]\ncontext = "local"\nsettle = "1s"\n'
SWEPT = """\
import json, os, pathlib, sys, time
depth, params, model = sys.argv[1:]
rate = json.load(open(params))["rate"]
pathlib.Path(f"began-{depth}-{rate}").touch()
while not pathlib.Path("go").exists():
    time.sleep(0.02)
if (depth, rate) == ("2", 0.5):
    raise SystemExit("it does not converge")
print(f"epoch 1/1 loss=0.5")
print(f"mae={10 - int(depth) - rate}")
json.dump({"mean": float(depth) + rate}, open(model, "w"))
"""
FOLDER = """\
import json, pathlib, sys
folder = pathlib.Path(sys.argv[1]) / "variables"
folder.mkdir(parents=True)
(folder / "weights.json").write_text("[1, 2]")
(folder.parent / "config.json").write_text(json.dumps({"mean": 1}))
(folder.parent / "run").write_text("#!/bin/sh")
(folder.parent / "run").chmod(0o755)
print("mae=1.5")
"""


def trains(bench: Workbench, settings: str, **files: str) -> None:
    """Have the tiny project train so, on its cluster."""
    for name, text in files.items():
        bench.write(name.replace("_", "."), text)
    bench.write("mlconsole.toml", f'[train]\non = "cluster"\n{settings}\n{DEPLOY}')
    bench.write(".gitignore", "__pycache__\nbegan-*\ngo\nmodel*\n")
    bench.commit("Train so")
    assert bench.type("cluster", "start").returncode == 0


def trained(bench: Workbench) -> dict[str, Any]:
    shown = bench.type("show", "1", "--stage", "train", "--json")
    found: dict[str, Any] = json.loads(shown.stdout)["evidence"]
    return found


def model_of(bench: Workbench, evidence: dict[str, Any]) -> str:
    digest = evidence["version"]["model"]["digest"].partition(":")[2]
    return next((bench.root / f".mlconsole/store/sha256/{digest[:2]}/{digest}").iterdir()).read_text()


def began(bench: Workbench) -> set[str]:
    return {path.name for path in bench.root.glob("began-*")}


def swept(bench: Workbench) -> None:
    settings = """\
command = "python fit.py {depth} {params} {model}"
parameters = "params.json"
jobs = 2
best = "mae"
[train.sweep]
depth = [1, 2]
rate = [0.1, 0.5]
"""
    trains(bench, settings, fit_py=SWEPT, params_json='{"rate": 0.0, "other": 1}')


def test_a_sweep_is_as_many_jobs_at_once_as_asked_and_the_best_is_the_candidate(bench: Workbench) -> None:
    swept(bench)
    runner = bench.start("run", "--until", "train")
    until(lambda: len(began(bench)) == 2)
    assert len(jobs(bench)) == 2
    bench.write("go", "")
    printed = runner.communicate(timeout=200)[0]
    assert runner.returncode == 0, printed
    assert len(jobs(bench)) == 4
    evidence = trained(bench)
    assert [(run["state"], run.get("score")) for run in evidence["sweep"]] == [
        ("done", 8.9),
        ("done", 8.5),
        ("done", 7.9),
        ("failed", None),
    ]
    assert evidence["sweep"][2]["is_best"]
    assert "exit code 1" in evidence["sweep"][3]["problem"]
    assert {entry["name"]: entry["value"] for entry in evidence["parameters"]} == {
        "rate": "0.1",
        "other": "1",
        "depth": "2",
    }
    assert json.loads(model_of(bench, evidence)) == {"mean": 2.1}
    (stored,) = bench.root.glob(".mlconsole/store/sha256/*/*/model*")
    assert stored.parent.name == evidence["version"]["model"]["digest"].partition(":")[2], "nothing leads to the others"
    assert evidence["environment"]["found"] == "image"
    log = (bench.root / ".mlconsole/releases/1/sweep/3/train.log").read_text()
    assert log == "epoch 1/1 loss=0.5\nmae=7.9\n"
    assert not list((bench.root / ".mlconsole/releases/1").rglob("job.json"))
    with sqlite3.connect(bench.root / ".mlconsole/journal.db") as journal:
        bodies = [json.loads(row[0])["body"] for row in journal.execute("select body from events order by id")]
    assert {(body["run"]["number"], body["total"]) for body in bodies if body["type"] == "sweep"} >= {(1, 4), (4, 4)}


def test_cancelling_a_sweep_deletes_all_of_its_jobs(bench: Workbench) -> None:
    swept(bench)
    runner = bench.start("run", "--until", "train")
    until(lambda: len(began(bench)) == 2)
    os.kill(runner.pid, signal.SIGINT)
    printed = runner.communicate(timeout=200)[0]
    assert runner.returncode == 130, printed
    assert jobs(bench) == []
    assert len(began(bench)) == 2


def test_a_sweep_whose_runner_is_killed_goes_on_with_its_jobs(bench: Workbench) -> None:
    swept(bench)
    runner = bench.start("run", "--until", "train")
    until(lambda: len(began(bench)) == 2)
    runner.kill()
    runner.communicate()
    made = set(jobs(bench))
    bench.write("go", "")
    until(lambda: "interrupted" in bench.type("status").stdout)
    resumed = bench.type("resume", "1", "--until", "train", timeout=200)
    assert resumed.returncode == 0, resumed.stdout
    assert "goes on: an earlier runner made it." in resumed.stdout
    assert made < set(jobs(bench))
    assert len(jobs(bench)) == 4


def test_a_notebook_runs_in_the_image_and_is_kept_as_it_was_executed(bench: Workbench) -> None:
    trains(bench, 'command = "train.ipynb"', train_ipynb=json.dumps(NOTEBOOK), papermill_py=PAPERMILL)
    done = bench.type("run", "--until", "train")
    assert done.returncode == 0, done.stdout + done.stderr
    evidence = trained(bench)
    assert "-m papermill train.ipynb /mlconsole/model/executed.ipynb --log-output --cwd ." in evidence["command"]
    assert model_of(bench, evidence) == "1 of data/training.csv"
    assert [output["filename"] for output in evidence["outputs"]] == ["train.ipynb"]
    assert {point["name"]: point["value"] for point in evidence["metrics"]} == {"mae": 9.0}


def test_a_notebook_is_swept_on_the_cluster(bench: Workbench) -> None:
    settings = 'command = "train.ipynb"\nbest = "mae"\njobs = 2\n[train.sweep]\ndepth = [1, 4]'
    trains(bench, settings, train_ipynb=json.dumps(NOTEBOOK), papermill_py=PAPERMILL)
    done = bench.type("run", "--until", "train")
    assert done.returncode == 0, done.stdout + done.stderr
    assert model_of(bench, trained(bench)) == "4 of data/training.csv"


def test_an_image_without_papermill_is_a_sentence(bench: Workbench) -> None:
    script = "raise ModuleNotFoundError(\"No module named 'papermill'\")"
    trains(bench, 'command = "train.ipynb"', train_ipynb=json.dumps(NOTEBOOK), papermill_py=script)
    done = bench.type("run", "--until", "train")
    assert done.returncode == 2
    assert "The image has nothing that runs notebooks." in done.stdout


@pytest.mark.parametrize("where", ["{model}", "saved/net"])
def test_a_folder_comes_back_from_the_cluster(bench: Workbench, where: str) -> None:
    place = "" if where == "{model}" else 'model = "saved/*/"\n'
    trains(bench, f'command = "python fit.py {where}"\n{place}', fit_py=FOLDER)
    done = bench.type("run", "--until", "train")
    assert done.returncode == 0, done.stdout + done.stderr
    model = trained(bench)["version"]["model"]
    assert (model["files"], model["filename"]) == (3, "model" if where == "{model}" else "net")
    assert bench.type("models", "verify").returncode == 0
    folder = next((bench.root / ".mlconsole/store/tree").rglob("config.json")).parent
    assert os.access(folder / "run", os.X_OK)
    assert (folder / "variables" / "weights.json").read_text() == "[1, 2]"
