"""A model that was made elsewhere becomes a version of this project's: stored by its digest, scanned, written down."""

from __future__ import annotations

import tempfile
from pathlib import Path

from mlconsole.errors import OutsideFailed, Refused
from mlconsole.evidence.base import Record, now
from mlconsole.evidence.training import ModelVersion
from mlconsole.journal import Journal
from mlconsole.project import Project
from mlconsole.release.decisions import who_am_i
from mlconsole.services.models import scan
from mlconsole.services.models.mlflow_api import MlflowApi
from mlconsole.services.models.mlflow_import import Fetched, fetch
from mlconsole.services.training.files import remove
from mlconsole.stages.base import model_store
from mlconsole.stages.team import catch_up, number_version
from mlconsole.text import listed


class NotImported(Refused):
    """Loading the model would run what no model needs."""


class Imported(Record, frozen=True, kw_only=True):
    """A version that came from elsewhere; `warnings` are what a person should know of it before loading it."""

    version: ModelVersion
    was_there: bool
    warnings: tuple[str, ...] = ()


def import_version(project: Project, journal: Journal, api: MlflowApi, reference: str, filename: str = "") -> Imported:
    """Fetch a model, and make it the next version of the project's; one that was imported before stays that version.

    No alias is moved, and it has not passed this project's tests: that is what a release of it is for.

    Raises:
        NotImported: see there; nothing is stored.
        Problem: as `mlflow_import.fetch` and `ModelStore.adopt` say.
    """
    name = project.settings.name
    project.state.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="import-", dir=project.state) as folder:
        fetched = fetch_scanned(api, reference, Path(folder), filename)
        warnings = _warnings(project, fetched.model)
        model = model_store(project).adopt(fetched.model)
    if project.settings.store.url:
        catch_up(project, journal)
    with journal.transaction(durable=True):
        known = (entry for entry in journal.versions(name) if entry.origin == fetched.origin)
        earlier = next((entry for entry in known if entry.model.digest == model.digest), None)
        if earlier is not None:
            return Imported(version=earlier, was_there=True, warnings=warnings)
        version = ModelVersion(
            name=name,
            number=journal.next_version_number(name),
            model=model,
            release=0,
            created_at=now(),
            commit=fetched.commit,
            data_digest=fetched.data_digest,
            parameters=fetched.parameters,
            metrics=fetched.metrics,
            environment_digest=fetched.environment_digest,
            origin=fetched.origin,
        )
        version = number_version(project, version, who_am_i())
        journal.add_version(version)
    return Imported(version=version, was_there=False, warnings=warnings)


def fetch_scanned(api: MlflowApi, reference: str, folder: Path, filename: str = "") -> Fetched:
    """Fetch a model and refuse what would do harm when it is loaded.

    Raises:
        NotImported: see there; the file is gone again.
        Problem: as `mlflow_import.fetch` says, or the folder can't be written.
    """
    try:
        fetched = fetch(api, reference, folder, filename=filename)
    except OSError as error:
        raise OutsideFailed(f"The model can't be written to {folder}: {error.strerror}.") from error
    dangerous = scan.dangerous(scan.imports(fetched.model))
    if dangerous:
        remove(fetched.model)
        raise NotImported(
            f"Loading {fetched.origin} would import {listed(list(dangerous))}: no model needs that.",
            "Find out what wrote it. Nothing was imported.",
        )
    return fetched


def _warnings(project: Project, model: Path) -> tuple[str, ...]:
    unknown = scan.unknown(scan.imports(model), project.settings.train.trusted)
    if not unknown:
        return ()
    return (f"Loading it imports {listed(list(unknown))}, of no package that models are usually made of.",)
