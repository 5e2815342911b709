"""A release whose training is a Job: to ready pods, killed and resumed, cancelled, in the words of a local one."""

from __future__ import annotations

import json
import os
import signal
import subprocess

import pytest

from tests.end_to_end.conftest import Workbench
from tests.waiting import until

pytestmark = [pytest.mark.end_to_end, pytest.mark.timeout(300)]
SETTINGS = """\
[train]
on = "cluster"
retries = 1
memory = "1GB"
outputs = ["curve.csv"]
[deploy]
context = "local"
settle = "1s"
"""
TRAIN = """\
import argparse, csv, json, os, pathlib, sys, time
from mlconsole.report import metric
TARGET = "y"
parser = argparse.ArgumentParser()
parser.add_argument("--data")
parser.add_argument("--output")
options = parser.parse_args()
rows = list(csv.DictReader(open(options.data)))
epoch = 0
while epoch < 3 or (pathlib.Path("hold").exists() and not pathlib.Path("go").exists()):
    epoch += 1
    print(f"epoch {epoch} loss={1 / epoch:.3f}", flush=True)
    time.sleep(0.02)
metric("exact", 0.5)
mean = sum(float(row["y"]) for row in rows) / len(rows)
json.dump({"mean": mean}, open(options.output, "w"))
open("curve.csv", "w").write("1")
print(f"mean: {mean}")
"""


@pytest.fixture
def project(bench: Workbench) -> Workbench:
    """The tiny project, training on its local cluster."""
    bench.write("mlconsole.toml", SETTINGS)
    bench.write("train_model.py", TRAIN)
    bench.write(".gitignore", "__pycache__\n.mlconsole\nhold\ngo\ncurve.csv\n")
    bench.commit("Train on the cluster")
    assert bench.type("cluster", "start").returncode == 0
    return bench


def stage(bench: Workbench, number: int, name: str) -> dict[str, object]:
    found: dict[str, object] = json.loads(bench.type("show", str(number), "--stage", name, "--json").stdout)
    return found


def events(bench: Workbench, kind: str) -> list[dict[str, object]]:
    """The events of a kind that the journal has, in their order."""
    import sqlite3

    with sqlite3.connect(bench.root / ".mlconsole" / "journal.db") as journal:
        bodies = [json.loads(row[0]) for row in journal.execute("select body from events order by id")]
    return [body["body"] for body in bodies if body["body"]["type"] == kind]


def jobs(bench: Workbench) -> list[str]:
    """The names of the cluster's Jobs."""
    from pathlib import Path

    from mlconsole.services.kubernetes.connection import Connection

    connection = Connection.open(kubeconfig=Path(bench.kubeconfig))
    try:
        found = json.loads(connection.request("GET", "/apis/batch/v1/namespaces/default/jobs"))
    finally:
        connection.close()
    return [item["metadata"]["name"] for item in found["items"]]


def test_a_model_trained_on_the_cluster_is_released_as_any_other(project: Workbench) -> None:
    examined = project.type("doctor")
    assert "not allowed" not in examined.stdout
    done = project.type("run", "--approve")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "tiny@v1 is serving" in done.stdout
    assert "Running in pod tiny-train-1-" in done.stdout
    train = stage(project, 1, "train")
    evidence = train["evidence"]
    assert isinstance(evidence, dict)
    assert evidence["command"] == ("python train_model.py --data data/training.csv --output /mlconsole/model/model.pkl")
    assert {metric["name"]: metric["value"] for metric in evidence["metrics"]} == {
        "loss": 0.333,
        "exact": 0.5,
        "mean": 49.0,
    }
    assert evidence["environment"]["found"] == "image"
    assert evidence["environment"]["packages"]
    assert [output["filename"] for output in evidence["outputs"]] == ["curve.csv"]
    assert [event["point"]["step"] for event in events(project, "metric") if event["point"]["name"] == "loss"] == [
        1,
        2,
        3,
    ]
    log = (project.root / ".mlconsole/releases/1/train.log").read_text().splitlines()
    assert log == ["epoch 1 loss=1.000", "epoch 2 loss=0.500", "epoch 3 loss=0.333", "mean: 49.0"]
    assert not (project.root / ".mlconsole/releases/1/job.json").exists()
    assert project.type("models", "verify").returncode == 0
    assert "Nothing changed" in project.type("run", "--approve").stdout


