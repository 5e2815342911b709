"""A version brought to an MLflow tracking server, over its REST API: importing MLflow would take seconds.

Source: https://mlflow.org/docs/latest/api_reference/rest-api.html. Credentials are MLflow's own variables
(MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN); nothing of them is written down.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote, urlencode, urlsplit

import msgspec

from mlconsole.errors import OutsideFailed, WrongUse
from mlconsole.evidence.training import ModelVersion
from mlconsole.text import clean_line, shorten

URI_VARIABLE = "MLFLOW_TRACKING_URI"
LABEL_TAG, DIGEST_TAG = "mlconsole.version", "mlconsole.model_digest"
_SECONDS, _UPLOAD_SECONDS = 30.0, 3600.0
_LONGEST_PARAMETER = 6000
_T = TypeVar("_T", bound=msgspec.Struct)


class MlflowNotNamed(WrongUse):
    """Nothing says which MLflow server, or what is named is none."""


class MlflowFailed(OutsideFailed):
    """The MLflow server can't be reached, or refuses."""


class _Tag(msgspec.Struct):
    key: str
    value: str = ""


class _Version(msgspec.Struct):
    version: str
    tags: list[_Tag] = []
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


class _Refusal(msgspec.Struct):
    error_code: str = ""
    message: str = ""


class _Nothing(msgspec.Struct):
    pass


class Exported(msgspec.Struct, frozen=True):
    """Where a version is on the server; `was_there` says that it had been brought there before."""

    name: str
    version: str
    source: str
    was_there: bool


