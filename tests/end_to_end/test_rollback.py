"""The way back from a release that is stuck, by hand and by itself, on real pods."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from mlconsole.evidence.cluster import PodsEvidence
from mlconsole.journal import Journal

if TYPE_CHECKING:
    from conftest import Workbench

pytestmark = pytest.mark.end_to_end
SETTINGS = """\
[deploy]
context = "local"
settle = "1s"
[deploy.smoke]
path = "/"
contains = '"version": "{version}"'
"""


def new_data(bench: Workbench, slope: int) -> None:
    with (bench.root / "data/training.csv").open("a") as data:
        data.writelines(f"{number},{number * slope}\n" for number in range(30))


def break_version(bench: Workbench, tag: str, how: str) -> None:
    """Have the server do otherwise for one version."""
    text = (bench.root / "serve.py").read_text()
    head, middle, tail = text.partition("        body = ")
    broken = f'        if os.environ["MODEL_VERSION"] == "{tag}":\n            {how}\n'
    bench.write("serve.py", head + broken + middle + tail)


def versions(bench: Workbench) -> list[str]:
    rows = [json.loads(line) for line in bench.type("pods", "--json").stdout.splitlines()]
    return [row["version"] for row in rows if row.get("is_ready")]


@pytest.mark.timeout(300)
def test_from_a_version_that_never_gets_ready_and_from_one_that_fails_its_smoke_test(bench: Workbench) -> None:
    bench.write("mlconsole.toml", SETTINGS)
    bench.type("cluster", "start")
    first = bench.type("run", "--approve")
    assert first.returncode == 0, first.stdout + first.stderr
    assert "2 of 2 pods answered the smoke test as expected" in first.stdout

    break_version(bench, "v2", "return self.send_error(500)")
    new_data(bench, 3)
    # only of the version that never gets ready: others may take longer where the machine is busy
    text = (bench.root / "deployment.yaml").read_text()
    bench.write("deployment.yaml", text.replace("progressDeadlineSeconds: 60", "progressDeadlineSeconds: 3"))
    stuck = bench.type("run", "--approve")
    assert stuck.returncode == 1, stuck.stdout + stuck.stderr
    assert "exceeded its progress deadline" in stuck.stdout
    back = bench.type("rollback", "v1", "--reason", "v2 never gets ready")
    assert back.returncode == 0, back.stdout + back.stderr
    assert versions(bench) == ["tiny@v1", "tiny@v1"]

    bench.write("mlconsole.toml", SETTINGS.replace('settle = "1s"', 'settle = "1s"\nrollback = "auto"'))
    bench.write("deployment.yaml", text)
    break_version(bench, "v3", 'os.environ["MODEL_VERSION"] = "v0"')
    new_data(bench, 4)
    failed = bench.type("run", "--approve")
    assert failed.returncode == 1, failed.stdout + failed.stderr
    assert """answered without '"version": "v3"'""" in failed.stdout
    assert "tiny@v1 is brought back, as [deploy] rollback says." in failed.stdout
    assert "release 5 done. tiny@v1 is serving." in failed.stdout
    assert versions(bench) == ["tiny@v1", "tiny@v1"]

    journal = Journal(bench.root / ".mlconsole/journal.db")
    kinds = [(release.kind, release.state, release.version) for release in reversed(journal.releases())]
    assert kinds == [
        ("release", "done", "tiny@v1"),
        ("release", "refused", "tiny@v2"),
        ("rollback", "done", "tiny@v1"),
        ("release", "refused", "tiny@v3"),
        ("rollback", "done", "tiny@v1"),
    ]
    assert journal.release(5).reason.startswith("release 4 failed: Pods says no: Smoke test: tiny-")
    pods = next(run.evidence for run in journal.stage_runs(5) if run.stage == "pods")
    assert isinstance(pods, PodsEvidence)
    assert [answer.passed for answer in pods.smoke] == [True, True]

    again = bench.type("run", "--approve")
    assert again.returncode == 1
    assert "tiny@v3 failed in release 4, and tiny@v1 was brought back in release 5." in again.stdout