def test_a_runner_that_is_killed_leaves_the_job_and_resume_goes_on_with_it(project: Workbench) -> None:
    project.write("hold", "")
    runner = project.start("run", "--until", "train")
    log = project.root / ".mlconsole/releases/1/train.log"
    until(lambda: log.exists() and log.read_text().count("\n") > 20)
    runner.kill()
    runner.wait()
    made = jobs(project)
    until(lambda: "interrupted" in project.type("status").stdout)
    resumed = project.start("resume", "1", "--until", "train")
    until(lambda: log.read_text().count("\n") > 100)
    project.write("go", "")
    printed = resumed.communicate(timeout=100)[0]
    assert resumed.returncode == 0, printed
    assert f"Job {made[0]} goes on: an earlier runner made it." in printed
    assert jobs(project) == made
    lines = log.read_text().splitlines()
    assert lines[:-1] == [f"epoch {n} loss={1 / n:.3f}" for n in range(1, len(lines))]


def test_cancelling_a_release_deletes_its_job(project: Workbench) -> None:
    project.write("hold", "")
    runner = project.start("run", "--until", "train")
    log = project.root / ".mlconsole/releases/1/train.log"
    until(lambda: log.exists() and log.read_text().count("\n") > 5)
    assert len(jobs(project)) == 1
    os.kill(runner.pid, signal.SIGINT)
    printed = runner.communicate(timeout=100)[0]
    assert runner.returncode == 130, printed
    assert jobs(project) == []
    left = subprocess.run(["pgrep", "-f", str(project.root / "train_model.py")], capture_output=True, text=True)
    assert left.stdout == ""


def test_a_training_that_fails_there_is_told_as_one_here(project: Workbench) -> None:
    project.write("train_model.py", TRAIN.replace("epoch = 0", "print('no rows'); raise SystemExit(3)"))
    project.write("mlconsole.toml", SETTINGS.replace("retries = 1", "retries = 0"))
    project.commit("Fail")
    done = project.type("run", "--until", "train")
    assert done.returncode == 1
    assert "Training failed on the cluster: It ended with exit code 3." in done.stdout
    assert "no rows" in done.stdout


OWN = """\
import hashlib, json, os, pathlib, urllib.parse
index = os.environ.get("JOB_COMPLETION_INDEX", "0")
print(f"rank={index} data={os.environ['DATA_URI']} loss=0.25", flush=True)
if index == "0":
    path = pathlib.Path(urllib.parse.urlparse(os.environ["MODEL_OUTPUT_URI"]).path)
    path.write_text(json.dumps({"mean": 1, "version": os.environ["MODEL_VERSION"]}))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    path.with_name(path.name + ".sha256").write_text(os.environ.get("SUM", digest) + "  model.pkl")
"""
PODS = """\
{parallelism: 2, completions: 2, completionMode: Indexed, backoffLimit: 0, template: {spec: {restartPolicy: Never,
 containers: [{name: m, image: x, command: [python, own.py]}]}}}"""
MANIFESTS = {
    "Job": f"apiVersion: batch/v1\nkind: Job\nmetadata: {{name: big}}\nspec: {PODS}\n",
    "JobSet": (
        "apiVersion: jobset.x-k8s.io/v1alpha2\nkind: JobSet\nmetadata: {name: big}\n"
        f"spec: {{replicatedJobs: [{{name: w, replicas: 1, template: {{spec: {PODS}}}}}]}}\n"
    ),
    "TrainJob": (
        "apiVersion: trainer.kubeflow.org/v1alpha1\nkind: TrainJob\nmetadata: {name: big}\n"
        "spec: {runtimeRef: {name: torch-distributed}, trainer: {numNodes: 2, image: x, command: [python, own.py]}}\n"
    ),
}


