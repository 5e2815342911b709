"""A version fetched from an MLflow tracking server: the model's file, and what the run behind it says of it."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlencode

import msgspec
import yaml

from mlconsole.errors import OutsideFailed, WrongUse
from mlconsole.evidence.training import MetricPoint, Parameter
from mlconsole.services.models.mlflow_api import (
    COMMIT_TAG,
    DATA_TAG,
    DIGEST_TAG,
    ENVIRONMENT_TAG,
    FILES_TAG,
    SOURCE_COMMIT_TAG,
    MlflowApi,
    MlflowFailed,
    StoredFile,
    Tag,
)
from mlconsole.services.models.tree import Tree, TreeFile, is_inside
from mlconsole.services.training.files import remove
from mlconsole.text import clean_line, listed, short_digest

DESCRIPTION = "MLmodel"
FOLDER = "model"
"""What a folder from there is called here."""
_BESIDE_MODELS = (".yaml", ".yml", ".txt", ".json", ".md", ".toml", ".py", ".csv")
_LARGEST_DESCRIPTION = 1 << 20
_REFERENCE = re.compile(r"(?:models:/+)?(?P<name>[^@/:]+)(?:/v?(?P<version>\d+)|@(?P<alias>[^@/]+))")
_RUN = re.compile(r"(?:runs:/+)?(?P<run>[0-9a-f]{32})(?:/(?P<path>.+))?")


class ReferenceUnknown(WrongUse):
    """What is to be imported is named in none of the ways in which MLflow names models."""


class ModelFileUnclear(WrongUse):
    """The server's folder holds no model file, or several."""


class DigestDiffers(OutsideFailed):
    """The file that came is not the one that was registered."""


class Fetched(msgspec.Struct, frozen=True):
    """What came from a server: `model` is the file or folder, with its digest, `origin` says where it is there."""

    origin: str
    model: Path
    digest: str
    parameters: tuple[Parameter, ...] = ()
    metrics: tuple[MetricPoint, ...] = ()
    commit: str = ""
    data_digest: str = ""
    environment_digest: str = ""


class _Version(msgspec.Struct):
    name: str
    version: str
    run_id: str = ""
    tags: list[Tag] = []


class _VersionFound(msgspec.Struct):
    model_version: _Version


class _Address(msgspec.Struct):
    artifact_uri: str


class _Metric(msgspec.Struct):
    key: str
    value: float | str
    step: int | str = 0


class _Data(msgspec.Struct):
    metrics: list[_Metric] = []
    params: list[Tag] = []
    tags: list[Tag] = []


class _Output(msgspec.Struct):
    model_id: str


class _Outputs(msgspec.Struct):
    model_outputs: list[_Output] = []


class _Run(msgspec.Struct):
    info: _Address
    data: _Data = msgspec.field(default_factory=_Data)
    outputs: _Outputs = msgspec.field(default_factory=_Outputs)


class _RunFound(msgspec.Struct):
    run: _Run


class _LoggedInfo(msgspec.Struct):
    info: _Address


class _LoggedFound(msgspec.Struct):
    model: _LoggedInfo


class _Place(msgspec.Struct, frozen=True):
    """Where a model's files are, and the run that made it, where one is known."""

    origin: str
    folder: str
    run: _Run | None
    tags: dict[str, str]


def fetch(api: MlflowApi, reference: str, folder: Path, *, filename: str = "") -> Fetched:
    """Bring a model from a server into a folder.

    Args:
        api: the server.
        reference: `models:/NAME/VERSION`, `models:/NAME@ALIAS`, `runs:/RUN/PATH` or a run's number.
        folder: where the file goes, which exists.
        filename: which of the model's files to take, where it has several.

    Raises:
        ReferenceUnknown, ModelFileUnclear, DigestDiffers: see there.
        MlflowFailed: the server refuses, or can't be reached.
        OSError: the folder can't be written.
    """
    place = _find(api, reference.strip())
    chosen = _choose(api, place, filename, folder)
    if isinstance(chosen, StoredFile):
        target = folder / PurePosixPath(chosen.path).name
        digest = api.download(place.folder, chosen, target)
    else:
        target = folder / FOLDER
        digest = _download_folder(api, place, chosen, target)
    told = place.tags.get(DIGEST_TAG, "")
    if told and told != digest:
        remove(target)
        raise DigestDiffers(
            f"{place.origin} came with the digest {short_digest(digest)}, but {short_digest(told)} was registered.",
            "Look at who changed it there; nothing was imported.",
        )
    data = place.run.data if place.run is not None else _Data()
    return Fetched(
        origin=f"{place.origin} of {api.uri}",
        model=target,
        digest=digest,
        parameters=tuple(Parameter(name=clean_line(p.key), value=clean_line(p.value)) for p in data.params),
        metrics=tuple(_metrics(data)),
        commit=_hexadecimal(place.tags.get(COMMIT_TAG) or place.tags.get(SOURCE_COMMIT_TAG, "")),
        data_digest=clean_line(place.tags.get(DATA_TAG, "")),
        environment_digest=clean_line(place.tags.get(ENVIRONMENT_TAG, "")),
    )


