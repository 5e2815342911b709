"""A version brought to an MLflow server that answers as MLflow does, and remembers what it was told."""

from __future__ import annotations

import base64
from datetime import UTC, datetime

import pytest

from mlconsole.evidence.training import MetricPoint, ModelFile, ModelVersion, Parameter
from mlconsole.services.models.mlflow import export
from mlconsole.services.models.mlflow_api import MlflowApi, MlflowFailed, MlflowNotNamed
from tests.services.models.mlflow_server import MlflowBench

VERSION = ModelVersion(
    name="m",
    number=2,
    model=ModelFile(digest=f"sha256:{'a' * 64}", size=7, filename="model.pkl"),
    release=3,
    created_at=datetime(2024, 2, 29, tzinfo=UTC),
    commit="c" * 40,
    data_digest="sha256:d",
    parameters=tuple(Parameter(name=f"p{n}", value=str(n)) for n in range(150)),
    metrics=(MetricPoint(name="mae", value=22.5), MetricPoint(name="loss", value=0.5, step=4)),
)


def test_a_version_comes_with_parameters_metrics_file_and_alias(mlflow: MlflowBench) -> None:
    done = export(MlflowApi(mlflow.uri, {}), VERSION, mlflow.model, ["champion"])
    assert (done.version, done.was_there) == ("1", False)
    assert mlflow.handler.files == {"7/r1/artifacts/model/model.pkl": b"weights"}
    batches = mlflow.given("runs/log-batch")
    assert [entry["key"] for batch in batches for entry in batch["params"]] == [f"p{n}" for n in range(150)]
    assert all(len(batch["params"]) <= 100 for batch in batches)
    assert [(m["key"], m["value"], m["step"]) for batch in batches for m in batch["metrics"]] == [
        ("mae", 22.5, 0),
        ("loss", 0.5, 4),
    ]
    (run,) = mlflow.given("runs/create")
    assert {"key": "mlflow.source.git.commit", "value": "c" * 40} in run["tags"]
    assert mlflow.given("registered-models/alias") == [{"name": "m", "alias": "champion", "version": "1"}]
    assert mlflow.handler.calls[-2][0] == "model-versions/create"


def test_a_version_is_brought_there_once(mlflow: MlflowBench) -> None:
    api = MlflowApi(mlflow.uri, {})
    export(api, VERSION, mlflow.model, [])
    again = export(api, VERSION, mlflow.model, ["candidate"])
    assert (again.version, again.was_there) == ("1", True)
    assert len(mlflow.given("runs/create")) == len(mlflow.handler.versions) == 1
    assert len(mlflow.given("registered-models/alias")) == 1


def test_what_exists_already_is_no_failure(mlflow: MlflowBench) -> None:
    exists = (400, {"error_code": "RESOURCE_ALREADY_EXISTS", "message": "exists"})
    mlflow.handler.refuse = {"registered-models/create": exists, "experiments/create": exists}
    assert export(MlflowApi(mlflow.uri, {}), VERSION, mlflow.model, []).version == "1"


def test_a_refusal_is_a_sentence_and_registers_nothing(mlflow: MlflowBench) -> None:
    mlflow.handler.refuse = {"runs/log-batch": (400, {"error_code": "INVALID", "message": "too \x1b[31mlong"})}
    with pytest.raises(MlflowFailed, match=r"refuses: too long\."):
        export(MlflowApi(mlflow.uri, {}), VERSION, mlflow.model, [])
    assert mlflow.handler.versions == []


def test_credentials_come_from_mlflows_variables(mlflow: MlflowBench) -> None:
    variables = {"MLFLOW_TRACKING_USERNAME": "ada", "MLFLOW_TRACKING_PASSWORD": "secret"}
    export(MlflowApi(mlflow.uri, variables), VERSION, mlflow.model, [])
    assert set(mlflow.handler.headers_seen) == {"Basic " + base64.b64encode(b"ada:secret").decode()}
    mlflow.handler.headers_seen.clear()
    export(MlflowApi(mlflow.uri, {"MLFLOW_TRACKING_TOKEN": "t"}), VERSION, mlflow.model, [])
    assert set(mlflow.handler.headers_seen) == {"Bearer t"}


def test_a_server_that_is_not_there_is_told(mlflow: MlflowBench) -> None:
    mlflow.server.shutdown()
    mlflow.server.server_close()
    with pytest.raises(MlflowFailed, match="can't be reached"):
        export(MlflowApi(mlflow.uri, {}), VERSION, mlflow.model, [])


@pytest.mark.parametrize("uri", ["", "./mlruns", "sqlite:///mlflow.db"])
def test_without_a_servers_address_it_is_said_what_to_set(uri: str) -> None:
    with pytest.raises(MlflowNotNamed) as caught:
        MlflowApi(uri, {})
    assert "MLFLOW_TRACKING_URI=http" in caught.value.next_step
