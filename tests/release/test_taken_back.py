"""Code that was rolled back is not brought back by what needs no approval: a person has to approve it once."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from mlconsole.evidence.base import now
from mlconsole.evidence.monitoring import MonitorState
from mlconsole.evidence.release import AliasMove, ReleaseTrigger
from mlconsole.evidence.training import ModelFile, ModelVersion
from mlconsole.journal import Journal
from mlconsole.monitor_log import MonitorLog
from mlconsole.project import Project
from mlconsole.release.decisions import approve
from mlconsole.release.engine import Engine, Order, Outcome
from mlconsole.release.rollback import roll_back, target_version

BY_HAND = Order(approved=True, who="ada")
UNATTENDED = Order(approved=True, who="watcher", trigger=ReleaseTrigger(kinds=("data",), words="may.csv"))
Commit = Callable[..., str]


@pytest.fixture
def commit(project: Project) -> Commit:
    """Writes files, and commits them; returns the commit."""

    def git(*words: str) -> str:
        who = ("-c", "user.name=ada", "-c", "user.email=ada@example.com")
        return subprocess.run(
            ["git", *who, *words], cwd=project.root, check=True, capture_output=True, text=True
        ).stdout

    git("init", "--quiet")

    def write(**files: str) -> str:
        for name, text in files.items():
            path = project.root / name.replace("__", "/").replace("_dot_", ".")
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
        git("add", *(name.replace("__", "/").replace("_dot_", ".") for name in files))
        git("commit", "--quiet", "--allow-empty", "-m", "more")
        return git("rev-parse", "HEAD").strip()

    return write


class Releases:
    """Releases of a project, each of new data; the code is that of a commit."""

    def __init__(self, project: Project, journal: Journal, world: Any) -> None:
        self.project, self.journal, self.world = project, journal, world
        self._number = 0

    def make(self, commit: str, order: Order = UNATTENDED) -> Outcome:
        self._number += 1
        inputs = self.world.inputs
        self.world.commit = inputs["repo"] = commit
        inputs["data"] = inputs["train"] = f"{self._number}"
        return self._engine.run(order)

    def back(self, to: str = "", reason: str = "") -> Outcome:
        order = msgspec.structs.replace(BY_HAND, reason=reason)
        return roll_back(self._engine, self.journal, order, target_version(self.journal, "m", to))

    def approve(self, number: int) -> Outcome:
        approve(self.journal, number, who="ada")
        return self._engine.resume(number, Order(who="ada"))

    @property
    def _engine(self) -> Engine:
        return Engine(self.project, self.journal)


@pytest.fixture
def releases(project: Project, journal: Journal, world: Any) -> Releases:
    data = msgspec.structs.replace(project.settings.data, path="data/training.csv")
    settings = msgspec.structs.replace(project.settings, data=data)
    return Releases(Project(project.root, settings, None, ()), journal, world)


def state(outcome: Outcome) -> str:
    assert outcome.release is not None
    return outcome.release.state


def test_after_a_rollback_new_data_waits_once_for_an_approval_that_names_it(
    releases: Releases, journal: Journal, commit: Commit
) -> None:
    good, bad = commit(train_dot_py="good"), commit(train_dot_py="bad")
    assert state(releases.make(good)) == "done"
    assert state(releases.make(bad)) == "done"
    releases.back(reason="monitor: errors 0.4 above 0.05.")

    held = releases.make(bad)
    why = "m@v2 has the same code, and was rolled back in release 3 (monitor: errors 0.4 above 0.05)."
    assert (state(held), held.sentence) == ("waiting", f"{why} Look at the plan, then: mlconsole approve 4")
    deploy = next(run for run in journal.stage_runs(4) if run.stage == "deploy")
    assert deploy.verdict is not None
    assert [reason.sentence for reason in deploy.verdict.reasons] == [why]
    assert not journal.release(4).approved, "nobody approved it as it was begun"
    assert state(releases.make(bad)) == "waiting", "nobody has approved it yet"

    assert state(releases.approve(5)) == "done"
    assert state(releases.make(bad)) == "done", "somebody knows of it, and lets it go on"
    releases.back()
    assert "m@v5 has the same code, and was rolled back in release 7." in releases.make(bad).sentence


def test_another_code_goes_on_but_not_another_commit_of_the_same(releases: Releases, commit: Commit) -> None:
    good, bad = commit(train_dot_py="good"), commit(train_dot_py="bad")
    releases.make(good)
    releases.make(bad)
    releases.back()
    assert state(releases.make(commit(README_dot_md="words", data__training_dot_csv="a\n1\n"))) == "waiting"
    mended = commit(train_dot_py="mended")
    assert state(releases.make(mended)) == "done"
    assert state(releases.make(bad)) == "waiting", "of this code nobody has thought better"
    assert state(releases.make("0" * 40)) == "waiting", "a commit that is not here may be the same"


def test_a_good_code_with_a_bad_model_waits_too_and_what_was_gone_back_to_does_not(
    releases: Releases, commit: Commit
) -> None:
    good = commit(train_dot_py="good")
    releases.make(good)
    releases.make(good)
    releases.back()
    assert state(releases.make(good)) == "waiting"
    bad = commit(train_dot_py="bad")
    releases.make(bad)
    releases.back("v1")
    assert state(releases.make(good)) == "done", "a person went back to it"
    releases.back("v4")
    assert state(releases.make(bad)) == "done", "and then to this after all"


def test_a_person_is_told_and_not_held(releases: Releases, commit: Commit) -> None:
    good, bad = commit(train_dot_py="good"), commit(train_dot_py="bad")
    releases.make(good)
    releases.make(bad)
    releases.back()
    asked = releases.make(bad, Order(who="ada"))
    assert asked.sentence.startswith("m@v2 has the same code, and was rolled back in release 3.")
    held = releases.make(bad)
    assert state(held) == "waiting"
    assert held.release is not None
    typed = Engine(releases.project, releases.journal).resume(held.release.number, BY_HAND)
    assert state(typed) == "done", "resume --approve"
    assert state(releases.make(bad)) == "done"
    releases.back()
    assert state(releases.make(bad, BY_HAND)) == "done", "run --approve"


def test_what_failed_in_the_cluster_and_was_taken_back_waits_too(
    releases: Releases, world: Any, commit: Commit
) -> None:
    good, bad = commit(train_dot_py="good"), commit(train_dot_py="bad")
    releases.make(good)
    world.refuse("pods")
    assert state(releases.make(bad)) == "refused"
    world.gates.clear()
    releases.back()
    assert "m@v2 has the same code" in releases.make(bad).sentence
    assert state(releases.make(good)) == "done"


def test_what_the_monitor_is_about_to_roll_back_waits(releases: Releases, journal: Journal, commit: Commit) -> None:
    good, bad = commit(train_dot_py="good"), commit(train_dot_py="bad")
    releases.make(good)
    releases.make(bad)
    MonitorLog(journal).save_state(MonitorState(at=now(), asked_back="m@v2"))
    assert "m@v2 has the same code, and the monitor is about to roll it back." in releases.make(bad).sentence
    assert state(releases.make(good)) == "done"


def test_what_another_machine_went_back_from_waits_too(releases: Releases, journal: Journal, commit: Commit) -> None:
    good, bad = commit(train_dot_py="good"), commit(train_dot_py="bad")
    releases.make(good)
    file = ModelFile(digest="sha256:2", size=1, filename="m")
    theirs = ModelVersion(name="m", number=2, model=file, release=0, created_at=now(), commit=bad, elsewhere="bob on b")
    journal.add_version(theirs)
    for number in (2, 1):
        journal.add_move(
            AliasMove(name="m", alias="champion", number=number, release=0, at=now(), elsewhere="bob on b")
        )
    held = releases.make(bad)
    assert held.sentence.startswith("m@v2 has the same code, and bob on b went back from it to m@v1.")
    assert state(releases.make(good)) == "done"
