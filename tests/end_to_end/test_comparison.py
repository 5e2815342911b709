"""The gate of a whole release: a worse candidate is stopped; both predict by the project's own command."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from mlconsole.evidence.release import StageRun
from mlconsole.evidence.testing import TestEvidence
from mlconsole.journal import Journal

if TYPE_CHECKING:
    from conftest import Workbench

pytestmark = pytest.mark.end_to_end

PREDICT = """\
import csv, json, sys
model, data, output = sys.argv[1:]
rows = list(csv.DictReader(open(data)))
assert "y" not in rows[0]
mean = json.load(open(model))["mean"]
with open(output, "w") as file:
    print("prediction", *(mean for row in rows), sep="\\n", file=file)
"""
SETTINGS = """\
[quality]
holdout = "HOLDOUT"
metric = "mean_absolute_error"
segments = ["place"]
predict = "python predict.py {model} {data} {predictions}"
"""


def rows(count: int, *, beside: float = 0, only: int | None = None) -> str:
    """A table of so many rows, `n` moved by a part of one; `only` makes one value of `y` of all that there are."""
    places = ("sea", "hills")
    lines = (f"{n % 400 + beside},{places[n % 2]},{100 + (n % 7 if only is None else only)}" for n in range(count))
    return "n,place,y\n" + "\n".join(lines) + "\n"


def train_and_test(bench: Workbench) -> tuple[int, StageRun]:
    """Run up to test; the exit code and how the test stage ended."""
    ended = bench.type("run", "--until", "test")
    journal = Journal(bench.root / ".mlconsole" / "journal.db")
    latest = journal.latest_release()
    assert latest is not None, ended.stderr
    runs = {run.stage: run for run in journal.stage_runs(latest.number)}
    journal.close()
    assert "test" in runs, ended.stdout + ended.stderr
    return ended.returncode, runs["test"]


def sentences(run: StageRun) -> dict[str, str]:
    assert run.verdict is not None
    return {reason.sentence: reason.level for reason in run.verdict.reasons}


@pytest.fixture
def champion(bench: Workbench) -> Workbench:
    """The project with a first version that counts as the champion."""
    bench.write("mlconsole.toml", SETTINGS.replace("HOLDOUT", "data/holdout.csv"))
    bench.write("predict.py", PREDICT)
    bench.write("data/training.csv", rows(400))
    bench.write("data/holdout.csv", rows(600, beside=0.5))
    bench.commit("With a hold-out")
    code, first = train_and_test(bench)
    assert code == 0
    assert isinstance(first.evidence, TestEvidence)
    assert first.evidence.not_compared == "There is no other version in production to compare with."
    journal = Journal(bench.root / ".mlconsole" / "journal.db")
    journal.move_alias("tiny", "champion", 1, 1)
    journal.close()
    return bench


def test_a_worse_candidate_is_stopped_and_an_equal_one_is_not(champion: Workbench) -> None:
    champion.write("data/training.csv", rows(407))
    code, run = train_and_test(champion)
    assert code == 0
    assert isinstance(run.evidence, TestEvidence)
    assert run.evidence.comparison is not None
    assert run.evidence.comparison.verdict in {"equal", "better"}
    assert [found.segment for found in run.evidence.further] == ["place = hills", "place = sea"]

    # once it serves, there is nobody to compare it with, and nothing to test again
    journal = Journal(champion.root / ".mlconsole" / "journal.db")
    journal.move_alias("tiny", "champion", 2, 2)
    journal.close()
    assert "Nothing changed since release 2" in champion.type("run", "--until", "test").stdout

    champion.write("data/training.csv", rows(407, only=6))
    code, run = train_and_test(champion)
    assert (code, run.state) == (1, "refused")
    failed = [sentence for sentence, level in sentences(run).items() if level == "fail"]
    assert failed[0].startswith("tiny@v3 is worse than what serves: mean_absolute_error")
    assert not any("where place" in sentence for sentence in failed)
    assert isinstance(run.evidence, TestEvidence)
    assert {found.segment: found.verdict for found in run.evidence.further}["place = sea"] == "worse"


def test_the_rows_that_were_compared_on_are_part_of_the_record(champion: Workbench) -> None:
    champion.write("data/training.csv", rows(407))
    code, run = train_and_test(champion)
    assert code == 0
    assert isinstance(run.evidence, TestEvidence)
    (holdout,) = run.evidence.holdout
    assert (holdout.path, holdout.size) == ("data/holdout.csv", len(rows(600, beside=0.5)))
    assert holdout.digest in champion.type("record", "2", "--format", "markdown").stdout
    verified = champion.type("verify", "v2")
    assert (verified.returncode, "hold-out data/holdout.csv of release 2" in verified.stdout) == (0, True)
    champion.write("data/holdout.csv", rows(600, beside=0.25))
    verified = champion.type("verify", "v2")
    (line,) = [line for line in verified.stdout.splitlines() if line.startswith("hold-out")]
    assert (verified.returncode, "Its content was changed since" in line) == (1, True)

    assert "in the training data" not in champion.type("models", "compare", "v1", "v2").stderr
    champion.write("data/training.csv", rows(300, beside=0.25))
    told = champion.type("models", "compare", "v1", "v2").stderr
    assert "300 of the 600 rows to compare on are in the training data of now, too." in told


def test_rows_that_training_has_seen_are_told(champion: Workbench) -> None:
    champion.write("data/training.csv", rows(400) + rows(300, beside=0.5).partition("\n")[2])
    code, run = train_and_test(champion)
    assert code == 0
    assert sentences(run) == {"300 of the 600 rows to compare on are training data, too.": "warn"}


@pytest.mark.parametrize(
    ("holdout", "sentence"),
    [
        ("", "Not compared with tiny@v1: no rows are known that neither model has seen."),
        (
            "data/training.csv",
            "Not compared with tiny@v1: data/training.csv is training data, so its rows are not unseen.",
        ),
    ],
)
def test_without_unseen_rows_that_is_said_plainly(champion: Workbench, holdout: str, sentence: str) -> None:
    champion.write("mlconsole.toml", SETTINGS.replace("HOLDOUT", holdout))
    (champion.root / "data/holdout.csv").unlink()
    champion.write("data/training.csv", rows(407))
    code, run = train_and_test(champion)
    assert code == 0
    assert sentences(run) == {sentence: "warn"}
