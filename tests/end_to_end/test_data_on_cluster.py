"""Data read by a Job of the local cluster: what comes back, killed in the middle, cancelled, in an image without it."""

from __future__ import annotations

import json
import os
import signal
import venv
from pathlib import Path

import msgspec
import psutil
import pytest

from mlconsole.evidence.data import DataEvidence
from tests.end_to_end.conftest import Workbench
from tests.waiting import until

pytestmark = [pytest.mark.end_to_end, pytest.mark.timeout(300)]
NEAR = """\
[data]
target = "y"
key = ["x"]
[deploy]
context = "local"
settle = "1s"
"""
FAR = NEAR.replace("[data]\n", '[data]\non = "cluster"\n')
ROWS = "".join(f"{n},{(n * 7919) % 101},{'ab'[n % 2]}\n" for n in range(3000))


@pytest.fixture
def project(bench: Workbench) -> Workbench:
    """The tiny project with some more data, and its cluster."""
    bench.write("mlconsole.toml", FAR)
    bench.write("data/training.csv", f"x,y,kind\n{ROWS}")
    bench.commit("Read the data on the cluster")
    assert bench.type("cluster", "start").returncode == 0
    return bench


def evidence(bench: Workbench, number: int) -> DataEvidence:
    shown = bench.type("show", str(number), "--stage", "data", "--json")
    assert shown.returncode == 0, shown.stderr
    return msgspec.convert(json.loads(shown.stdout)["evidence"], DataEvidence)


def timeless(found: DataEvidence) -> bytes:
    """All but how long it took and what only the place of reading can know."""
    return msgspec.json.encode(msgspec.structs.replace(found, seconds=0, notes=()))


def objects(bench: Workbench, plural: str) -> list[str]:
    from mlconsole.services.kubernetes.connection import Connection

    path = "/api/v1" if plural in ("pods", "configmaps") else "/apis/batch/v1"
    connection = Connection.open(kubeconfig=Path(bench.kubeconfig))
    try:
        found = json.loads(connection.request("GET", f"{path}/namespaces/default/{plural}"))
    finally:
        connection.close()
    return [item["metadata"]["name"] for item in found["items"]]


def readers(bench: Workbench) -> list[psutil.Process]:
    """The processes of pods that read this project's data."""
    found = []
    for process in psutil.process_iter(["cmdline", "cwd"]):
        words = process.info["cmdline"] or []
        if words[1:3] == ["-m", "mlconsole.services.datasets.there"] and process.info["cwd"] == str(bench.root):
            found.append(process)
    return found


def test_the_same_is_found_near_and_far(project: Workbench) -> None:
    done = project.type("run", "--until", "data")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Running in pod tiny-data-1-" in done.stdout
    far = evidence(project, 1)
    assert far.notes == ("Rows are compared by their key only where the data is read on this machine.",)
    assert far.reference is not None
    project.write("mlconsole.toml", NEAR)
    assert project.type("run", "--until", "data").returncode == 0
    assert timeless(evidence(project, 1)) == timeless(far)
    assert not list((project.root / ".mlconsole/store/sha256").glob("*/*"))
    assert not (project.root / ".mlconsole/releases/1/data-job.json").exists()


def test_a_champion_is_compared_with_there_and_the_gate_is_the_same(project: Workbench) -> None:
    assert project.type("run", "--approve").returncode == 0
    shifted = "".join(f"{n},{(n * 7919) % 101 + 90},{'ab'[n % 2]}\n" for n in range(3000, 6000))
    project.write("data/training.csv", f"x,y,kind\n{ROWS}{shifted}")
    project.commit("More data")
    far = project.type("run", "--until", "data")
    found = evidence(project, 2)
    project.write("mlconsole.toml", NEAR)
    near = project.type("run", "--until", "data")
    assert near.returncode == far.returncode
    again = evidence(project, 2)
    assert {report.part for report in found.drift} == {"all rows", "new rows"}
    assert found.drift == again.drift
    assert found.violations == again.violations
    assert found.change is not None
    assert again.change is not None
    assert found.change == msgspec.structs.replace(again.change, keys=None)


