"""What several tests of models need."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.services.models.mlflow_server import MlflowBench


@pytest.fixture
def mlflow(tmp_path: Path) -> Iterator[MlflowBench]:
    """An MLflow server in small, and a model file."""
    made = MlflowBench(tmp_path)
    yield made
    made.server.shutdown()
    made.server.server_close()
