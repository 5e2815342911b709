"""The data stage with a champion: what is new, what drifts, and what its gate says of it."""

from __future__ import annotations

import hashlib
import json
import threading
from pathlib import Path

import msgspec
import pytest

from mlconsole.evidence.base import Verdict, now
from mlconsole.evidence.data import DataEvidence
from mlconsole.evidence.release import Release, StageRun
from mlconsole.evidence.training import ModelFile, ModelVersion
from mlconsole.journal import Journal
from mlconsole.present import Table, blocks
from mlconsole.project import open_project
from mlconsole.services.datasets import DataChanged
from mlconsole.stages.base import Known, StageContext, fingerprint_of
from mlconsole.stages.data import DataStage

HEADER = "id,hour,temp,weather\n"


def rows(first: int, last: int, *, warmer: float = 0, weather: str = "dry") -> str:
    lines = (f"{n},{n % 24},{(n * 37 % 100) / 10 + warmer},{'wet' if n % 3 else weather}\n" for n in range(first, last))
    return "".join(lines)


class Stage:
    """A project, and the data stage run in it; `make_champion` keeps what it found as the champion's."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.champion: ModelVersion | None = None
        self.release = Release(number=1, kind="release", state="running", started_at=now(), started_by="ada")
        (root / "data").mkdir()
        self.settings("")
        self.notes: list[object] = []

    def settings(self, more: str) -> None:
        (self.root / "mlconsole.toml").write_text(f'[data]\npath = "data/training.csv"\n{more}\n')

    def write(self, content: str) -> None:
        (self.root / "data/training.csv").write_text(HEADER + content)

    @property
    def journal(self) -> Journal:
        return Journal(self.root / ".mlconsole/journal.db")

    @property
    def context(self) -> StageContext:
        return StageContext(
            project=open_project(self.root),
            journal=self.journal,
            known=Known(),
            champion=self.champion,
            cancelled=threading.Event(),
            release=self.release,
            emit=self.notes.append,
            approves=lambda plan: False,
        )

    def run(self) -> tuple[DataEvidence, Verdict]:
        evidence = DataStage().run(self.context)
        return evidence, DataStage().judge(self.context, evidence)

    def make_champion(self) -> None:
        evidence, _ = self.run()
        journal = self.journal
        release = journal.begin_release(kind="release", who="ada", approved=True)
        run = StageRun(
            release=release.number, stage="data", attempt=1, state="done", started_at=now(), evidence=evidence
        )
        journal.save_stage(run)
        journal.save_release(msgspec.structs.replace(release, state="done"))
        self.champion = ModelVersion(
            name="m",
            number=3,
            model=ModelFile(digest="sha256:m", size=1, filename="m.pkl"),
            release=release.number,
            created_at=now(),
            data_digest=evidence.profile.identity.digest,
        )


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    made = Stage(tmp_path)
    made.write(rows(0, 1000))
    made.make_champion()
    return made


def sentences(verdict: Verdict) -> str:
    return "\n".join(f"{reason.level}: {reason.sentence}" for reason in verdict.reasons)


def test_data_that_was_written_to_since_the_stage_began_is_not_taken_for_what_it_was(stage: Stage) -> None:
    stage.write(rows(0, 300))
    journal = stage.journal
    release = journal.begin_release(kind="release", who="ada", approved=True)
    stage.release = release
    fingerprint = fingerprint_of(DataStage().inputs(stage.context))
    begun = StageRun(
        release=release.number, stage="data", attempt=1, state="running", started_at=now(), fingerprint=fingerprint
    )
    journal.save_stage(begun)
    stage.run()
    stage.write(rows(0, 301))
    with pytest.raises(DataChanged, match="changed while it was read"):
        stage.run()


def test_more_of_the_same_does_not_drift(stage: Stage) -> None:
    stage.write(rows(0, 2000))
    evidence, verdict = stage.run()
    assert [(report.part, report.rows_before, report.rows) for report in evidence.drift] == [
        ("all rows", 1000, 2000),
        ("new rows", 1000, 1000),
    ]
    assert [report.drifting for report in evidence.drift] == [(), ()]
    assert evidence.change is not None
    assert evidence.change.rows_added == 1000
    assert "drift" not in sentences(verdict)


def test_new_rows_that_drift_are_told_alone_and_together(stage: Stage) -> None:
    stage.write(rows(0, 1000) + rows(1000, 1400, warmer=3))
    evidence, verdict = stage.run()
    assert verdict.level == "warn"
    assert "warn: The new rows alone drift from the data of m@v3 in temp, strongly." in sentences(verdict)
    assert "warn: All rows together drift from the data of m@v3 in temp." in sentences(verdict)
    tables = {block.title: block for block in blocks(evidence) if isinstance(block, Table)}
    assert {row[1] for row in tables["Drifting of the new rows alone"].rows} == {"temp"}


@pytest.mark.parametrize(("setting", "level"), [("", "warn"), ('drift = "warn"', "warn"), ('drift = "fail"', "fail")])
def test_drift_stops_a_release_where_the_settings_say_so(stage: Stage, setting: str, level: str) -> None:
    stage.settings(setting)
    stage.write(rows(500, 1500, warmer=0.5, weather="snow"))
    evidence, verdict = stage.run()
    assert evidence.change is not None
    assert evidence.change.rows_added is None
    assert [report.part for report in evidence.drift] == ["all rows"]
    assert verdict.level == level
    reason = next(reason for reason in verdict.reasons if "drift" in reason.sentence)
    assert reason.level == level
    assert "weather" in reason.sentence
    assert reason.next_step == "mlconsole show 1 --stage data"


def test_few_new_rows_are_not_enough_and_say_so(stage: Stage) -> None:
    stage.write(rows(0, 1000) + rows(1000, 1050, warmer=9))
    evidence, _ = stage.run()
    assert [report.enough for report in evidence.drift] == [True, False]
    shown = "\n".join(line for block in blocks(evidence) if not isinstance(block, Table) for line in block.lines)
    assert "50 rows against the 1,000 of m@v3: not enough to tell; 200 on either side are needed." in shown


def test_the_old_data_is_not_needed(stage: Stage) -> None:
    (stage.root / "data/training.csv").unlink()
    stage.write(rows(5000, 6000, warmer=5))
    assert "temp" in stage.run()[0].drift[0].columns_at("fail")


def test_a_champion_of_which_no_distribution_was_kept(stage: Stage) -> None:
    journal = stage.journal
    (run,) = journal.stage_runs(1)
    assert isinstance(run.evidence, DataEvidence)
    journal.save_stage(msgspec.structs.replace(run, evidence=msgspec.structs.replace(run.evidence, reference=None)))
    stage.write(rows(0, 2000))
    evidence, _ = stage.run()
    assert evidence.drift == ()
    assert evidence.notes == ("The distributions of m@v3's data are not known: no drift is told.",)


def test_the_same_data_is_compared_with_nothing(stage: Stage) -> None:
    assert stage.run()[0].drift == ()


def test_rows_are_told_by_their_key(stage: Stage) -> None:
    stage.settings('key = ["id"]')
    stage.champion = None
    stage.make_champion()
    stage.write(rows(10, 500) + rows(500, 520, warmer=1) + rows(520, 1005))
    change = stage.run()[0].change
    assert change is not None
    assert change.keys is not None
    assert (change.keys.added, change.keys.removed, change.keys.changed, change.keys.same) == (5, 10, 20, 970)
    for kept in (stage.root / ".mlconsole/rows").iterdir():
        kept.unlink()
    assert "The rows of m@v3 are not kept here" in stage.run()[0].notes[0]


def test_a_key_that_repeats_is_a_warning(stage: Stage) -> None:
    stage.settings('key = ["hour"]')
    assert "The key hour is not of one row only: 976 rows repeat it." in sentences(stage.run()[1])


def test_a_dvc_pointer_to_other_data_is_a_warning_and_an_input(stage: Stage) -> None:
    before = fingerprint_of(DataStage().inputs(stage.context))
    content = (stage.root / "data/training.csv").read_bytes()
    pointer = {"md5": hashlib.md5(content).hexdigest(), "hash": "md5", "path": "training.csv"}
    (stage.root / "data/training.csv.dvc").write_text(json.dumps({"outs": [pointer]}))
    assert fingerprint_of(DataStage().inputs(stage.context)).changed_since(before) == ("DVC pointers",)
    evidence, verdict = stage.run()
    assert [found.matches for found in evidence.pointers] == [True]
    assert "training.csv.dvc" not in sentences(verdict)
    stage.write(rows(0, 1001))
    assert "warn: data/training.csv is not what data/training.csv.dvc says" in sentences(stage.run()[1])


def test_the_date_is_an_input_only_where_age_matters(stage: Stage) -> None:
    stage.settings('checks = "checks.yaml"')
    names = []
    for rule in ("", ", maximum_age_days: 3"):
        (stage.root / "checks.yaml").write_text(f"columns: {{id: {{kind: integer{rule}}}}}")
        names.append({entry.name for entry in DataStage().inputs(stage.context)})
    assert names[1] - names[0] == {"today's date"}