def _download_folder(api: MlflowApi, place: _Place, files: Sequence[StoredFile], target: Path) -> str:
    """Fetch files as a folder; returns its digest."""
    entries = []
    for file in files:
        if not is_inside(file.path):
            raise MlflowFailed(f"{api.uri} lists a file outside of the folder of {place.origin}.")
        path = target / file.path
        path.parent.mkdir(parents=True, exist_ok=True)
        digest = api.download(place.folder, file, path)
        entries.append(TreeFile(path=file.path, size=path.stat().st_size, digest=digest))
    return Tree(files=tuple(entries)).digest


def _find(api: MlflowApi, reference: str) -> _Place:
    if match := _RUN.fullmatch(reference):
        return _of_run(api, match["run"], match["path"] or "")
    match = _REFERENCE.fullmatch(reference)
    if match is None:
        raise ReferenceUnknown(
            f"{reference or 'An empty text'} names no model of MLflow's.",
            "Name it like models:/NAME/3, models:/NAME@champion or runs:/RUN/PATH.",
        )
    named = {"name": match["name"]}
    if match["alias"]:
        asked = f"registered-models/alias?{urlencode({**named, 'alias': match['alias']})}"
    else:
        asked = f"model-versions/get?{urlencode({**named, 'version': match['version']})}"
    version = api.call("GET", asked, kind=_VersionFound).model_version
    query = urlencode({"name": version.name, "version": version.version})
    folder = api.call("GET", f"model-versions/get-download-uri?{query}", kind=_Address).artifact_uri
    run = _run(api, version.run_id) if version.run_id else None
    tags = {tag.key: tag.value for tag in [*(run.data.tags if run else ()), *version.tags]}
    return _Place(f"models:/{version.name}/{version.version}", folder.rstrip("/"), run, tags)


def _of_run(api: MlflowApi, identifier: str, path: str) -> _Place:
    run = _run(api, identifier)
    made = [output.model_id for output in run.outputs.model_outputs]
    folder = f"{run.info.artifact_uri.rstrip('/')}/{path or 'model'}"
    if not path and len(made) == 1:
        logged = api.call("GET", f"logged-models/{made[0]}", kind=_LoggedFound)
        folder = logged.model.info.artifact_uri
    elif not path and made:
        raise ModelFileUnclear(
            f"The run {identifier} made {len(made)} models.", "Register the one that is meant, and name its version."
        )
    tags = {tag.key: tag.value for tag in run.data.tags}
    return _Place(f"runs:/{identifier}{f'/{path}' if path else ''}", folder.rstrip("/"), run, tags)


def _run(api: MlflowApi, identifier: str) -> _Run:
    return api.call("GET", f"runs/get?{urlencode({'run_id': identifier})}", kind=_RunFound).run


def _choose(api: MlflowApi, place: _Place, filename: str, folder: Path) -> StoredFile | Sequence[StoredFile]:
    """The model among the files of its folder: as asked, as `MLmodel` names it, or the only one that can be it.

    All of them, where a folder was brought there, or `MLmodel` names a folder of theirs.
    """
    files = {file.path: file for file in api.files(place.folder)}
    if filename:
        if filename not in files:
            raise ModelFileUnclear(f"{place.origin} has no file {filename}.", f"There are: {listed([*files], 20)}.")
        return files[filename]
    if place.tags.get(FILES_TAG):
        return list(files.values())
    texts = _described(api, place, files, folder)
    described = texts.intersection(files)
    if not described and any(name.startswith(f"{text.rstrip('/')}/") for text in texts if text for name in files):
        return list(files.values())
    likely = described or {name for name in files if name != DESCRIPTION and not name.endswith(_BESIDE_MODELS)}
    if len(likely) != 1:
        what = f"several files that may be the model: {listed(sorted(likely))}" if likely else "no model file"
        raise ModelFileUnclear(f"{place.origin} has {what}.", "Name the one to take: --file NAME")
    return files[likely.pop()]


def _described(api: MlflowApi, place: _Place, files: dict[str, StoredFile], folder: Path) -> set[str]:
    """All texts in `MLmodel` that may name a file: they are only believed where the server lists such a file."""
    description = files.get(DESCRIPTION)
    if description is None or (description.size or 0) > _LARGEST_DESCRIPTION:
        return set()
    path = folder / DESCRIPTION
    try:
        api.download(place.folder, description, path)
        flavors = yaml.safe_load(path.read_text(encoding="utf-8")).get("flavors", {}).values()
        texts = {text for flavor in flavors for text in flavor.values() if isinstance(text, str)}
    except (yaml.YAMLError, UnicodeDecodeError, AttributeError) as error:
        raise MlflowFailed(f"The {DESCRIPTION} of {place.origin} can't be read.") from error
    finally:
        path.unlink(missing_ok=True)
    return {text for text in texts if not text.endswith(_BESIDE_MODELS)}


def _metrics(data: _Data) -> list[MetricPoint]:
    found = []
    for metric in data.metrics:
        # numbers beyond those of JSON come as texts, and a run without steps has all at step 0
        with contextlib.suppress(ValueError):
            step = int(metric.step) or None
            found.append(MetricPoint(name=clean_line(metric.key), value=float(metric.value), step=step))
    return found


def _hexadecimal(text: Any) -> str:
    return text if re.fullmatch(r"[0-9a-f]{7,64}", text) else ""
