"""Projects of other layouts, as `init` finds them: those that are complete are released, one cluster for all.

Their manifests name images; the cluster's folder holds what these would hold, `serve.py`.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from conftest import Workbench

pytestmark = pytest.mark.end_to_end

PROJECTS = Path(__file__).parent.parent / "projects"
COMPLETE = {
    "no_arguments": {"mae": 20.0},
    "source_folder": {"loss": 0.3333},
    "metrics_in_log": {"RMSE": 23.087},
    "manifest_folder": {"rmse": 2.5, "r2": 0.75},
    "tests_first": {"mean": 40.0},
    "model_folder": {"mae": 20.0},
    "Vorhersage der Fahrräder": {"mittlerer_fehler": 20.0},
}
"""Each project with the metrics that its training prints, in its own way."""
SETTLE = ("--set", "deploy.settle=1s")


class Ground:
    """A folder with a running cluster, which projects are put below; a kubeconfig leads them to it."""

    def __init__(self, workbench: type[Workbench], root: Path) -> None:
        self._workbench = workbench
        self.own = workbench(root)

    def project(self, name: str, folder: str = "") -> Project:
        """A copy of a project, as a repository of its own."""
        made = self._workbench(self.own.root / (folder or name))
        shutil.copytree(PROJECTS / name, made.root)
        made.git("init", "-q")
        return Project(made, self.own.kubeconfig)


class Project:
    """A copy of a project, in which commands are typed."""

    def __init__(self, bench: Workbench, kubeconfig: str) -> None:
        self.root, self._bench, self._kubeconfig = bench.root, bench, kubeconfig

    def type(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Type a command."""
        return self._bench.type(*arguments, KUBECONFIG=self._kubeconfig)

    def commit(self) -> None:
        """Commit everything."""
        self._bench.commit("As it was found")

    def release(self) -> dict[str, Any]:
        """Commit, release, and return the evidence of each stage."""
        self.commit()
        done = self.type("run", "--approve")
        assert done.returncode == 0, done.stdout + done.stderr
        shown = [json.loads(line) for line in self.type("status", "--json").stdout.splitlines()]
        return {entry["stage"]: entry["evidence"] for entry in shown if "evidence" in entry}


@pytest.fixture(scope="module")
def ground(workbench: type[Workbench], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    """A cluster for all."""
    made = Ground(workbench, tmp_path_factory.mktemp("projects"))
    shutil.copy(PROJECTS / "serve.py", made.own.root)
    started = made.own.type("cluster", "start")
    assert started.returncode == 0, started.stderr
    yield made
    made.own.type("cluster", "stop")


@pytest.mark.parametrize("name", COMPLETE)
def test_a_complete_project_is_released_as_it_was_found(name: str, ground: Ground) -> None:
    project = ground.project(name)
    found = project.type("init", *SETTLE)
    assert found.returncode == 0, found.stderr
    evidence = project.release()
    printed = {point["name"]: round(point["value"], 4) for point in evidence["train"]["metrics"]}
    assert printed == {**printed, **COMPLETE[name]}
    assert {test["outcome"] for test in evidence["test"]["run"]["outcomes"]} == {"passed"}
    assert evidence["pods"]["serving"] == evidence["pods"]["wanted"] == 1


def test_a_folder_is_compared_rolled_back_and_stated_as_any_model(ground: Ground) -> None:
    project = ground.project("model_folder", "model folder again")
    said = ("data.target=y", "quality.holdout=holdout.csv", "quality.tolerance=10.0")
    predict = "quality.predict=python predict.py {model} {data} {predictions}"
    sets = [word for key in (*said, predict) for word in ("--set", key)]
    assert project.type("init", *SETTLE, *sets).returncode == 0
    rows = (project.root / "data/training.csv").read_text()
    (project.root / "holdout.csv").write_text("x,y\n" + "".join(f"{n},{30 + n % 7}\n" for n in range(200)))
    first = project.release()["train"]["version"]["model"]
    (project.root / "data/training.csv").write_text(rows + rows.splitlines()[-1] + "\n")
    evidence = project.release()
    assert evidence["test"]["comparison"]["champion"] == "model-folder@v1"
    second = evidence["train"]["version"]["model"]
    assert (first["files"], first["filename"]) == (second["files"], second["filename"]) == (2, "model")
    assert first["digest"] != second["digest"]
    configs = list((project.root / ".mlconsole/store/tree").rglob("config.json"))
    assert len(configs) == 2
    assert len({path.stat().st_ino for path in configs}) == 1
    assert project.type("rollback").returncode == 0
    assert project.type("models", "verify").returncode == project.type("verify").returncode == 0
    stated = json.loads(project.type("record", "2", "--format", "in-toto").stdout)
    assert [entry["name"] for entry in stated["subject"]] == [
        "model",
        "model/config.json",
        "model/variables/weights.npy",
    ]


def test_a_template_is_released_once_its_image_is_said(ground: Ground) -> None:
    project = ground.project("templated_image")
    refused = project.type("run", "--approve")
    assert refused.returncode == 2
    assert "The image in deploy/app.yaml is a template, ${IMAGE}" in refused.stdout
    assert project.type("init", *SETTLE, "--set", "deploy.image=registry.example.com/model:{commit}").returncode == 0
    evidence = project.release()
    assert evidence["pods"]["serving"] == 1
    assert "registry.example.com/model:" in evidence["deploy"]["plan"]["manifests"]


def test_a_project_without_tests_is_released_once_it_has_some(ground: Ground) -> None:
    project = ground.project("no_tests")
    refused = project.type("run", "--approve")
    assert refused.returncode == 2
    assert "No tests were found: nothing would say whether the model may be released." in refused.stdout
    shutil.copytree(PROJECTS / "no_arguments" / "tests", project.root / "tests")
    assert project.type("init", *SETTLE).returncode == 0
    assert project.release()["pods"]["serving"] == 1


def test_what_is_missing_is_said_before_anything_runs(ground: Ground) -> None:
    project = ground.project("lost_manifest")
    project.commit()
    refused = project.type("run", "--approve")
    assert refused.returncode == 2
    assert "k8s/kustomization.yaml names k8s/service.yaml, which is not there." in refused.stdout
    assert "train" not in refused.stdout


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("no_manifest", "manifests  No manifests were found: nothing says what to deploy."),
        ("no_tests", "tests      No tests were found: nothing would say whether the model may be released."),
    ],
)
def test_doctor_asks_in_the_same_words(name: str, sentence: str, ground: Ground) -> None:
    project = ground.project(name, f"{name} again")
    project.commit()
    looked = project.type("doctor")
    assert looked.returncode == 2
    assert sentence in looked.stdout


def test_a_kind_that_the_cluster_has_not_is_said_in_a_sentence(ground: Ground) -> None:
    project = ground.project("argo_rollout")
    assert project.type("init", *SETTLE).returncode == 0
    project.commit()
    refused = project.type("run", "--approve")
    assert refused.returncode == 3
    assert "The cluster does not know rollouts argo-rollout of argoproj.io/v1alpha1." in refused.stdout