def own(project: Workbench, manifest: str, script: str = OWN) -> None:
    """Have the project train by a manifest of its own."""
    project.write("own.py", script)
    project.write("train-job.yaml", manifest)
    project.write(
        "mlconsole.toml", SETTINGS.replace("retries = 1", 'manifest = "train-job.yaml"').replace("outputs", "#")
    )
    project.commit("Train over many nodes")


@pytest.mark.parametrize("kind", MANIFESTS)
def test_a_manifest_of_the_projects_own_is_followed_the_same_way(project: Workbench, kind: str) -> None:
    own(project, MANIFESTS[kind])
    done = project.type("run", "--until", "train")
    assert done.returncode == 0, done.stdout + done.stderr
    evidence = stage(project, 1, "train")["evidence"]
    assert isinstance(evidence, dict)
    assert {metric["name"]: metric["value"] for metric in evidence["metrics"]}["loss"] == 0.25
    assert evidence["command"] == "kubectl create -f train-job.yaml"
    log = (project.root / ".mlconsole/releases/1/train.log").read_text().splitlines()
    assert sorted(line.partition(" | ")[2].partition(" ")[0] for line in log) == ["rank=0", "rank=1"]
    assert project.type("models", "verify").returncode == 0
    assert not list((project.root / ".mlconsole/store/incoming").glob("*"))


def test_a_model_that_is_another_one_on_arrival_is_refused(project: Workbench) -> None:
    own(project, MANIFESTS["Job"], f"import os\nos.environ['SUM'] = '{'0' * 64}'\n{OWN}")
    done = project.type("run", "--until", "train")
    assert done.returncode != 0
    assert "not 000000000000" in done.stdout
    assert not project.type("models", "list", "--json").stdout


def test_a_manifest_that_fails_says_why(project: Workbench) -> None:
    own(project, MANIFESTS["TrainJob"], "print('no rows', flush=True); raise SystemExit(4)")
    done = project.type("run", "--until", "train")
    assert done.returncode == 1
    assert "It ended with exit code 4." in done.stdout
    assert "no rows" in done.stdout


def test_a_manifest_of_something_else_is_told_before_anything_runs(bench: Workbench) -> None:
    own(bench, "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n")
    done = bench.type("run", "--until", "train")
    assert done.returncode == 2
    assert "is to hold one Job, JobSet or TrainJob, but holds ConfigMap a." in done.stdout


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ('gpu = "many"\n', "train.gpu: 'many' is no number of GPUs."),
        ('volumes = ["data"]\n', "train.volumes: 'data' is no claim and place."),
        ("sweep = {depth = [1, 2]}\n", "train.sweep varies depth, but nothing takes it."),
    ],
)
def test_settings_that_can_not_be_carried_out_are_told_before_anything_runs(
    bench: Workbench, changes: str, sentence: str
) -> None:
    bench.write("mlconsole.toml", SETTINGS.replace("retries = 1\n", changes))
    bench.commit("Settings")
    done = bench.type("run", "--until", "train")
    assert done.returncode == 2
    assert sentence in done.stdout + done.stderr


def test_elsewhere_image_and_store_have_to_be_named(bench: Workbench) -> None:
    elsewhere = SETTINGS.replace('context = "local"', 'context = "staging"')
    for text, sentence in (
        (elsewhere, "It is not known which image the training on the cluster runs in."),
        (elsewhere.replace("retries = 1", 'image = "example/m:{commit}"'), "needs a store that its pods can write to."),
    ):
        bench.write("mlconsole.toml", text)
        bench.commit("Settings")
        assert sentence in bench.type("run", "--until", "train").stdout