class MlflowServer:
    """An MLflow tracking server.

    Args:
        uri: its address, `http://…` or `https://…`.
        environment: where the credentials are.

    Raises:
        MlflowNotNamed: the address is empty or of another kind, such as a folder.
    """

    def __init__(self, uri: str, environment: Mapping[str, str] = os.environ) -> None:
        import urllib3

        if urlsplit(uri).scheme not in ("http", "https"):
            raise MlflowNotNamed(
                f"{uri} is no address of an MLflow server." if uri else "Nothing says which MLflow server.",
                f"Set {URI_VARIABLE}=http://…",
            )
        self._uri = uri.rstrip("/")
        self._pool = urllib3.PoolManager()
        self._headers = _credentials(environment)

    def export(self, version: ModelVersion, model: Path, aliases: Sequence[str]) -> Exported:
        """Bring a version there: a run with its parameters and metrics, the file, the registered version, aliases.

        A version that is there already only has its aliases set. The registered version appears last: whoever sees it
        sees all of it.

        Raises:
            MlflowFailed: the server refuses, or can't be reached.
        """
        self._call("POST", "registered-models/create", {"name": version.name}, fine=("RESOURCE_ALREADY_EXISTS",))
        found = self._find(version)
        was_there = found is not None
        if found is None:
            found = self._register(version, model)
        for alias in aliases:
            given = {"name": version.name, "alias": alias, "version": found.version}
            self._call("POST", "registered-models/alias", given)
        return Exported(version.name, found.version, found.source, was_there)

    def _find(self, version: ModelVersion) -> _Version | None:
        query = urlencode({"filter": f"name='{version.name}'", "max_results": "1000"})
        known = self._call("GET", f"model-versions/search?{query}", kind=_Versions).model_versions
        wanted = {(LABEL_TAG, version.label), (DIGEST_TAG, version.model.digest)}
        return next((entry for entry in known if wanted <= {(tag.key, tag.value) for tag in entry.tags}), None)

    def _register(self, version: ModelVersion, model: Path) -> _Version:
        tags = _tags(version)
        run = self._run(version, tags)
        folder = f"{run.artifact_uri.rstrip('/')}/model"
        self._upload(model, f"{folder}/{model.name}")
        self._call(
            "POST",
            "runs/update",
            {"run_id": run.run_id, "status": "FINISHED", "end_time": _milliseconds(version.created_at)},
        )
        given = {"name": version.name, "source": folder, "run_id": run.run_id, "tags": tags}
        return self._call("POST", "model-versions/create", given, kind=_Made).model_version

    def _run(self, version: ModelVersion, tags: list[dict[str, str]]) -> _Info:
        moment = _milliseconds(version.created_at)
        given = {
            "experiment_id": self._experiment(version.name),
            "run_name": version.label,
            "start_time": moment,
            "tags": [*tags, {"key": "mlflow.source.git.commit", "value": version.commit}],
        }
        info = self._call("POST", "runs/create", given, kind=_RunMade).run.info
        parameters = [{"key": p.name, "value": p.value[:_LONGEST_PARAMETER]} for p in version.parameters]
        metrics = [{"key": m.name, "value": m.value, "step": m.step or 0, "timestamp": moment} for m in version.metrics]
        # a batch holds at most 1,000 metrics and 100 parameters
        for start in range(0, max(len(metrics), len(parameters) * 10, 1), 1000):
            batch = {
                "run_id": info.run_id,
                "metrics": metrics[start : start + 1000],
                "params": parameters[start // 10 : start // 10 + 100],
            }
            self._call("POST", "runs/log-batch", batch)
        return info

    def _experiment(self, name: str) -> str:
        self._call("POST", "experiments/create", {"name": name}, fine=("RESOURCE_ALREADY_EXISTS",))
        query = urlencode({"experiment_name": name})
        return self._call("GET", f"experiments/get-by-name?{query}", kind=_ExperimentFound).experiment.experiment_id

    def _upload(self, path: Path, target: str) -> None:
        """Write an artifact: by the server itself, or where it keeps them."""
        parts = urlsplit(target)
        if parts.scheme == "mlflow-artifacts":
            address = f"{self._uri}/api/2.0/mlflow-artifacts/artifacts/{quote(parts.path.lstrip('/'))}"
            with path.open("rb") as file:
                self._send("PUT", address, file, {"Content-Type": "application/octet-stream"}, _UPLOAD_SECONDS)
            return
        from fsspec.core import url_to_fs

        try:
            fs, name = url_to_fs(target)
            fs.makedirs(name.rpartition("/")[0], exist_ok=True)
            fs.put_file(str(path), name)
        except (ImportError, OSError, ValueError) as error:
            why = shorten(clean_line(str(error)), 200)
            raise MlflowFailed(f"The server keeps its files at {target}, which can't be written: {why}.") from error

    def _call(
        self, method: str, path: str, given: object = None, *, kind: type[_T] | None = None, fine: tuple[str, ...] = ()
    ) -> _T:
        """Ask the API; a refusal with one of the codes in `fine` is no failure."""
        body = msgspec.json.encode(given) if given is not None else None
        headers = {"Content-Type": "application/json"} if body is not None else {}
        data = self._send(method, f"{self._uri}/api/2.0/mlflow/{path}", body, headers, _SECONDS, fine)
        wanted: Any = kind or _Nothing
        try:
            answer: _T = msgspec.json.decode(data, type=wanted)
        except msgspec.MsgspecError as error:
            raise MlflowFailed(f"{self._uri} does not answer as an MLflow server does.") from error
        return answer

    def _send(
        self,
        method: str,
        address: str,
        body: Any,
        headers: dict[str, str],
        seconds: float,
        fine: tuple[str, ...] = (),
    ) -> bytes:
        from urllib3.exceptions import HTTPError

        try:
            response = self._pool.request(
                method, address, body=body, headers={**self._headers, **headers}, timeout=seconds, retries=False
            )
        except HTTPError as error:
            why = shorten(clean_line(str(error)), 200)
            raise MlflowFailed(f"{self._uri} can't be reached: {why}.", f"Check {URI_VARIABLE}.") from error
        if response.status < 300:
            return response.data
        refusal = _refusal(response.data)
        if refusal.error_code in fine:
            return b"{}"
        why = refusal.message or f"status {response.status}"
        hint = "Check the credentials." if response.status in (401, 403) else ""
        raise MlflowFailed(f"{self._uri} refuses: {shorten(clean_line(why), 300)}.", hint)


def _credentials(environment: Mapping[str, str]) -> dict[str, str]:
    from urllib3.util import make_headers

    if token := environment.get("MLFLOW_TRACKING_TOKEN"):
        return {"Authorization": f"Bearer {token}"}
    if user := environment.get("MLFLOW_TRACKING_USERNAME"):
        return dict(make_headers(basic_auth=f"{user}:{environment.get('MLFLOW_TRACKING_PASSWORD', '')}"))
    return {}


def _tags(version: ModelVersion) -> list[dict[str, str]]:
    facts = {
        LABEL_TAG: version.label,
        DIGEST_TAG: version.model.digest,
        "mlconsole.data_digest": version.data_digest,
        "mlconsole.commit": version.commit,
        "mlconsole.environment_digest": version.environment_digest,
        "mlconsole.release": str(version.release),
    }
    return [{"key": key, "value": value} for key, value in facts.items()]


def _refusal(data: bytes) -> _Refusal:
    try:
        return msgspec.json.decode(data, type=_Refusal)
    except msgspec.MsgspecError:
        return _Refusal()


def _milliseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)
