"""A version fetched from an MLflow server: one that answers as 3.17 did, and a real one where it is installed."""

from __future__ import annotations

import hashlib
import os
import pickle
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import joblib
import pytest
from sklearn.linear_model import LinearRegression

from mlconsole.evidence.training import MetricPoint, ModelFile, ModelVersion, Parameter
from mlconsole.services.models.mlflow import export
from mlconsole.services.models.mlflow_api import MlflowApi, MlflowFailed
from mlconsole.services.models.mlflow_import import DigestDiffers, ModelFileUnclear, ReferenceUnknown, fetch
from mlconsole.services.models.store import ModelStore
from tests.services.models.mlflow_server import MlflowBench

RUN = "b87dd8973e9441b6a5ee3b29c919d4c8"
LOGGED = "m-37b79811b88a434ca210fa4a0b1cf9a2"
FOLDER = f"1/models/{LOGGED}/artifacts"
DESCRIPTION = """\
artifact_path: mlflow-artifacts:/1/models/elsewhere
flavors:
  python_function: {env: {conda: conda.yaml}, loader_module: mlflow.sklearn, model_path: data/model.pkl}
  sklearn: {code: null, pickled_model: data/model.pkl, serialization_format: pickle, sklearn_version: 1.9.1}
"""
WEIGHTS = pickle.dumps({"weights": [1.0, 2.0]})


def run(**more: Any) -> dict[str, Any]:
    data = {
        "metrics": [{"key": "mae", "value": 1.5, "timestamp": 1, "step": 0}, {"key": "loss", "value": 0.3, "step": 2}],
        "params": [{"key": "alpha", "value": "0.5"}],
        "tags": [{"key": "mlflow.source.git.commit", "value": "c" * 40}, *more.pop("tags", [])],
    }
    info = {"run_id": RUN, "artifact_uri": f"mlflow-artifacts:/1/{RUN}/artifacts", "status": "FINISHED"}
    return {"run": {"info": info, "data": data, "inputs": {}, "outputs": more.pop("outputs", {})}}


@pytest.fixture
def registered(mlflow: MlflowBench) -> MlflowBench:
    """A server with version 1 of `bikes`, as `mlflow.sklearn.log_model` makes it."""
    version = {"name": "bikes", "version": "1", "source": f"models:/{LOGGED}", "run_id": RUN, "status": "READY"}
    mlflow.handler.answers = {
        "model-versions/get": {"model_version": version},
        "registered-models/alias": {"model_version": version},
        "model-versions/get-download-uri": {"artifact_uri": f"mlflow-artifacts:/{FOLDER}"},
        f"logged-models/{LOGGED}": {"model": {"info": {"artifact_uri": f"mlflow-artifacts:/{FOLDER}"}}},
        "runs/get": run(outputs={"model_outputs": [{"model_id": LOGGED, "step": 0}]}),
    }
    files = {"MLmodel": DESCRIPTION.encode(), "conda.yaml": b"", "requirements.txt": b"", "data/model.pkl": WEIGHTS}
    mlflow.handler.files = {f"{FOLDER}/{name}": content for name, content in files.items()}
    return mlflow


@pytest.mark.parametrize("reference", ["models:/bikes/1", "bikes@champion", "models:/bikes@champion", RUN])
def test_a_model_comes_with_parameters_metrics_and_commit(
    registered: MlflowBench, tmp_path: Path, reference: str
) -> None:
    found = fetch(MlflowApi(registered.uri, {}), reference, tmp_path)
    assert found.model.read_bytes() == WEIGHTS
    assert found.digest == f"sha256:{hashlib.sha256(WEIGHTS).hexdigest()}"
    assert found.parameters == (Parameter(name="alpha", value="0.5"),)
    assert found.metrics == (MetricPoint(name="mae", value=1.5), MetricPoint(name="loss", value=0.3, step=2))
    assert found.commit == "c" * 40
    assert registered.uri.rstrip("/") in found.origin
    assert [path.name for path in tmp_path.iterdir() if path != registered.model] in (["model.pkl"], [])