def test_data_that_only_pods_can_see_is_read_once_while_it_is_the_same(project: Workbench, tmp_path: Path) -> None:
    mounted = (project.root / "data/training.csv").rename(tmp_path / "mounted.csv")
    settings = FAR.replace("[data]\n", '[data]\npath = "data/training.csv"\n')
    project.write("mlconsole.toml", f'{settings}[train]\ndata_uri = "{mounted}"\n')
    project.commit("The data is elsewhere")
    assert project.type("run", "--until", "data").returncode == 0
    identity = evidence(project, 1).profile.identity
    assert [file.path for file in identity.files] == ["data/training.csv"]
    assert "Reading" not in project.type("run", "--until", "data").stdout
    with mounted.open("a") as file:
        file.write("3000,5,a\n")
    assert "Reading data/training.csv" in project.type("run", "--until", "data").stdout
    mounted.unlink()
    gone = project.type("run", "--until", "data")
    assert gone.returncode == 2, gone.stdout
    assert "training.csv is a link to a file that is not there." in gone.stdout


def make_much(bench: Workbench, settings: str = "") -> None:
    """So much data that its reading can be met in the middle."""
    bench.write("data/training.csv", "x,y,kind\n" + ROWS * 700)
    bench.write("mlconsole.toml", FAR.replace('key = ["x"]\n', "") + settings)
    bench.commit("Much data")


def test_a_pod_that_goes_in_the_middle_is_made_again(project: Workbench) -> None:
    make_much(project, "[train]\nretries = 1\n")
    runner = project.start("run", "--until", "data")
    until(lambda: readers(project))[0].kill()
    printed = runner.communicate(timeout=200)[0]
    assert runner.returncode == 0, printed
    assert "(it was killed)" in printed
    assert evidence(project, 1).profile.rows == 2_100_000


def test_a_pod_that_always_goes_is_a_sentence(project: Workbench) -> None:
    make_much(project)
    runner = project.start("run", "--until", "data")
    until(lambda: readers(project))[0].kill()
    printed = runner.communicate(timeout=200)[0]
    assert runner.returncode == 1, printed
    assert "Reading the data failed on the cluster: It ended with signal 9 (it was killed)." in printed


def test_cancelling_deletes_the_job(project: Workbench) -> None:
    make_much(project)
    runner = project.start("run", "--until", "data")
    until(lambda: readers(project))
    assert len(objects(project, "jobs")) == 1
    os.kill(runner.pid, signal.SIGINT)
    printed = runner.communicate(timeout=200)[0]
    assert runner.returncode == 130, printed
    assert objects(project, "jobs") == objects(project, "configmaps") == []
    assert not readers(project)


def test_a_runner_that_is_killed_leaves_the_job_and_resume_goes_on_with_it(project: Workbench) -> None:
    make_much(project)
    runner = project.start("run", "--until", "data")
    until(lambda: readers(project))
    runner.kill()
    runner.communicate()
    made = objects(project, "jobs")
    until(lambda: "interrupted" in project.type("status").stdout)
    resumed = project.type("resume", "1", "--until", "data", timeout=200)
    assert resumed.returncode == 0, resumed.stdout
    assert f"Job {made[0]} goes on: an earlier runner made it." in resumed.stdout
    assert objects(project, "jobs") == made


def test_what_is_wrong_with_the_data_is_said_as_here(project: Workbench) -> None:
    project.write("data/training.csv", "x,y\n")
    project.commit("No rows")
    refused = project.type("run", "--until", "data")
    assert refused.returncode == 1
    assert "training.csv has a header, but no rows." in refused.stdout


def test_an_image_without_mlconsole_is_a_sentence(bench: Workbench) -> None:
    venv.create(bench.root / ".venv")
    bench.write(".gitignore", ".venv\n__pycache__\n")
    bench.write("mlconsole.toml", FAR)
    bench.commit("An environment of its own")
    assert bench.type("cluster", "start").returncode == 0
    refused = bench.type("run", "--until", "data")
    assert refused.returncode == 2, refused.stdout
    assert "The image local has no mlconsole of this version, which reads the data there." in refused.stdout
    assert "pip install mlconsole==" in refused.stdout
