"""A model that was made elsewhere becomes a version: once, scanned, and without a release."""

from __future__ import annotations

import os
import pickle
from collections.abc import Iterator
from pathlib import Path

import pytest

from mlconsole.journal import Journal
from mlconsole.project import Project
from mlconsole.release.importing import NotImported, import_version
from mlconsole.release.verify import verify_version
from mlconsole.services.models.mlflow_api import MlflowApi
from mlconsole.services.models.store import ModelStore
from tests.services.models.mlflow_server import MlflowBench


class Evil:
    """Runs a command when it is loaded."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("true",)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[MlflowBench]:
    made = MlflowBench(tmp_path)
    version = {"name": "bikes", "version": "1", "run_id": ""}
    made.handler.answers = {
        "model-versions/get": {"model_version": version},
        "model-versions/get-download-uri": {"artifact_uri": "mlflow-artifacts:/1/model"},
    }
    yield made
    made.server.shutdown()
    made.server.server_close()


def test_a_model_is_imported_once(project: Project, journal: Journal, server: MlflowBench) -> None:
    server.handler.files = {"1/model/model.pkl": pickle.dumps({"weights": [1.0]})}
    api = MlflowApi(server.uri, {})
    first = import_version(project, journal, api, "models:/bikes/1")
    again = import_version(project, journal, api, "models:/bikes/1")
    assert (first.version.release, first.was_there, first.warnings) == (0, False, ())
    assert (again.version, again.was_there) == (first.version, True)
    assert first.version.made_by.startswith("models:/bikes/1 of http://127.0.0.1")
    assert journal.versions(project.settings.name) == (first.version,)
    (check,) = verify_version(project, journal, first.version)
    assert check.state == "matches"
    assert [path.name for path in project.state.iterdir() if path.name.startswith("import-")] == []


def test_what_nobody_trusts_is_told(project: Project, journal: Journal, server: MlflowBench) -> None:
    server.handler.files = {"1/model/model.pkl": b"\x80\x02cshop\nStep\n)R."}
    (warning,) = import_version(project, journal, MlflowApi(server.uri, {}), "bikes/1").warnings
    assert "shop.Step" in warning


def test_what_would_do_harm_is_not_imported(project: Project, journal: Journal, server: MlflowBench) -> None:
    server.handler.files = {"1/model/model.pkl": pickle.dumps(Evil())}
    with pytest.raises(NotImported, match=r"would import posix\.system"):
        import_version(project, journal, MlflowApi(server.uri, {}), "models:/bikes/1")
    assert journal.versions(project.settings.name) == ()
    assert ModelStore(project.store).digests() == ()