def test_a_file_that_is_not_the_one_that_was_registered_is_not_taken(registered: MlflowBench, tmp_path: Path) -> None:
    registered.handler.answers["runs/get"] = run(
        tags=[{"key": "mlconsole.model_digest", "value": "sha256:" + "0" * 64}]
    )
    folder = tmp_path / "import"
    folder.mkdir()
    with pytest.raises(DigestDiffers, match="but 000000000000 was registered"):
        fetch(MlflowApi(registered.uri, {}), "models:/bikes/1", folder)
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("name", ["../../etc/passwd", "/etc/passwd", "data/other.pkl"])
def test_no_path_in_the_description_is_trusted(registered: MlflowBench, tmp_path: Path, name: str) -> None:
    registered.handler.files[f"{FOLDER}/MLmodel"] = f"flavors: {{sklearn: {{pickled_model: {name}}}}}".encode()
    assert fetch(MlflowApi(registered.uri, {}), "models:/bikes/1", tmp_path).model == tmp_path / "model.pkl"


def test_which_of_several_files_is_asked_for(registered: MlflowBench, tmp_path: Path) -> None:
    registered.handler.files[f"{FOLDER}/MLmodel"] = b"flavors: {}"
    registered.handler.files[f"{FOLDER}/scaler.joblib"] = b"scaler"
    api = MlflowApi(registered.uri, {})
    with pytest.raises(ModelFileUnclear, match=r"data/model\.pkl and scaler\.joblib") as caught:
        fetch(api, "models:/bikes/1", tmp_path)
    assert "--file" in caught.value.next_step
    assert fetch(api, "models:/bikes/1", tmp_path, filename="scaler.joblib").model.read_bytes() == b"scaler"
    with pytest.raises(ModelFileUnclear, match="no file scaler"):
        fetch(api, "models:/bikes/1", tmp_path, filename="scaler")


def test_a_folder_that_the_description_names_is_the_model(registered: MlflowBench, tmp_path: Path) -> None:
    handler = registered.handler
    handler.files = {
        f"{FOLDER}/MLmodel": b"flavors: {tensorflow: {saved_model_dir: tf}}",
        f"{FOLDER}/tf/saved_model.pb": b"graph",
        f"{FOLDER}/tf/variables/variables.index": b"index",
    }
    found = fetch(MlflowApi(registered.uri, {}), "models:/bikes/1", tmp_path)
    assert found.model == tmp_path / "model"
    assert (found.model / "tf/variables/variables.index").read_bytes() == b"index"
    assert found.digest == ModelStore(tmp_path / "store").adopt(found.model).digest


def test_a_folder_comes_back_as_it_was_brought_there(mlflow: MlflowBench, tmp_path: Path) -> None:
    folder = tmp_path / "net"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    model = ModelStore(tmp_path / "store").adopt(folder)
    version = ModelVersion(name="m", number=1, model=model, release=1, created_at=datetime(2024, 2, 29, tzinfo=UTC))
    export(MlflowApi(mlflow.uri, {}), version, folder, [])
    assert mlflow.handler.files == {"7/r1/artifacts/model/config.json": b"{}"}
    tags = mlflow.given("model-versions/create")[0]["tags"]
    mlflow.handler.answers = {
        "model-versions/get": {"model_version": {"name": "m", "version": "1", "tags": tags}},
        "model-versions/get-download-uri": {"artifact_uri": "mlflow-artifacts:/7/r1/artifacts/model"},
    }
    (tmp_path / "in").mkdir()
    found = fetch(MlflowApi(mlflow.uri, {}), "models:/m/1", tmp_path / "in")
    assert (found.digest, found.model) == (model.digest, tmp_path / "in" / "model")


