"""A change runs exactly the stages that depend on it, and each says which input changed."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Workbench

pytestmark = pytest.mark.end_to_end

VERSION = "candidate's version"
DATA = "data (data/training.csv)"
PACKAGE = "Python environment (new madeup 1.0)"
SETTINGS = """\
[train]
command = "python train_model.py --data {data} --output {model}"
parameters = "params.yaml"

[deploy]
context = "local"
"""


@pytest.fixture
def trained(bench: Workbench) -> Workbench:
    """The tiny project with parameters, a helper module and a Python of its own, trained and tested."""
    bench.write("mlconsole.toml", SETTINGS)
    bench.write("params.yaml", "rate: 0.1\n")
    bench.write("helper.py", "FACTOR = 1\n")
    bench.write("train_model.py", "import helper\n" + (bench.root / "train_model.py").read_text())
    bench.write(".gitignore", "__pycache__\n.venv\ndata/\n")
    bench.git("rm", "-q", "--cached", "data/training.csv")
    command = [sys.executable, "-m", "venv", "--without-pip", "--system-site-packages", ".venv"]
    subprocess.run(command, cwd=bench.root, check=True, timeout=60)
    bench.write(f"{site_packages()}/ours.pth", "\n".join(path for path in sys.path if path.endswith("site-packages")))
    bench.commit("Ready")
    first = bench.type("run", "--until", "test")
    assert first.returncode == 0, first.stdout + first.stderr
    return bench


def site_packages() -> str:
    return f".venv/lib/python{sys.version_info.major}.{sys.version_info.minor}/site-packages"


def started(bench: Workbench) -> dict[str, list[str]]:
    """Run up to the tests: the stages that had to run, each with why."""
    done = bench.type("run", "--until", "test", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    events = [json.loads(line) for line in done.stdout.splitlines()]
    bodies = [(event.get("stage"), event.get("body", {})) for event in events]
    return {stage: body.get("because", []) for stage, body in bodies if body.get("type") == "stage-started"}


def test_which_parameter_changed_is_told(trained: Workbench) -> None:
    trained.write("params.yaml", "rate: 0.2\ndepth: 3\n")
    said = "because of: parameters (rate 0.1 → 0.2 and depth = 3)"
    assert said in trained.type("run", "--until", "train").stdout
    assert f"train: It ran {said}." in trained.type("show", "2").stdout
    assert f"It ran {said}." in trained.type("show", "2", "--stage", "train").stdout
    assert "because of" not in trained.type("run", "--until", "train", "--from", "train").stdout

    trained.write("params.yaml", "depth: 3  # as deep as before\nrate: 0.2\n")
    assert "parameters (params.yaml, with the same values)" in trained.type("run", "--until", "train").stdout


def change_a_row(bench: Workbench) -> None:
    path = bench.root / "data/training.csv"
    path.write_text(path.read_text().replace("7,14\n", "7,15\n"))


def install_a_package(bench: Workbench) -> None:
    folder = f"{site_packages()}/madeup-1.0.dist-info"
    bench.write(f"{folder}/METADATA", "Metadata-Version: 2.1\nName: madeup\nVersion: 1.0\n")


def test_a_change_runs_what_depends_on_it(trained: Workbench) -> None:
    bench = trained
    assert started(bench) == {}

    change_a_row(bench)
    assert started(bench) == {"data": [DATA], "train": [DATA], "test": ["candidate", VERSION]}

    bench.write("params.yaml", "rate: 0.2\n")
    bench.commit("Learn faster")
    tree = ["commit and working tree"]
    assert started(bench) == {"repo": tree, "train": ["parameters (rate 0.1 → 0.2)"], "test": [VERSION]}

    bench.write("helper.py", "FACTOR = 2\n")
    bench.commit("Another factor")
    assert started(bench) == {"repo": tree, "train": ["training code (helper.py)"], "test": [VERSION]}

    install_a_package(bench)
    assert started(bench) == {"train": [PACKAGE], "test": [VERSION, PACKAGE]}

    bench.write("tests/test_more.py", "def test_more():\n    pass\n")
    bench.write("tests/test_model_quality.py", (bench.root / "tests/test_model_quality.py").read_text() + "\n# more\n")
    bench.commit("Test more")
    assert started(bench) == {"repo": tree, "test": ["tests (tests/test_model_quality.py)"]}

    bench.write("README.md", "A tiny model.\n")
    bench.commit("Say what it is")
    assert started(bench) == {"repo": tree}

    assert started(bench) == {}


def test_where_nothing_changed_nothing_is_loaded_that_trains_tests_or_deploys(trained: Workbench) -> None:
    command = [sys.executable, "-X", "importtime", "-m", "mlconsole", "run", "--until", "test"]
    done = subprocess.run(command, cwd=trained.root, capture_output=True, text=True, timeout=60, check=True)
    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "Nothing changed since release 1." in done.stdout
    assert "mlconsole.stages.train" in loaded
    runs_a_stage = ("services.training.run", "services.testing", "services.models.compare", "services.kubernetes")
    assert loaded.isdisjoint(f"mlconsole.{name}" for name in runs_a_stage)
    assert loaded.isdisjoint({"polars", "numpy", "git", "textual", "psutil", "urllib.request"})
