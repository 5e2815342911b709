"""A model of an MLflow server, released like one that was trained here: tests, comparison, approval, pods, rollback."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.services.models.mlflow_server import MlflowBench

if TYPE_CHECKING:
    from conftest import Workbench

pytestmark = [pytest.mark.end_to_end, pytest.mark.timeout(400)]

PREDICT = """\
import csv, json, sys
model, data, output = sys.argv[1:]
mean = json.load(open(model))["mean"]
with open(output, "w") as file:
    print("prediction", *(mean for row in csv.DictReader(open(data))), sep="\\n", file=file)
"""
SETTINGS = """\
[data]
target = "y"
[quality]
holdout = "data/holdout.csv"
predict = "python predict.py {model} {data} {predictions}"
[deploy]
context = "local"
settle = "1s"
"""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[MlflowBench]:
    made = MlflowBench(tmp_path)
    made.handler.answers = {
        "model-versions/get": {"model_version": {"name": "bikes", "version": "3", "run_id": ""}},
        "model-versions/get-download-uri": {"artifact_uri": "mlflow-artifacts:/1/model"},
    }
    yield made
    made.server.shutdown()
    made.server.server_close()


@pytest.fixture
def serving(bench: Workbench) -> Workbench:
    """The project with a hold-out, and its first version in the pods."""
    bench.write("mlconsole.toml", SETTINGS)
    bench.write("predict.py", PREDICT)
    bench.write("data/holdout.csv", "x,y\n" + "".join(f"{n},{n % 90}\n" for n in range(1000, 1400)))
    bench.commit("With a hold-out")
    assert bench.type("cluster", "start").returncode == 0
    first = bench.type("run", "--approve")
    assert first.returncode == 0, first.stdout + first.stderr
    return bench


def register(server: MlflowBench, mean: float) -> None:
    server.handler.files = {"1/model/model.json": json.dumps({"mean": mean}).encode()}


def versions_of_pods(bench: Workbench) -> set[str]:
    lines = bench.type("pods", "--json").stdout.splitlines()
    return {json.loads(line)["version"].rpartition("@")[2] for line in lines}


def stages(bench: Workbench, number: int) -> dict[str, Any]:
    record = json.loads(bench.type("record", str(number), "--format", "json").stdout)
    return {run["stage"]: run for run in record["stages"]}


def sentences(run: Any) -> str:
    return " ".join(reason["sentence"] for reason in run["verdict"].get("reasons", ()))


def test_an_imported_model_is_tested_compared_approved_and_served(serving: Workbench, server: MlflowBench) -> None:
    bench, uri = serving, {"MLFLOW_TRACKING_URI": server.uri}
    register(server, 44.0)
    imported = bench.type("models", "import", "mlflow", "models:/bikes/3", "--file", "model.json", **uri)
    assert (imported.returncode, imported.stdout.strip()) == (0, "tiny@v2"), imported.stderr
    assert "mlconsole run --version v2" in imported.stderr

    waits = bench.type("run", "--version", "v2")
    assert waits.returncode == 1, waits.stdout + waits.stderr
    assert "mlconsole approve 2" in waits.stdout
    assert bench.type("approve", "2").returncode == 0
    assert versions_of_pods(bench) == {"v2"}

    found = stages(bench, 2)
    assert {stage: run["state"] for stage, run in found.items()} == {
        **{"repo": "reused", "data": "skipped", "train": "done"},
        **{"test": "done", "deploy": "done", "pods": "done"},
    }
    assert "Which data tiny@v2 was trained on is not known" in sentences(found["data"])
    assert "its data, its commit and its packages are not known" in sentences(found["train"])
    assert "Whether tiny@v2, imported, was trained on rows of data/holdout.csv is not known" in sentences(found["test"])
    assert found["test"]["evidence"]["comparison"]["verdict"] in {"better", "equal", "undecided"}

    # what is written down of it holds, and claims nothing that nobody knows
    assert bench.type("verify").returncode == 0
    stated = json.loads(bench.type("record", "2", "--format", "in-toto").stdout)["predicate"]["buildDefinition"]
    assert stated["buildType"].endswith("/import/v1")
    assert [entry["name"].split(" of ")[0] for entry in stated["resolvedDependencies"]] == ["models:/bikes/3"]
    card = bench.type("record", "2", "--format", "markdown").stdout
    assert "imported from | models:/bikes/3 of http" in card
    assert "environment" not in card.partition("## Training")[0]
    assert "| tests and manifests of commit |" in card
    assert "tests of" in bench.type("show", "2").stdout

    # nothing happens twice, and what was trained before does not come back by accident
    again = bench.type("run", "--version", "v2")
    assert (again.returncode, "Nothing changed since release 2" in again.stdout) == (0, True)
    back = bench.type("run", "--approve")
    assert back.returncode == 1
    assert "tiny@v1 gave way to tiny@v2, which was imported, in release 2" in back.stdout
    assert versions_of_pods(bench) == {"v2"}

    # by hand it does, and the imported one again
    assert bench.type("rollback").returncode == 0
    assert versions_of_pods(bench) == {"v1"}
    assert bench.type("models", "promote", "v2").returncode == 0
    assert versions_of_pods(bench) == {"v2"}


def test_a_worse_one_is_stopped_and_one_that_was_trained_is_not_released_this_way(
    serving: Workbench, server: MlflowBench
) -> None:
    bench, uri = serving, {"MLFLOW_TRACKING_URI": server.uri}
    register(server, 400.0)
    bench.type("models", "import", "mlflow", "models:/bikes/3", "--file", "model.json", **uri)
    refused = bench.type("models", "promote", "v2", "--approve")
    assert refused.returncode == 1
    assert "tiny@v2 is worse than what serves" in refused.stdout
    assert versions_of_pods(bench) == {"v1"}
    resumed = bench.type("resume", "2")
    assert (resumed.returncode, "worse than what serves" in resumed.stdout) == (1, True)
    wrong = bench.type("run", "--version", "v1")
    assert (wrong.returncode, "tiny@v1 was not imported" in wrong.stderr) == (2, True)