def test_what_is_no_model_is_a_sentence(registered: MlflowBench, tmp_path: Path) -> None:
    api = MlflowApi(registered.uri, {})
    for reference in ("", "bikes", "models:/bikes", "models:/bikes/latest", "runs:/17"):
        with pytest.raises(ReferenceUnknown):
            fetch(api, reference, tmp_path)
    registered.handler.files[f"{FOLDER}/MLmodel"] = b"flavors: [1, 2"
    with pytest.raises(MlflowFailed, match="MLmodel of models:/bikes/1 can't be read"):
        fetch(api, "models:/bikes/1", tmp_path)
    registered.handler.refuse = {"model-versions/get": (404, {"error_code": "X", "message": "Not \x1b[31mfound"})}
    with pytest.raises(MlflowFailed, match=r"refuses: Not found\."):
        fetch(api, "models:/bikes/1", tmp_path)


def test_a_folder_of_the_servers_own_machine_is_read_only_where_that_is_this_one(
    registered: MlflowBench, tmp_path: Path
) -> None:
    kept = tmp_path / "mlruns"
    kept.mkdir()
    (kept / "model.pkl").write_bytes(WEIGHTS)
    registered.handler.answers["model-versions/get-download-uri"] = {"artifact_uri": str(kept)}
    assert fetch(MlflowApi(registered.uri, {}), "models:/bikes/1", tmp_path).digest.startswith("sha256:")
    elsewhere = MlflowApi(registered.uri, {})
    elsewhere._is_here = False
    with pytest.raises(MlflowFailed, match="a folder of its own machine"):
        fetch(elsewhere, "models:/bikes/1", tmp_path)


def real_mlflow() -> str | None:
    return shutil.which("mlflow", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))


@pytest.fixture
def real_server(tmp_path: Path) -> Iterator[str]:
    """The address of a real server."""
    program = real_mlflow()
    if program is None:
        pytest.skip("MLflow is not installed (pip install mlflow): the tests above use its recorded answers")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = ["--backend-store-uri", f"sqlite:///{tmp_path}/mlflow.db", "--artifacts-destination", f"{tmp_path}/kept"]
    command = [program, "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1", *options]
    address = f"http://127.0.0.1:{port}"
    with (tmp_path / "server.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, start_new_session=True)
    try:
        deadline = time.monotonic() + 100
        while not _answers(f"{address}/health"):
            assert process.poll() is None, (tmp_path / "server.log").read_text()
            assert time.monotonic() < deadline, "the MLflow server did not answer"
            time.sleep(0.2)
        yield address
    finally:
        os.killpg(process.pid, 15)
        process.wait(100)


def _answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(address, timeout=5) as response:
            return bool(response.status == 200)
    except OSError:
        return False


@pytest.mark.end_to_end
@pytest.mark.timeout(240)
def test_a_real_server_gives_back_what_it_was_given(real_server: str, tmp_path: Path) -> None:
    model = tmp_path / "model.pkl"
    joblib.dump(LinearRegression().fit([[0.0], [1.0]], [0.0, 2.0]), model)
    digest = f"sha256:{hashlib.sha256(model.read_bytes()).hexdigest()}"
    version = ModelVersion(
        name="ml-model",
        number=3,
        model=ModelFile(digest=digest, size=model.stat().st_size, filename="model.pkl"),
        release=3,
        created_at=datetime(2024, 2, 29, tzinfo=UTC),
        commit="c" * 40,
        data_digest="sha256:d",
        parameters=(Parameter(name="alpha", value="0.5"),),
        metrics=(MetricPoint(name="mae", value=22.5), MetricPoint(name="loss", value=0.5, step=4)),
    )
    api = MlflowApi(real_server, {})
    done = export(api, version, model, ["champion"])
    folder = tmp_path / "import"
    folder.mkdir()
    found = fetch(api, f"models:/{done.name}@champion", folder)
    assert (found.digest, found.commit, found.data_digest) == (digest, version.commit, "sha256:d")
    assert set(found.parameters) == set(version.parameters)
    assert set(found.metrics) == set(version.metrics)
    with pytest.raises(MlflowFailed, match="not found"):
        fetch(api, "models:/ml-model/9", folder)
    assert export(api, version, model, []).was_there
