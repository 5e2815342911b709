"""A version brought to an MLflow tracking server."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from urllib.parse import urlencode

import msgspec

from mlconsole.evidence.training import ModelVersion
from mlconsole.services.models.mlflow_api import (
    COMMIT_TAG,
    DATA_TAG,
    DIGEST_TAG,
    ENVIRONMENT_TAG,
    FILES_TAG,
    LABEL_TAG,
    SOURCE_COMMIT_TAG,
    MlflowApi,
    Tag,
)
from mlconsole.services.training.files import files_below

_LONGEST_PARAMETER = 6000


class _Version(msgspec.Struct):
    version: str
    tags: list[Tag] = []
    source: str = ""


class _Versions(msgspec.Struct):
    model_versions: list[_Version] = []


class _Made(msgspec.Struct):
    model_version: _Version


class _Info(msgspec.Struct):
    run_id: str
    artifact_uri: str


class _Run(msgspec.Struct):
    info: _Info


class _RunMade(msgspec.Struct):
    run: _Run


class _Experiment(msgspec.Struct):
    experiment_id: str


class _ExperimentFound(msgspec.Struct):
    experiment: _Experiment


class Exported(msgspec.Struct, frozen=True):
    """Where a version is on the server; `was_there` says that it had been brought there before."""

    name: str
    version: str
    source: str
    was_there: bool


def export(api: MlflowApi, version: ModelVersion, model: Path, aliases: Sequence[str]) -> Exported:
    """Bring a version there: a run with its parameters and metrics, the model, the registered version, aliases.

    The files of a model that is a folder become those of the registered model, as MLflow keeps its own.

    A version that is there already only has its aliases set. The registered version appears last: whoever sees it
    sees all of it.

    Raises:
        MlflowFailed: the server refuses, or can't be reached.
    """
    api.call("POST", "registered-models/create", {"name": version.name}, fine=("RESOURCE_ALREADY_EXISTS",))
    found = _find(api, version)
    was_there = found is not None
    if found is None:
        found = _register(api, version, model)
    for alias in aliases:
        given = {"name": version.name, "alias": alias, "version": found.version}
        api.call("POST", "registered-models/alias", given)
    return Exported(version.name, found.version, found.source, was_there)


def _find(api: MlflowApi, version: ModelVersion) -> _Version | None:
    query = urlencode({"filter": f"name='{version.name}'", "max_results": "1000"})
    known = api.call("GET", f"model-versions/search?{query}", kind=_Versions).model_versions
    wanted = {(LABEL_TAG, version.label), (DIGEST_TAG, version.model.digest)}
    return next((entry for entry in known if wanted <= {(tag.key, tag.value) for tag in entry.tags}), None)


def _register(api: MlflowApi, version: ModelVersion, model: Path) -> _Version:
    tags = _tags(version)
    run = _run(api, version, tags)
    folder = f"{run.artifact_uri.rstrip('/')}/model"
    for path in files_below(model) if model.is_dir() else [model]:
        api.upload(path, f"{folder}/{path.relative_to(model if model.is_dir() else model.parent).as_posix()}")
    api.call(
        "POST",
        "runs/update",
        {"run_id": run.run_id, "status": "FINISHED", "end_time": _milliseconds(version.created_at)},
    )
    given = {"name": version.name, "source": folder, "run_id": run.run_id, "tags": tags}
    return api.call("POST", "model-versions/create", given, kind=_Made).model_version


def _run(api: MlflowApi, version: ModelVersion, tags: list[dict[str, str]]) -> _Info:
    moment = _milliseconds(version.created_at)
    given = {
        "experiment_id": _experiment(api, version.name),
        "run_name": version.label,
        "start_time": moment,
        "tags": [*tags, {"key": SOURCE_COMMIT_TAG, "value": version.commit}],
    }
    info = api.call("POST", "runs/create", given, kind=_RunMade).run.info
    parameters = [{"key": p.name, "value": p.value[:_LONGEST_PARAMETER]} for p in version.parameters]
    metrics = [{"key": m.name, "value": m.value, "step": m.step or 0, "timestamp": moment} for m in version.metrics]
    # a batch holds at most 1,000 metrics and 100 parameters
    for start in range(0, max(len(metrics), len(parameters) * 10, 1), 1000):
        batch = {
            "run_id": info.run_id,
            "metrics": metrics[start : start + 1000],
            "params": parameters[start // 10 : start // 10 + 100],
        }
        api.call("POST", "runs/log-batch", batch)
    return info


def _experiment(api: MlflowApi, name: str) -> str:
    api.call("POST", "experiments/create", {"name": name}, fine=("RESOURCE_ALREADY_EXISTS",))
    query = urlencode({"experiment_name": name})
    return api.call("GET", f"experiments/get-by-name?{query}", kind=_ExperimentFound).experiment.experiment_id


def _tags(version: ModelVersion) -> list[dict[str, str]]:
    facts = {
        LABEL_TAG: version.label,
        DIGEST_TAG: version.model.digest,
        DATA_TAG: version.data_digest,
        COMMIT_TAG: version.commit,
        ENVIRONMENT_TAG: version.environment_digest,
        "mlconsole.release": str(version.release),
        **({FILES_TAG: str(version.model.files)} if version.model.files else {}),
    }
    return [{"key": key, "value": value} for key, value in facts.items()]


def _milliseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)
