"""A second `mlconsole run` with nothing changed, beside `dvc repro` with three unchanged stages of the same project.

Then with 1, 100 and 2,000 files of data, each of which is a dependency of the training and of its own in `dvc.yaml`,
and with one file of 5 GB; there the training is one that only looks at the sizes of the files.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

from measure import command, compare, load

SAMPLE = Path(__file__).resolve().parent.parent / "sample_project"
STAGES = """\
stages:
  profile: {cmd: wc -l data/training.csv > profile.txt, deps: [data/training.csv], outs: [profile.txt]}
  train:
    cmd: PYTHON train_model.py --data data/training.csv --output models/model_v1.pkl
    deps: [train_model.py, data/training.csv, params.yaml]
    outs: [models/model_v1.pkl]
  test:
    cmd: PYTHON -m pytest -q tests/test_model_quality.py > tests.txt
    deps: [models/model_v1.pkl, tests/test_model_quality.py, data/holdout.csv]
    outs: [tests.txt]
"""


def git(folder: Path, *arguments: str) -> None:
    identity = ["-c", "user.name=Bench", "-c", "user.email=bench@example.com"]
    subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, stdout=subprocess.DEVNULL)


def copy_sample(folder: Path) -> None:
    shutil.copytree(SAMPLE, folder, ignore=shutil.ignore_patterns("__pycache__", "models", ".mlconsole"))
    git(folder, "init", "-q")
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", "sample")


TRAINING = """\
import argparse, json, pathlib
parser = argparse.ArgumentParser()
parser.add_argument("--data")
parser.add_argument("--output")
asked = parser.parse_args()
sizes = [path.stat().st_size for path in sorted(pathlib.Path(asked.data).glob("*.csv"))]
pathlib.Path(asked.output).write_text(json.dumps(sizes))
print(f"mae={len(sizes)}")
"""
TESTING = (
    "import os, pathlib\n\n\ndef test_there_is_a_model():\n    assert pathlib.Path(os.environ['MODEL_PATH']).exists()\n"
)
ROW = ("x" * 990 + ",{number}\n").format
BYTES_A_ROW = 1000


def write_project(folder: Path, files: int, size: int) -> None:
    """A project whose data is so many files of so many bytes together, and whose training hardly does anything."""
    (folder / "data").mkdir(parents=True)
    (folder / "tests").mkdir()
    (folder / "models").mkdir()
    rows = max(size // files // BYTES_A_ROW, 10)
    block = "".join(ROW(number=number % 97) for number in range(1000))
    for number in range(files):
        with (folder / f"data/part-{number:05d}.csv").open("w") as file:
            file.write("text,number\n")
            for start in range(0, rows, 1000):
                file.write(block if rows - start >= 1000 else "".join(block.splitlines(True)[: rows - start]))
    (folder / "train_model.py").write_text(TRAINING)
    (folder / "tests/test_model_quality.py").write_text(TESTING)
    (folder / "mlconsole.toml").write_text('name = "m"\n[data]\npath = "data"\n')
    names = [f"data/{path.name}" for path in sorted((folder / "data").iterdir())]
    train = f"{sys.executable} train_model.py --data data --output models/m.pkl"
    test = f"MODEL_PATH=models/m.pkl {sys.executable} -m pytest -q tests > tests.txt"
    stages = {
        "train": {"cmd": train, "deps": ["train_model.py", *names], "outs": ["models/m.pkl"]},
        "test": {"cmd": test, "deps": ["models/m.pkl", "tests/test_model_quality.py"], "outs": ["tests.txt"]},
    }
    (folder / "dvc.yaml").write_text(json.dumps({"stages": stages}))
    (folder / ".gitignore").write_text("data/\nmodels/\ntests.txt\n.mlconsole/\n")
    git(folder, "init", "-q")
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", "project")


def with_dependencies(root: Path, dvc: str, files: int, size: int, runs: int) -> None:
    """Compare both in one project: neither writes where the other looks."""
    folder = root / f"project-{files}-{size}"
    write_project(folder, files, size)
    program = str(Path(sys.executable).with_name("mlconsole"))
    quiet = {**os.environ, "DVC_NO_ANALYTICS": "1"}
    subprocess.run([program, "run", "--until", "test"], cwd=folder, check=True, stdout=subprocess.DEVNULL)
    # a large file would be copied into DVC's cache: a dependency never is
    for arguments in (["init", "-q"], ["repro", "-q"]):
        subprocess.run([dvc, *arguments], cwd=folder, check=True, env=quiet, stdout=subprocess.DEVNULL)
    compare(
        f"nothing changed, {files:,} files of {max(size, files * 10 * BYTES_A_ROW) / 1e9:.3g} GB {load()}"
        " (target: 1.5 times faster, a ratio of at most 0.67)",
        command("mlconsole run --until test", [program, "run", "--until", "test"], folder),
        command("dvc repro, two stages", [dvc, "repro"], folder, quiet),
        runs=runs,
    )
    shutil.rmtree(folder)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=9)
    parser.add_argument("--gigabytes", type=float, default=5)
    asked = parser.parse_args()
    program = str(Path(sys.executable).with_name("mlconsole"))
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        print("Installing DVC aside …")
        venv.create(root / "dvc-env", with_pip=True)
        subprocess.run([root / "dvc-env/bin/pip", "install", "-q", "dvc>=3.60,<4"], check=True)
        dvc = str(root / "dvc-env/bin/dvc")

        ours, peer = root / "ours", root / "peer"
        copy_sample(ours)
        copy_sample(peer)
        subprocess.run([program, "run", "--until", "test"], cwd=ours, check=True, stdout=subprocess.DEVNULL)
        (peer / "dvc.yaml").write_text(STAGES.replace("PYTHON", sys.executable))
        quiet = {**os.environ, "DVC_NO_ANALYTICS": "1"}
        (peer / "models").mkdir()
        for arguments in (["init", "-q"], ["repro", "-q"]):
            subprocess.run([dvc, *arguments], cwd=peer, check=True, env=quiet, stdout=subprocess.DEVNULL)
        compare(
            "nothing changed (target: under 0.4 s, and faster than the peer)",
            command("mlconsole run --until test", [program, "run", "--until", "test"], ours),
            command("dvc repro, three stages", [dvc, "repro"], peer, quiet),
            runs=asked.runs,
        )
        for files, size in ((1, 0), (100, 0), (2000, 0), (1, int(asked.gigabytes * 1e9))):
            with_dependencies(root, dvc, files, size, asked.runs)


if __name__ == "__main__":
    main()
