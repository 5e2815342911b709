"""A notebook, run by papermill in a kernel of its own: reported while it runs, and ended with its kernel."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import psutil
import pytest

from mlconsole.errors import Cancelled
from mlconsole.evidence.training import MetricPoint, TrainingProgress
from mlconsole.services.processes import child_environment
from mlconsole.services.training.notebook import notebook_command
from mlconsole.services.training.run import Training, TrainingFailed, TrainResult, train
from tests.living import runs

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

PARAMETERS = "MODEL_PATH = 'model.pkl'\nWAIT_FOR = ''\n"
LOOP = """
import os, pathlib, time
print(f"kernel={os.getpid()}", flush=True)
while WAIT_FOR and not pathlib.Path(WAIT_FOR).exists():
    time.sleep(0.05)
"""
END = "pathlib.Path(MODEL_PATH).write_text('a model')\nprint('mae=1.25')"


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with papermill and a kernel."""
    folder = tmp_path_factory.mktemp("notebook") / "env"
    subprocess.run([sys.executable, "-m", "venv", folder], check=True, timeout=300)
    command = [folder / "bin" / "python", "-m", "pip", "install", "-q", "papermill", "ipykernel"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=500)
    if done.returncode:
        pytest.skip(f"papermill can't be installed: {done.stderr.strip().splitlines()[-1]}")
    return folder / "bin" / "python"


@pytest.fixture
def notebook(tmp_path: Path, python: Path) -> Callable[..., TrainResult]:
    """Train by a notebook of some cells."""

    def run(
        cells: Sequence[str],
        wait_for: str = "",
        cancelled: threading.Event | None = None,
        seen: Callable[[MetricPoint], None] = lambda point: None,
    ) -> TrainResult:
        content = {"cells": [cell(text) for text in cells], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
        content["cells"][0]["metadata"]["tags"] = ["parameters"]
        (tmp_path / "train.ipynb").write_text(json.dumps(content))
        (tmp_path / "run").mkdir()
        executed, model = tmp_path / "run" / "train.ipynb", tmp_path / "run" / "model.pkl"
        varied = {"WAIT_FOR": wait_for} if wait_for else {}
        values = {"model": str(model)}

        def report(told: Sequence[MetricPoint | TrainingProgress]) -> None:
            for each in told:
                if isinstance(each, MetricPoint):
                    seen(each)

        training = Training(
            root=tmp_path,
            cwd=tmp_path,
            folder=tmp_path / "run",
            command=notebook_command(["train.ipynb"], values, python, tmp_path, executed, varied),
            environment=child_environment(python),
            log_path=tmp_path / "run" / "train.log",
            given=model,
            executed=("train.ipynb", executed),
        )
        return train(training, report, cancelled or threading.Event())

    return run


def cell(source: str) -> dict[str, object]:
    return {
        "cell_type": "code",
        "execution_count": None,
        "id": f"c{abs(hash(source))}"[:20],
        "metadata": {},
        "outputs": [],
        "source": source,
    }


def kernel_of(points: list[MetricPoint]) -> int:
    return next(int(point.value) for point in points if point.name == "kernel")


def test_it_is_told_while_it_runs_and_kept_with_its_outputs(
    notebook: Callable[..., TrainResult], tmp_path: Path
) -> None:
    points: list[MetricPoint] = []

    def seen(point: MetricPoint) -> None:
        points.append(point)
        # the cell that printed this does not end before
        (tmp_path / "go").touch()

    result = notebook([PARAMETERS, LOOP, END], wait_for=str(tmp_path / "go"), seen=seen)
    assert {point.name: point.value for point in result.metrics}["mae"] == 1.25
    assert result.model.read_text() == "a model"
    ((name, executed),) = result.outputs
    assert name == "train.ipynb" and "mae=1.25" in executed.read_text()
    assert not runs(kernel_of(points))


def test_its_kernel_ends_with_it(notebook: Callable[..., TrainResult], tmp_path: Path) -> None:
    cancelled, points = threading.Event(), list[MetricPoint]()
    below: list[psutil.Process] = []

    def seen(point: MetricPoint) -> None:
        points.append(point)
        below.extend(psutil.Process(os.getpid()).children(recursive=True))
        cancelled.set()

    with pytest.raises(Cancelled):
        notebook([PARAMETERS, LOOP, END], wait_for=str(tmp_path / "never"), cancelled=cancelled, seen=seen)
    assert kernel_of(points) in {process.pid for process in below}
    assert not runs(kernel_of(points))


@pytest.mark.parametrize("act", ["raise ValueError('no such column')", "import os; os._exit(3)"])
def test_a_cell_that_fails_fails_the_training(notebook: Callable[..., TrainResult], act: str) -> None:
    with pytest.raises(TrainingFailed) as failed:
        notebook([PARAMETERS, act])
    words = "ValueError: no such column" if "Value" in act else "Kernel died"
    assert any(words in line for line in failed.value.tail)
