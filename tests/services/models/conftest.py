"""What several tests of models need."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import fsspec
import numpy as np
import pandas as pd
import pytest

from tests.services.models.compare_bench import Bench
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


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    random = np.random.default_rng(3)
    frame = pd.DataFrame({"hour": random.integers(0, 24, 400), "temp": random.normal(15, 8, 400)})
    frame["bikers"] = 3.0 * frame["hour"] + 2.0 * frame["temp"] + random.normal(0, 5, 400)
    frame["busy"] = np.where(frame["bikers"] > frame["bikers"].median(), "yes", "no")
    return frame


@pytest.fixture
def bench(tmp_path: Path, frame: pd.DataFrame) -> Bench:
    return Bench(tmp_path, frame)


@pytest.fixture
def good(bench: Bench) -> Path:
    return bench.helper("Good")


@pytest.fixture
def bad(bench: Bench) -> Path:
    return bench.helper("Bad")
