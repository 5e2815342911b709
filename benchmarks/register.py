"""Register a model version with 10 parameters, 10 metrics and an alias, beside MLflow on SQLite; first use included.

Both start from an empty folder, in a process of their own, with a model file of 1 MiB. MLflow logs the file as an
artifact, which is less work for it than `log_model`.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Callable
from pathlib import Path

from measure import Contender, compare

OURS = """\
from pathlib import Path

from mlconsole.evidence.base import now
from mlconsole.evidence.training import MetricPoint, ModelVersion, Parameter
from mlconsole.journal import Journal
from mlconsole.services.models.store import ModelStore

root = Path("state")
model = ModelStore(root / "store").adopt(Path("../model.pkl"))
journal = Journal(root / "journal.db")
with journal.transaction(durable=True):
    version = ModelVersion(
        name="m", number=journal.next_version_number("m"), model=model, release=1, created_at=now(), commit="0" * 40,
        parameters=tuple(Parameter(name=f"p{n}", value=str(n)) for n in range(10)),
        metrics=tuple(MetricPoint(name=f"m{n}", value=n / 10) for n in range(10)),
    )
    journal.add_version(version)
    journal.move_alias("m", "champion", version.number, 1)
found = journal.alias("m", "champion")
assert found is not None and len(found.parameters) == len(found.metrics) == 10
ModelStore(root / "store").path(found.model.digest)
"""
THEIRS = """\
import mlflow

mlflow.set_tracking_uri("sqlite:///mlflow.db")
client = mlflow.MlflowClient()
experiment = client.create_experiment("m", artifact_location="artifacts")
with mlflow.start_run(experiment_id=experiment) as run:
    mlflow.log_params({f"p{n}": n for n in range(10)})
    mlflow.log_metrics({f"m{n}": n / 10 for n in range(10)})
    mlflow.log_artifact("../model.pkl")
client.create_registered_model("m")
version = client.create_model_version("m", run.info.artifact_uri + "/model.pkl", run.info.run_id)
client.set_registered_model_alias("m", "champion", version.version)
assert client.get_model_version_by_alias("m", "champion").version == version.version
"""


def fresh(name: str, python: str, script: Path, root: Path, environment: dict[str, str]) -> Contender:
    """A script, timed as a whole process in a folder that is empty each time."""

    def once() -> float:
        folder = root / "work"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        started = time.perf_counter()
        subprocess.run([python, str(script)], cwd=folder, env=environment, check=True, capture_output=True)
        return time.perf_counter() - started

    timed: Callable[[], float] = once
    return Contender(name, timed)


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        print("Installing MLflow aside …")
        venv.create(root / "mlflow-env", with_pip=True)
        python = str(root / "mlflow-env/bin/python")
        subprocess.run([python, "-m", "pip", "install", "-q", "mlflow>=3.5,<4"], check=True)
        (root / "model.pkl").write_bytes(os.urandom(1 << 20))
        (root / "ours.py").write_text(OURS)
        (root / "theirs.py").write_text(THEIRS)
        quiet = {**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}
        compare(
            "register a version, first use included (target: at least 20 times faster, a ratio of at most 0.05)",
            fresh("mlconsole: store and journal", sys.executable, root / "ours.py", root, quiet),
            fresh("MLflow on SQLite", python, root / "theirs.py", root, quiet),
            runs=5,
        )


if __name__ == "__main__":
    main()
