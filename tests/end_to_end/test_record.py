"""A release's record on real processes: exported, proven again, and found back from the pods."""

from __future__ import annotations

import json
import shutil
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from conftest import Workbench

pytestmark = pytest.mark.end_to_end


def checks(bench: Workbench, *arguments: str) -> tuple[int, dict[str, str]]:
    """The exit code of `verify`, and the state of each part."""
    ended = bench.type("verify", "--json", *arguments)
    lines = [json.loads(line) for line in ended.stdout.splitlines()]
    return ended.returncode, {line["part"]: line["state"] for line in lines}


def change_journal(bench: Workbench, statement: str) -> None:
    with sqlite3.connect(bench.root / ".mlconsole" / "journal.db") as db:
        assert db.execute(statement).rowcount == 1


def test_every_digest_is_proven_again_and_what_was_changed_is_named(bench: Workbench) -> None:
    assert bench.type("run", "--until", "test").returncode == 0
    code, states = checks(bench)
    assert (code, set(states.values())) == (0, {"matches"})
    assert {"model file of tiny@v1", "commit", "data data/training.csv", "test of release 1"} <= states.keys()

    data = bench.root / "data" / "training.csv"
    before = data.read_text()
    data.write_text(before + "50,100\n")
    assert checks(bench)[1]["data data/training.csv"] == "matches"
    data.write_text(before.replace("49,98", "49,99"))
    code, states = checks(bench)
    assert (code, states["data data/training.csv"]) == (1, "differs")
    data.unlink()
    assert checks(bench)[1]["data data/training.csv"] == "unknown"
    data.write_text(before)

    change_journal(bench, "UPDATE stage_runs SET body = replace(body, 'passed', 'skipped') WHERE stage = 'test'")
    code, states = checks(bench, "v1")
    assert (code, states["test of release 1"], states["train of release 1"]) == (1, "differs", "matches")

    (model,) = (path for path in (bench.root / ".mlconsole/store/sha256").rglob("*") if path.is_file())
    model.chmod(0o644)
    model.write_bytes(model.read_bytes()[:-1] + b" ")
    assert checks(bench)[1]["model file of tiny@v1"] == "differs"

    shutil.rmtree(bench.root / ".git")
    bench.git("init", "-q")
    bench.commit("Another history")
    assert checks(bench)[1]["commit"] == "unknown"


def test_what_serves_leads_back_to_its_release_also_from_elsewhere(bench: Workbench, tmp_path: Path) -> None:
    bench.type("cluster", "start")
    assert bench.type("run", "--approve", "--reason", "first").returncode == 0

    here = bench.type("where")
    assert here.returncode == 0, here.stderr
    for words in (
        "tiny@v1",
        "2 of 2 pods ready",
        "image     tiny:v1",
        "deployed by release 1",
        "(first)",
        "✓ model, data",
    ):
        assert words in here.stdout

    statement: dict[str, Any] = json.loads(bench.type("record", "1", "--format", "in-toto").stdout)
    record: dict[str, Any] = json.loads(bench.type("record", "1").stdout)
    (pods,) = [json.loads(line)["serving"] for line in bench.type("where", "--json").stdout.splitlines()]
    digest = "sha256:" + statement["subject"][0]["digest"]["sha256"]
    assert pods["model_digest"] == digest == record["version"]["model"]["digest"]
    assert pods["owner"] in {row["owner"] for row in record["stages"][-1]["evidence"]["rows"]}
    assert "# tiny@v1" in bench.type("record", "1", "--format", "markdown").stdout
    assert "Serves" in bench.type("show", "1").stdout

    elsewhere = type(bench)(tmp_path / "elsewhere")
    elsewhere.root.mkdir()
    told = elsewhere.type("where", KUBECONFIG=bench.kubeconfig)
    assert told.returncode == 0, told.stderr
    assert "does not know this version" in told.stdout
    assert digest in told.stdout
    assert list(elsewhere.root.iterdir()) == []

    change_journal(bench, f"UPDATE versions SET body = replace(body, '{digest}', 'sha256:{'0' * 64}')")
    disagrees = bench.type("where")
    assert disagrees.returncode == 1
    assert "the pods tell another model digest than the journal" in disagrees.stdout


def test_versions_are_shown_compared_tagged_and_tidied_up(bench: Workbench) -> None:
    assert bench.type("run", "--until", "test").returncode == 0
    bench.write("data/training.csv", "x,y\n" + "".join(f"{n},{n * 3}\n" for n in range(50)))
    bench.commit("Other data")
    assert bench.type("run", "--until", "test").returncode == 0

    shown = bench.type("models", "show", "candidate").stdout
    assert "tiny@v2" in shown
    assert "releases    2" in shown

    compared = bench.type("models", "compare", "v2", "v1")
    assert compared.returncode == 0, compared.stderr
    assert "differs" in next(line for line in compared.stdout.splitlines() if line.strip().startswith("data"))
    assert "the settings don't name quality.holdout" in compared.stderr
    assert bench.type("models", "compare", "v1", "v1").returncode == 2

    assert bench.type("models", "tag", "v1", "--stage", "prod").stdout.split() == ["tiny@v1", "tiny#prod#1"]

    kept = bench.type("models", "gc", "--keep", "0")
    assert kept.returncode == 0, kept.stderr
    assert kept.stdout.count("younger than a day") == 2
    assert "0 models" in kept.stderr

    promoted = bench.type("models", "promote", "v1")
    assert promoted.returncode != 0
    assert "tiny@v1" in promoted.stderr + promoted.stdout
