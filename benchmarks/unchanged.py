"""A second `mlconsole run` with nothing changed, beside `dvc repro` with three unchanged stages of the same project."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

from measure import command, compare

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


def main() -> None:
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
        )


if __name__ == "__main__":
    main()
