"""What several tests of models need."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest

from tests.services.models.mlflow_server import MlflowBench
from tests.services.models.s3_server import S3Server, use_s3


@pytest.fixture
def mlflow(tmp_path: Path) -> Iterator[MlflowBench]:
    """An MLflow server in small, and a model file."""
    made = MlflowBench(tmp_path)
    yield made
    made.server.shutdown()
    made.server.server_close()


@pytest.fixture(params=["folder", "file", "memory", "s3"])
def url(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Each kind of address; S3 is a server in small, and `MLCONSOLE_TEST_S3` may name a real one with a bucket."""
    name = uuid.uuid4().hex
    kinds = {"folder": str(tmp_path / "team"), "file": f"file://{tmp_path}/team", "memory": f"memory://{name}"}
    server = S3Server() if request.param == "s3" and not os.environ.get("MLCONSOLE_TEST_S3") else None
    if request.param == "s3":
        use_s3(monkeypatch, server.address if server else os.environ["MLCONSOLE_TEST_S3"])
    yield kinds.get(request.param, f"s3://bucket/{name}/models")
    if server is not None:
        server.close()
    if request.param == "memory":
        memory = fsspec.filesystem("memory")
        if memory.exists(f"/{name}"):
            memory.rm(f"/{name}", recursive=True)
