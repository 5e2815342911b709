"""Data read beside itself: wherever it is, what is found is what would be found in the project."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import fsspec
import msgspec
import pytest

from mlconsole.evidence.data import DataEvidence
from mlconsole.services.datasets import files
from mlconsole.services.datasets.examine import Asked, Champion, examine
from mlconsole.services.datasets.there import Answer, answer, main, packed, unpacked

ROWS = "x,y\n" + "".join(f"{n},{n * 7 % 13}\n" for n in range(400))


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with a file, and a folder of two."""
    root = tmp_path / "project"
    for name, text in {"one.csv": ROWS, "parts/a.csv": ROWS, "parts/b.csv": ROWS.replace("0", "1")}.items():
        path = root / "data" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def near(root: Path, asked: Asked) -> bytes:
    identity = files.identify(root, asked.path, root / "cache.json")
    return timeless(examine(root, asked, identity))


def timeless(evidence: DataEvidence | None) -> bytes:
    assert evidence is not None
    return msgspec.json.encode(msgspec.structs.replace(evidence, seconds=0))


@pytest.mark.parametrize("path", ["data/one.csv", "data/parts", "data/parts/*.csv"])
@pytest.mark.parametrize("place", ["/", "file://", "memory://"])
def test_the_same_is_found_by_an_address(project: Path, tmp_path: Path, path: str, place: str) -> None:
    mounted = tmp_path / "elsewhere" / "under another name"
    inside = path.removeprefix("data/")
    for file in (project / "data").rglob("*.csv"):
        target = mounted / file.relative_to(project / "data")
        if place == "memory://":
            fsspec.filesystem("memory").pipe_file(str(target), file.read_bytes())
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(file.read_bytes())
    uri = f"{'' if place == '/' else place}{mounted}/{inside}"
    asked = Asked(path=path, target="y")
    assert timeless(answer(asked, uri).evidence) == near(project, asked)


def test_the_champion_is_compared_with_there(project: Path, tmp_path: Path) -> None:
    before = files.identify(project, "data/one.csv", tmp_path / "cache.json")
    champion = Champion(label="m@v1", evidence=examine(project, Asked(path="data/one.csv"), before))
    with (project / "data/one.csv").open("a") as file:
        file.writelines(f"{n},{n % 13 + 40}\n" for n in range(400, 900))
    asked = unpacked(packed(Asked(path="data/one.csv", champion=champion)))
    found = answer(asked, str(project / "data/one.csv")).evidence
    assert timeless(found) == near(project, asked)
    assert found is not None
    assert found.change is not None
    assert {report.part for report in found.drift} == {"all rows", "new rows"}
    assert found.drift[0].drifting


def test_what_is_wrong_is_an_answer_too(tmp_path: Path) -> None:
    found = answer(Asked(path="data/one.csv"), "nosuch://bucket/one.csv")
    assert found.evidence is None
    assert found.sentence.startswith("The data can't be read from nosuch://bucket/one.csv: ")
    assert found.exit_code == 3
    missing = answer(Asked(path="data/one.csv"), str(tmp_path / "gone.csv"))
    assert missing.exit_code == 2


def test_it_is_a_program_that_tells_how_far_it_is(project: Path, tmp_path: Path) -> None:
    (tmp_path / "asked").write_text(packed(Asked(path="data/one.csv")))
    reports = tmp_path / "reports"
    done = subprocess.run(
        [sys.executable, "-m", "mlconsole.services.datasets.there", str(tmp_path / "asked"), str(tmp_path / "answer")],
        cwd=project,
        env={**os.environ, "MLCONSOLE_REPORT": str(reports)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("400 rows, sha256:")
    assert '"message": "read"' in reports.read_text().replace('":"', '": "')
    found = msgspec.json.decode((tmp_path / "answer").read_bytes(), type=Answer)
    assert found.evidence is not None
    assert found.evidence.profile.rows == 400


def test_it_reads_the_folder_that_it_runs_in(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project)
    (tmp_path / "asked").write_text(packed(Asked(path="data/parts")))
    assert main([str(tmp_path / "asked"), str(tmp_path / "answer")]) == 0
    found = msgspec.json.decode((tmp_path / "answer").read_bytes(), type=Answer)
    assert timeless(found.evidence) == near(project, Asked(path="data/parts"))
